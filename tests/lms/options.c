/*
 * The command line: what may be said and what is assumed. Called by main.c once.
 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: fulfill-lms --listen HOST:PORT [options]\n"
    "A stand-in for the Enrollment and Entitlement APIs of an LMS, for tests and demonstrations.\n"
    "\n"
    "  --listen HOST:PORT     address to serve (a numeric IPv4 host; port 0 picks a free one)\n"
    "  --api-key KEY          what X-Edx-Api-Key must be (default: lms-api-key)\n"
    "  --client-id ID         of the token endpoint (default: fulfilld)\n"
    "  --client-secret SECRET of the token endpoint (default: lms-client-secret)\n"
    "  --seed FILE            JSON with courses, users, enrollments and settings to begin with\n"
    "  --ledger N             requests remembered (default: 200000)\n"
    "  --bodies               remember request bodies of any length, not only up to 4 KiB\n"
    "  --help                 this text\n";

static bool read_listen(const char *text, struct options *options)
{
    const char *colon = strrchr(text, ':');
    char *end;
    long port;

    if (!colon || colon == text || (size_t)(colon - text) >= sizeof(options->host))
        return false;
    memcpy(options->host, text, (size_t)(colon - text));
    options->host[colon - text] = '\0';
    port = strtol(colon + 1, &end, 10);
    options->port = (int)port;
    return end != colon + 1 && !*end && port >= 0 && port <= 65535;
}

static bool read_count(const char *text, size_t *ret_count)
{
    char *end;
    long count = strtol(text, &end, 10);

    *ret_count = (size_t)count;
    return end != text && !*end && count > 0 && count <= 100000000;
}

static int complain(const char *sentence)
{
    fprintf(stderr, "fulfill-lms: %s (see fulfill-lms --help)\n", sentence);
    return 2;
}

int options_read(int argc, char **argv, struct options *ret_options)
{
    static const struct option longs[] = {
        {"listen", required_argument, NULL, 'l'},
        {"api-key", required_argument, NULL, 'k'},
        {"client-id", required_argument, NULL, 'i'},
        {"client-secret", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'f'},
        {"ledger", required_argument, NULL, 'n'},
        {"bodies", no_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.api_key = "lms-api-key",
                              .client_id = "fulfilld",
                              .client_secret = "lms-client-secret",
                              .ledger_entries = 200000,
                              .port = -1};
    int which;

    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (which) {
        case 'l':
            if (!read_listen(optarg, &options))
                return complain("--listen wants HOST:PORT");
            break;
        case 'k':
            options.api_key = optarg;
            break;
        case 'i':
            options.client_id = optarg;
            break;
        case 's':
            options.client_secret = optarg;
            break;
        case 'f':
            options.seed_path = optarg;
            break;
        case 'n':
            if (!read_count(optarg, &options.ledger_entries))
                return complain("--ledger wants a number from 1 to 100000000");
            break;
        case 'b':
            options.keep_bodies = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return complain("that option is not known");
        }
    }
    if (optind < argc)
        return complain("only options are expected");
    if (options.port < 0)
        return complain("--listen is missing");
    *ret_options = options;
    return -1;
}
