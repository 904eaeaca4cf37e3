/*
 * Gets a connection ready, keeps it alive, notices its end and tries again: the states below, each with its
 * deadline. Every way a connection can end goes through broker_wire_fail(), which only takes note; drop() acts
 * on it at the end of the turn, so no caller ever sees the connection vanish under it.
 *
 * Leaves what is said on the channels to its owner (broker.c), bytes and frames to broker_reader.c and
 * broker_frame.c, the words of the handshake to broker_login.c, TCP and TLS to broker_socket.c.
 */
#include "common/broker_wire.h"

#include "common/broker_frame.h"
#include "common/broker_login.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/*        state       deadline_ms (0 = none)  what it waits for */
#define WIRE_STATES(X) \
    X(IDLE,       0,     "nothing") \
    X(BACKOFF,    0,     "the next attempt") \
    X(RESOLVING,  5000,  "the host name") \
    X(CONNECTING, 5000,  "the TCP connection") \
    X(TLS,        5000,  "the TLS handshake") \
    X(START,      5000,  "the broker's greeting") \
    X(TUNE,       10000, "the login") \
    X(OPEN,       10000, "the virtual host") \
    X(CHANNEL,    10000, "the channels") \
    X(READY,      0,     "messages") \
    X(CLOSING,    1000,  "the broker's good-bye") \
    X(CLOSED,     0,     "nothing")

enum wire_state {
#define STATE(name, deadline_ms, what) WIRE_##name,
    WIRE_STATES(STATE)
#undef STATE
};

struct state_row {
    int64_t deadline_ms;
    const char *what;
};

static const struct state_row state_rows[] = {
#define STATE(name, deadline_ms, what) [WIRE_##name] = {deadline_ms, what},
    WIRE_STATES(STATE)
#undef STATE
};

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10000, STABLE_MS = 10000, STALL_MS = 60000 };

struct broker_wire {
    struct loop *loop;
    struct broker_wire_options options;
    struct broker_wire_events events;
    void *context;

    enum wire_state state;
    struct loop_timer state_timer; /* the state's deadline, or the end of the backoff */
    struct fault failed;           /* code OK = not failed; else drop() runs at the end of the turn */
    bool outage_told;              /* on_down has run since the last on_up */
    int64_t backoff_ms;
    int64_t ready_since_ms;

    size_t uri;            /* index of the one in use */
    size_t uris_left;      /* before the round is over */
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

static void try_next_address(struct broker_wire *wire);
static void on_socket(void *context, int events);

static const struct broker_uri *current_uri(const struct broker_wire *wire)
{
    return &wire->options.uris[wire->uri];
}

/* The only place that changes the state. */
static void enter(struct broker_wire *wire, enum wire_state state)
{
    wire->state = state;
    if (state_rows[state].deadline_ms > 0)
        loop_timer_start(&wire->state_timer, state_rows[state].deadline_ms);
    else
        loop_timer_stop(&wire->state_timer);
}

void broker_wire_fail(struct broker_wire *wire, const struct fault *fault)
{
    if (wire->failed.code == OK && wire->state > WIRE_BACKOFF && wire->state != WIRE_CLOSED)
        wire->failed = *fault;
}

static void fail_with(struct broker_wire *wire, enum err code)
{
    struct fault fault = fault_of(code);

    broker_wire_fail(wire, &fault);
}

/* ---- connecting ---- */

static void on_resolved(void *context, const struct loop_address *addresses, size_t count,
                        const struct fault *fault)
{
    struct broker_wire *wire = context;

    if (count == 0) {
        broker_wire_fail(wire, fault);
        return;
    }
    wire->address_count = count < LOOP_ADDRESS_MAX ? count : LOOP_ADDRESS_MAX;
    memcpy(wire->addresses, addresses, wire->address_count * sizeof(*addresses));
    wire->address_next = 0;
    try_next_address(wire);
}

static void resolve(struct broker_wire *wire)
{
    const struct broker_uri *uri = current_uri(wire);

    enter(wire, WIRE_RESOLVING);
    wire->address_count = 0;
    wire->address_next = 0;
    wire->resolve = loop_resolve_new(wire->loop, uri->host, uri->port, on_resolved, wire);
    if (!wire->resolve)
        fail_with(wire, ERR_NOMEM);
}

static void try_next_address(struct broker_wire *wire)
{
    struct fault fault;

    enter(wire, WIRE_CONNECTING);
    if (broker_socket_connect(&wire->sock, &wire->addresses[wire->address_next++], &fault) != OK) {
        broker_wire_fail(wire, &fault);
        return;
    }
    wire->poll = loop_poll_new(wire->loop, wire->sock.fd, on_socket, wire);
    if (!wire->poll) {
        fail_with(wire, ERR_NOMEM);
        return;
    }
    loop_poll_set(wire->poll, LOOP_WRITABLE);
}

static void start_protocol(struct broker_wire *wire)
{
    enter(wire, WIRE_START);
    wire->last_read_ms = wire->last_write_ms = wire->last_progress_ms = loop_now_ms(wire->loop);
    loop_poll_set(wire->poll, LOOP_READABLE);
    if (broker_frame_protocol_header(&wire->output) != OK)
        fail_with(wire, ERR_NOMEM);
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
    if (!current_uri(wire)->tls) {
        start_protocol(wire);
        return;
    }
    enter(wire, WIRE_TLS);
    if (broker_socket_tls_start(&wire->sock, wire->options.tls, current_uri(wire)->host, &fault) != OK)
        broker_wire_fail(wire, &fault);
    else
        step_tls(wire);
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

    if (wire->outage_told)
        return;
    wire->outage_told = true;
    told = fault_make(fault->code, "%s:%s: %s", current_uri(wire)->host, current_uri(wire)->port, fault->detail);
    wire->events.on_down(wire->context, &told);
    /* Hooks are running: what on_down sent over another wire may have missed that one's. */
    loop_task_start(&wire->another_turn);
}

/* Acts on broker_wire_fail(). */
static void drop(struct broker_wire *wire)
{
    const struct fault fault = wire->failed;
    const enum wire_state was = wire->state;
    int64_t delay_ms = 0;

    wire->failed = fault_of(OK);
    release_connection(wire);
    if (was == WIRE_CLOSING) {
        enter(wire, WIRE_CLOSED);
        loop_task_start(&wire->closed_task);
        return;
    }
    if (was == WIRE_CONNECTING && wire->address_next < wire->address_count) {
        try_next_address(wire);
        return;
    }
    enter(wire, WIRE_BACKOFF);
    if (was == WIRE_READY) {
        if (loop_now_ms(wire->loop) - wire->ready_since_ms >= STABLE_MS)
            wire->backoff_ms = BACKOFF_FIRST_MS;
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

static void on_state_timer(struct loop_timer *timer)
{
    struct broker_wire *wire = container_of(timer, struct broker_wire, state_timer);
    struct fault fault;

    if (wire->state == WIRE_BACKOFF) {
        resolve(wire);
        return;
    }
    fault = fault_make(ERR_TIMEOUT, "no answer in %d s while waiting for %s",
                       (int)(state_rows[wire->state].deadline_ms / 1000), state_rows[wire->state].what);
    broker_wire_fail(wire, &fault);
}

/* ---- keeping it alive ---- */

static void on_heartbeat_timer(struct loop_timer *timer)
{
    struct broker_wire *wire = container_of(timer, struct broker_wire, heartbeat_timer);
    const int64_t quarter_ms = wire->heartbeat_s * 250;
    const int64_t now_ms = loop_now_ms(wire->loop);
    const int64_t silent_ms = now_ms - wire->last_read_ms;
    struct fault fault;

    loop_timer_start(&wire->heartbeat_timer, quarter_ms);
    /* Twice in a row: after this process itself was stopped, what has arrived is read before the verdict. */
    if (silent_ms >= 7 * quarter_ms && wire->silence_suspected) {
        fault = fault_make(ERR_NETWORK, "no sign of life for %d ms", (int)silent_ms);
        broker_wire_fail(wire, &fault);
        return;
    }
    wire->silence_suspected = silent_ms >= 6 * quarter_ms - 1;
    /* A broker in alarm or under load reads nothing for a while, and says so or goes on soon. */
    if (!wire->blocked && now_ms - wire->last_progress_ms > STALL_MS) {
        fault = fault_make(ERR_NETWORK, "the broker has read nothing for %d s", STALL_MS / 1000);
        broker_wire_fail(wire, &fault);
        return;
    }
    if (now_ms - wire->last_write_ms >= 2 * quarter_ms - 1 && broker_wire_output_bytes(wire) == 0 &&
        broker_frame_heartbeat(&wire->output) != OK)
        fail_with(wire, ERR_NOMEM);
}

/* ---- reading and writing ---- */

static void watch(struct broker_wire *wire)
{
    loop_poll_set(wire->poll, LOOP_READABLE | (wire->wait_writable ? LOOP_WRITABLE : 0));
}

static void read_input(struct broker_wire *wire)
{
    struct fault fault;

    do {
        size_t size, got = 0;
        uint8_t *space = broker_reader_space(wire->reader, &size);

        switch (broker_socket_read(&wire->sock, space, size, &got, &fault)) {
        case BROKER_IO_DONE:
            wire->last_read_ms = loop_now_ms(wire->loop);
            if (broker_reader_feed(wire->reader, got, &fault) != OK)
                broker_wire_fail(wire, &fault);
            break;
        case BROKER_IO_WANT_READ:
            return;
        case BROKER_IO_WANT_WRITE:
            wire->wait_writable = true;
            watch(wire);
            return;
        case BROKER_IO_FAILED:
            broker_wire_fail(wire, &fault);
            return;
        }
    } while (wire->failed.code == OK && broker_socket_pending(&wire->sock));
}

static void write_output(struct broker_wire *wire)
{
    struct fault fault;

    while (broker_buffer_bytes(&wire->output) > 0) {
        size_t sent = 0;

        switch (broker_socket_write(&wire->sock, wire->output.data + wire->output.start,
                                    broker_buffer_bytes(&wire->output), &sent, &fault)) {
        case BROKER_IO_DONE:
            broker_buffer_take(&wire->output, sent);
            wire->last_write_ms = wire->last_progress_ms = loop_now_ms(wire->loop);
            break;
        case BROKER_IO_WANT_READ:
            return; /* tried again after the next read */
        case BROKER_IO_WANT_WRITE:
            wire->wait_writable = true;
            watch(wire);
            return;
        case BROKER_IO_FAILED:
            broker_wire_fail(wire, &fault);
            return;
        }
    }
    wire->last_progress_ms = loop_now_ms(wire->loop);
}

static void on_socket(void *context, int events)
{
    struct broker_wire *wire = context;

    if (wire->failed.code != OK)
        return;
    switch (wire->state) {
    case WIRE_CONNECTING:
        on_connected(wire);
        return;
    case WIRE_TLS:
        step_tls(wire);
        return;
    case WIRE_START:
    case WIRE_TUNE:
    case WIRE_OPEN:
    case WIRE_CHANNEL:
    case WIRE_READY:
    case WIRE_CLOSING:
        if ((events & LOOP_WRITABLE) != 0 && wire->wait_writable) {
            wire->wait_writable = false;
            watch(wire);
        }
        read_input(wire);
        return;
    case WIRE_IDLE:
    case WIRE_BACKOFF:
    case WIRE_RESOLVING:
    case WIRE_CLOSED:
        return;
    }
}

static bool connected(const struct broker_wire *wire)
{
    return wire->state >= WIRE_START && wire->state <= WIRE_CLOSING;
}

static void on_turn_end(struct loop_hook *hook)
{
    struct broker_wire *wire = container_of(hook, struct broker_wire, hook);

    if (wire->state == WIRE_READY && wire->failed.code == OK)
        wire->events.before_write(wire->context);
    if (connected(wire) && wire->failed.code == OK && !wire->wait_writable)
        write_output(wire);
    while (wire->failed.code != OK)
        drop(wire);
}

/* ---- what arrives ---- */

static void become_ready(struct broker_wire *wire)
{
    enter(wire, WIRE_READY);
    wire->epoch++;
    wire->outage_told = false;
    wire->ready_since_ms = loop_now_ms(wire->loop);
    wire->silence_suspected = false;
    wire->uris_left = wire->options.uri_count;
    if (wire->heartbeat_s > 0)
        loop_timer_start(&wire->heartbeat_timer, wire->heartbeat_s * 250);
    wire->events.on_up(wire->context);
}

static struct broker_login login_of(const struct broker_wire *wire)
{
    const struct broker_uri *uri = current_uri(wire);

    return (struct broker_login){
        .username = wire->options.username ? wire->options.username : uri->username,
        .password = wire->options.password ? wire->options.password : uri->password,
        .vhost = uri->vhost,
        .connection_name = wire->options.connection_name,
        .heartbeat_s = wire->options.heartbeat_s,
    };
}

static void answer_start(struct broker_wire *wire, void *decoded)
{
    struct broker_login login = login_of(wire);
    struct fault fault;

    enter(wire, WIRE_TUNE);
    if (broker_login_answer_start(&wire->output, &login, decoded, &wire->server_major, &fault) != OK)
        broker_wire_fail(wire, &fault);
}

static void answer_tune(struct broker_wire *wire, void *decoded)
{
    struct broker_login login = login_of(wire);
    enum err err = broker_login_answer_tune(&wire->output, &login, decoded, &wire->heartbeat_s, &wire->frame_max);

    enter(wire, WIRE_OPEN);
    if (err != OK)
        fail_with(wire, err);
}

static void answer_open_ok(struct broker_wire *wire)
{
    enum err err = broker_login_open_channel(&wire->output, BROKER_WIRE_MAIN);

    enter(wire, WIRE_CHANNEL);
    wire->channels_open = 0;
    if (err == OK)
        err = broker_login_open_channel(&wire->output, BROKER_WIRE_CONTROL);
    if (err != OK)
        fail_with(wire, err);
}

static void on_connection_close(struct broker_wire *wire, const amqp_connection_close_t *close)
{
    amqp_connection_close_ok_t ok = {0};
    struct fault fault = broker_login_fault_of_close(close->reply_code, close->reply_text.bytes,
                                                     close->reply_text.len);

    if (broker_frame_method(&wire->output, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok) == OK)
        write_output(wire);
    wire->failed = fault; /* a failed write does not hide the broker's reason */
}

static void on_channel_close(struct broker_wire *wire, uint16_t channel, const amqp_channel_close_t *close)
{
    amqp_channel_close_ok_t ok = {0};
    struct fault fault = broker_login_fault_of_close(close->reply_code, close->reply_text.bytes,
                                                     close->reply_text.len);
    enum err err = broker_frame_method(&wire->output, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);

    if (channel == BROKER_WIRE_MAIN || wire->state != WIRE_READY) {
        broker_wire_fail(wire, &fault);
        return;
    }
    if (err == OK)
        err = broker_login_open_channel(&wire->output, channel);
    if (err != OK)
        fail_with(wire, err);
    else
        wire->events.on_control_refused(wire->context, &fault);
}

static void set_blocked(struct broker_wire *wire, bool blocked, const amqp_bytes_t *reason)
{
    char words[128] = "";

    if (wire->blocked == blocked || wire->state != WIRE_READY)
        return;
    wire->blocked = blocked;
    wire->last_progress_ms = loop_now_ms(wire->loop);
    if (reason && reason->len > 0)
        snprintf(words, sizeof(words), "%.*s", (int)reason->len, (const char *)reason->bytes);
    wire->events.on_blocked(wire->context, blocked, words);
}

static void on_unexpected(struct broker_wire *wire, uint32_t method)
{
    struct fault fault = fault_make(ERR_MALFORMED, "unexpected method %u.%u while waiting for %s",
                                    (unsigned)(method >> 16), (unsigned)(method & 0xffff),
                                    state_rows[wire->state].what);

    broker_wire_fail(wire, &fault);
}

static void on_connection_method(struct broker_wire *wire, uint32_t method, void *decoded)
{
    if (method == AMQP_CONNECTION_START_METHOD && wire->state == WIRE_START)
        answer_start(wire, decoded);
    else if (method == AMQP_CONNECTION_TUNE_METHOD && wire->state == WIRE_TUNE)
        answer_tune(wire, decoded);
    else if (method == AMQP_CONNECTION_OPEN_OK_METHOD && wire->state == WIRE_OPEN)
        answer_open_ok(wire);
    else if (method == AMQP_CONNECTION_CLOSE_METHOD)
        on_connection_close(wire, decoded);
    else if (method == AMQP_CONNECTION_CLOSE_OK_METHOD && wire->state == WIRE_CLOSING)
        fail_with(wire, ERR_CANCELED);
    else if (method == AMQP_CONNECTION_BLOCKED_METHOD)
        set_blocked(wire, true, &((amqp_connection_blocked_t *)decoded)->reason);
    else if (method == AMQP_CONNECTION_UNBLOCKED_METHOD)
        set_blocked(wire, false, NULL);
    else
        on_unexpected(wire, method);
}

static bool on_method(void *context, uint16_t channel, uint32_t method, void *decoded)
{
    struct broker_wire *wire = context;

    if (channel == 0)
        on_connection_method(wire, method, decoded);
    else if (wire->state == WIRE_CLOSING)
        return true; /* too late for anything but the good-bye */
    else if (method == AMQP_CHANNEL_CLOSE_METHOD)
        on_channel_close(wire, channel, decoded);
    else if (method == AMQP_CHANNEL_OPEN_OK_METHOD && wire->state == WIRE_CHANNEL && ++wire->channels_open == 2)
        become_ready(wire);
    else if (wire->state == WIRE_READY && method != AMQP_CHANNEL_OPEN_OK_METHOD)
        wire->events.on_method(wire->context, channel, method, decoded);
    else if (method != AMQP_CHANNEL_OPEN_OK_METHOD)
        on_unexpected(wire, method);
    return wire->failed.code == OK && connected(wire);
}

static bool on_content(void *context, struct broker_content *content)
{
    struct broker_wire *wire = context;

    if (wire->state == WIRE_READY)
        wire->events.on_content(wire->context, content);
    return wire->failed.code == OK && connected(wire);
}

static size_t body_limit(void *context, const struct broker_content *content)
{
    struct broker_wire *wire = context;

    return wire->state == WIRE_READY ? wire->events.body_limit(wire->context, content) : 0;
}

/* ---- life ---- */

static void do_nothing(struct loop_task *task)
{
    (void)task;
}

static void on_closed_task(struct loop_task *task)
{
    struct broker_wire *wire = container_of(task, struct broker_wire, closed_task);

    loop_task_cancel(&wire->another_turn);
    loop_hook_remove(&wire->hook);
    wire->events.on_closed(wire->context);
}

struct broker_wire *broker_wire_new(struct loop *loop, const struct broker_wire_options *options,
                                    const struct broker_wire_events *events, void *context)
{
    static const struct broker_reader_events reader_events = {on_method, on_content, body_limit};
    struct broker_wire *wire = calloc(1, sizeof(*wire));

    if (!wire)
        return NULL;
    wire->loop = loop;
    wire->options = *options;
    wire->events = *events;
    wire->context = context;
    wire->backoff_ms = BACKOFF_FIRST_MS;
    wire->uris_left = options->uri_count;
    wire->frame_max = BROKER_FRAME_MAX_BYTES;
    broker_socket_init(&wire->sock);
    loop_timer_init(&wire->state_timer, loop, on_state_timer);
    loop_timer_init(&wire->heartbeat_timer, loop, on_heartbeat_timer);
    loop_task_init(&wire->closed_task, loop, on_closed_task);
    loop_task_init(&wire->another_turn, loop, do_nothing);
    wire->reader = broker_reader_new(&reader_events, wire);
    if (!wire->reader) {
        broker_wire_free(wire);
        return NULL;
    }
    return wire;
}

void broker_wire_free(struct broker_wire *wire)
{
    if (!wire)
        return;
    broker_reader_free(wire->reader);
    broker_buffer_fini(&wire->output);
    free(wire);
}

void broker_wire_start(struct broker_wire *wire)
{
    loop_hook_add(&wire->hook, wire->loop, on_turn_end);
    resolve(wire);
}

void broker_wire_close(struct broker_wire *wire)
{
    amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS};

    if (wire->state == WIRE_CLOSING || wire->state == WIRE_CLOSED)
        return;
    if (wire->state == WIRE_READY && wire->failed.code == OK) {
        wire->events.before_write(wire->context);
        enter(wire, WIRE_CLOSING);
        if (broker_frame_method(&wire->output, 0, AMQP_CONNECTION_CLOSE_METHOD, &close) == OK)
            return;
    }
    enter(wire, WIRE_CLOSING);
    wire->failed = fault_of(ERR_CANCELED);
}

bool broker_wire_ready(const struct broker_wire *wire)
{
    return wire->state == WIRE_READY && wire->failed.code == OK;
}

uint32_t broker_wire_epoch(const struct broker_wire *wire)
{
    return wire->epoch;
}

bool broker_wire_blocked(const struct broker_wire *wire)
{
    return wire->blocked;
}

int broker_wire_server_major(const struct broker_wire *wire)
{
    return wire->server_major;
}

size_t broker_wire_output_bytes(const struct broker_wire *wire)
{
    return broker_buffer_bytes(&wire->output);
}

void broker_wire_send(struct broker_wire *wire, uint16_t channel, uint32_t method, void *decoded)
{
    enum err err = broker_frame_method(&wire->output, channel, method, decoded);

    if (err != OK)
        fail_with(wire, err);
}

enum err broker_wire_publish(struct broker_wire *wire, const struct publication *publication)
{
    return broker_frame_publish(&wire->output, BROKER_WIRE_MAIN, wire->frame_max, publication);
}
