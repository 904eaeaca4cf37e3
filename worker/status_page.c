/*
 * The three pages of the supervisor. The words and notes that workers leave in the shared memory are put
 * together here; nothing is asked of anybody. Called by supervisor.c.
 */
#include "worker/status_page.h"

#include "common/metrics.h"
#include "worker/metric_rows.h"
#include "worker/shared.h"

#include <string.h>

struct link_row {
    size_t label; /* of link_up */
    const char *name;
};

/* What else keeps work from being taken: a gauge that is not 0. */
struct obstacle_row {
    size_t metric, label;
    const char *words;
};

static const struct link_row links[] = {
    {METRIC_link_up_consuming, "RabbitMQ (consuming)"},
    {METRIC_link_up_publishing, "RabbitMQ (publishing)"},
    {METRIC_link_up_redis, "Redis"},
};

static const struct obstacle_row obstacles[] = {
    {METRIC_publishing_blocked, 0, "RabbitMQ blocks publishers (memory or disk alarm)"},
    {METRIC_refusing, METRIC_refusing_rabbitmq, "RabbitMQ does not take a message (a full or missing queue)"},
    {METRIC_refusing, METRIC_refusing_redis, "Redis refuses commands (out of memory, permissions)"},
    {METRIC_unsubscribed, 0, "RabbitMQ delivers no orders (a queue is missing or may not be read)"},
};

static bool stands(const struct slot *slot, const struct obstacle_row *obstacle)
{
    return metrics_slot_value((size_t)slot->index, obstacle->metric, obstacle->label) != 0;
}

static bool slot_ready(const struct slot *slot)
{
    if (slot->state != SLOT_RUNNING)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        if (metrics_slot_value((size_t)slot->index, METRIC_link_up, links[i].label) == 0)
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(obstacles); i++) {
        if (stands(slot, &obstacles[i]))
            return false;
    }
    return metrics_slot_value((size_t)slot->index, METRIC_topology_ready, 0) != 0;
}

static void describe_slot(struct text *body, const struct slot *slot)
{
    text_printf(body, "%s %d: ", slot->solo ? "solo worker" : "worker", slot->index);
    if (slot->state != SLOT_RUNNING) {
        text_printf(body, "%s\n", slot_state_name(slot->state));
        return;
    }
    if (slot_ready(slot)) {
        text_printf(body, "ready\n");
        return;
    }
    text_printf(body, "not ready:");
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        if (metrics_slot_value((size_t)slot->index, METRIC_link_up, links[i].label) == 0)
            text_printf(body, " %s is down;", links[i].name);
    }
    for (size_t i = 0; i < ARRAY_LEN(obstacles); i++) {
        if (stands(slot, &obstacles[i]))
            text_printf(body, " %s;", obstacles[i].words);
    }
    if (metrics_slot_value((size_t)slot->index, METRIC_topology_ready, 0) == 0)
        text_printf(body, " exchanges and queues are not (yet) there;");
    text_printf(body, "\n");
}

/* The upstreams' state as the first worker that has one knows it. */
static void describe_upstreams(struct text *body, const struct slot *slots, size_t slot_count)
{
    char note[SHARED_NOTE_BYTES];

    for (size_t i = 0; i < slot_count; i++) {
        shared_note_of((size_t)slots[i].index, note);
        if (note[0]) {
            text_printf(body, "upstreams:\n%s", note);
            return;
        }
    }
}

static void answer_ready(const struct slot *slots, size_t slot_count, bool stopping,
                         struct http_listen_answer *answer)
{
    size_t ready = 0;

    for (size_t i = 0; i < slot_count; i++)
        ready += !slots[i].solo && slot_ready(&slots[i]);
    answer->status = ready > 0 && !stopping ? 200 : 503;
    text_printf(&answer->body, "%s\n", stopping ? "stopping" : ready > 0 ? "ready" : "not ready");
    for (size_t i = 0; i < slot_count; i++)
        describe_slot(&answer->body, &slots[i]);
    describe_upstreams(&answer->body, slots, slot_count);
}

void status_page_answer(const char *path, const struct slot *slots, size_t slot_count, bool stopping,
                        struct http_listen_answer *answer)
{
    if (strcmp(path, "/metrics") == 0) {
        answer->status = 200;
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_render(&answer->body);
    } else if (strcmp(path, "/healthz") == 0) {
        answer->status = 200;
        text_printf(&answer->body, "alive\n");
    } else if (strcmp(path, "/readyz") == 0) {
        answer_ready(slots, slot_count, stopping, answer);
    }
}
