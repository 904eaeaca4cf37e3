/*
 * Builds publications: where events, waiting, solo and dead copies go and what they carry.
 * Called by intake, kept, claim and record; stage_publish sends and watches the confirms.
 */
#include "worker/publishing.h"

#include "worker/copy_headers.h"
#include "worker/topology.h"
#include "worker/worker.h"

#include <string.h>

enum { NAME_SIZE = TOPOLOGY_NAME_SIZE };

void publishing_keep(struct job *job, size_t count)
{
    for (size_t i = count; i < job->publish_count; i++) {
        free(job->publishes[i].message_id);
        free(job->publishes[i].body);
        headers_free(job->publishes[i].headers);
    }
    if (job->publish_count > count)
        job->publish_count = count;
}

static enum err add_event_text(struct job *job, const char *id, const char *key, char *take_json,
                               size_t length)
{
    struct headers *headers = NULL;
    char exchange[NAME_SIZE];

    if (job->traceparent) {
        headers = headers_new();
        if (!headers || headers_set_str(headers, "traceparent", job->traceparent) != OK) {
            headers_free(headers);
            free(take_json);
            return ERR_NOMEM;
        }
    }
    worker_name(job->worker, "events", exchange);
    return job_add_publish(job, exchange, key, id, take_json, length, headers) ? OK : ERR_NOMEM;
}

enum err publishing_add_event(struct job *job, const struct event_facts *facts)
{
    struct event event;
    enum err err = event_build(facts, &event);

    if (err != OK)
        return err;
    err = add_event_text(job, event.id, event.routing_key, event.json, event.length);
    event.json = NULL;
    event_fini(&event);
    return err;
}

/* The delivery's own body with the headers given: the body stays the message's. */
static enum err add_copy(struct job *job, const char *exchange, const char *key, struct headers *take_headers)
{
    struct job_publish *publish;

    if (!take_headers)
        return ERR_NOMEM;
    publish = job_add_publish(job, exchange, key, job->message_id, NULL, 0, take_headers);
    if (!publish)
        return ERR_NOMEM;
    publish->is_copy = true;
    return OK;
}

static enum err add_delayed(struct job *job, int64_t delay_ms, struct headers *take_headers)
{
    int64_t delay_s = delay_ms <= 0 ? 1 : (delay_ms + 999) / 1000;
    char exchange[NAME_SIZE], key[NAME_SIZE];

    topology_retry_route(job->worker->settings->amqp_prefix, delay_s, job->solo, exchange, key);
    return add_copy(job, exchange, key, take_headers);
}

/* Unchanged headers as an owned set; an empty one where there are none. */
static struct headers *same_headers(const struct job *job)
{
    bool copied;
    struct headers *headers = headers_copy(job->message.headers, &copied);

    if (!copied)
        return NULL;
    return headers ? headers : headers_new();
}

enum err publishing_add_wait(struct job *job, int64_t delay_ms)
{
    return add_delayed(job, delay_ms, same_headers(job));
}

enum err publishing_add_solo(struct job *job)
{
    char exchange[NAME_SIZE];

    worker_name(job->worker, "solo", exchange);
    return add_copy(job, exchange, "solo", same_headers(job));
}

enum err publishing_add_dead(struct job *job, const char *reason, const char *detail)
{
    char exchange[NAME_SIZE];

    worker_name(job->worker, "dead", exchange);
    return add_copy(job, exchange, "dead", copy_headers_dead(job->message.headers, reason, detail));
}

enum err publishing_add_decision(struct job *job, const struct decision *decision)
{
    char exchange[NAME_SIZE];

    if (decision->event_id) {
        char *json = strdup(decision->event_json);
        enum err err;

        if (!json)
            return ERR_NOMEM;
        err = add_event_text(job, decision->event_id, decision->event_key, json, strlen(json));
        if (err != OK)
            return err;
    }
    switch (decision->copy) {
    case COPY_NONE:
        return OK;
    case COPY_RETRY:
        return add_delayed(job, decision->due_ms - loop_wall_us(job->worker->loop) / 1000,
                           copy_headers_for(job->message.headers, decision));
    case COPY_DEAD:
        worker_name(job->worker, "dead", exchange);
        return add_copy(job, exchange, "dead", copy_headers_for(job->message.headers, decision));
    }
    return OK;
}
