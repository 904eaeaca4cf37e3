/*
 * `fulfilld check` of RabbitMQ: the login on both links, whether exchanges and queues exist, and, where
 * amqp.management_uri is set, bindings, policies and effective arguments. Called by cmd_check.c.
 */
#include "worker/cmd_check.h"
#include "worker/commands.h"
#include "worker/management.h"
#include "worker/operator_link.h"
#include "worker/topology.h"

struct broker_check {
    struct check *check;
    struct operator_link *link;
    struct topology_op topology;
    size_t findings;
};

/* ---- over AMQP ---- */

static void on_topology(struct topology_op *op, const struct fault *fault)
{
    struct broker_check *self = container_of(op, struct broker_check, topology);

    if (fault->code == OK)
        check_ok(self->check, "RabbitMQ topology", "the exchanges and queues of %s exist",
                 self->check->settings->amqp_prefix);
    else
        check_fail(self->check, "RabbitMQ topology",
                   "run 'fulfilld topology --declare', or see amqp.prefix and the user's permissions", "%s",
                   fault->detail);
    operator_link_stop(self->link);
}

static void on_link(void *context, struct operator_link *link, const struct fault *fault)
{
    struct broker_check *self = context;

    self->link = link;
    if (fault) {
        check_fail(self->check, "RabbitMQ login", "see amqp.uris, amqp.username and amqp.password_file", "%s",
                   fault->detail);
        operator_link_stop(link);
        return;
    }
    check_ok(self->check, "RabbitMQ login", "for consuming and for publishing, server version %d.x",
             broker_server_major(operator_link_broker(link)));
    topology_declare_start(operator_link_broker(link), self->check->settings->amqp_prefix, true,
                           &self->topology, on_topology);
}

/* ---- over the management API ---- */

static void on_finding(void *context, const char *what, const char *remedy)
{
    struct broker_check *self = context;

    self->findings++;
    check_fail(self->check, "RabbitMQ management", remedy, "%s", what);
}

static void on_management(void *context, const struct fault *fault)
{
    struct broker_check *self = context;

    if (fault->code != OK)
        check_fail(self->check, "RabbitMQ management",
                   "see amqp.management_uri, and the user's tags (rabbitmqctl "
                   "set_user_tags USER monitoring)",
                   "%s", fault->detail);
    else if (self->findings == 0)
        check_ok(self->check, "RabbitMQ management",
                 "bindings, policies and effective arguments are as they must be");
}

static void check_management(struct broker_check *self)
{
    struct loop *loop = loop_new();
    struct fault fault = fault_of(ERR_NOMEM);
    const struct management *management =
        loop ? management_check_start(loop, self->check->settings, on_finding, on_management, self, &fault)
             : NULL;

    if (!management) {
        check_fail(self->check, "RabbitMQ management", "see amqp.management_uri and amqp.tls_ca_file", "%s",
                   fault.detail);
        self->check->status = EXIT_USAGE;
    } else {
        loop_run(loop);
    }
    if (loop)
        loop_free(loop);
}

void check_broker(struct check *check)
{
    struct broker_check self = {.check = check};
    struct fault fault = fault_of(OK);
    struct operator_link *link = operator_link_open(check->settings, OPERATOR_BROKER, on_link, &self, &fault);

    if (link) {
        operator_link_run(link);
        operator_link_free(link);
    } else {
        check_fail(check, "RabbitMQ login", "see amqp.uris, amqp.password_file and amqp.tls_*", "%s",
                   fault.detail);
        check->status = EXIT_USAGE;
    }
    if (check->settings->amqp_management_uri)
        check_management(&self);
    else
        check_ok(check, "RabbitMQ management", "not looked at: amqp.management_uri is not set");
}
