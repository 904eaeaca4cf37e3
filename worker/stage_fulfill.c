/*
 * FULFILL: runs every open line through its module, worker.line_concurrency at once, until all have an
 * outcome. Which module and what an answer means is module_host's and the modules' affair.
 */
#include "common/log.h"
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/worker.h"

#include <string.h>

/* No more lines are started so long after the delivery, since nothing may stay unacked for ten minutes. */
enum { MAX_RUN_MS = 6 * 60 * 1000 };

/* One line may take this long in all: waiting for the rate limit, a token, a look-up and the call itself. */
enum { LINE_TIMEOUT_MS = 150 * 1000 };

static void start_lines(struct job *job);

static bool runnable(const struct job *job, const struct line_outcome *line)
{
    return !job->stopping && (line->state == LINE_OPEN || line->state == LINE_FAILED);
}

static void on_line_done(struct line_run *run)
{
    struct job *job = run->owner;

    job->running_lines--;
    start_lines(job);
}

static void start_line(struct job *job, size_t index)
{
    struct line_run *run = &job->runs[index];

    *run = (struct line_run){
        .owner = job,
        .order = job->order,
        .line = &job->order->lines[index],
        .outcome = &job->lines[index],
        .refund = job->order->action == ORDER_REFUND,
        .look_first = job->claim.doubtful,
        .generation = job->claim.generation,
        .attempt = job->claim.attempts + 1,
        .traceparent = job->traceparent,
        .timeout_ms = LINE_TIMEOUT_MS,
    };
    job->running_lines++;
    metrics_add(METRIC_lines_total, 0, 1);
    line_run_start(job->worker->modules, run, on_line_done);
}

static void start_lines(struct job *job)
{
    size_t limit = (size_t)job->worker->settings->worker_line_concurrency;

    if (loop_now_ms(job->worker->loop) - job->arrived_ms >= MAX_RUN_MS)
        job->stopping = true; /* the lines that are left come back with the item */
    while (job->next_line < job->order->line_count && job->running_lines < limit) {
        size_t index = job->next_line++;

        if (runnable(job, &job->lines[index]))
            start_line(job, index);
    }
    if (job->running_lines == 0)
        job_advance(job, STEP_NEXT, NULL);
}

/* Finishes lines that need no upstream: all of a refund of nothing, or of an order that crashed its workers.
 */
static void settle_unrun(struct job *job)
{
    for (size_t i = 0; i < job->order->line_count; i++) {
        struct line_outcome *line = &job->lines[i];

        if (line->state != LINE_OPEN && line->state != LINE_FAILED)
            continue;
        if (job->claim.crashed) {
            line->state = LINE_FINAL;
            line->status = FULFILL_STATUS_SERVER;
            strcpy(line->reason, "crashed");
            strcpy(line->message, "the worker crashed each time this order was run");
            line->ran = true;
        } else if (job->order->zero_total) {
            line->state = LINE_COMPLETE;
        }
    }
}

static void on_released(struct ledger_op *op, const struct fault *fault)
{
    struct job *job = container_of(op, struct job, ledger_op);

    (void)fault; /* a lease that could not be given back ends by itself */
    job->ledger_active = false;
    broker_requeue(job->worker->broker, job->delivery); /* last: whoever gets it next finds the order free */
    job_enter(job, STAGE_DONE);
}

/* Gives the claim and the delivery back before anything was sent. */
static void give_back(struct job *job)
{
    job->claim.held = false;
    loop_timer_stop(&job->renew_timer);
    job->ledger_active = true;
    ledger_release(job->worker->ledger, &job->ledger_op, job->order, job->claim.fence, on_released);
}

void stage_fulfill(struct job *job)
{
    if (job->worker->draining || !broker_delivery_valid(job->worker->broker, job->delivery)) {
        give_back(job);
        return;
    }
    settle_unrun(job);
    if (!job->runs)
        job->runs = calloc(job->order->line_count, sizeof(*job->runs));
    if (!job->runs) {
        give_back(job);
        return;
    }
    job->next_line = 0;
    start_lines(job);
}
