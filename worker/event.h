/*
 * The status event of contract §4 as JSON text. Pure.
 */
#ifndef FULFILLD_WORKER_EVENT_H
#define FULFILLD_WORKER_EVENT_H

#include "worker/order.h"
#include "worker/verdict.h"

enum event_outcome {
    EVENT_COMPLETE,
    EVENT_RETRYING,
    EVENT_DEAD,
    EVENT_REQUEUED,
    EVENT_IGNORED,
    EVENT_INVALID
};

struct event_facts {
    enum event_outcome outcome;
    const char *order_number;
    enum order_action action;
    const char *refund_number; /* NULL = none */
    const char *item_id;       /* "" for invalid */
    const char *distinguish;   /* of invalid, whose sequence is not kept: what makes a repeat known by its id
                                  (the message id), any bytes; else NULL */
    int64_t sequence;          /* a repeat has the same */
    int64_t generation, attempt;
    bool order_complete;              /* every line that is known is finished (refund: of the refund) */
    bool no_status;                   /* outcome invalid, or ignored while it runs: status null, no lines */
    int64_t time_us;                  /* wall clock */
    int64_t next_attempt_ms;          /* wall clock, told in whole seconds, not later; 0 = none */
    const char *traceparent;          /* NULL = none */
    const struct order *order;        /* NULL with no_status */
    const struct line_outcome *lines; /* parallel to order->lines */
    const char *detail;               /* with invalid: what is wrong, goes into data.reason */
};

enum { EVENT_ID_BYTES = 320, EVENT_KEY_BYTES = 48 };

struct event {
    char id[EVENT_ID_BYTES];           /* at most 255 bytes used: the order number is shortened when long */
    char routing_key[EVENT_KEY_BYTES]; /* order.<action>.<outcome> */
    char *json;                        /* owned */
    size_t length;
};

/**
 * Builds the event. All texts are borrowed for the call; what is not UTF-8 in them is repaired. The id is
 * printable and the same for the same facts, whatever the time and lines. The sequence is part of it, because
 * generation and attempt begin anew where Redis was emptied, and what happens then is no repeat.
 * @return OK or ERR_NOMEM, then *ret_event is untouched; event_fini() frees
 */
MUST_CHECK enum err event_build(const struct event_facts *facts, struct event *ret_event);
void event_fini(struct event *event);
const char *event_outcome_name(enum event_outcome outcome);

#endif
