/*
 * One AMQP 0-9-1 connection with two channels, kept up over several addresses. Knows how to get a connection
 * ready, keep it alive and notice its end; what is said on it is its owner's (broker.c).
 *
 * `method` and `decoded` are librabbitmq's numbers and structs. Nothing here blocks; what is sent leaves in
 * one write at the end of the loop's turn. SIGPIPE must be ignored.
 */
#ifndef FULFILLD_COMMON_BROKER_WIRE_H
#define FULFILLD_COMMON_BROKER_WIRE_H

#include "common/broker_reader.h"
#include "common/broker_socket.h"
#include "common/broker_uri.h"

/* Messages go over the first. Questions whose answer may be "no" (a queue that is missing, arguments that
 * differ) go over the second, because the broker answers "no" by closing the channel with all that is on it.
 */
enum { BROKER_WIRE_MAIN = 1, BROKER_WIRE_CONTROL = 2 };

struct broker_wire;

struct broker_wire_options {
    const struct broker_uri *uris; /* borrowed for the wire's life */
    size_t uri_count;
    const char *username; /* NULL = the URI's; borrowed */
    const char *password;
    const char *connection_name;
    struct broker_tls *tls; /* borrowed; NULL when no URI asks for it */
    int64_t heartbeat_s;
};

/* All run on the loop, none inside a call of this header except broker_wire_drop(). */
struct broker_wire_events {
    /* Both channels are open. What is sent here is the first on them. */
    void (*on_up)(void *context);
    /* Was ready and is lost, or could not be made ready at any address. Once per outage. */
    void (*on_down)(void *context, const struct fault *fault);
    void (*on_method)(void *context, uint16_t channel, uint32_t method, void *decoded);
    void (*on_content)(void *context, struct broker_content *content);
    size_t (*body_limit)(void *context, const struct broker_content *content);
    /* The control channel was refused something; it is open again already. */
    void (*on_control_refused)(void *context, const struct fault *fault);
    void (*on_blocked)(void *context, bool blocked, const char *reason);
    /* The turn ends: last chance to send in this turn's write. */
    void (*before_write)(void *context);
    /* After broker_wire_close(): may be freed now. */
    void (*on_closed)(void *context);
};

/** Does nothing yet. NULL when out of memory. */
struct broker_wire *broker_wire_new(struct loop *loop, const struct broker_wire_options *options,
                                    const struct broker_wire_events *events, void *context);
/** Frees a wire that was never started, or is closed. NULL is fine. */
void broker_wire_free(struct broker_wire *wire);
void broker_wire_start(struct broker_wire *wire);
/** Says good-bye (at most 1 s) and then calls on_closed, later. No other event follows but before_write,
 * once. */
void broker_wire_close(struct broker_wire *wire);
/** Gives the connection up at the end of this turn, as if it were lost. */
void broker_wire_fail(struct broker_wire *wire, const struct fault *fault);

bool broker_wire_ready(const struct broker_wire *wire);
/** Grows with each connection that gets ready; never 0 while ready. */
uint32_t broker_wire_epoch(const struct broker_wire *wire);
bool broker_wire_blocked(const struct broker_wire *wire);
int broker_wire_server_major(const struct broker_wire *wire);
/** Encoded and not yet written. */
size_t broker_wire_output_bytes(const struct broker_wire *wire);

/* Both need a ready wire. Out of memory fails the wire. */
void broker_wire_send(struct broker_wire *wire, uint16_t channel, uint32_t method, void *decoded);
/** ERR_TOO_BIG: a name over 255 bytes or headers that fit no frame; nothing was sent. ERR_NOMEM likewise. */
MUST_CHECK enum err broker_wire_publish(struct broker_wire *wire, const struct publication *publication);

#endif
