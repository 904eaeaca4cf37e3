/*
 * The stage machine: enters stages from the loop's task queue (never nested), holds jobs whose link is away,
 * and frees them at the end. What a stage does is in stage_*.c; which stage follows is stages.def.
 * Called by the stages (job_advance), by the worker (start, wake, drain).
 */
#include "worker/pipeline.h"

#include "common/log.h"
#include "worker/metric_rows.h"
#include "worker/worker.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum needs { NEEDS_NOTHING, NEEDS_STORE, NEEDS_BROKER };

/* A held job tries again at the earliest after this, so that it does not spin; what was refused, later. */
enum { HOLD_MIN_MS = 250, REFUSED_HOLD_MS = 10 * 1000 };

struct stage_row {
    const char *name;
    void (*run)(struct job *job);
    enum needs needs;
    enum stage edge[3]; /* by enum step */
};

static const struct stage_row stage_rows[] = {
#define STAGE(name, run, needs, next, skip, fault)                                                           \
    [STAGE_##name] = {#name, run, needs, {STAGE_##next, STAGE_##skip, STAGE_##fault}},
#include "worker/stages.def"
#undef STAGE
};

static void on_advance(struct loop_task *task);

const char *stage_name(enum stage stage)
{
    return stage == STAGE_DONE ? "DONE" : stage_rows[stage].name;
}

static bool link_ready(const struct worker *worker, enum needs needs)
{
    switch (needs) {
    case NEEDS_NOTHING:
        return true;
    case NEEDS_STORE:
        return store_up(worker->store);
    case NEEDS_BROKER:
        return broker_up(worker->broker, BROKER_PUBLISHING) && !broker_blocked(worker->broker);
    }
    return false;
}

static void hold(struct job *job, int64_t pause_ms)
{
    int64_t now_ms = loop_now_ms(job->worker->loop);

    job->held = true;
    job->held_until_ms = now_ms + pause_ms;
    if (job->held_since_ms == 0)
        job->held_since_ms = now_ms;
}

static void set_stage(struct job *job, enum stage stage)
{
    if (job->stage != stage) {
        job->held_since_ms = 0;
        job->fault = fault_of(OK);
    }
    job->held = false;
    job->stage = stage;
}

void job_enter(struct job *job, enum stage stage)
{
    set_stage(job, stage);
    loop_task_start(&job->advance_task);
}

static void tell_fault(const struct job *job, const struct fault *fault)
{
    if (err_class(fault->code) == ERR_CLASS_HOLD)
        log_debug("job.held", "a link is away: the order waits", LOG_STR("stage", stage_name(job->stage)),
                  LOG_STR("why", fault->detail));
    else if (err_class(fault->code) == ERR_CLASS_REJECT && job->held_since_ms == 0) /* once, not each time */
        log_error("job.fault", "an operation was refused", LOG_STR("stage", stage_name(job->stage)),
                  LOG_STR("error", err_name(fault->code)), LOG_STR("why", fault->detail));
}

void job_advance(struct job *job, enum step step, const struct fault *fault)
{
    enum stage next = stage_rows[job->stage].edge[step];

    if (step == STEP_FAULT) {
        job->fault = *fault;
        tell_fault(job, fault);
        if (err_class(fault->code) == ERR_CLASS_HOLD || next == job->stage) {
            hold(job, err_class(fault->code) == ERR_CLASS_HOLD ? HOLD_MIN_MS : REFUSED_HOLD_MS);
            return;
        }
    }
    job_enter(job, next);
}

/* Whether the job may still be forgotten or handed back: nobody has begun to run it. */
static bool unclaimed(const struct job *job)
{
    return job->stage == STAGE_INTAKE || job->stage == STAGE_KEPT ||
           (job->stage == STAGE_CLAIM && !job->claim.held);
}

/*
 * For tests of crashes, in Debug builds only: a file with a stage's name in $FULFILLD_CRASH_DIR, and the
 * worker that is about to enter this stage takes the file along and is gone.
 */
static void crash_if_told(const struct job *job)
{
#ifdef FULFILLD_CRASH_POINTS
    const char *directory = getenv("FULFILLD_CRASH_DIR");
    char path[512];

    if (directory &&
        snprintf(path, sizeof(path), "%s/%s", directory, stage_name(job->stage)) < (int)sizeof(path) &&
        unlink(path) == 0)
        kill(getpid(), SIGKILL);
#else
    (void)job;
#endif
}

static void on_advance(struct loop_task *task)
{
    struct job *job = container_of(task, struct job, advance_task);
    struct worker *worker = job->worker;

    crash_if_told(job);
    job->held = false; /* whatever it does now, it is not to be started a second time meanwhile */
    if (job->stage == STAGE_DONE) {
        job_retire(job);
        return;
    }
    if (unclaimed(job) && !broker_delivery_valid(worker->broker, job->delivery)) {
        metrics_add(METRIC_deliveries_total, METRIC_deliveries_total_void, 1);
        set_stage(job, STAGE_DONE);
        job_retire(job);
        return;
    }
    if (unclaimed(job) && worker->draining) {
        broker_requeue(worker->broker, job->delivery);
        set_stage(job, STAGE_DONE);
        job_retire(job);
        return;
    }
    if (!link_ready(worker, stage_rows[job->stage].needs)) {
        hold(job, HOLD_MIN_MS);
        return;
    }
    stage_rows[job->stage].run(job);
}

void pipeline_start(struct job *job)
{
    loop_task_init(&job->advance_task, job->worker->loop, on_advance);
    job_enter(job, STAGE_INTAKE);
}

void pipeline_wake(struct worker *worker)
{
    int64_t now_ms = loop_now_ms(worker->loop);

    for (struct job *job = worker->jobs; job; job = job->next) {
        if (job->held && now_ms >= job->held_until_ms && link_ready(worker, stage_rows[job->stage].needs))
            loop_task_start(&job->advance_task);
    }
}

void pipeline_link_lost(struct worker *worker)
{
    for (struct job *job = worker->jobs; job; job = job->next) {
        if (job->held && unclaimed(job) && !job->ledger_active)
            loop_task_start(&job->advance_task);
    }
}

void pipeline_hand_back_held(struct worker *worker, int64_t limit_ms)
{
    int64_t now_ms = loop_now_ms(worker->loop);

    for (struct job *job = worker->jobs; job; job = job->next) {
        if (job->held && now_ms - job->arrived_ms >= limit_ms) {
            log_warning("job.handed_back", "an order waited too long for a link and goes back to its queue",
                        LOG_STR("stage", stage_name(job->stage)), LOG_STR("why", job->fault.detail));
            broker_requeue(worker->broker, job->delivery);
            job_enter(job, STAGE_DONE);
        }
    }
}

void pipeline_cancel_runs(struct worker *worker)
{
    for (struct job *job = worker->jobs; job; job = job->next) {
        job->stopping = true;
        if (job->stage != STAGE_FULFILL || !job->runs)
            continue;
        for (size_t i = 0; i < job->order->line_count; i++) {
            if (job->runs[i].in_flight)
                line_run_cancel(&job->runs[i]);
        }
    }
}

void job_retire(struct job *job)
{
    if (job->stage != STAGE_DONE || job->ledger_active || job->renew_active || job->running_lines > 0 ||
        job->publish_pending > 0)
        return;
    loop_timer_stop(&job->renew_timer);
    loop_task_cancel(&job->advance_task);
    worker_job_done(job->worker, job);
    job_free(job);
}
