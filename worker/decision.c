/*
 * Encodes and decodes a run's decision. The form is one JSON array line with the small facts, a newline, and
 * the event's own JSON untouched (an event inside JSON would have to be escaped and read again for each order).
 * Called by stage_record (encode) and stage_claim (decode, when Redis hands a stored decision back).
 */
#include "worker/decision.h"

#include <jansson.h>
#include <string.h>

char *decision_encode(const struct decision *decision)
{
    AUTO_FREE char *head = NULL;
    json_t *facts = json_pack("[s?s?iIIIIIs?s?s?]", decision->event_id, decision->event_key, (int)decision->copy,
                              (json_int_t)decision->generation, (json_int_t)decision->attempts,
                              (json_int_t)decision->waits, (json_int_t)decision->first_ms,
                              (json_int_t)decision->due_ms, decision->finished, decision->reason,
                              decision->detail);
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

static bool copy_text(const char *text, char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

enum err decision_decode(const char *text, struct decision *ret_decision)
{
    const char *event = strchr(text, '\n');
    const char *event_id, *event_key, *finished, *reason, *detail;
    json_int_t generation, attempts, waits, first_ms, due_ms;
    struct decision decision = {0};
    bool copied;
    json_t *facts;
    int copy;

    if (!event)
        return ERR_MALFORMED;
    facts = json_loadb(text, (size_t)(event - text), 0, NULL);
    if (!facts || json_unpack(facts, "[s?s?iIIIIIs?s?s?!]", &event_id, &event_key, &copy, &generation, &attempts,
                              &waits, &first_ms, &due_ms, &finished, &reason, &detail) != 0 ||
        copy < COPY_NONE || copy > COPY_DEAD) {
        json_decref(facts);
        return ERR_MALFORMED;
    }
    decision.copy = (enum copy_kind)copy;
    decision.generation = generation;
    decision.attempts = attempts;
    decision.waits = waits;
    decision.first_ms = first_ms;
    decision.due_ms = due_ms;
    copied = copy_text(event_id, &decision.event_id) && copy_text(event_key, &decision.event_key) &&
             copy_text(event_id ? event + 1 : NULL, &decision.event_json) &&
             copy_text(finished, &decision.finished) && copy_text(reason, &decision.reason) &&
             copy_text(detail, &decision.detail);
    json_decref(facts);
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
