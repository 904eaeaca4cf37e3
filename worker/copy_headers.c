/*
 * Reads and writes the headers that travel with retry and dead copies. Called by intake, claim and publish
 * stages. What the numbers mean is the ledger's affair.
 */
#include "worker/copy_headers.h"

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
    ret_facts->dead_copy = headers_has(headers, HEADER_REASON);
    ret_facts->deliveries = read_count(headers, "x-delivery-count");
}

static struct headers *begin_copy(const struct headers *original)
{
    bool copied;
    struct headers *headers = headers_copy(original, &copied);

    if (!copied)
        return NULL;
    if (!headers)
        headers = headers_new();
    if (headers) {
        headers_remove(headers, HEADER_REASON);
        headers_remove(headers, HEADER_DETAIL);
    }
    return headers;
}

struct headers *copy_headers_for(const struct headers *original, const struct decision *decision)
{
    struct headers *headers = begin_copy(original);

    if (!headers)
        return NULL;
    headers_remove(headers, HEADER_DUE);
    headers_remove(headers, HEADER_LINES);
    if (headers_set_int(headers, HEADER_GENERATION, decision->generation) != OK ||
        headers_set_int(headers, HEADER_ATTEMPTS, decision->attempts) != OK ||
        headers_set_int(headers, HEADER_FIRST, decision->first_ms) != OK ||
        (decision->copy == COPY_RETRY && headers_set_int(headers, HEADER_DUE, decision->due_ms) != OK) ||
        (decision->finished && headers_set_str(headers, HEADER_LINES, decision->finished) != OK) ||
        (decision->reason && headers_set_str(headers, HEADER_REASON, decision->reason) != OK) ||
        (decision->detail && headers_set_str(headers, HEADER_DETAIL, decision->detail) != OK)) {
        headers_free(headers);
        return NULL;
    }
    return headers;
}

struct headers *copy_headers_dead(const struct headers *original, const char *reason, const char *detail)
{
    struct headers *headers = begin_copy(original);

    if (headers && (headers_set_str(headers, HEADER_REASON, reason) != OK ||
                    headers_set_str(headers, HEADER_DETAIL, detail) != OK)) {
        headers_free(headers);
        return NULL;
    }
    return headers;
}
