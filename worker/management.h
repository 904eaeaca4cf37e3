/*
 * What AMQP does not show of RabbitMQ: bindings, policies, the arguments in effect, feature flags. Asks the
 * management API and compares with the topology (management_judge.c). Changes nothing.
 * Called by `fulfilld check` and, once, by a worker that has just started.
 */
#ifndef FULFILLD_WORKER_MANAGEMENT_H
#define FULFILLD_WORKER_MANAGEMENT_H

#include "common/http.h"
#include "worker/settings.h"

#include <jansson.h>

/* The documents of the API that are looked at, in the order they are asked for. */
enum management_document {
    MANAGEMENT_OVERVIEW,
    MANAGEMENT_EXCHANGES,
    MANAGEMENT_QUEUES,
    MANAGEMENT_BINDINGS,
    MANAGEMENT_NODES,         /* for users tagged monitoring only: NULL for others */
    MANAGEMENT_FEATURE_FLAGS, /* for users tagged administrator only: NULL for others */
    MANAGEMENT_DOCUMENT_COUNT
};

/* Something that is not as it must be. Both texts are borrowed for the call. */
typedef void management_finding_fn(void *context, const char *what, const char *remedy);

struct management;
/* OK: everything that matters could be read, and each difference was told as a finding; else why not. Runs
 * once, later; the management is gone afterwards. */
typedef void management_done_fn(void *context, const struct fault *fault);

/**
 * Looks at everything of amqp.prefix in the virtual host of the first of amqp.uris. `settings` is borrowed
 * until done.
 * @return NULL with ret_fault: ERR_CONFIG (a URI or a file that cannot be used), ERR_NOMEM; then done does
 * not run. Otherwise what management_cancel() takes until done has run
 */
MUST_CHECK struct management *management_check_start(struct loop *loop, const struct settings *settings,
                                                     management_finding_fn *on_finding,
                                                     management_done_fn *done, void *context,
                                                     struct fault *ret_fault);
/** done comes soon, with a fault. */
void management_cancel(struct management *management);

/**
 * The comparison alone. Pure.
 * @param expected   the topology as topology_print_json() writes it
 * @param documents  as the API answers them; those for privileged users may be NULL
 */
void management_judge(const json_t *expected, const char *prefix,
                      json_t *const documents[MANAGEMENT_DOCUMENT_COUNT], management_finding_fn *on_finding,
                      void *context);

#endif
