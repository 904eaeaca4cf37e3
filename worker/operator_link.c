/*
 * Opens links for a command, with a deadline, and closes them. See operator_link.h.
 */
#include "worker/operator_link.h"

#include "worker/links_open.h"

#include <string.h>

enum { UP_TIMEOUT_MS = 10 * 1000 };

struct operator_link {
    struct loop *loop;
    int what;
    bool several_nodes; /* of the broker: one that is away says nothing yet */
    struct broker *broker;
    struct store *store;
    struct loop_timer deadline;
    operator_link_fn *on_link;
    void *context;
    bool told;
    struct fault last; /* the latest reason why a link is not up */
};

static void tell(struct operator_link *link, const struct fault *fault)
{
    if (link->told)
        return;
    link->told = true;
    loop_timer_stop(&link->deadline);
    link->on_link(link->context, link, fault);
}

static void tell_when_up(struct operator_link *link)
{
    bool broker =
        !(link->what & OPERATOR_BROKER) || (link->broker && broker_up(link->broker, BROKER_CONSUMING) &&
                                            broker_up(link->broker, BROKER_PUBLISHING));
    bool store = !(link->what & OPERATOR_STORE) || (link->store && store_up(link->store));

    if (broker && store)
        tell(link, NULL);
}

static void on_deadline(struct loop_timer *timer)
{
    struct operator_link *link = container_of(timer, struct operator_link, deadline);

    if (link->last.code == OK)
        link->last = fault_make(ERR_TIMEOUT, "no answer within %d s", UP_TIMEOUT_MS / 1000);
    tell(link, &link->last);
}

static void on_broker(void *context, enum broker_link which, bool up, const struct fault *fault)
{
    struct operator_link *link = context;

    (void)which;
    if (!up)
        link->last = *fault;
    if (!up && (fault->code == ERR_CONFIG || !link->several_nodes))
        tell(link, fault);
    tell_when_up(link);
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    (void)context, (void)blocked, (void)reason; /* publishes wait for it and end by their own deadline */
}

static void on_store(void *context, bool up, const struct fault *fault)
{
    struct operator_link *link = context;

    if (!up)
        tell(link, fault);
    tell_when_up(link);
}

static const struct broker_events broker_events = {.on_link = on_broker, .on_blocked = on_blocked};

struct operator_link *operator_link_open(const struct settings *settings, int what, operator_link_fn *on_link,
                                         void *context, struct fault *ret_fault)
{
    struct operator_link *link = calloc(1, sizeof(*link));
    enum err err = OK;

    *ret_fault = fault_of(ERR_NOMEM);
    if (!link)
        return NULL;
    link->loop = loop_new();
    link->what = what;
    link->several_nodes = strchr(settings->amqp_uris, ',') != NULL;
    link->on_link = on_link;
    link->context = context;
    if (!link->loop) {
        free(link);
        return NULL;
    }
    loop_timer_init(&link->deadline, link->loop, on_deadline);
    loop_timer_start(&link->deadline, UP_TIMEOUT_MS);
    if (what & OPERATOR_BROKER)
        err = links_open_broker(link->loop, settings, "fulfilld command", &broker_events, link, &link->broker,
                                ret_fault);
    if (err == OK && (what & OPERATOR_STORE))
        err = links_open_store(link->loop, settings, on_store, link, &link->store, ret_fault);
    if (err == OK)
        return link;
    operator_link_stop(link);
    operator_link_run(link);
    operator_link_free(link);
    return NULL;
}

struct loop *operator_link_loop(struct operator_link *link)
{
    return link->loop;
}

struct broker *operator_link_broker(struct operator_link *link)
{
    return link->broker;
}

struct store *operator_link_store(struct operator_link *link)
{
    return link->store;
}

void operator_link_run(struct operator_link *link)
{
    loop_run(link->loop);
}

void operator_link_stop(struct operator_link *link)
{
    link->told = true;
    loop_timer_stop(&link->deadline);
    broker_close(link->broker);
    link->broker = NULL;
    if (link->store)
        store_close(link->store);
    link->store = NULL;
}

void operator_link_free(struct operator_link *link)
{
    if (!link)
        return;
    loop_free(link->loop);
    free(link);
}
