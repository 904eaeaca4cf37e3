/*
 * `fulfilld topology`: prints the exchanges, queues and bindings as definitions that RabbitMQ can import, or
 * declares them.
 */
#include "worker/commands.h"

#include "common/broker_uri.h"
#include "worker/operator_link.h"
#include "worker/topology.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>

struct arguments {
    const char *config;
    bool declare;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    if (key != 'd')
        return command_config_option(key, value, state, &arguments->config);
    arguments->declare = true;
    return 0;
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
    topology_declare_start(operator_link_broker(link), declaration->settings->amqp_prefix, false,
                           &declaration->op, on_declared);
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

/* In the virtual host of the first address. */
static int print(const struct settings *settings)
{
    struct broker_uri *uris = NULL;
    size_t count = 0;
    struct fault fault;
    enum err err = broker_uri_list_new(settings->amqp_uris, &uris, &count, &fault);
    int status = EXIT_DONE;

    if (err == OK)
        err = topology_print_json(stdout, settings->amqp_prefix, uris[0].vhost);
    else
        status = EXIT_USAGE;
    if (err == OK && fflush(stdout) != 0)
        err = ERR_UNAVAILABLE;
    if (err != OK) {
        fprintf(stderr, "FAIL  %s\n", status == EXIT_USAGE ? fault.detail : err_text(err));
        status = status == EXIT_USAGE ? EXIT_USAGE : EXIT_FAILED;
    }
    broker_uri_list_free(uris, count);
    return status;
}

int cmd_topology(int argc, char **argv)
{
    static const struct argp_option options[] = {
        COMMAND_CONFIG_OPTION, {"declare", 'd', NULL, 0, "declare it at the broker", 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Prints the RabbitMQ definitions as JSON for 'rabbitmqadmin import', or "
               "declares them. Nothing is ever deleted or declared anew."};
    struct arguments arguments = {0};
    struct settings *settings;
    int status;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
    signal(SIGPIPE, SIG_IGN);
    settings = command_settings(arguments.config);
    if (!settings)
        return EXIT_USAGE;
    status = arguments.declare ? declare(settings) : print(settings);
    settings_free(settings);
    return status;
}
