/*
 * Runs modules: built-in ones and plug-ins (dlopen), each line a fulfill_call with the host's functions.
 * Called by stage_fulfill; sees upstreams, never Redis or RabbitMQ.
 */
#ifndef FULFILLD_WORKER_MODULE_HOST_H
#define FULFILLD_WORKER_MODULE_HOST_H

#include "worker/order.h"
#include "worker/upstream.h"
#include "worker/verdict.h"

struct module_host;

/**
 * Loads built-ins, [module NAME] sections and plug-ins of plugins.directory; checks every [modules] entry.
 * NULL with ret_fault: an unusable or too new plug-in, an unknown module name: says which and what is known.
 */
struct module_host *module_host_new(struct loop *loop, const struct settings *settings,
                                    struct upstream *const *upstreams, size_t upstream_count,
                                    struct fault *ret_fault);
void module_host_free(struct module_host *host);

/**
 * Loads one plug-in and checks it, without a configuration; `ret_name` is its module's name (33 bytes).
 * ERR_CONFIG with ret_fault: why it cannot be used.
 */
MUST_CHECK enum err module_host_probe(const char *path, char ret_name[LINE_MODULE_BYTES],
                                      struct fault *ret_fault);

struct line_run;
typedef void line_run_fn(struct line_run *run);

/* One line on its way through its module. Embedded; stays put until done. */
struct line_run {
    line_run_fn *done; /* exactly once, later; the outcome is in *outcome */
    void *owner;       /* the caller's; the host does not look at it */
    struct module_host *host;
    /* in: all borrowed, valid until done */
    const struct order *order;
    const struct order_line *line;
    struct line_outcome *outcome; /* in: state so far (look_first, doubtful, key_generation, result_json);
                                     out: what became of it */
    bool refund;
    bool look_first; /* of the whole claim (doubtful) */
    int64_t generation, attempt;
    const char *traceparent; /* NULL = none */
    int64_t timeout_ms;      /* the host cancels the call after this: postponed when nothing was sent for want
                                of a slot, else module_error, RETRY, look_first */
    struct fulfill_call *call; /* the host's, as is what follows */
    struct loop_task task;     /* of an end without a call: memory is out */
    bool in_flight;
};

/**
 * Plans and runs a line: product class → module (none: no_module), quantity, supports(), the module,
 * admission by its upstream before the first request, the report to the breaker. What becomes of the outcome:
 *   LINE_COMPLETE, LINE_FINAL, LINE_FAILED  by the module's result; the latter two cost an attempt
 *   LINE_OPEN, ran false   postponed until wait_until_ms: the upstream is not asked now; reason and message
 * stay LINE_OPEN, ran true    asked in vain, no attempt spent: throttled, credentials refused, the breaker
 * was open already or this was its probe; not before wait_until_ms, where that is not 0 `doubtful` is left
 * alone. A refund of a line whose module needs nothing completes.
 */
void line_run_start(struct module_host *host, struct line_run *run, line_run_fn *done);
/** done() still comes; the line's outcome says look_first where a request may have been sent. */
void line_run_cancel(struct line_run *run);

#endif
