/*
 * Opens and closes what a worker stands on: loop, signals, Redis, RabbitMQ, upstreams, modules.
 */
#ifndef FULFILLD_WORKER_WORKER_OPEN_H
#define FULFILLD_WORKER_WORKER_OPEN_H

#include "worker/worker.h"

struct worker_callbacks {
    struct broker_events broker;
    store_state_fn *on_store;
    upstream_state_fn *on_upstream;
    loop_signal_fn *on_signal;
};

/** Opens everything; the context of all callbacks is the worker. On failure the process is to end. */
MUST_CHECK enum err worker_open(struct worker *worker, const struct worker_callbacks *callbacks,
                                struct fault *ret_fault);

/** Starts closing everything; loop_run() returns when the loop is empty. */
void worker_close(struct worker *worker);

/** After loop_run(): frees what is left. */
void worker_free(struct worker *worker);

/** Warns, once per connection, when Redis may evict keys: orders could lose their counters. */
void worker_check_eviction(struct worker *worker);

/** Puts the upstreams' state where the supervisor's /readyz shows it. */
void worker_tell_upstreams(struct worker *worker);

#endif
