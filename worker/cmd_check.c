/*
 * `fulfilld check`: validates the configuration, then tries every dependency and says of each, in one line,
 * whether it works, or why not and what to do about it.
 */
#include "worker/commands.h"
#include "worker/operator_link.h"
#include "worker/topology.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

struct check {
    const struct settings *settings;
    struct topology_op topology;
    struct operator_link *link;
    int status;
};

static void say(struct check *check, const char *what, const struct fault *fault, const char *remedy)
{
    if (!fault || fault->code == OK) {
        printf("ok    %s\n", what);
        return;
    }
    printf("FAIL  %s: %s: %s\n", what, fault->detail, remedy);
    check->status = EXIT_FAILED;
}

/* ---- Redis ---- */

static void on_store(void *context, struct operator_link *link, const struct fault *fault)
{
    say(context, "Redis", fault, "see redis.uri, redis.username and redis.password_file");
    operator_link_stop(link);
}

static void on_topology(struct topology_op *op, const struct fault *fault)
{
    struct check *check = container_of(op, struct check, topology);

    say(check, "RabbitMQ topology", fault, "run 'fulfilld topology --declare', or see amqp.prefix and permissions");
    operator_link_stop(check->link);
}

static void on_broker(void *context, struct operator_link *link, const struct fault *fault)
{
    struct check *check = context;

    say(check, "RabbitMQ login", fault, "see amqp.uris, amqp.username and amqp.password_file");
    if (fault) {
        operator_link_stop(link);
        return;
    }
    topology_declare_start(operator_link_broker(link), check->settings->amqp_prefix, true, &check->topology,
                           on_topology);
}

static void try_link(struct check *check, int what, operator_link_fn *on_link, const char *name)
{
    struct fault fault = fault_of(OK);

    check->link = operator_link_open(check->settings, what, on_link, check, &fault);
    if (!check->link) {
        say(check, name, &fault, "mend the configuration");
        return;
    }
    operator_link_run(check->link);
    operator_link_free(check->link);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    const char **config = state->input;

    if (key == 'c')
        *config = value;
    else if (key == ARGP_KEY_END && !*config)
        argp_error(state, "--config FILE is needed");
    else
        return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
    return 0;
}

int cmd_check(int argc, char **argv)
{
    static const struct argp_option options[] = {{"config", 'c', "FILE", 0, "configuration file (INI)", 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Validates the configuration and tries every dependency: one line each, ok or FAIL with the reason and "
               "the remedy. Changes nothing.",
    };
    const char *config = NULL;
    struct check check = {.status = EXIT_DONE};
    struct settings *settings;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &config);
    settings = command_settings(config);
    if (!settings)
        return EXIT_USAGE;
    printf("ok    configuration %s\n", config);
    check.settings = settings;
    try_link(&check, OPERATOR_STORE, on_store, "Redis");
    try_link(&check, OPERATOR_BROKER, on_broker, "RabbitMQ login");
    settings_free(settings);
    return check.status;
}
