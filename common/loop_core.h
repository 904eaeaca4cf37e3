/*
 * The part of a loop that knows no library: timers, tasks and hooks in order. Shared by loop.c, which runs it
 * on libuv, and by tests/fakes/fake_loop.c, which runs it on a virtual clock. Private to those.
 */
#ifndef FULFILLD_COMMON_LOOP_CORE_H
#define FULFILLD_COMMON_LOOP_CORE_H

#include "common/loop.h"

struct loop_core {
    struct loop_timer *timers; /* root of a pairing heap; NULL = none */
    uint64_t timer_sequence;   /* of the timer started last */
    struct loop_task *task_first, *task_last;
    struct loop_hook *hook_first;
    struct loop_hook *hook_next; /* where loop_core_turn() goes on; moved when that hook is removed */
};

/* Of the loop at hand; implemented beside struct loop. */
struct loop_core *loop_core(struct loop *loop);
/* A timer or task was started: the loop must take another turn before it sleeps or ends. */
void loop_wake(struct loop *loop);

/** One turn: timers due at `now_ms`, then tasks, then hooks. What they start anew waits for the next turn,
 *  except tasks started by timers and tasks. */
void loop_core_turn(struct loop_core *core, int64_t now_ms);

/** Whether a task waits (the loop must not sleep). */
bool loop_core_busy(const struct loop_core *core);

/** When the first timer is due, or -1 when none is started. */
int64_t loop_core_next_ms(const struct loop_core *core);

#endif
