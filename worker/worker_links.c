/*
 * What becomes known of RabbitMQ and Redis, and what it means: which link is up, whether the exchanges and
 * queues are there, whether what is up also takes what we send. Decides when it is worth a line in the log
 * (a link that comes and goes is told of once), when the topology is declared again, and what /readyz shows.
 * Whether work is taken is worker.c's decision; how to connect again that of the adapters. Called by
 * worker.c.
 */
#include "worker/worker_links.h"

#include "common/log.h"
#include "worker/metric_rows.h"
#include "worker/pipeline.h"
#include "worker/worker.h"
#include "worker/worker_open.h"

#include <string.h>

enum {
    STEADY_MS = 1000, /* a link that has been up for so long is told of */
    OVER_MS = 3000,   /* refusals are over when none was seen for so long */
    RENEW_AFTER_MS = 4000,
    RENEW_EVERY_MS = 15000,
    TOPOLOGY_AGAIN_MS = 3000,
    UNSUBSCRIBED_MS = 1500 /* subscribing takes milliseconds: longer, and something is missing */
};

enum side { SIDE_STORE, SIDE_BROKER };

struct link_row {
    const char *event_up, *event_down;
    const char *name;
    const char *remedy;
};

static const struct link_row links[] = {
    [METRIC_link_up_consuming] = {"broker.up", "broker.down", "RabbitMQ (consuming)",
                                  "is it running, is amqp.uris right, may the user read and write?"},
    [METRIC_link_up_publishing] = {"broker.up", "broker.down", "RabbitMQ (publishing)",
                                   "is it running, is amqp.uris right, may the user read and write?"},
    [METRIC_link_up_redis] = {"redis.up", "redis.down", "Redis",
                              "is it running, is it the master, is redis.uri right?"},
};

/* ---- up and down ---- */

static void tell_up(struct worker *worker, size_t which)
{
    struct link_told *told = &worker->links.told[which];

    if (!told->up || told->told_up || loop_now_ms(worker->loop) - told->since_ms < STEADY_MS)
        return;
    told->told_up = true;
    told->told_down = false;
    log_info(links[which].event_up, "the link is up", LOG_STR("link", links[which].name));
}

static void tell_down(struct worker *worker, size_t which, const struct fault *fault)
{
    struct link_told *told = &worker->links.told[which];

    if (worker->draining || (told->told_down && strcmp(fault->detail, told->why.detail) == 0))
        return;
    told->why = *fault;
    told->told_down = true;
    told->told_up = false;
    log_warning(links[which].event_down, "a link is down: no new work is taken until it is back",
                LOG_STR("link", links[which].name), LOG_STR("why", fault->detail),
                LOG_STR("look", links[which].remedy));
}

static void set_link(struct worker *worker, size_t which, bool up, const struct fault *fault)
{
    struct link_told *told = &worker->links.told[which];

    if (told->up && !up && !worker->draining && !told->renewing)
        metrics_add(METRIC_link_losses_total, which, 1);
    told->up = up;
    told->since_ms = loop_now_ms(worker->loop);
    metrics_set(METRIC_link_up, which, up);
    if (!up && !told->renewing)
        tell_down(worker, which, fault);
    if (up)
        told->renewing = false;
}

/* ---- the exchanges and queues ---- */

static void set_topology_ready(struct worker *worker, bool ready)
{
    worker->links.topology_ready = ready;
    metrics_set(METRIC_topology_ready, 0, ready);
}

static void on_topology(struct topology_op *op, const struct fault *fault)
{
    struct worker *worker = container_of(op, struct worker, links.topology);
    struct worker_links *own = &worker->links;

    own->topology_active = false;
    if (worker->draining)
        return;
    if (fault->code == OK || fault->code == ERR_CONFIG)
        worker_look_start(worker); /* it is there, or refused: not a link that was lost */
    if (fault->code == OK) {
        if (own->topology_why.code != OK)
            log_info("topology.ready", "the exchanges and queues are there: work is taken again");
        own->topology_why = *fault;
        set_topology_ready(worker, true);
        worker_gate(worker);
        pipeline_wake(worker);
        return;
    }
    if (fault->code == ERR_CONFIG && strcmp(own->topology_why.detail, fault->detail) != 0) {
        own->topology_why = *fault;
        log_error("topology.refused",
                  "the broker refuses the topology: no work is taken until this is mended",
                  LOG_STR("why", fault->detail), LOG_STR("look", "fulfilld check, fulfilld topology"));
    }
    loop_timer_start(&own->topology_timer, TOPOLOGY_AGAIN_MS);
}

static void declare_topology(struct worker *worker)
{
    struct worker_links *own = &worker->links;

    set_topology_ready(worker, false);
    loop_timer_stop(&own->topology_timer);
    if (own->topology_active || worker->draining || !broker_up(worker->broker, BROKER_PUBLISHING))
        return; /* the link coming up starts over */
    own->topology_active = true;
    topology_declare_start(worker->broker, worker->settings->amqp_prefix, !worker->settings->amqp_declare,
                           &own->topology, on_topology);
}

static void on_topology_timer(struct loop_timer *timer)
{
    declare_topology(container_of(timer, struct worker, links.topology_timer));
}

/* Something that should be there is not; what it is and whether it can be mended, declaring shows. */
static void suspect_topology(struct worker *worker)
{
    if (worker->links.topology_ready)
        declare_topology(worker);
}

static void watch_subscription(struct worker *worker)
{
    struct worker_links *own = &worker->links;
    bool lost = own->unsubscribed_since_ms && !broker_consumer_active(worker->consumer);
    bool long_lost = lost && loop_now_ms(worker->loop) - own->unsubscribed_since_ms >= UNSUBSCRIBED_MS;

    if (broker_consumer_active(worker->consumer))
        metrics_set(METRIC_unsubscribed, 0, 0);
    else if (long_lost)
        metrics_set(METRIC_unsubscribed, 0, 1); /* until it is: the gate may close and open meanwhile */
    if (!lost)
        own->unsubscribed_since_ms = 0;
    if (long_lost && broker_up(worker->broker, BROKER_CONSUMING))
        suspect_topology(worker);
}

void worker_links_gate_set(struct worker *worker, bool open)
{
    struct worker_links *own = &worker->links;

    if (!open || broker_consumer_active(worker->consumer))
        own->unsubscribed_since_ms = 0;
    else if (own->unsubscribed_since_ms == 0)
        own->unsubscribed_since_ms = loop_now_ms(worker->loop);
}

/* ---- refusals of what is up ---- */

/* Whether a job waits because its last operation was refused, and by whom. */
static bool refused(const struct job *job, enum side *ret_side)
{
    if (job->held_since_ms == 0)
        return false;
    *ret_side = job->stage == STAGE_PUBLISH ? SIDE_BROKER : SIDE_STORE;
    /* The others are of the link, of memory, or of this one job. */
    return job->fault.code == ERR_NACKED || job->fault.code == ERR_UNROUTABLE ||
           job->fault.code == ERR_UNAVAILABLE || job->fault.code == ERR_TIMEOUT;
}

/* The link has just come up: what failed before says nothing of it. */
static void forget_refusals(struct worker *worker, enum side side)
{
    for (struct job *job = worker->jobs; job; job = job->next) {
        enum side of = SIDE_STORE;

        if (refused(job, &of) && of == side)
            job->fault = fault_of(OK);
    }
}

static void tell_refusal(struct worker *worker, enum side side, const struct job *job)
{
    struct link_refusals *refusals = &worker->links.refusals[side];

    if (refusals->told)
        return;
    refusals->told = true;
    if (side == SIDE_STORE)
        log_warning("redis.refuses", "Redis is there but does not do what it is asked: no new work is taken",
                    LOG_STR("why", job->fault.detail),
                    LOG_STR("look", "redis-cli INFO: memory (maxmemory), persistence, ACL"));
    else
        log_warning(
            "broker.refuses", "RabbitMQ is there but does not take a message: no new work is taken",
            LOG_STR("why", job->fault.detail),
            LOG_STR("look", "fulfilld check: is a queue full (max-length), missing, or without a leader?"));
}

/* RabbitMQ may go on refusing one channel after the reason is gone (see broker_renew()). */
static void renew_refused(struct worker *worker)
{
    struct link_refusals *refusals = &worker->links.refusals[SIDE_BROKER];
    int64_t now_ms = loop_now_ms(worker->loop);

    if (!refusals->now || now_ms - refusals->since_ms < RENEW_AFTER_MS ||
        (refusals->renewed_ms && now_ms - refusals->renewed_ms < RENEW_EVERY_MS))
        return;
    refusals->renewed_ms = now_ms;
    worker->links.told[METRIC_link_up_publishing].renewing = true;
    broker_renew(worker->broker, BROKER_PUBLISHING, "a new connection because messages are refused");
}

static void watch_refusals(struct worker *worker)
{
    int64_t now_ms = loop_now_ms(worker->loop);
    bool seen[2] = {false, false};

    for (const struct job *job = worker->jobs; job; job = job->next) {
        enum side side = SIDE_STORE;

        if (!refused(job, &side) || (side == SIDE_STORE ? !store_up(worker->store)
                                                        : !broker_up(worker->broker, BROKER_PUBLISHING) ||
                                                              broker_blocked(worker->broker)))
            continue;
        seen[side] = true;
        tell_refusal(worker, side, job);
        if (job->fault.code == ERR_UNROUTABLE)
            suspect_topology(worker);
    }
    for (size_t side = 0; side < ARRAY_LEN(seen); side++) {
        struct link_refusals *refusals = &worker->links.refusals[side];

        refusals->now = seen[side];
        if (seen[side]) {
            refusals->last_ms = now_ms;
            refusals->since_ms = refusals->since_ms ? refusals->since_ms : now_ms;
        }
        metrics_set(METRIC_refusing, side, seen[side]);
        if (refusals->told && now_ms - refusals->last_ms >= OVER_MS) {
            refusals->told = false;
            refusals->since_ms = 0;
            log_info(side == SIDE_STORE ? "redis.serves" : "broker.takes", "what was refused is done now");
        }
    }
}

/* ---- for the worker ---- */

void worker_links_on_broker(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    struct worker *worker = context;

    set_link(worker, link == BROKER_CONSUMING ? METRIC_link_up_consuming : METRIC_link_up_publishing, up,
             fault);
    if (link == BROKER_PUBLISHING) {
        metrics_set(METRIC_publishing_blocked, 0, 0);
        if (up) {
            forget_refusals(worker, SIDE_BROKER);
            declare_topology(worker);
        } else {
            set_topology_ready(worker, false);
        }
    } else if (!up) {
        pipeline_link_lost(worker);
    }
    worker_gate(worker);
    pipeline_wake(worker);
}

void worker_links_on_blocked(void *context, bool blocked, const char *reason)
{
    struct worker *worker = context;

    metrics_set(METRIC_publishing_blocked, 0, blocked);
    if (blocked)
        log_warning("broker.blocked", "RabbitMQ blocks publishers (an alarm): no new work is taken",
                    LOG_STR("why", reason),
                    LOG_STR("look", "rabbitmq-diagnostics alarms: free memory or disk space"));
    else
        log_info("broker.unblocked", "RabbitMQ takes messages again");
    if (!blocked)
        forget_refusals(worker, SIDE_BROKER);
    worker_gate(worker);
    pipeline_wake(worker);
}

void worker_links_on_store(void *context, bool up, const struct fault *fault)
{
    struct worker *worker = context;

    set_link(worker, METRIC_link_up_redis, up, fault);
    if (up) {
        forget_refusals(worker, SIDE_STORE);
        worker_check_eviction(worker);
    }
    worker_gate(worker);
    pipeline_wake(worker);
}

bool worker_links_ready(const struct worker *worker)
{
    const struct worker_links *own = &worker->links;

    return own->topology_ready && store_up(worker->store) && broker_up(worker->broker, BROKER_PUBLISHING) &&
           !broker_blocked(worker->broker) && !own->refusals[SIDE_STORE].now &&
           !own->refusals[SIDE_BROKER].now;
}

void worker_links_tick(struct worker *worker)
{
    for (size_t which = 0; which < ARRAY_LEN(links); which++)
        tell_up(worker, which);
    watch_refusals(worker);
    renew_refused(worker);
    watch_subscription(worker);
}

void worker_links_init(struct worker *worker)
{
    loop_timer_init(&worker->links.topology_timer, worker->loop, on_topology_timer);
}

void worker_links_fini(struct worker *worker)
{
    loop_timer_stop(&worker->links.topology_timer);
}
