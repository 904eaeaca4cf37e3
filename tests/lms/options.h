/* The command line of fulfill-lms. */
#ifndef LMS_OPTIONS_H
#define LMS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    char host[64];
    int port;            /* 0 = any free one */
    const char *api_key; /* these four: borrowed from argv or static */
    const char *client_id;
    const char *client_secret;
    const char *seed_path; /* NULL = only the default seed */
    size_t ledger_entries;
    bool keep_bodies; /* of any length, instead of up to 4 KiB */
};

/** Reads argv; answers -1 to go on, or the exit status (after --help or a wrong option). */
int options_read(int argc, char **argv, struct options *ret_options);

#endif
