/*
 * From an address to a connection that can speak AMQP, and what comes after its end: the host name, TCP, TLS;
 * then the other addresses, and the wait before they are tried again. Decides the order and the backoff.
 * Called by broker_wire.c.
 */
#include "common/broker_wire_private.h"

#include "common/broker_frame.h"

#include <string.h>
#include <sys/random.h>

enum { BACKOFF_MAX_MS = 10000, STABLE_MS = 10000 };

static void try_next_address(struct broker_wire *wire);
static void on_socket(void *context, int events);

/* ---- connecting ---- */

static void on_resolved(void *context, const struct loop_address *addresses, size_t count,
                        const struct fault *fault)
{
    struct broker_wire *wire = context;

    if (wire->failed.code != OK) /* closed at the end of the last turn: connecting would bring it back */
        return;
    if (count == 0) {
        broker_wire_fail(wire, fault);
        return;
    }
    wire->address_count = count < LOOP_ADDRESS_MAX ? count : LOOP_ADDRESS_MAX;
    memcpy(wire->addresses, addresses, wire->address_count * sizeof(*addresses));
    wire->address_next = 0;
    try_next_address(wire);
}

void broker_wire_connect(struct broker_wire *wire)
{
    const struct broker_uri *uri = broker_wire_uri(wire);

    broker_wire_enter(wire, WIRE_RESOLVING);
    wire->address_count = 0;
    wire->address_next = 0;
    wire->resolve = loop_resolve_new(wire->loop, uri->host, uri->port, on_resolved, wire);
    if (!wire->resolve)
        broker_wire_fail_with(wire, ERR_NOMEM);
}

static void try_next_address(struct broker_wire *wire)
{
    struct fault fault;

    broker_wire_enter(wire, WIRE_CONNECTING);
    if (broker_socket_connect(&wire->sock, &wire->addresses[wire->address_next++], &fault) != OK) {
        broker_wire_fail(wire, &fault);
        return;
    }
    wire->poll = loop_poll_new(wire->loop, wire->sock.fd, on_socket, wire);
    if (!wire->poll) {
        broker_wire_fail_with(wire, ERR_NOMEM);
        return;
    }
    loop_poll_set(wire->poll, LOOP_WRITABLE);
}

static void start_protocol(struct broker_wire *wire)
{
    broker_wire_enter(wire, WIRE_START);
    wire->last_read_ms = wire->last_write_ms = wire->last_progress_ms = loop_now_ms(wire->loop);
    loop_poll_set(wire->poll, LOOP_READABLE);
    if (broker_frame_protocol_header(&wire->output) != OK)
        broker_wire_fail_with(wire, ERR_NOMEM);
}

static void step_tls(struct broker_wire *wire)
{
    struct fault fault;

    switch (broker_socket_tls_step(&wire->sock, &fault)) {
    case BROKER_IO_DONE:
        start_protocol(wire);
        return;
    case BROKER_IO_WANT_READ:
        loop_poll_set(wire->poll, LOOP_READABLE);
        return;
    case BROKER_IO_WANT_WRITE:
        loop_poll_set(wire->poll, LOOP_WRITABLE);
        return;
    case BROKER_IO_FAILED:
        broker_wire_fail(wire, &fault);
        return;
    }
}

static void on_connected(struct broker_wire *wire)
{
    struct fault fault;

    if (broker_socket_connected(&wire->sock, &fault) != OK) {
        broker_wire_fail(wire, &fault);
        return;
    }
    if (!broker_wire_uri(wire)->tls) {
        start_protocol(wire);
        return;
    }
    broker_wire_enter(wire, WIRE_TLS);
    if (broker_socket_tls_start(&wire->sock, wire->options.tls, broker_wire_uri(wire)->host, &fault) != OK)
        broker_wire_fail(wire, &fault);
    else
        step_tls(wire);
}

static void on_socket(void *context, int events)
{
    struct broker_wire *wire = context;

    if (wire->failed.code != OK)
        return;
    if (wire->state == WIRE_CONNECTING)
        on_connected(wire);
    else if (wire->state == WIRE_TLS)
        step_tls(wire);
    else
        broker_wire_on_io(wire, events);
}

/* ---- losing a connection, and the next attempt ---- */

static void release_connection(struct broker_wire *wire)
{
    loop_resolve_free(TAKE(wire->resolve));
    loop_poll_free(TAKE(wire->poll));
    broker_socket_close(&wire->sock);
    broker_reader_reset(wire->reader);
    broker_buffer_clear(&wire->output);
    loop_timer_stop(&wire->heartbeat_timer);
    wire->wait_writable = false;
    wire->blocked = false;
}

/* Between half of the current backoff and the whole, so that a pool does not come back in step. */
static int64_t next_delay_ms(struct broker_wire *wire)
{
    int64_t backoff_ms = wire->backoff_ms;
    uint32_t chance = 0;

    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
        chance = UINT32_MAX;
    wire->backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
    return backoff_ms / 2 + (backoff_ms / 2) * (int64_t)(chance >> 16) / UINT16_MAX;
}

static void tell_outage(struct broker_wire *wire, const struct fault *fault)
{
    struct fault told;

    /* An outage may begin with a mere close; that a person has to mend something shows later. */
    const bool refusal = fault->code == ERR_CONFIG;

    if (wire->outage_told && (!refusal || wire->refusal_told))
        return;
    wire->outage_told = true;
    wire->refusal_told = wire->refusal_told || refusal;
    told = fault_make(fault->code, "%s:%s: %s", broker_wire_uri(wire)->host, broker_wire_uri(wire)->port,
                      fault->detail);
    wire->events.on_down(wire->context, &told);
    /* Hooks are running: what on_down sent over another wire may have missed that one's. */
    loop_task_start(&wire->another_turn);
}

void broker_wire_drop(struct broker_wire *wire)
{
    const struct fault fault = wire->failed;
    const enum wire_state was = wire->state;
    int64_t delay_ms = 0;

    wire->failed = fault_of(OK);
    release_connection(wire);
    if (was == WIRE_CLOSING) {
        broker_wire_enter(wire, WIRE_CLOSED);
        loop_task_start(&wire->closed_task);
        return;
    }
    if (was == WIRE_CONNECTING && wire->address_next < wire->address_count) {
        try_next_address(wire);
        return;
    }
    broker_wire_enter(wire, WIRE_BACKOFF);
    if (was == WIRE_READY) {
        if (loop_now_ms(wire->loop) - wire->ready_since_ms >= STABLE_MS)
            wire->backoff_ms = BROKER_WIRE_BACKOFF_FIRST_MS;
        wire->uris_left = wire->options.uri_count;
        delay_ms = next_delay_ms(wire);
        tell_outage(wire, &fault);
    } else if (--wire->uris_left == 0) {
        tell_outage(wire, &fault);
        wire->uris_left = wire->options.uri_count;
        delay_ms = next_delay_ms(wire);
    }
    if (was != WIRE_READY)
        wire->uri = (wire->uri + 1) % wire->options.uri_count;
    if (wire->state == WIRE_BACKOFF) /* on_down may have closed the wire */
        loop_timer_start(&wire->state_timer, delay_ms);
}
