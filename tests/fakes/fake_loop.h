/*
 * common/loop.h on a virtual clock: nothing sleeps, nothing is really watched. Link fulfilld_fake_loop before
 * whatever uses loop.h. Timers, tasks and hooks are the real ones (common/loop_timer.c).
 */
#ifndef FULFILLD_TESTS_FAKE_LOOP_H
#define FULFILLD_TESTS_FAKE_LOOP_H

#include "common/loop.h"

/* The clock begins here, so that no test mistakes 0 for "never". */
enum { FAKE_LOOP_START_MS = 1000000 };
#define FAKE_LOOP_START_WALL_US INT64_C(1767323045000000) /* 2026-01-02T03:04:05Z */

/** Turns until nothing is due: tasks, hooks, timers due now. The clock stands still. loop_run() is this, too.
 */
void fake_loop_settle(struct loop *loop);

/** Moves the clock by `ms`, stopping at each timer on the way, settling each time. */
void fake_loop_advance(struct loop *loop, int64_t ms);

/** Runs the poll of `fd` with those of `events` that it waits for, then settles; false when nobody waits. */
bool fake_loop_fire(struct loop *loop, int fd, int events);
/** What the poll of `fd` waits for; -1 when nobody watches it. */
int fake_loop_watched(struct loop *loop, int fd);

/** Delivers a signal to its listener, then settles; false when nobody listens. */
bool fake_loop_signal(struct loop *loop, int signum);

/** Look-ups from now on end with this fault (ERR_NETWORK …); NULL: with the address, or 192.0.2.1 for a name.
 */
void fake_loop_fail_names(struct loop *loop, const struct fault *fault);

/** The pid of the child started last, 0 = none; starts fail from now on when `fail`. */
pid_t fake_loop_last_child(struct loop *loop);
void fake_loop_fail_children(struct loop *loop, bool fail);
/** The argument list the child was started with, or NULL; valid until the child is freed. */
const char *fake_loop_child_argument(struct loop *loop, pid_t pid, size_t index);
/** Ends a child, then settles; false when there is none such. */
bool fake_loop_child_end(struct loop *loop, pid_t pid, int exit_status, int term_signal);

/** Timers, tasks, hooks, polls, signals, look-ups and children left: 0 before loop_free(). */
size_t fake_loop_leftovers(struct loop *loop);

#endif
