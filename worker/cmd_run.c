/*
 * `fulfilld run`, `fulfilld worker` (for the supervisor only) and the two commands that print references.
 */
#include "common/log.h"
#include "common/metrics.h"
#include "worker/commands.h"
#include "worker/shared.h"
#include "worker/snapshot.h"
#include "worker/supervisor.h"
#include "worker/worker.h"
#include "worker/worker_open.h"

#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- run ---- */

static error_t parse_run(int key, char *value, struct argp_state *state)
{
    return command_config_option(key, value, state, state->input);
}

int cmd_run(int argc, char **argv)
{
    static const struct argp_option options[] = {COMMAND_CONFIG_OPTION, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_run,
        .doc = "Works in the foreground: keeps worker.processes worker processes alive.\v"
               "SIGTERM or SIGINT: take no new work, finish what is in flight within worker.drain_timeout, "
               "hand the "
               "rest back, end with 0; a second one ends at once. SIGHUP: read the file again and replace "
               "the workers "
               "one by one; a bad file is refused. The log goes to standard error.",
    };
    const char *config = NULL;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &config);
    return supervisor_run(config);
}

/* ---- worker ---- */

struct worker_arguments {
    int slot;
    pid_t master;
    bool solo;
    bool verify;
};

static error_t parse_worker(int key, char *value, struct argp_state *state)
{
    struct worker_arguments *arguments = state->input;

    switch (key) {
    case 's':
        arguments->slot = atoi(value);
        return 0;
    case 'o':
        arguments->solo = true;
        return 0;
    case 'v':
        arguments->verify = true;
        return 0;
    case 'm':
        arguments->master = atoi(value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void ignore_broker_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    (void)context, (void)link, (void)up, (void)fault;
}

static void ignore_blocked(void *context, bool blocked, const char *reason)
{
    (void)context, (void)blocked, (void)reason;
}

static void ignore_store(void *context, bool up, const struct fault *fault)
{
    (void)context, (void)up, (void)fault;
}

static void ignore_upstream(void *context, struct upstream *upstream)
{
    (void)context, (void)upstream;
}

static void ignore_signal(void *context, int signum)
{
    (void)context, (void)signum;
}

/* Opens everything that the configuration names, without running: what fails here would fail in each worker.
 */
static int verify(const struct settings *settings)
{
    static const struct worker_callbacks callbacks = {
        .broker = {.on_link = ignore_broker_link, .on_blocked = ignore_blocked},
        .on_store = ignore_store,
        .on_upstream = ignore_upstream,
        .on_signal = ignore_signal,
    };
    struct worker worker = {.settings = settings};
    struct fault fault = fault_of(OK);
    int status = EXIT_DONE;

    if (worker_open(&worker, &callbacks, &fault) != OK) {
        log_error("config.invalid", "the configuration cannot be used", LOG_STR("why", fault.detail));
        status = EXIT_USAGE;
    }
    worker_close(&worker);
    worker_free(&worker);
    return status;
}

static int work(const struct settings *settings, const struct worker_arguments *arguments)
{
    struct fault fault = fault_of(OK);

    if (shared_attach(SUPERVISOR_SHARED_FD, (size_t)arguments->slot, &fault) != OK) {
        log_error("worker.failed", "the worker cannot start", LOG_STR("why", fault.detail));
        return EXIT_FAILED;
    }
    return worker_run(settings, arguments->slot, arguments->solo);
}

int cmd_worker(int argc, char **argv)
{
    static const struct argp_option options[] = {{"slot", 's', "N", 0, "slot of the pool", 0},
                                                 {"solo", 'o', NULL, 0, "take the solo queue", 0},
                                                 {"master", 'm', "PID", 0, "who started it", 0},
                                                 {"verify", 'v', NULL, 0, "only try the configuration", 0},
                                                 {0}};
    static const struct argp argp = {.options = options,
                                     .parser = parse_worker,
                                     .doc = "A worker process; started by 'fulfilld run' only."};
    struct worker_arguments arguments = {0};
    struct settings *settings;
    struct fault fault = fault_of(OK);
    AUTO_FREE char *text = NULL;
    int status;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* a reload is the supervisor's affair */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != arguments.master)
        return EXIT_FAILED; /* it ended before it could be watched */
    text = snapshot_read(SUPERVISOR_CONFIG_FD);
    settings = text ? settings_load_text("configuration", text, strlen(text), &fault) : NULL;
    if (!settings) {
        log_error("config.invalid", "no configuration from a supervisor", LOG_STR("why", fault.detail));
        return EXIT_USAGE;
    }
    log_configure((enum log_level)settings->log_level, (enum log_format)settings->log_format);
    log_identify(arguments.solo ? "solo" : "worker", arguments.slot);
    status = arguments.verify ? verify(settings) : work(settings, &arguments);
    settings_free(settings);
    return status;
}

/* ---- references ---- */

static error_t parse_print(int key, char *value, struct argp_state *state)
{
    (void)value;
    if (key == 'm') {
        *(bool *)state->input = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp_option print_options[] = {
    {"markdown", 'm', NULL, 0, "as a page of the documentation", 0}, {0}};

int cmd_print_config(int argc, char **argv)
{
    static const struct argp argp = {
        .options = print_options,
        .parser = parse_print,
        .doc = "Prints every setting with its default and meaning, as an INI file."};
    bool markdown = false;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &markdown);
    (markdown ? settings_print_markdown : settings_print_reference)(stdout);
    return EXIT_DONE;
}

int cmd_print_metrics(int argc, char **argv)
{
    static const struct argp argp = {.options = print_options,
                                     .parser = parse_print,
                                     .doc = "Prints every metric with its kind, labels and meaning."};
    bool markdown = false;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &markdown);
    (markdown ? metrics_print_markdown : metrics_print_reference)(stdout);
    return EXIT_DONE;
}
