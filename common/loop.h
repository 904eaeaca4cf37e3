/*
 * The event loop of a process: time, timers, deferred tasks, descriptors, signals, name look-up and
 * child processes. One loop per process, one thread; nothing here may be called from elsewhere.
 *
 * The only header through which the rest sees libuv, and no type of it shows. tests/fakes/fake_loop.c
 * implements the same functions on a virtual clock (fake_loop_advance(ms)).
 */
#ifndef FULFILLD_COMMON_LOOP_H
#define FULFILLD_COMMON_LOOP_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct loop;

/** A new loop, or NULL when out of memory or descriptors. */
struct loop *loop_new(void);

/**
 * Frees an empty loop; NULL is fine. Asserts (debug) that nothing is left open on it. Look-ups that were
 * freed before they ran, and children that were freed before they ended, may still be under way.
 */
void loop_free(struct loop *loop);

/**
 * Runs until nothing is left to wait for, or loop_stop(). Waited for are timers, tasks, polls that are set,
 * signals, look-ups and children; not hooks, and not what was freed.
 */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Monotonic milliseconds, constant within one turn of the loop (between two waits for events). */
int64_t loop_now_ms(const struct loop *loop);

/* Wall clock in microseconds since 1970, for logs and documents only. */
int64_t loop_wall_us(const struct loop *loop);

/* ---- timers: embedded, one-shot, need no allocation ---- */

struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *timer);

struct loop_timer {
    loop_timer_fn *fn; /* set by loop_timer_init */
    struct loop *loop;
    int64_t due_ms; /* monotonic; valid while active */
    /* the loop's: its place in a heap that needs no memory of its own */
    struct loop_timer *child, *next, *prev;
    uint64_t sequence; /* first started, first run among those due at the same time */
    bool active;
};

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_timer_fn *fn);

/**
 * (Re)starts the timer: fn runs once, `delay_ms` (≥ 0) from now, on the loop, never inside this call.
 * A running timer is moved. A started timer keeps loop_run() alive.
 */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms);

/** Stops the timer; harmless when idle, also from its own fn. */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);

/* ---- deferred tasks: embedded, run once, later in this or at the start of the next turn ---- */

struct loop_task;
typedef void loop_task_fn(struct loop_task *task);

struct loop_task {
    loop_task_fn *fn;
    struct loop *loop;
    struct loop_task *next; /* the loop's */
    bool queued;            /* the loop's */
};

void loop_task_init(struct loop_task *task, struct loop *loop, loop_task_fn *fn);
/** Queues the task in order; queued already: nothing. Never runs inside this call. */
void loop_task_start(struct loop_task *task);
void loop_task_cancel(struct loop_task *task);

/* ---- flush hooks: run once at the end of every turn, after tasks, before the loop sleeps ---- */

struct loop_hook;
typedef void loop_hook_fn(struct loop_hook *hook);

struct loop_hook {
    loop_hook_fn *fn;
    struct loop *loop;
    struct loop_hook *prev, *next; /* the loop's */
};

void loop_hook_add(struct loop_hook *hook, struct loop *loop, loop_hook_fn *fn);
void loop_hook_remove(struct loop_hook *hook);

/* ---- descriptors ---- */

enum { LOOP_READABLE = 1, LOOP_WRITABLE = 2, LOOP_BROKEN = 4 };

struct loop_poll;
/**
 * `events` is what is ready of what was asked for. With LOOP_BROKEN (an error on the descriptor, such as a
 * refused connection) it is all that was asked for, so that reading or writing shows the error; the watch has
 * then stopped until the next loop_poll_set().
 */
typedef void loop_poll_fn(void *context, int events);

/**
 * Watches a non-blocking descriptor; at most one watch per descriptor.
 * @return NULL when out of memory or the descriptor cannot be watched
 */
struct loop_poll *loop_poll_new(struct loop *loop, int fd, loop_poll_fn *fn, void *context);
/** Sets what is waited for (0 = nothing); cheap when unchanged. Level-triggered. */
void loop_poll_set(struct loop_poll *poll, int events);
/** Stops at once (the descriptor may be closed right after) and frees later. NULL is fine. */
void loop_poll_free(struct loop_poll *poll);

/* ---- signals ---- */

struct loop_signal;
typedef void loop_signal_fn(void *context, int signum);
/** Hears a signal, on the loop. NULL when out of memory or when it cannot be caught. */
struct loop_signal *loop_signal_new(struct loop *loop, int signum, loop_signal_fn *fn, void *context);
void loop_signal_free(struct loop_signal *signal);

/* ---- names ---- */

enum { LOOP_ADDRESS_MAX = 8 };

struct loop_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

struct loop_resolve;
/** `count` addresses (borrowed), or 0 and a fault. Runs exactly once, later, unless freed before. */
typedef void loop_resolve_fn(void *context, const struct loop_address *addresses, size_t count,
                             const struct fault *fault);
/** Looks up host (a name or an address, IPv6 without brackets) and port for TCP off the loop. NULL when out
 * of memory. */
struct loop_resolve *loop_resolve_new(struct loop *loop, const char *host, const char *port,
                                      loop_resolve_fn *fn, void *context);
/** Cancels if it has not run, frees; must also be called after it ran. NULL is fine. */
void loop_resolve_free(struct loop_resolve *resolve);

/* ---- child processes ---- */

struct loop_child;
/** exit_status is that of exit(), or -1 when `term_signal` ended the process. */
typedef void loop_child_fn(void *context, int exit_status, int term_signal);
/**
 * Starts `file` with `argv` (NULL-terminated); the child gets stderr, /dev/null as its input and output, and
 * the `fd_count` descriptors of `fds` as 3, 4, …; all others are closed.
 * @return NULL with ret_fault when it could not be started
 */
struct loop_child *loop_child_new(struct loop *loop, const char *file, char *const argv[], const int *fds,
                                  size_t fd_count, loop_child_fn *fn, void *context, struct fault *ret_fault);
pid_t loop_child_pid(const struct loop_child *child);
/** Forgets the child (it is not killed, but still reaped); after its fn ran or to stop listening. NULL is
 * fine. */
void loop_child_free(struct loop_child *child);

#endif
