/*
 * CLAIM: asks Redis whether this delivery is ours to run, and translates the answer: run it, or what to
 * publish instead (stored decision, waiting copy, solo, `ignored`), or nothing. The rules are in claim.lua.
 */
#include "common/log.h"
#include "worker/event.h"
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/publishing.h"
#include "worker/worker.h"

#include <string.h>

static void fail(struct job *job, enum err err)
{
    struct fault fault = fault_of(err);

    job_advance(job, STEP_FAULT, &fault);
}

/* ---- the lease of a claim that runs ---- */

static void on_renewed(struct ledger_op *op, const struct fault *fault)
{
    struct job *job = container_of(op, struct job, renew_op);

    job->renew_active = false;
    if (job->stage == STAGE_DONE) {
        job_retire(job);
        return;
    }
    if (fault->code == ERR_FENCED) {
        log_warning("order.lease_lost",
                    "another worker has taken this order over: the outcome will be refused",
                    LOG_STR("order", job->order->number));
        job->claim.held = false;
    }
}

static void on_renew_due(struct loop_timer *timer)
{
    struct job *job = container_of(timer, struct job, renew_timer);

    if (!job->claim.held)
        return;
    loop_timer_start(timer, job->worker->settings->worker_lease_ms / 3);
    if (job->renew_active)
        return;
    job->renew_active = true;
    ledger_renew(job->worker->ledger, &job->renew_op, job->order, job->claim.fence, on_renewed);
}

/* ---- the lines of a claim that runs ---- */

static void merge_text(struct job *job, const char *text, size_t length, bool same_generation)
{
    json_t *array = json_loadb(text, length, 0, NULL);

    if (!array)
        return; /* not ours: the line counts as open */
    line_outcomes_merge(job->lines, job->order->line_count, array, same_generation);
    json_decref(array);
}

static struct line_outcome *line_by_id(struct job *job, int64_t id)
{
    for (size_t i = 0; i < job->order->line_count; i++) {
        if (job->lines[i].id == id)
            return &job->lines[i];
    }
    return NULL;
}

static void apply_refunds(struct job *job, const struct claim_result *result)
{
    for (size_t i = 0; i < store_reply_count(result->refunded_lines); i++) {
        struct line_outcome *line =
            line_by_id(job, store_reply_int(store_reply_at(result->refunded_lines, i)));

        if (line && line->state != LINE_COMPLETE)
            line->state = LINE_REFUNDED;
    }
}

/* A refund: what never ran needs nothing; what may have run, or is unknown, is looked up first. */
static void apply_known(struct job *job, const struct claim_result *result)
{
    for (size_t i = 0; i + 1 < store_reply_count(result->known_lines); i += 2) {
        struct line_outcome *line = line_by_id(job, store_reply_int(store_reply_at(result->known_lines, i)));
        const char *known = store_reply_str(store_reply_at(result->known_lines, i + 1), NULL);

        if (!line || line_finished(line))
            continue;
        if (known[0] == '0')
            line->state = LINE_COMPLETE;
        else if (known[0] == '?')
            line->look_first = true; /* fulfilled: only what an earlier revocation left in doubt */
    }
}

static enum err take_lines(struct job *job, const struct claim_result *result)
{
    size_t count = job->order->line_count;

    if (job->lines)
        line_outcomes_free(job->lines, count);
    free(job->lines);
    job->lines = calloc(count, sizeof(*job->lines));
    if (!job->lines)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        job->lines[i].id = job->order->lines[i].id;
    if (result->lines_blob)
        merge_text(job, result->lines_blob, strlen(result->lines_blob), result->lines_current);
    else if (job->copy.finished) /* Redis has lost the item: the copy knows which lines are in doubt */
        merge_text(job, job->copy.finished, strlen(job->copy.finished), false);
    for (size_t i = 1; i < store_reply_count(result->finished_lines); i += 2) {
        size_t length;
        const char *blob = store_reply_str(store_reply_at(result->finished_lines, i), &length);

        merge_text(job, blob, length, true);
    }
    /* Kept with the line, because the run may end before it has looked. */
    for (size_t i = 0; result->doubtful && i < count; i++)
        job->lines[i].look_first = job->lines[i].look_first || !line_finished(&job->lines[i]);
    if (job->order->action == ORDER_FULFILL)
        apply_refunds(job, result);
    else
        apply_known(job, result);
    line_outcomes_choose_keys(job->lines, count, result->generation);
    return OK;
}

static void take_claim(struct job *job, const struct claim_result *result)
{
    job->claim = (struct job_claim){
        .held = true,
        .fence = result->fence,
        .since_ms = job->claim.since_ms,
        .generation = result->generation,
        .attempts = result->attempts,
        .waits = result->waits,
        .first_ms = result->first_ms,
        .doubtful = result->doubtful,
        .others_finished = result->others_finished,
        .crashed = result->verdict == CLAIM_CRASHED,
    };
    loop_timer_init(&job->renew_timer, job->worker->loop, on_renew_due);
    loop_timer_start(&job->renew_timer, job->worker->settings->worker_lease_ms / 3);
}

/* ---- what is published instead of a run ---- */

#define UNREADABLE_DETAIL                                                                                    \
    "what Redis stored of this order's last step cannot be read, so it cannot be repeated"

static enum err add_stored(struct job *job, const struct claim_result *result, bool copy_too)
{
    enum err err;

    decision_fini(&job->decision);
    if (!result->decision)
        return OK;
    err = decision_decode(result->decision, &job->decision);
    if (err ==
        ERR_MALFORMED) { /* written by another version; this may be the only copy, so a person gets it */
        log_error("order.decision_unreadable", UNREADABLE_DETAIL, LOG_STR("order", job->order->number));
        return copy_too ? publishing_add_dead(job, "module_error", UNREADABLE_DETAIL) : OK;
    }
    if (err != OK)
        return err;
    if (!copy_too)
        job->decision.copy = COPY_NONE;
    return publishing_add_decision(job, &job->decision);
}

static bool all_finished(const struct job *job)
{
    for (size_t i = 0; i < job->order->line_count; i++) {
        if (!line_finished(&job->lines[i]))
            return false;
    }
    return true;
}

/* Tells of the lines only where Redis did: not while the item runs, which will tell itself. */
static enum err add_ignored(struct job *job, const struct claim_result *result)
{
    bool told = result->lines_blob || store_reply_count(result->finished_lines) > 0;
    enum err err = take_lines(job, result);
    struct event_facts facts = {
        .outcome = EVENT_IGNORED,
        .order_number = job->order->number,
        .action = job->order->action,
        .refund_number = job->order->refund_number,
        .item_id = job->order->item_id,
        .sequence = result->sequence,
        .generation = result->generation,
        .attempt = result->attempts,
        .no_status = !told,
        .time_us = loop_wall_us(job->worker->loop),
        .traceparent = job->traceparent,
        .order = job->order,
        .lines = job->lines,
    };

    if (err != OK)
        return err;
    facts.order_complete = told && result->others_finished && all_finished(job);
    metrics_add(METRIC_orders_settled_total, METRIC_orders_settled_total_ignored, 1);
    log_info("order.ignored", "a requeue was not needed: the order is complete, waiting or running",
             LOG_STR("order", job->order->number));
    return publishing_add_event(job, &facts);
}

/* A person's word that started this generation is answered with `requeued`, before the run. */
static enum err add_requeued(struct job *job, const struct claim_result *result)
{
    struct event_facts facts = {
        .outcome = EVENT_REQUEUED,
        .order_number = job->order->number,
        .action = job->order->action,
        .refund_number = job->order->refund_number,
        .item_id = job->order->item_id,
        .sequence = result->started_sequence,
        .generation = result->generation,
        .time_us = loop_wall_us(job->worker->loop),
        .traceparent = job->traceparent,
        .order = job->order,
        .lines = job->lines,
    };

    metrics_add(METRIC_orders_settled_total, METRIC_orders_settled_total_requeued, 1);
    return publishing_add_event(job, &facts);
}

static enum err answer(struct job *job, const struct claim_result *result)
{
    enum err err;

    switch (result->verdict) {
    case CLAIM_RUN:
    case CLAIM_CRASHED:
        take_claim(job, result);
        err = take_lines(job, result);
        return err == OK && result->started ? add_requeued(job, result) : err;
    case CLAIM_DONE:
    case CLAIM_REPEAT:
        err = take_lines(job, result);
        if (err == OK && result->started && result->started_sequence)
            err = add_requeued(job, result);
        return err == OK ? add_stored(job, result, result->verdict == CLAIM_REPEAT) : err;
    case CLAIM_BUSY:
    case CLAIM_EARLY:
        return publishing_add_wait(job, result->wait_ms);
    case CLAIM_STALE:
        return OK;
    case CLAIM_IGNORED:
        return add_ignored(job, result);
    case CLAIM_SOLO:
        log_warning("order.suspect", "several crashes interrupted this order: it will run alone",
                    LOG_STR("order", job->order->number));
        return publishing_add_solo(job);
    }
    return OK;
}

static void on_claimed(struct ledger_op *op, const struct claim_result *result, const struct fault *fault)
{
    struct job *job = container_of(op, struct job, ledger_op);
    enum err err;

    job->ledger_active = false;
    if (fault->code != OK) {
        job_advance(job, STEP_FAULT, fault);
        return;
    }
    publishing_reset(job);
    worker_count_claim(result->verdict);
    err = answer(job, result);
    if (err != OK)
        fail(job, err);
    else if (job->claim.held && job->publish_count > 0)
        job_enter(job, STAGE_TELL);
    else
        job_advance(job, job->claim.held ? STEP_NEXT : STEP_SKIP, NULL);
}

void stage_claim(struct job *job)
{
    loop_timer_stop(&job->renew_timer);
    job->claim = (struct job_claim){.since_ms = loop_now_ms(job->worker->loop)};
    job->decided = false;
    job->copy.claim_number = job->number;
    job->ledger_active = true;
    for (size_t i = 0; i < job->worker->upstream_count; i++)
        upstream_refresh(job->worker->upstreams[i]);
    ledger_claim(job->worker->ledger, &job->ledger_op, job->order, &job->copy, on_claimed);
}
