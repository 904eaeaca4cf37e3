/*
 * The sub-commands of the program: each parses its own arguments and returns the exit code
 * (0 done, 1 failed, 2 usage or bad configuration). argv[0] is the program with the command's name.
 */
#ifndef FULFILLD_WORKER_COMMANDS_H
#define FULFILLD_WORKER_COMMANDS_H

#include "worker/settings.h"

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

/** Loads the file of --config; prints what is wrong with it. NULL: end with EXIT_USAGE. */
struct settings *command_settings(const char *path);

#endif
