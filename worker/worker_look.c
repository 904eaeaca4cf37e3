/*
 * One look at bindings, policies and effective arguments through amqp.management_uri, once the exchanges and
 * queues have been declared or checked. Decides who looks (the process for suspects: there is one of it, and
 * it has the least to do) and how it is told: a warning for each finding. Called by worker_links.c.
 */
#include "worker/worker_look.h"

#include "common/log.h"
#include "worker/management.h"
#include "worker/worker.h"

static void on_finding(void *context, const char *what, const char *remedy)
{
    (void)context;
    log_warning("topology.differs", what, LOG_STR("look", remedy));
}

static void tell_unseen(const struct fault *fault)
{
    log_warning("topology.unseen",
                "bindings, policies and effective arguments could not be looked at; work goes on",
                LOG_STR("why", fault->detail), LOG_STR("look", "amqp.management_uri, fulfilld check"));
}

static void on_looked(void *context, const struct fault *fault)
{
    struct worker *worker = context;

    worker->look.management = NULL;
    if (fault->code != OK && !worker->draining)
        tell_unseen(fault);
}

void worker_look_start(struct worker *worker)
{
    struct worker_look *look = &worker->look;
    struct fault fault = fault_of(OK);

    if (look->begun || !worker->solo || !worker->settings->amqp_management_uri)
        return;
    look->begun = true;
    look->management =
        management_check_start(worker->loop, worker->settings, on_finding, on_looked, worker, &fault);
    if (!look->management)
        tell_unseen(&fault);
}

void worker_look_stop(struct worker *worker)
{
    if (worker->look.management)
        management_cancel(worker->look.management);
}
