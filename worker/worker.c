/*
 * One worker process: opens the links, turns deliveries into jobs, takes work only while everything that a
 * job needs is there, and stops in two phases. What happens to a job is the pipeline's affair.
 * Called by main() as `fulfilld worker`; the supervisor starts and replaces it.
 */
#include "worker/worker.h"

#include "common/log.h"
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/worker_links.h"
#include "worker/worker_open.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    TICK_MS = 500,
    EXIT_GRACE_MS = 3000,              /* after drain_timeout: to record and publish what was cancelled */
    MAX_BODY_BYTES = 128 * 1024 * 1024 /* RabbitMQ's own limit: nothing it delivers is too large to be kept */
};

static void stop_if_idle(struct worker *worker);

void worker_name(const struct worker *worker, const char *role, char *ret_name)
{
    snprintf(ret_name, 192, "%s.%s", worker->settings->amqp_prefix, role);
}

void worker_count_claim(enum claim_verdict verdict)
{
    metrics_add(METRIC_deliveries_total, (unsigned)verdict, 1);
}

/* ---- work ---- */

static void on_delivery(void *context, struct delivery delivery, struct message *take_message)
{
    struct worker *worker = context;
    struct job *job = job_new(worker, delivery, take_message, worker->solo);

    if (!job) { /* out of memory: the broker keeps it, and gives it again when we have a lease on life */
        message_fini(take_message);
        broker_requeue(worker->broker, delivery);
        return;
    }
    job->next = worker->jobs;
    if (worker->jobs)
        worker->jobs->prev = job;
    worker->jobs = job;
    worker->job_count++;
    pipeline_start(job);
}

void worker_job_done(struct worker *worker, struct job *job)
{
    metrics_observe_ms(METRIC_order_seconds, 0, loop_now_ms(worker->loop) - job->arrived_ms);
    if (job->prev)
        job->prev->next = job->next;
    else
        worker->jobs = job->next;
    if (job->next)
        job->next->prev = job->prev;
    worker->job_count--;
    stop_if_idle(worker);
}

/* The earliest moment at which an upstream takes work again; 0 when one does now (or none is configured). */
static int64_t upstreams_closed_until_ms(const struct worker *worker)
{
    int64_t earliest = 0;

    for (size_t i = 0; i < worker->upstream_count; i++) {
        int64_t until = upstream_closed_until_ms(worker->upstreams[i]);

        if (until == 0)
            return 0;
        if (earliest == 0 || until < earliest)
            earliest = until;
    }
    return earliest;
}

void worker_gate(struct worker *worker)
{
    int64_t now_ms = loop_wall_us(worker->loop) / 1000;
    int64_t closed_until = upstreams_closed_until_ms(worker);
    bool open = !worker->draining && worker_links_ready(worker);

    if (closed_until > now_ms) {
        open = false;
        loop_timer_start(&worker->open_timer, closed_until - now_ms);
    }
    if (worker->consumer) {
        if (worker->draining)
            broker_consumer_stop(worker->consumer);
        else
            broker_consumer_pause(worker->consumer, !open);
        worker_links_gate_set(worker, open);
    }
}

static void on_open_timer(struct loop_timer *timer)
{
    worker_gate(container_of(timer, struct worker, open_timer));
}

static void tell_metrics(struct worker *worker)
{
    int64_t now_ms = loop_now_ms(worker->loop);
    int64_t oldest_ms = now_ms;
    int64_t open_breakers = 0;

    for (const struct job *job = worker->jobs; job; job = job->next)
        oldest_ms = job->arrived_ms < oldest_ms ? job->arrived_ms : oldest_ms;
    for (size_t i = 0; i < worker->upstream_count; i++)
        open_breakers += upstream_breaker(worker->upstreams[i]) != BREAKER_CLOSED;
    metrics_set(METRIC_jobs_in_flight, 0, (int64_t)worker->job_count);
    metrics_set(METRIC_unacked_oldest_seconds, 0, now_ms - oldest_ms);
    metrics_set(METRIC_breaker_open, 0, open_breakers);
}

static void on_tick(struct loop_timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, tick);
    int64_t late_ms = loop_now_ms(worker->loop) - worker->tick_due_ms;

    metrics_set(METRIC_loop_lag_seconds, 0, worker->tick_due_ms && late_ms > 0 ? late_ms : 0);
    worker->tick_due_ms = loop_now_ms(worker->loop) + TICK_MS;
    loop_timer_start(timer, TICK_MS);
    metrics_beat(loop_now_ms(worker->loop));
    tell_metrics(worker);
    worker_tell_upstreams(worker); /* from the start, and what changes by time alone */
    worker_links_tick(worker);
    worker_gate(worker);
    pipeline_wake(worker);
    pipeline_hand_back_held(worker, WORKER_MAX_HOLD_MS);
}

/* ---- upstreams ---- */

static void on_upstream_state(void *context, struct upstream *upstream)
{
    struct worker *worker = context;

    worker_tell_upstreams(worker);
    if (upstream_breaker(upstream) == BREAKER_OPEN)
        log_warning("upstream.breaker", upstream_words(upstream),
                    LOG_STR("upstream", upstream_name(upstream)));
    else
        log_info("upstream.breaker", upstream_words(upstream), LOG_STR("upstream", upstream_name(upstream)));
    worker_gate(worker);
}

/* ---- stopping ---- */

static void close_all(struct worker *worker)
{
    if (worker->stopped)
        return;
    worker->stopped = true;
    worker_close(worker);
}

static void stop_if_idle(struct worker *worker)
{
    if (worker->draining && worker->job_count == 0)
        close_all(worker);
}

static void on_exit_timer(struct loop_timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, exit_timer);

    log_warning("worker.left", "some orders did not end in time; the broker hands them to another worker",
                LOG_INT("orders", worker->job_count));
    _exit(0);
}

static void on_drain_timer(struct loop_timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, drain_timer);

    pipeline_cancel_runs(worker);
}

static void on_signal(void *context, int signum)
{
    struct worker *worker = context;

    (void)signum;
    if (worker->draining)
        return; /* the supervisor's first word came with somebody else's; its second is SIGKILL */
    worker->draining = true;
    worker_gate(worker);
    pipeline_link_lost(worker); /* held jobs that nobody has claimed go back now */
    loop_timer_start(&worker->drain_timer, worker->settings->worker_drain_timeout_ms);
    loop_timer_start(&worker->exit_timer, worker->settings->worker_drain_timeout_ms + EXIT_GRACE_MS);
    stop_if_idle(worker);
}

/* ---- start ---- */

static const struct worker_callbacks callbacks = {
    .broker = {.on_link = worker_links_on_broker, .on_blocked = worker_links_on_blocked},
    .on_store = worker_links_on_store,
    .on_upstream = on_upstream_state,
    .on_signal = on_signal,
};

/* AMQP's own limit; 0 would mean none at all. */
static uint16_t prefetch(const struct settings *settings)
{
    return settings->worker_concurrency < UINT16_MAX ? (uint16_t)settings->worker_concurrency : UINT16_MAX;
}

enum err worker_start(struct worker *worker, const struct settings *settings, int slot, bool solo,
                      struct fault *ret_fault)
{
    char queue[192];

    *worker = (struct worker){.settings = settings, .slot = slot, .solo = solo};
    if (worker_open(worker, &callbacks, ret_fault) != OK)
        return ret_fault->code;
    worker_name(worker, worker->solo ? "solo" : "orders", queue);
    worker->consumer = broker_consume(worker->broker, queue, worker->solo ? 1 : prefetch(worker->settings),
                                      MAX_BODY_BYTES, on_delivery, worker);
    if (!worker->consumer) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    broker_consumer_pause(worker->consumer, true);
    loop_timer_init(&worker->tick, worker->loop, on_tick);
    loop_timer_init(&worker->drain_timer, worker->loop, on_drain_timer);
    loop_timer_init(&worker->exit_timer, worker->loop, on_exit_timer);
    loop_timer_init(&worker->open_timer, worker->loop, on_open_timer);
    loop_timer_start(&worker->tick, 0);
    return OK;
}

int worker_run(const struct settings *settings, int slot, bool solo)
{
    struct worker worker;
    struct fault fault = fault_of(OK);

    if (worker_start(&worker, settings, slot, solo, &fault) != OK) {
        log_error("worker.failed", "the worker cannot start", LOG_STR("why", fault.detail));
        return 1;
    }
    loop_run(worker.loop);
    worker_free(&worker);
    return 0;
}
