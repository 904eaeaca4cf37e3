/*
 * One look at what AMQP does not show of RabbitMQ, when a worker has started.
 */
#ifndef FULFILLD_WORKER_WORKER_LOOK_H
#define FULFILLD_WORKER_WORKER_LOOK_H

#include <stdbool.h>

struct worker;
struct management;

struct worker_look {
    bool begun;
    struct management *management; /* while it looks */
};

/** Looks, the first time it is called, where amqp.management_uri is set. Findings are warnings in the log and
 * stop nothing. */
void worker_look_start(struct worker *worker);

/** Ends a look that is under way, without a word. */
void worker_look_stop(struct worker *worker);

#endif
