/*
 * What the files of a connection share: its states and all it knows. Private to broker_wire*.c.
 */
#ifndef FULFILLD_COMMON_BROKER_WIRE_PRIVATE_H
#define FULFILLD_COMMON_BROKER_WIRE_PRIVATE_H

#include "common/broker_buffer.h"
#include "common/broker_wire.h"

/*        state       deadline_ms (0 = none)  what it waits for */
#define WIRE_STATES(X)                                                                                       \
    X(IDLE, 0, "nothing")                                                                                    \
    X(BACKOFF, 0, "the next attempt")                                                                        \
    X(RESOLVING, 5000, "the host name")                                                                      \
    X(CONNECTING, 5000, "the TCP connection")                                                                \
    X(TLS, 5000, "the TLS handshake")                                                                        \
    X(START, 5000, "the broker's greeting")                                                                  \
    X(TUNE, 10000, "the login")                                                                              \
    X(OPEN, 10000, "the virtual host")                                                                       \
    X(CHANNEL, 10000, "the channels")                                                                        \
    X(READY, 0, "messages")                                                                                  \
    X(CLOSING, 1000, "the broker's good-bye")                                                                \
    X(CLOSED, 0, "nothing")

enum wire_state {
#define STATE(name, deadline_ms, what) WIRE_##name,
    WIRE_STATES(STATE)
#undef STATE
};

struct broker_wire {
    struct loop *loop;
    struct broker_wire_options options;
    struct broker_wire_events events;
    void *context;

    enum wire_state state;
    struct loop_timer state_timer; /* the state's deadline, or the end of the backoff */
    struct fault failed;           /* code OK = not failed; else broker_wire_drop() at the turn's end */
    bool outage_told;              /* on_down has run since the last on_up */
    bool refusal_told;             /* and has said that the broker does not want us */
    int64_t backoff_ms;
    int64_t ready_since_ms;

    size_t uri;       /* index of the one in use */
    size_t uris_left; /* before the round is over */
    struct loop_resolve *resolve;
    struct loop_address addresses[LOOP_ADDRESS_MAX];
    size_t address_count;
    size_t address_next;

    struct broker_socket sock;
    struct loop_poll *poll;
    bool wait_writable;
    struct broker_reader *reader;
    struct broker_buffer output;
    struct loop_hook hook;
    struct loop_task closed_task;
    struct loop_task another_turn;

    uint32_t epoch;
    int channels_open; /* while in CHANNEL */
    bool blocked;
    int server_major;
    int64_t heartbeat_s; /* agreed; 0 = none */
    size_t frame_max;    /* agreed */
    struct loop_timer heartbeat_timer;
    int64_t last_read_ms;
    int64_t last_write_ms;
    int64_t last_progress_ms; /* of writing, or when there last was nothing to write */
    bool silence_suspected;
};

static inline const struct broker_uri *broker_wire_uri(const struct broker_wire *wire)
{
    return &wire->options.uris[wire->uri];
}

/* ---- broker_wire.c ---- */

/** The only place that changes the state. */
void broker_wire_enter(struct broker_wire *wire, enum wire_state state);
void broker_wire_fail_with(struct broker_wire *wire, enum err code);
/** The descriptor is ready, while connected. */
void broker_wire_on_io(struct broker_wire *wire, int events);

/* ---- broker_wire_connect.c ---- */

enum { BROKER_WIRE_BACKOFF_FIRST_MS = 100 };

/** Begins an attempt at the address in use. */
void broker_wire_connect(struct broker_wire *wire);
/** Acts on broker_wire_fail(): lets go of the connection, tells, and plans the next attempt. */
void broker_wire_drop(struct broker_wire *wire);

#endif
