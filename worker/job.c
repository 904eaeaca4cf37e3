/*
 * Making and freeing a job and its publications. No decisions here.
 * Called by the worker (new), the stages (add_publish) and the pipeline (free).
 */
#include "worker/job.h"

#include "worker/publishing.h"
#include "worker/worker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TRACEPARENT_MAX_BYTES = 255 };

/* It goes into a request line by line: whatever could break one is no trace context, and not worth an order.
 */
static const char *usable_traceparent(const char *text)
{
    size_t length = text ? strlen(text) : 0;

    if (length == 0 || length > TRACEPARENT_MAX_BYTES)
        return NULL;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~')
            return NULL;
    }
    return text;
}

struct job *job_new(struct worker *worker, struct delivery delivery, struct message *take_message, bool solo)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->worker = worker;
    job->delivery = delivery;
    job->message = *take_message;
    *take_message = (struct message){0};
    job->solo = solo;
    job->arrived_ms = loop_now_ms(worker->loop);
    job->number = ++worker->delivery_count;
    job->traceparent = usable_traceparent(headers_str(job->message.headers, "traceparent"));
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    assert(!job->ledger_active && !job->renew_active && job->publish_pending == 0 && job->running_lines == 0);
    publishing_reset(job);
    free(job->publishes);
    if (job->lines)
        line_outcomes_free(job->lines, job->order->line_count);
    free(job->lines);
    free(job->runs);
    decision_fini(&job->decision);
    order_free(job->order);
    free(job->message_id);
    message_fini(&job->message);
    free(job);
}

struct job_publish *job_add_publish(struct job *job, const char *exchange, const char *routing_key,
                                    const char *message_id, char *take_body, size_t body_length,
                                    struct headers *take_headers)
{
    struct job_publish *publish;
    struct job_publish *grown = NULL;

    assert(job->publish_pending == 0);
    grown = realloc(job->publishes, (job->publish_count + 1) * sizeof(*grown));
    if (!grown) {
        free(take_body);
        headers_free(take_headers);
        return NULL;
    }
    job->publishes = grown;
    publish = &job->publishes[job->publish_count++];
    *publish = (struct job_publish){
        .job = job, .body = take_body, .body_length = body_length, .headers = take_headers};
    snprintf(publish->exchange, sizeof(publish->exchange), "%s", exchange);
    snprintf(publish->routing_key, sizeof(publish->routing_key), "%s", routing_key);
    if (message_id) {
        publish->message_id = strdup(message_id);
        if (!publish->message_id) {
            publishing_keep(job, job->publish_count - 1); /* nothing half-made is ever sent */
            return NULL;
        }
    }
    return publish;
}
