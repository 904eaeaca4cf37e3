/*
 * The sub-commands of the program: each parses its own arguments and returns the exit code
 * (0 done, 1 failed, 2 usage or bad configuration). argv[0] is the program with the command's name.
 */
#ifndef FULFILLD_WORKER_COMMANDS_H
#define FULFILLD_WORKER_COMMANDS_H

#include "worker/settings.h"

#include <argp.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_topology(int argc, char **argv);
int cmd_order(int argc, char **argv);
int cmd_dead(int argc, char **argv);
int cmd_module(int argc, char **argv);
int cmd_print_config(int argc, char **argv);
int cmd_print_metrics(int argc, char **argv);
int cmd_worker(int argc, char **argv); /* for the supervisor only */

/* A command's row for the option that all of them have. */
#define COMMAND_CONFIG_OPTION                                                                                \
    {                                                                                                        \
        "config", 'c', "FILE", 0, "configuration file (INI)", 0                                              \
    }
/** argp's parser of that option: keeps its value in *config, insists on it at the end, knows no other key. */
error_t command_config_option(int key, char *value, struct argp_state *state, const char **config);

/** Loads the file of --config; prints what is wrong with it. NULL: end with EXIT_USAGE. */
struct settings *command_settings(const char *path);

#endif
