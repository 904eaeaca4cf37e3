/*
 * Reads and writes the headers that travel with retry and dead copies. Called by intake, claim and publish
 * stages. What the numbers mean is the ledger's affair.
 */
#include "worker/copy_headers.h"

#include <string.h>

static int64_t read_count(const struct headers *headers, const char *name)
{
    int64_t value = headers_int(headers, name, 0);

    return value < 0 ? 0 : value;
}

void copy_headers_read(const struct headers *headers, struct copy_facts *ret_facts)
{
    ret_facts->generation = read_count(headers, HEADER_GENERATION);
    ret_facts->attempts = read_count(headers, HEADER_ATTEMPTS);
    ret_facts->first_ms = read_count(headers, HEADER_FIRST);
    ret_facts->due_ms = read_count(headers, HEADER_DUE);
    ret_facts->finished = headers_str(headers, HEADER_LINES);
    ret_facts->word_id = headers_str(headers, HEADER_WORD);
    ret_facts->dead_copy = headers_has(headers, HEADER_REASON);
    ret_facts->deliveries = read_count(headers, "x-delivery-count");
}

/* How much of the original a copy takes along: a set has its limits, and what we have to say must fit in. */
enum extent { ALL, WITHOUT_LINES, OWN_ONLY };

/* What nobody needs is left out in this order: finished lines (Redis knows them; without it they are looked
 * up), then what others put into the headers. */
static enum err begin_copy(const struct headers *original, enum extent extent, struct headers **ret_headers)
{
    bool copied = true;
    struct headers *headers = extent == OWN_ONLY ? NULL : headers_copy(original, &copied);
    const char *traceparent = headers_str(original, "traceparent");
    enum err err = OK;

    if (!copied)
        return ERR_NOMEM;
    if (!headers)
        headers = headers_new();
    if (!headers)
        return ERR_NOMEM;
    headers_remove(headers, HEADER_REASON);
    headers_remove(headers, HEADER_DETAIL);
    headers_remove(headers, HEADER_WORD);
    if (extent == OWN_ONLY && traceparent && strlen(traceparent) < 256)
        err = headers_set_str(headers, "traceparent", traceparent);
    *ret_headers = headers;
    return err;
}

static enum err add_decision(struct headers *headers, const struct decision *decision, bool with_lines)
{
    enum err err = headers_set_int(headers, HEADER_GENERATION, decision->generation);

    headers_remove(headers, HEADER_DUE);
    headers_remove(headers, HEADER_LINES);
    if (err == OK)
        err = headers_set_int(headers, HEADER_ATTEMPTS, decision->attempts);
    if (err == OK)
        err = headers_set_int(headers, HEADER_FIRST, decision->first_ms);
    if (err == OK && decision->copy == COPY_RETRY)
        err = headers_set_int(headers, HEADER_DUE, decision->due_ms);
    if (err == OK && decision->finished && with_lines)
        err = headers_set_str(headers, HEADER_LINES, decision->finished);
    if (err == OK && decision->reason)
        err = headers_set_str(headers, HEADER_REASON, decision->reason);
    if (err == OK && decision->detail)
        err = headers_set_str(headers, HEADER_DETAIL, decision->detail);
    return err;
}

struct headers *copy_headers_for(const struct headers *original, const struct decision *decision)
{
    for (enum extent extent = ALL; extent <= OWN_ONLY; extent++) {
        struct headers *headers = NULL;
        enum err err = begin_copy(original, extent, &headers);

        if (err == OK)
            err = add_decision(headers, decision, extent == ALL);
        if (err == OK)
            return headers;
        headers_free(headers);
        if (err != ERR_TOO_BIG)
            return NULL;
    }
    return NULL;
}

/* The generation stays even where all else has to go: it says which series of attempts it is of. */
static enum err add_reason(struct headers *headers, const struct headers *original, const char *reason,
                           const char *detail)
{
    enum err err = OK;

    if (headers_has(original, HEADER_GENERATION) && !headers_has(headers, HEADER_GENERATION))
        err = headers_set_int(headers, HEADER_GENERATION, read_count(original, HEADER_GENERATION));
    if (err == OK)
        err = headers_set_str(headers, HEADER_REASON, reason);
    return err == OK ? headers_set_str(headers, HEADER_DETAIL, detail) : err;
}

struct headers *copy_headers_dead(const struct headers *original, const char *reason, const char *detail)
{
    for (enum extent extent = ALL; extent <= OWN_ONLY; extent++) {
        struct headers *headers = NULL;
        enum err err = begin_copy(original, extent, &headers);

        if (err == OK && extent == WITHOUT_LINES)
            headers_remove(headers, HEADER_LINES);
        if (err == OK)
            err = add_reason(headers, original, reason, detail);
        if (err == OK)
            return headers;
        headers_free(headers);
        if (err != ERR_TOO_BIG)
            return NULL;
    }
    return NULL;
}
