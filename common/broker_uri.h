/*
 * The broker addresses of a configuration: comma-separated amqp:// and amqps:// URIs, taken apart.
 */
#ifndef FULFILLD_COMMON_BROKER_URI_H
#define FULFILLD_COMMON_BROKER_URI_H

#include "common/err.h"

#include <stdbool.h>

/* All strings owned, percent-decoded and never NULL. */
struct broker_uri {
    bool tls;
    char *host; /* without the brackets of an IPv6 address */
    char *port; /* digits, 1..65535 */
    char *username;
    char *password;
    char *vhost;
};

/**
 * Reads a list of 1 or more URIs into a new array, freed by broker_uri_list_free().
 * ERR_CONFIG with ret_fault naming the URI (never its password) and what is allowed; ERR_NOMEM.
 */
MUST_CHECK enum err broker_uri_list_new(const char *text, struct broker_uri **ret_list, size_t *ret_count,
                                        struct fault *ret_fault);
void broker_uri_list_free(struct broker_uri *list, size_t count);

#endif
