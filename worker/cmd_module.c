/*
 * `fulfilld module list`: which modules this configuration has, and where each comes from.
 */
#include "worker/commands.h"

#include <stdio.h>

int cmd_module(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "%s: no such command in this build\n", argv[0]);
    return EXIT_USAGE;
}
