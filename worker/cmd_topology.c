/*
 * `fulfilld topology`: prints the exchanges, queues and bindings as definitions that RabbitMQ can import, or
 * declares them.
 */
#include "common/broker.h"
#include "common/log.h"
#include "worker/commands.h"
#include "worker/operator_link.h"
#include "worker/topology.h"

#include <argp.h>
#include <stdio.h>

struct arguments {
    const char *config;
    bool declare;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'c':
        arguments->config = value;
        return 0;
    case 'd':
        arguments->declare = true;
        return 0;
    case ARGP_KEY_END:
        if (!arguments->config)
            argp_error(state, "--config FILE is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct declaration {
    struct operator_link *link;
    struct topology_op op;
    const struct settings *settings;
    int status;
};

static void on_declared(struct topology_op *op, const struct fault *fault)
{
    struct declaration *declaration = container_of(op, struct declaration, op);

    if (fault->code == OK)
        printf("ok    topology with prefix %s is declared\n", declaration->settings->amqp_prefix);
    else
        fprintf(stderr, "FAIL  %s\n", fault->detail);
    declaration->status = fault->code == OK ? EXIT_DONE : EXIT_FAILED;
    operator_link_stop(declaration->link);
}

static void on_link(void *context, struct operator_link *link, const struct fault *fault)
{
    struct declaration *declaration = context;

    if (fault) {
        fprintf(stderr, "FAIL  RabbitMQ: %s\n", fault->detail);
        operator_link_stop(link);
        return;
    }
    topology_declare_start(operator_link_broker(link), declaration->settings->amqp_prefix, false, &declaration->op,
                           on_declared);
}

static int declare(const struct settings *settings)
{
    struct declaration declaration = {.settings = settings, .status = EXIT_FAILED};
    struct fault fault = fault_of(OK);

    declaration.link = operator_link_open(settings, OPERATOR_BROKER, on_link, &declaration, &fault);
    if (!declaration.link) {
        fprintf(stderr, "FAIL  %s\n", fault.detail);
        return EXIT_USAGE;
    }
    operator_link_run(declaration.link);
    operator_link_free(declaration.link);
    return declaration.status;
}

int cmd_topology(int argc, char **argv)
{
    static const struct argp_option options[] = {{"config", 'c', "FILE", 0, "configuration file (INI)", 0},
                                                 {"declare", 'd', NULL, 0, "declare it at the broker", 0},
                                                 {0}};
    static const struct argp argp = {.options = options, .parser = parse,
                                     .doc = "Prints the RabbitMQ definitions as JSON for 'rabbitmqadmin import', or "
                                            "declares them. Nothing is ever deleted or declared anew."};
    struct arguments arguments = {0};
    struct settings *settings;
    int status = EXIT_DONE;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
    settings = command_settings(arguments.config);
    if (!settings)
        return EXIT_USAGE;
    if (arguments.declare)
        status = declare(settings);
    else
        topology_print_json(stdout, settings->amqp_prefix, "/");
    settings_free(settings);
    return status;
}
