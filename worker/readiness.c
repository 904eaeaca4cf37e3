/*
 * Reads what a worker says of its links and obstacles; asks nobody. That its process runs, the slot says.
 * Called by status_page.c (/readyz) and roll.c.
 */
#include "worker/readiness.h"

#include "common/metrics.h"
#include "worker/metric_rows.h"

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

bool readiness_of(const struct slot *slot)
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

void readiness_describe(struct text *body, const struct slot *slot)
{
    text_printf(body, "%s %d: ", slot->solo ? "solo worker" : "worker", slot->index);
    if (slot->state != SLOT_RUNNING) {
        text_printf(body, "%s\n", slot_state_name(slot->state));
        return;
    }
    if (readiness_of(slot)) {
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
