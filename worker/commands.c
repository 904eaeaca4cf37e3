/*
 * What the sub-commands share: the option --config and the loading of its file. Called by cmd_*.c.
 */
#include "worker/commands.h"

#include <stdio.h>

error_t command_config_option(int key, char *value, struct argp_state *state, const char **config)
{
    switch (key) {
    case 'c':
        *config = value;
        return 0;
    case ARGP_KEY_END:
        if (!*config)
            argp_error(state, "--config FILE is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct settings *command_settings(const char *path)
{
    struct fault fault;
    struct settings *settings = settings_load(path, &fault);

    if (!settings)
        fprintf(stderr, "fulfilld: %s\n", fault.detail);
    return settings;
}
