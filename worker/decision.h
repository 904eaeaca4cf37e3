/*
 * What a run decided, in a form that can be stored and published again word for word: the status event (if
 * one is due) and the copy that carries the item on (if one is needed). Pure.
 */
#ifndef FULFILLD_WORKER_DECISION_H
#define FULFILLD_WORKER_DECISION_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum copy_kind { COPY_NONE, COPY_RETRY, COPY_DEAD };

struct decision {
    char *event_id;   /* owned; NULL: no event is due */
    char *event_key;  /* owned */
    char *event_json; /* owned */
    enum copy_kind copy;
    int64_t generation, attempts, waits, first_ms;
    int64_t due_ms; /* COPY_RETRY: wall clock */
    char *finished; /* owned: x-fulfillment-lines; NULL = none */
    char *reason;   /* owned: COPY_DEAD */
    char *detail;   /* owned: COPY_DEAD */
};

/** As text for Redis (malloc'ed), or NULL when out of memory. */
char *decision_encode(const struct decision *decision);
/** ERR_MALFORMED when it is not what decision_encode() wrote. */
MUST_CHECK enum err decision_decode(const char *text, struct decision *ret_decision);
void decision_fini(struct decision *decision);

#endif
