/*
 * Opens RabbitMQ and Redis as the settings name them, passwords included. Called by whatever needs them:
 * workers (worker_open.c) and operators' commands (operator_link.c).
 */
#ifndef FULFILLD_WORKER_LINKS_OPEN_H
#define FULFILLD_WORKER_LINKS_OPEN_H

#include "common/broker.h"
#include "common/store.h"
#include "worker/settings.h"

/**
 * Both links of a broker, to consume and to publish. They connect once the loop runs.
 * @param name      of the connections, as RabbitMQ shows them; copied
 * @param events    with `context`, for the life of the broker
 * @return OK with ret_broker (the caller's: broker_close()); else why not, in ret_fault
 */
MUST_CHECK enum err links_open_broker(struct loop *loop, const struct settings *settings, const char *name,
                                      const struct broker_events *events, void *context,
                                      struct broker **ret_broker, struct fault *ret_fault);

/** Redis, with all scripts. OK with ret_store (the caller's: store_close()); else why not, in ret_fault. */
MUST_CHECK enum err links_open_store(struct loop *loop, const struct settings *settings,
                                     store_state_fn *on_state, void *context, struct store **ret_store,
                                     struct fault *ret_fault);

#endif
