/*
 * A worker's links to RabbitMQ and Redis: what their ups and downs mean for taking work, said once in the log
 * and shown by /readyz.
 */
#ifndef FULFILLD_WORKER_WORKER_LINKS_H
#define FULFILLD_WORKER_WORKER_LINKS_H

#include "common/broker.h"
#include "common/store.h"
#include "worker/topology.h"

struct worker;

/* A link as the log knows it. */
struct link_told {
    bool renewing; /* given up by ourselves: no loss */
    bool up, told_up;
    bool told_down;
    int64_t since_ms; /* monotonic: of the last change */
    struct fault why; /* of the last loss that was told */
};

/* Operations that are refused though the link is up: Redis out of memory, a full queue. */
struct link_refusals {
    bool now; /* at least one job waits because of it */
    bool told;
    int64_t since_ms;   /* monotonic: of the first; 0 = none */
    int64_t last_ms;    /* when one last did */
    int64_t renewed_ms; /* when the connection was last made anew for it */
};

struct worker_links {
    struct link_told told[3];         /* consuming, publishing, Redis: as the values of metric link_up */
    struct link_refusals refusals[2]; /* of Redis, of RabbitMQ */
    struct topology_op topology;
    struct loop_timer topology_timer; /* declares again after the broker has refused it */
    bool topology_active;
    bool topology_ready;           /* declared (or checked), and nothing has been missing since */
    struct fault topology_why;     /* the last refusal that was told; OK = none */
    int64_t unsubscribed_since_ms; /* the consumer should be active and is not; 0 = all is well */
};

/** Before the links are opened. */
void worker_links_init(struct worker *worker);
void worker_links_fini(struct worker *worker);

/* Callbacks of the links; the context is the worker. */
void worker_links_on_broker(void *context, enum broker_link link, bool up, const struct fault *fault);
void worker_links_on_blocked(void *context, bool blocked, const char *reason);
void worker_links_on_store(void *context, bool up, const struct fault *fault);

/** Looks after all of it; called by the worker's tick, before the gate. */
void worker_links_tick(struct worker *worker);

/** Whether all links are up, the topology is there, and nothing is refused. */
bool worker_links_ready(const struct worker *worker);

/** The gate was set: the consumer should be subscribed or not. */
void worker_links_gate_set(struct worker *worker, bool open);

#endif
