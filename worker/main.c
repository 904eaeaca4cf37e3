/*
 * The program: chooses the sub-command. Everything else is in cmd_*.c.
 */
#include "common/metrics.h"
#include "version.h"
#include "worker/commands.h"
#include "worker/metric_rows.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: not for people */
};

static const struct command commands[] = {
    {"run", cmd_run, "work in the foreground, with worker processes, until SIGTERM"},
    {"check", cmd_check, "validate the configuration and try every dependency"},
    {"topology", cmd_topology, "print or declare the RabbitMQ exchanges and queues"},
    {"order", cmd_order, "what is known of one order"},
    {"dead", cmd_dead, "list or requeue the orders that failed for good"},
    {"module", cmd_module, "run a module against scripted answers"},
    {"print-config", cmd_print_config, "print every setting with its default"},
    {"print-metrics", cmd_print_metrics, "print every metric"},
    {"worker", cmd_worker, NULL},
};

static void print_help(FILE *out)
{
    fputs("Usage: fulfilld COMMAND [OPTION...]\n"
          "Fulfils the orders of an online-course shop: takes them from RabbitMQ, enrolls the learners, "
          "reports back.\n\n",
          out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].help)
            fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
    }
    fputs("\n  --help         this text; 'fulfilld COMMAND --help' tells about one command\n"
          "  --version      version and commit\n",
          out);
}

static int usage(const char *word)
{
    fprintf(stderr, "fulfilld: '%s' is no command; see 'fulfilld --help'\n", word);
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    char name[64];

    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("fulfilld %s (%s)\n", FULFILLD_VERSION, FULFILLD_COMMIT);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            snprintf(name, sizeof(name), "fulfilld %s", commands[i].name);
            argv[1] = name; /* argp names it in its messages */
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return usage(argv[1]);
}

int main(int argc, char **argv)
{
    int status;

    argp_err_exit_status = EXIT_USAGE;
    metrics_table(metric_rows, METRIC_ROW_COUNT);
    status = run(argc, argv);
    if (status == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout))) {
        fprintf(stderr, "fulfilld: the output could not be written: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return status;
}
