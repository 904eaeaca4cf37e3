/*
 * The parts of a Redis URI. Pure; for store.c and its tests.
 */
#ifndef FULFILLD_COMMON_STORE_URI_H
#define FULFILLD_COMMON_STORE_URI_H

#include "common/err.h"

/* Owned strings, percent-decoded; absent ones are NULL. Either host and port, or path, are there. */
struct store_uri {
    char *host; /* without the brackets of an IPv6 address */
    char *port; /* decimal, 1..65535 */
    char *path; /* of a unix socket */
    char *username;
    char *password;
    int database;
};

/**
 * Reads redis://[user[:password]@]host[:port][/db] or redis+unix://[user[:password]@]/path[?db=N].
 *
 * @return OK, ERR_NOMEM, or ERR_CONFIG; with ret_fault, which says what is wrong and what is allowed and
 *         never quotes the URI (it may hold a password). On failure nothing is owned.
 */
MUST_CHECK enum err store_uri_parse(const char *text, struct store_uri *ret_uri, struct fault *ret_fault);

/** Wipes and frees the strings; a zeroed struct is fine. */
void store_uri_fini(struct store_uri *uri);

#endif
