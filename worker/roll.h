/*
 * A roll: every worker process replaced by a new one, one after the other, so that there is always one that
 * takes work. Owned by the supervisor.
 */
#ifndef FULFILLD_WORKER_ROLL_H
#define FULFILLD_WORKER_ROLL_H

#include "worker/slot.h"

/*
 * For so long a new process may become ready before the next old one is stopped. Twice what the link to
 * RabbitMQ gives an address that does not answer (5 s, docs/state-machines.md): a dead first node of a
 * cluster is waited out, a server that is away is not, because what its outage calls for may be this reload.
 */
enum { ROLL_PATIENCE_MS = 10 * 1000 };

typedef void roll_done_fn(void *context);

struct roll {
    struct loop *loop;
    struct slot *slots; /* borrowed */
    size_t slot_count;
    size_t place;            /* of the slot that is being replaced; slot_count = no roll is under way */
    int64_t until_ms;        /* the new process of that slot is waited for, while the timer runs */
    struct loop_timer timer; /* looks again whether it is ready */
    roll_done_fn *on_done;
    void *context;
};

/** `on_done` runs on the loop when the last new process is ready, or not waited for any longer. */
void roll_init(struct roll *roll, struct loop *loop, struct slot *slots, size_t slot_count,
               roll_done_fn *on_done, void *context);

/** Begins with the first slot; a roll that is under way is given up for this one. */
void roll_begin(struct roll *roll);

/** To be called for each slot that has been stopped for its `restart` and started again, by a roll or not. */
void roll_restarted(struct roll *roll, const struct slot *slot);

/** No further slot is stopped, and on_done does not run. Harmless when none is under way. */
void roll_cancel(struct roll *roll);

#endif
