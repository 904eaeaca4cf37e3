/*
 * The exchanges, queues and bindings at RabbitMQ, from one table: declared, checked, printed. Also how a
 * delay becomes a route through the retry queues.
 */
#ifndef FULFILLD_WORKER_TOPOLOGY_H
#define FULFILLD_WORKER_TOPOLOGY_H

#include "common/broker.h"

#include <stdio.h>

enum {
    TOPOLOGY_LEVELS = 18,
    TOPOLOGY_DELAY_MAX_S = (1 << TOPOLOGY_LEVELS) - 1,
    TOPOLOGY_NAME_SIZE = 256, /* of every name and key, with its NUL */
    TOPOLOGY_PREFIX_MAX = 200,
};

struct topology_op;
/* OK, or the first fault: its detail names the object and has the broker's words. Runs once, later. */
typedef void topology_done_fn(struct topology_op *op, const struct fault *fault);

struct topology_op {
    topology_done_fn *done;
    /* topology's: */
    struct broker *broker;
    const char *prefix;
    bool passive;
    size_t row;
    int level;
    struct broker_declare_op declare;
};

/**
 * Declares everything in order; with `passive` only asks whether the exchanges and queues are there (AMQP
 * shows no bindings and no arguments). Nothing is ever deleted or changed: what differs is the broker's 406.
 *
 * @param prefix  1..TOPOLOGY_PREFIX_MAX characters; borrowed until done
 * @param op      caller's; stays in place until done
 */
void topology_declare_start(struct broker *broker, const char *prefix, bool passive, struct topology_op *op,
                            topology_done_fn *done);

/**
 * Writes the same as definitions that RabbitMQ 3.10 and later can import. RabbitMQ 4 sets a delivery limit
 * that only topology_declare_start() lifts, since it knows the version; 3.x refuses the argument that lifts
 * it.
 * @return ERR_NOMEM, or ERR_UNAVAILABLE when the file cannot be written
 */
enum err topology_print_json(FILE *file, const char *prefix, const char *vhost);

/**
 * The exchange and routing key that bring a message to the orders queue (or the solo queue) after `delay_s`
 * seconds, which is clamped to 1..TOPOLOGY_DELAY_MAX_S. Each has room for TOPOLOGY_NAME_SIZE. Pure.
 */
void topology_retry_route(const char *prefix, int64_t delay_s, bool solo, char *ret_exchange, char *ret_key);

#endif
