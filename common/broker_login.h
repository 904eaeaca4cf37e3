/*
 * The AMQP handshake: what to answer to connection.start, tune, open-ok and channel.open-ok. Private to the
 * broker adapter.
 */
#ifndef FULFILLD_COMMON_BROKER_LOGIN_H
#define FULFILLD_COMMON_BROKER_LOGIN_H

#include "common/broker_buffer.h"

#include <stdbool.h>

/* What we say of ourselves. Borrowed. */
struct broker_login {
    const char *username;
    const char *password;
    const char *vhost;
    const char *connection_name; /* may be NULL */
    int64_t heartbeat_s;         /* asked for */
};

/** start-ok to a `decoded` connection.start. ret_fault when the broker has no PLAIN login. */
MUST_CHECK enum err broker_login_answer_start(struct broker_buffer *out, const struct broker_login *login,
                                              void *decoded, int *ret_server_major, struct fault *ret_fault);
/** tune-ok and connection.open. *ret_heartbeat_s may be 0 (none), *ret_frame_max is 4096..131072. */
MUST_CHECK enum err broker_login_answer_tune(struct broker_buffer *out, const struct broker_login *login,
                                             void *decoded, int64_t *ret_heartbeat_s, size_t *ret_frame_max);
MUST_CHECK enum err broker_login_open_channel(struct broker_buffer *out, uint16_t channel);
/** The fault that a connection.close or channel.close stands for, in the broker's words. */
struct fault broker_login_fault_of_close(uint16_t reply_code, const void *text, size_t text_bytes);

#endif
