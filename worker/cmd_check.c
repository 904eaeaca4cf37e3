/*
 * `fulfilld check`: validates the configuration, then tries every dependency and says of each, in one line,
 * whether it works, or why not and what to do about it. What is looked at is decided by cmd_check_*.c.
 */
#include "worker/cmd_check.h"

#include "worker/commands.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>

void check_ok(struct check *check, const char *what, const char *format, ...)
{
    va_list arguments;

    (void)check;
    printf("ok    %s: ", what);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void check_fail(struct check *check, const char *what, const char *remedy, const char *format, ...)
{
    va_list arguments;

    printf("FAIL  %s: ", what);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("; %s\n", remedy);
    fflush(stdout);
    if (check->status == EXIT_DONE)
        check->status = EXIT_FAILED;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    return command_config_option(key, value, state, state->input);
}

int cmd_check(int argc, char **argv)
{
    static const struct argp_option options[] = {COMMAND_CONFIG_OPTION, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            "Validates the configuration and tries every dependency: one line each, ok or FAIL with the "
            "reason and "
            "the remedy. Changes nothing.\v"
            "Ends with 0 when all is well, 1 when something failed, 2 when the configuration cannot be used.",
    };
    const char *config = NULL;
    struct check check = {.status = EXIT_DONE};
    struct settings *settings;
    struct fault fault;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &config);
    signal(SIGPIPE, SIG_IGN);
    settings = settings_load(config, &fault);
    if (!settings) {
        fprintf(stderr, "FAIL  configuration: %s\n", fault.detail);
        return EXIT_USAGE;
    }
    check.settings = settings;
    check_ok(&check, "configuration", "%s", config);
    check_store(&check);
    check_broker(&check);
    check_upstreams(&check);
    settings_free(settings);
    return check.status;
}
