/*
 * What an operator's command stands on: a loop with one link to RabbitMQ, to Redis, or both, that says when
 * all of it is up, or why not: at once when there is but one address to try, else after 10 s. Used by the
 * cmd_*.c only.
 */
#ifndef FULFILLD_WORKER_OPERATOR_LINK_H
#define FULFILLD_WORKER_OPERATOR_LINK_H

#include "common/broker.h"
#include "common/store.h"
#include "worker/settings.h"

struct operator_link;

enum { OPERATOR_BROKER = 1, OPERATOR_STORE = 2 };

/* fault NULL: everything asked for is up (once). Else: why it is not; the command is to stop. */
typedef void operator_link_fn(void *context, struct operator_link *link, const struct fault *fault);

/** NULL with ret_fault for a configuration that cannot be used. `settings` is borrowed. */
struct operator_link *operator_link_open(const struct settings *settings, int what, operator_link_fn *on_link,
                                         void *context, struct fault *ret_fault);
struct loop *operator_link_loop(struct operator_link *link);
struct broker *operator_link_broker(struct operator_link *link);
struct store *operator_link_store(struct operator_link *link);
/** Runs until operator_link_stop(). */
void operator_link_run(struct operator_link *link);
/** Closes the links; operator_link_run() returns soon after. */
void operator_link_stop(struct operator_link *link);
void operator_link_free(struct operator_link *link);

#endif
