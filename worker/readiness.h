/*
 * Whether a worker can take work, by the gauges that it keeps in the shared memory, and if not, why.
 */
#ifndef FULFILLD_WORKER_READINESS_H
#define FULFILLD_WORKER_READINESS_H

#include "common/text.h"
#include "worker/slot.h"

/** Its process runs, has its links to RabbitMQ and Redis and its queues, and nothing keeps work from it. */
bool readiness_of(const struct slot *slot);

/** Adds one line to `body`: which worker it is, and "ready" or what it lacks. */
void readiness_describe(struct text *body, const struct slot *slot);

#endif
