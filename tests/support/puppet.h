/*
 * A TCP server on the test's own loop that does only what the test says: for the peers that real servers
 * never are (silent, resetting, talking nonsense).
 */
#ifndef FULFILLD_TESTS_SUPPORT_PUPPET_H
#define FULFILLD_TESTS_SUPPORT_PUPPET_H

#include "common/loop.h"

struct puppet;
struct puppet_peer; /* one accepted connection; gone after puppet_end() or puppet_reset() */

/* Bytes came; `data` is all that came since the last puppet_forget(), NUL-terminated. */
typedef void puppet_fn(void *context, struct puppet_peer *peer, const char *data, size_t length);

/** Listens on a free port of 127.0.0.1. Aborts when it cannot. */
struct puppet *puppet_new(struct loop *loop, puppet_fn *fn, void *context);
void puppet_free(struct puppet *puppet);
int puppet_port(const struct puppet *puppet);
/** Connections accepted so far. */
size_t puppet_accepted(const struct puppet *puppet);

/* Stops and starts listening on the same port: connections are refused in between. */
void puppet_stop_listening(struct puppet *puppet);
void puppet_listen_again(struct puppet *puppet);
/* Stops and starts reading, so that the other side's buffers fill. New connections do not read either. */
void puppet_stop_reading(struct puppet *puppet);

void puppet_send(struct puppet_peer *peer, const char *data, size_t length);
void puppet_say(struct puppet_peer *peer, const char *text);
/* Forgets what has come, so that the next data begins afresh. */
void puppet_forget(struct puppet_peer *peer);
/* How many times puppet_forget() was called on this connection. */
size_t puppet_turns(const struct puppet_peer *peer);
/* Closes, as a server does. */
void puppet_end(struct puppet_peer *peer);
/* Closes with a reset. */
void puppet_reset(struct puppet_peer *peer);
/* The same for every connection there is. */
void puppet_end_all(struct puppet *puppet);
void puppet_reset_all(struct puppet *puppet);

#endif
