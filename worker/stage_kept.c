/*
 * KEPT: a resubmit that names only the order. The kept message of each dead item goes back into the orders
 * queue as a person's requeue (as if its dead copy had been shovelled), under its own message id; CLAIM then
 * starts the new generation, and knows by the resubmit's message id which word it was. Nothing dead: event
 * `ignored`. Unknown to Redis: the dead queue, with what to do.
 */
#include "common/log.h"
#include "worker/copy_headers.h"
#include "worker/event.h"
#include "worker/pipeline.h"
#include "worker/publishing.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

static struct headers *requeue_headers(const struct job *job, const struct kept_item *item)
{
    struct headers *headers = copy_headers_dead(NULL, "resubmit", "resubmitted by order number");

    if (!headers)
        return NULL;
    if (headers_set_int(headers, HEADER_GENERATION, item->generation) != OK ||
        headers_set_str(headers, HEADER_WORD, job->message_id) != OK ||
        (item->finished && headers_set_str(headers, HEADER_LINES, item->finished) != OK) ||
        (job->traceparent && headers_set_str(headers, "traceparent", job->traceparent) != OK)) {
        headers_free(headers);
        return NULL;
    }
    return headers;
}

static enum err add_requeue(struct job *job, const struct kept_item *item)
{
    char exchange[192];
    struct headers *headers = requeue_headers(job, item);
    char *body = malloc(item->body_length + 1);

    if (!headers || !body) {
        headers_free(headers);
        free(body);
        return ERR_NOMEM;
    }
    memcpy(body, item->body, item->body_length);
    body[item->body_length] = '\0';
    worker_name(job->worker, "orders", exchange);
    return job_add_publish(job, exchange, "order.resubmit", item->message_id, body, item->body_length,
                           headers)
               ? OK
               : ERR_NOMEM;
}

static enum err add_ignored(struct job *job, int64_t sequence)
{
    struct event_facts facts = {
        .outcome = EVENT_IGNORED,
        .order_number = job->order->number,
        .action = job->order->action,
        .refund_number = job->order->refund_number,
        .item_id = "",
        .sequence = sequence,
        .no_status = true,
        .time_us = loop_wall_us(job->worker->loop),
        .traceparent = job->traceparent,
    };

    return publishing_add_event(job, &facts);
}

static enum err add_unknown(struct job *job)
{
    char queue[192], detail[300];

    worker_name(job->worker, "dead", queue);
    snprintf(detail, sizeof(detail),
             "Redis does not know this order: requeue its message from %s, or publish the whole message",
             queue);
    return publishing_add_dead(job, "unknown_order", detail);
}

static void on_kept(struct ledger_op *op, const struct kept_item *dead_items, size_t count, bool known,
                    int64_t sequence, const struct fault *fault)
{
    struct job *job = container_of(op, struct job, ledger_op);
    struct fault nomem = fault_of(ERR_NOMEM);
    enum err err = OK;

    job->ledger_active = false;
    if (fault->code != OK) {
        job_advance(job, STEP_FAULT, fault);
        return;
    }
    publishing_reset(job);
    if (!known)
        err = add_unknown(job);
    else if (count == 0)
        err = add_ignored(job, sequence);
    for (size_t i = 0; i < count && err == OK; i++)
        err = add_requeue(job, &dead_items[i]);
    log_info("order.resubmit", "a resubmit by order number", LOG_STR("order", job->order->number),
             LOG_BOOL("known", known), LOG_INT("requeued", count));
    if (err != OK)
        job_advance(job, STEP_FAULT, &nomem);
    else
        job_advance(job, STEP_NEXT, NULL);
}

void stage_kept(struct job *job)
{
    job->ledger_active = true;
    ledger_kept(job->worker->ledger, &job->ledger_op, job->order->number, job->message_id, on_kept);
}
