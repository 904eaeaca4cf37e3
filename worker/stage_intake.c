/*
 * INTAKE: reads and checks the message. A message that is not valid goes to the dead queue unchanged, with
 * the reason in its headers; what a valid one asks for is found out by KEPT (a resubmit by number) or CLAIM.
 */
#include "common/log.h"
#include "worker/copy_headers.h"
#include "worker/event.h"
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/publishing.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The publisher's message id, or one that every copy of the same body gets alike. */
static char *message_id_of(const struct message *message)
{
    char derived[40];

    if (message->message_id && message->message_id[0])
        return strdup(message->message_id);
    snprintf(derived, sizeof(derived), "derived-%016" PRIx64,
             order_digest(ORDER_DIGEST_SEED, message->body, message->body_length));
    return strdup(derived);
}

/* A copy of an invalid message for the dead queue, and the event where the order is known by number. */
static enum err refuse(struct job *job, const char *order_number, const struct fault *why)
{
    struct event_facts facts = {
        .outcome = EVENT_INVALID,
        .action =
            order_peek_is_refund(job->message.body, job->message.body_length) ? ORDER_REFUND : ORDER_FULFILL,
        .order_number = order_number,
        .item_id = "",
        .distinguish = job->message_id,
        .sequence = loop_wall_us(job->worker->loop),
        .no_status = true,
        .time_us = loop_wall_us(job->worker->loop),
        .traceparent = job->traceparent,
        .detail = why->detail,
    };

    metrics_add(METRIC_deliveries_total, METRIC_deliveries_total_invalid, 1);
    metrics_add(METRIC_orders_settled_total, METRIC_orders_settled_total_invalid, 1);
    log_warning("order.invalid", "a message is not a valid order and goes to the dead queue",
                LOG_STR("order", order_number), LOG_STR("why", why->detail));
    if (order_number[0] && publishing_add_event(job, &facts) != OK)
        return ERR_NOMEM;
    return publishing_add_dead(job, "invalid_message", why->detail);
}

void stage_intake(struct job *job)
{
    char number[ORDER_MAX_NUMBER + 1] = "";
    struct fault fault = fault_of(OK);
    enum err err;

    publishing_reset(job);
    if (!job->message_id)
        job->message_id = message_id_of(&job->message);
    if (!job->message_id) {
        fault = fault_of(ERR_NOMEM);
        job_advance(job, STEP_FAULT, &fault);
        return;
    }
    err = order_parse(job->message.body, job->message.body_length, &job->order, number, &fault);
    if (err == ERR_MALFORMED) {
        err = refuse(job, number, &fault);
        if (err == OK) {
            job_advance(job, STEP_SKIP, NULL);
            return;
        }
    }
    if (err != OK) {
        fault = fault_of(err);
        job_advance(job, STEP_FAULT, &fault);
        return;
    }
    copy_headers_read(job->message.headers, &job->copy);
    job->copy.message_id = job->message_id;
    job->copy.redelivered = job->message.redelivered || headers_has(job->message.headers, "x-death");
    job->copy.solo = job->solo;
    job->copy.resubmit = job->order->resubmit && job->copy.generation == 0;
    if (job->order->by_number)
        job_enter(job, STAGE_KEPT);
    else
        job_advance(job, STEP_NEXT, NULL);
}
