/*
 * Encodes and decodes a run's decision. The form is one JSON array line with the small facts, a newline, and
 * the event's own JSON untouched (an event inside JSON would have to be escaped and read again for each
 * order). Called by stage_record (encode) and stage_claim (decode, when Redis hands a stored decision back).
 */
#include "worker/decision.h"

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

char *decision_encode(const struct decision *decision)
{
    AUTO_FREE char *head = NULL;
    json_t *facts =
        json_pack("[s?s?iIIIIIs?s?s?]", decision->event_id, decision->event_key, (int)decision->copy,
                  (json_int_t)decision->generation, (json_int_t)decision->attempts,
                  (json_int_t)decision->waits, (json_int_t)decision->first_ms, (json_int_t)decision->due_ms,
                  decision->finished, decision->reason, decision->detail);
    const char *event = decision->event_json ? decision->event_json : "";
    char *text;

    if (!facts)
        return NULL;
    head = json_dumps(facts, JSON_COMPACT);
    json_decref(facts);
    if (!head)
        return NULL;
    text = malloc(strlen(head) + strlen(event) + 2);
    if (text)
        stpcpy(stpcpy(stpcpy(text, head), "\n"), event);
    return text;
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
