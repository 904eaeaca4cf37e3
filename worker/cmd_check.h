/*
 * The parts of `fulfilld check`, each for one dependency. Each opens what it needs on a loop of its own, says
 * its lines, and has closed everything when it returns.
 */
#ifndef FULFILLD_WORKER_CMD_CHECK_H
#define FULFILLD_WORKER_CMD_CHECK_H

#include "worker/settings.h"

struct check {
    const struct settings *settings;
    int status; /* EXIT_DONE; EXIT_FAILED after the first FAIL; EXIT_USAGE when the configuration is to blame
                 */
};

/** "ok    WHAT: WORDS" */
void check_ok(struct check *check, const char *what, const char *format, ...) PRINTF_LIKE(3, 4);
/** "FAIL  WHAT: WORDS; REMEDY" */
void check_fail(struct check *check, const char *what, const char *remedy, const char *format, ...)
    PRINTF_LIKE(4, 5);

/** Redis: login, version, role, eviction. */
void check_store(struct check *check);
/** RabbitMQ: both links, the topology, and with amqp.management_uri what AMQP does not show. */
void check_broker(struct check *check);
/** Secrets, CA files, modules and plug-ins; then each upstream: whether it answers and takes our credentials.
 */
void check_upstreams(struct check *check);

#endif
