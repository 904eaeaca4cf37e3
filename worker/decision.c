/*
 * Encodes and decodes a run's decision. The form is one JSON array line with the small facts, a newline, and
 * the event's own JSON untouched (an event inside JSON would have to be escaped and read again for each
 * order). Called by stage_record (encode) and stage_claim (decode, when Redis hands a stored decision back).
 */
#include "worker/decision.h"

#include "common/text.h"

#include <jansson.h>
#include <string.h>

/* Places in the array, in the order in which decision_encode() writes them. */
enum fact {
    FACT_EVENT_ID,
    FACT_EVENT_KEY,
    FACT_COPY,
    FACT_GENERATION,
    FACT_ATTEMPTS,
    FACT_WAITS,
    FACT_FIRST,
    FACT_DUE,
    FACT_FINISHED,
    FACT_REASON,
    FACT_DETAIL
};
enum { FACT_COUNT = FACT_DETAIL + 1 };

/* Adds a fact, with a comma before all but the first. */
static void put_text(struct text *text, const char *fact)
{
    text_putc(text, text->length > 0 ? ',' : '[');
    text_json(text, fact);
}

static void put_number(struct text *text, int64_t fact)
{
    text_putc(text, ',');
    text_integer(text, fact);
}

char *decision_encode(const struct decision *decision)
{
    AUTO_TEXT struct text text = TEXT_EMPTY(SIZE_MAX / 4); /* what goes in is bounded */
    char *written = NULL;

    put_text(&text, decision->event_id);
    put_text(&text, decision->event_key);
    put_number(&text, decision->copy);
    put_number(&text, decision->generation);
    put_number(&text, decision->attempts);
    put_number(&text, decision->waits);
    put_number(&text, decision->first_ms);
    put_number(&text, decision->due_ms);
    put_text(&text, decision->finished);
    put_text(&text, decision->reason);
    put_text(&text, decision->detail);
    text_puts(&text, "]\n");
    text_puts(&text, decision->event_json ? decision->event_json : "");
    return text_take(&text, &written, NULL) == OK ? written : NULL;
}

/* Texts and numbers of the array; a missing or null one is NULL or 0. */
static bool take_text(const json_t *facts, size_t index, char **ret_text)
{
    const char *text = json_string_value(json_array_get(facts, index));

    *ret_text = text ? strdup(text) : NULL;
    return !text || *ret_text;
}

static int64_t take_number(const json_t *facts, size_t index)
{
    return json_integer_value(json_array_get(facts, index));
}

enum err decision_decode(const char *text, struct decision *ret_decision)
{
    const char *event = strchr(text, '\n');
    json_t *facts = event ? json_loadb(text, (size_t)(event - text), 0, NULL) : NULL;
    struct decision decision = {0};
    int64_t copy = take_number(facts, FACT_COPY);
    bool copied;

    if (json_array_size(facts) != FACT_COUNT || copy < COPY_NONE || copy > COPY_DEAD) {
        json_decref(facts);
        return ERR_MALFORMED;
    }
    decision.copy = (enum copy_kind)copy;
    decision.generation = take_number(facts, FACT_GENERATION);
    decision.attempts = take_number(facts, FACT_ATTEMPTS);
    decision.waits = take_number(facts, FACT_WAITS);
    decision.first_ms = take_number(facts, FACT_FIRST);
    decision.due_ms = take_number(facts, FACT_DUE);
    copied = take_text(facts, FACT_EVENT_ID, &decision.event_id) &&
             take_text(facts, FACT_EVENT_KEY, &decision.event_key) &&
             take_text(facts, FACT_FINISHED, &decision.finished) &&
             take_text(facts, FACT_REASON, &decision.reason) &&
             take_text(facts, FACT_DETAIL, &decision.detail);
    json_decref(facts);
    if (copied && decision.event_id)
        copied = (decision.event_json = strdup(event + 1)) != NULL;
    if (!copied) {
        decision_fini(&decision);
        return ERR_NOMEM;
    }
    *ret_decision = decision;
    return OK;
}

void decision_fini(struct decision *decision)
{
    free(decision->event_id);
    free(decision->event_key);
    free(decision->event_json);
    free(decision->finished);
    free(decision->reason);
    free(decision->detail);
    *decision = (struct decision){0};
}
