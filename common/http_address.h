/*
 * Which network addresses are private. Pure; for http_exchange.c and its tests.
 */
#ifndef FULFILLD_COMMON_HTTP_ADDRESS_H
#define FULFILLD_COMMON_HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/**
 * True unless the address is one of the public Internet: loopback, private, link-local, shared, multicast,
 * reserved, IPv6 forms that hold such an IPv4 address, and every family but IPv4 and IPv6.
 */
bool http_address_is_private(const struct sockaddr *address);

#endif
