/*
 * PUBLISH: sends what the earlier stages have added and waits until the broker has confirmed all of it.
 * What was not confirmed is sent again when the link is back; consumers tell repeats by their message id.
 * TELL: the same for the `requeued` of a claim that will run, so that nobody waits for the run to hear of it;
 * what it cannot get confirmed is left to PUBLISH. A claim that was lost meanwhile is not run.
 */
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/worker.h"

/* A confirm takes milliseconds; a broker that needs longer than this is as good as away. */
enum { CONFIRM_TIMEOUT_MS = 30 * 1000 };

static void finish_telling(struct job *job)
{
    const struct fault lost = fault_of(ERR_FENCED);

    job_advance(job, job->claim.held ? STEP_NEXT : STEP_FAULT, &lost);
}

static void finish(struct job *job)
{
    bool copy = false;
    bool all = true;

    for (size_t i = 0; i < job->publish_count; i++) {
        all = all && job->publishes[i].confirmed;
        copy = copy || job->publishes[i].is_copy;
    }
    if (!all)
        job_advance(job, STEP_FAULT, &job->publish_fault);
    else
        job_advance(job, copy && job->decision.copy != COPY_NONE ? STEP_NEXT : STEP_SKIP, NULL);
}

static void on_published(struct publish_op *op, const struct fault *fault)
{
    struct job_publish *publish = container_of(op, struct job_publish, op);
    struct job *job = publish->job;

    job->publish_pending--;
    metrics_observe_ms(METRIC_publish_confirm_seconds, 0, loop_now_ms(job->worker->loop) - publish->sent_ms);
    if (fault->code == OK)
        publish->confirmed = true;
    else
        job->publish_fault = fault_make(fault->code, "exchange %s, key %s: %s", publish->exchange,
                                        publish->routing_key, fault->detail);
    if (job->publish_pending > 0)
        return;
    if (job->stage == STAGE_DONE)
        job_retire(job);
    else if (job->stage == STAGE_TELL)
        finish_telling(job);
    else
        finish(job);
}

static void publish_one(struct job *job, struct job_publish *publish)
{
    struct publication publication = {
        .exchange = publish->exchange,
        .routing_key = publish->routing_key,
        .message_id = publish->message_id,
        .content_type = "application/json",
        .headers = publish->headers,
        .body = publish->body ? publish->body : job->message.body,
        .body_length = publish->body ? publish->body_length : job->message.body_length,
    };

    if (publish->is_copy) {
        publication.content_type = job->message.content_type;
        publication.carried = job->message.carried;
    }
    job->publish_pending++;
    publish->sent_ms = loop_now_ms(job->worker->loop);
    broker_publish(job->worker->broker, &publish->op, &publication, CONFIRM_TIMEOUT_MS, on_published);
}

void stage_publish(struct job *job)
{
    if (job->publish_count == 0) {
        job_advance(job, STEP_SKIP, NULL);
        return;
    }
    for (size_t i = 0; i < job->publish_count; i++) {
        if (!job->publishes[i].confirmed)
            publish_one(job, &job->publishes[i]);
    }
}

void stage_tell(struct job *job)
{
    const struct broker *broker = job->worker->broker;

    if (broker_up(broker, BROKER_PUBLISHING) && !broker_blocked(broker))
        stage_publish(job);
    else
        job_advance(job, STEP_NEXT, NULL);
}
