/*
 * RECORD: decides what becomes of the item (retry_policy), puts the decision into words (event, copy) and
 * writes all of it into Redis, before anybody is told. A record that is refused (another worker has taken the
 * order over) leads back to CLAIM, which says what is left to do for this delivery.
 */
#include "common/log.h"
#include "worker/event.h"
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/publishing.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static uint32_t chance(void)
{
    uint32_t value = 0;

    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
        value = 0x80000000u; /* early in boot: the middle of the jitter */
    return value;
}

/* Only what is tried again has a delay to be drawn. */
static bool needs_chance(const struct job *job)
{
    for (size_t i = 0; i < job->order->line_count; i++) {
        if (!line_finished(&job->lines[i]))
            return true;
    }
    return false;
}

/*
 * The outcome's number among the order's events: above those that others were given while it ran, by Redis'
 * clock, which the fence was taken from.
 */
static int64_t outcome_sequence(const struct job *job)
{
    int64_t ran_ms = loop_now_ms(job->worker->loop) - job->claim.since_ms;

    return job->claim.fence + (ran_ms + 1) * 1000; /* milliseconds begun */
}

static void decide(struct job *job)
{
    const struct retry_limits *limits = &job->worker->retry;
    int64_t now_ms = loop_wall_us(job->worker->loop) / 1000;
    struct retry_input input = {
        .attempts = job->claim.attempts,
        .first_ms = job->claim.first_ms,
        .now_ms = now_ms,
        .chance = needs_chance(job) ? chance() : 0,
        .interrupted = job->stopping,
    };

    job->sequence = outcome_sequence(job);
    job->retry = retry_decide(limits, &input, job->lines, job->order->line_count);
    if (job->claim.first_ms == 0)
        job->claim.first_ms = now_ms;
    if (!job->retry.attempted && job->retry.verdict == ITEM_RETRY)
        job->claim.waits++;
    else if (job->retry.verdict == ITEM_RETRY && job->retry.attempts == job->claim.attempts)
        job->claim.waits++;
}

static const struct line_outcome *first_failed(const struct job *job)
{
    for (size_t i = 0; i < job->order->line_count; i++) {
        if (job->lines[i].state == LINE_FINAL || job->lines[i].state == LINE_FAILED)
            return &job->lines[i];
    }
    return NULL;
}

static enum err describe_dead(struct job *job)
{
    const struct line_outcome *line = first_failed(job);
    char detail[700];

    snprintf(detail, sizeof(detail), "line %lld: %s%s", line ? (long long)line->id : 0LL,
             line && line->message[0] ? line->message : "failed",
             job->retry.exhausted ? " (attempts or retry.window used up)" : "");
    job->decision.reason = strdup(line && line->reason[0] ? line->reason : "module_error");
    job->decision.detail = strdup(detail);
    return job->decision.reason && job->decision.detail ? OK : ERR_NOMEM;
}

static enum err describe_event(struct job *job)
{
    static const enum event_outcome outcomes[] = {
        [ITEM_COMPLETE] = EVENT_COMPLETE, [ITEM_RETRY] = EVENT_RETRYING, [ITEM_DEAD] = EVENT_DEAD};
    bool all = job->retry.verdict == ITEM_COMPLETE;
    struct event_facts facts = {
        .outcome = outcomes[job->retry.verdict],
        .order_number = job->order->number,
        .action = job->order->action,
        .refund_number = job->order->refund_number,
        .item_id = job->order->item_id,
        .sequence = job->sequence,
        .generation = job->claim.generation,
        .attempt = job->retry.attempts + (all ? 1 : 0), /* the try that succeeded counts as one */
        .order_complete = all && (job->order->action == ORDER_REFUND || job->claim.others_finished),
        .time_us = loop_wall_us(job->worker->loop),
        .next_attempt_ms = job->decision.copy == COPY_RETRY ? job->decision.due_ms : 0,
        .traceparent = job->traceparent,
        .order = job->order,
        .lines = job->lines,
    };
    struct event event;
    enum err err;

    err = event_build(&facts, &event);
    if (err != OK)
        return err;
    job->decision.event_id = strdup(event.id);
    job->decision.event_key = strdup(event.routing_key);
    job->decision.event_json = TAKE(event.json);
    event_fini(&event);
    return job->decision.event_id && job->decision.event_key ? OK : ERR_NOMEM;
}

/* The decision in words: kept in job->decision, published by PUBLISH, stored by the record. */
static enum err describe(struct job *job)
{
    struct decision *decision = &job->decision;
    enum err err = OK;

    decision_fini(decision);
    decision->generation = job->claim.generation;
    decision->attempts = job->retry.attempts;
    decision->waits = job->claim.waits;
    decision->first_ms = job->claim.first_ms;
    if (job->retry.verdict == ITEM_RETRY) {
        decision->copy = COPY_RETRY;
        decision->due_ms = loop_wall_us(job->worker->loop) / 1000 + job->retry.delay_s * 1000;
    } else if (job->retry.verdict == ITEM_DEAD) {
        decision->copy = COPY_DEAD;
        err = describe_dead(job);
    }
    if (err == OK && decision->copy != COPY_NONE) {
        decision->finished = line_outcomes_header(job->lines, job->order->line_count);
        err = decision->finished ? OK : ERR_NOMEM;
    }
    if (err == OK && (job->retry.attempted || job->retry.verdict != ITEM_RETRY))
        err = describe_event(job);
    return err;
}

static void count_outcome(const struct job *job)
{
    static const size_t outcomes[] = {
        [ITEM_COMPLETE] = METRIC_orders_settled_total_complete,
        [ITEM_RETRY] = METRIC_orders_settled_total_retrying,
        [ITEM_DEAD] = METRIC_orders_settled_total_dead,
    };

    if (job->decision.event_id)
        metrics_add(METRIC_orders_settled_total, outcomes[job->retry.verdict], 1);
    metrics_add(METRIC_attempts_total, 0, job->retry.attempts - job->claim.attempts);
}

/* Why it is not done: also of a line that only waits. "" = none of its lines has been run. */
static const char *first_reason(const struct job *job)
{
    for (size_t i = 0; i < job->order->line_count; i++) {
        if (!line_finished(&job->lines[i]) && job->lines[i].reason[0])
            return job->lines[i].reason;
    }
    return "";
}

static void log_outcome(const struct job *job)
{
    const char *reason = first_reason(job);

    switch (job->retry.verdict) {
    case ITEM_COMPLETE:
        log_debug("order.complete", "the order is done", LOG_STR("order", job->order->number));
        break;
    case ITEM_RETRY:
        log_info("order.retrying", "the order will be tried again", LOG_STR("order", job->order->number),
                 LOG_STR("reason", reason), LOG_INT("attempt", job->retry.attempts),
                 LOG_INT("delay_s", job->retry.delay_s));
        break;
    case ITEM_DEAD:
        log_warning("order.dead", "the order failed for good and waits for a person",
                    LOG_STR("order", job->order->number), LOG_STR("reason", reason),
                    LOG_INT("attempt", job->retry.attempts));
        break;
    }
}

static void on_recorded(struct ledger_op *op, const struct fault *fault)
{
    struct job *job = container_of(op, struct job, ledger_op);
    struct fault nomem = fault_of(ERR_NOMEM);
    size_t before = job->publish_count;

    job->ledger_active = false;
    if (fault->code == ERR_FENCED) {
        log_warning("order.fenced", "the outcome was refused: another worker has taken the order over",
                    LOG_STR("order", job->order->number));
        job_enter(job, STAGE_CLAIM);
        return;
    }
    if (fault->code != OK) {
        job_advance(job, STEP_FAULT, fault);
        return;
    }
    job->claim.held = false;
    loop_timer_stop(&job->renew_timer);
    if (publishing_add_decision(job, &job->decision) !=
        OK) { /* recorded once more later, in the same words */
        publishing_keep(job, before);
        job_advance(job, STEP_FAULT, &nomem);
        return;
    }
    count_outcome(job);
    log_outcome(job);
    job_advance(job, STEP_NEXT, NULL);
}

static void send_record(struct job *job, char **finished_texts, const char *lines_blob, const char *decision)
{
    static const enum record_state states[] = {
        [ITEM_COMPLETE] = RECORD_DONE, [ITEM_RETRY] = RECORD_WAIT, [ITEM_DEAD] = RECORD_DEAD};
    bool word = job->copy.dead_copy || job->copy.resubmit;
    struct record_facts facts = {
        .state = states[job->retry.verdict],
        .fence = job->claim.fence,
        .sequence = job->sequence,
        .generation = job->claim.generation,
        .attempts = job->retry.attempts,
        .waits = job->claim.waits,
        .first_ms = job->claim.first_ms,
        .due_ms = job->decision.due_ms,
        .message_id = job->message_id,
        .start_message_id = !word               ? ""
                            : job->copy.word_id ? job->copy.word_id
                                                : job->message_id,
        .start_generation = word ? job->copy.generation : 0,
        .lines_blob = lines_blob,
        .finished = (const char *const *)finished_texts,
        .decision = decision,
        .body = job->message.body,
        .body_length = job->message.body_length,
    };

    for (size_t i = 0; i < job->order->line_count; i++)
        facts.maybe = facts.maybe || (job->lines[i].look_first && !line_finished(&job->lines[i]));
    job->ledger_active = true;
    ledger_record(job->worker->ledger, &job->ledger_op, job->order, &facts, on_recorded);
}

static enum err record(struct job *job)
{
    size_t count = job->order->line_count;
    AUTO_FREE char *blob = line_outcomes_text(job->lines, count);
    AUTO_FREE char *decision = decision_encode(&job->decision);
    char **texts = calloc(count, sizeof(*texts));
    enum err err = blob && decision && texts ? OK : ERR_NOMEM;

    for (size_t i = 0; i < count && err == OK; i++) {
        texts[i] = line_finished(&job->lines[i]) ? line_outcomes_text(&job->lines[i], 1) : strdup("");
        if (!texts[i])
            err = ERR_NOMEM;
    }
    if (err == OK)
        send_record(job, texts, blob, decision);
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
    return err;
}

void stage_record(struct job *job)
{
    struct fault nomem = fault_of(ERR_NOMEM);
    enum err err = OK;

    if (!job->decided) {
        decide(job);
        job->decided = true;
        err = describe(job);
    }
    if (err == OK)
        err = record(job);
    if (err != OK) {
        job->decided = false;
        job_advance(job, STEP_FAULT, &nomem);
    }
}
