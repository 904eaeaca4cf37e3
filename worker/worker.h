/*
 * One worker process: opens the links, holds the jobs, decides when work is taken, and stops in two phases.
 * Runs as `fulfilld worker`, started by the supervisor.
 */
#ifndef FULFILLD_WORKER_WORKER_H
#define FULFILLD_WORKER_WORKER_H

#include "common/broker.h"
#include "common/loop.h"
#include "common/store.h"
#include "worker/job.h"
#include "worker/ledger.h"
#include "worker/module_host.h"
#include "worker/settings.h"
#include "worker/upstream.h"
#include "worker/worker_links.h"
#include "worker/worker_look.h"

/* Nothing stays unacked longer than ten minutes (contract §5): held jobs go back before. */
enum { WORKER_MAX_HOLD_MS = 9 * 60 * 1000 };

struct worker {
    const struct settings *settings; /* borrowed */
    int slot;
    char owner[128]; /* host/pid/slot: of leases and connections */
    bool solo;       /* takes the solo queue only, one order at a time */
    struct loop *loop;
    struct store *store;
    struct broker *broker;
    struct ledger *ledger;
    struct upstream **upstreams;
    size_t upstream_count;
    struct module_host *modules;
    struct retry_limits retry;
    struct broker_consumer *consumer;

    struct job *jobs; /* all jobs in this process */
    size_t job_count;
    uint64_t delivery_count; /* so far */

    struct worker_links links; /* what is known of RabbitMQ and Redis */
    struct worker_look look;
    struct store_op eviction_op; /* CONFIG GET maxmemory-policy, after each connect */
    bool eviction_told;
    bool draining;
    bool stopped;
    struct loop_signal *signals[2];
    int64_t tick_due_ms;           /* when the tick should have run: how late it is is the loop's lag */
    struct loop_timer tick;        /* wakes held jobs, beats, re-checks the gate */
    struct loop_timer drain_timer; /* drain_timeout: cancel what runs */
    struct loop_timer exit_timer;  /* a little later: leave whatever is left */
    struct loop_timer open_timer;  /* goes on when the earliest closed upstream opens */
};

/** Opens everything and starts to work, once the loop runs. On failure the process is to end. */
MUST_CHECK enum err worker_start(struct worker *worker, const struct settings *settings, int slot, bool solo,
                                 struct fault *ret_fault);

/** Runs until stopped. Exit code as of the program: 0 drained, 1 failed to start. */
int worker_run(const struct settings *settings, int slot, bool solo);

/** Takes or stops taking work, by the state of links, upstreams and drain. Idempotent. */
void worker_gate(struct worker *worker);

/** A job has left; the pipeline's. */
void worker_job_done(struct worker *worker, struct job *job);

/* Counts what a claim came to (deliveries_total). */
void worker_count_claim(enum claim_verdict verdict);

/* Names of exchanges and queues: "<amqp.prefix>.<role>". `ret_name` holds at least 192 bytes. */
void worker_name(const struct worker *worker, const char *role, char *ret_name);

#endif
