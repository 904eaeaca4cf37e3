/*
 * A redis-server of the test's own: private folder, unix socket and a free loopback port, nothing written to
 * disk, stopped with the test. Tests skip themselves where there is none.
 */
#ifndef FULFILLD_TESTS_SUPPORT_REDIS_SERVER_H
#define FULFILLD_TESTS_SUPPORT_REDIS_SERVER_H

#include <stddef.h>
#include <sys/types.h>

struct redis_server;

/** Starts one and waits until it answers. NULL when redis-server is not installed; fails the process
 * otherwise. */
struct redis_server *redis_server_start(void);
/** The URI for store_options; borrowed. */
const char *redis_server_uri(const struct redis_server *server);
/** The same over TCP. */
const char *redis_server_tcp_uri(const struct redis_server *server);
/** Sends one command of words without spaces on a connection of its own; the answer's first line. */
void redis_server_do(const struct redis_server *server, const char *command, char *ret_answer, size_t size);
pid_t redis_server_pid(const struct redis_server *server);
void redis_server_stop(struct redis_server *server);

#endif
