/*
 * Gets a connection ready, keeps it alive, notices its end and tries again: the states below, each with its
 * deadline. Every way a connection can end goes through broker_wire_fail(), which only takes note;
 * broker_wire_drop() acts on it at the end of the turn, so no caller ever sees the connection vanish under
 * it.
 *
 * Leaves what is said on the channels to its owner (broker.c), bytes and frames to broker_reader.c and
 * broker_frame.c, the words of the handshake to broker_login.c, connecting and the wait before the next
 * attempt to broker_wire_connect.c.
 */
#include "common/broker_wire_private.h"

#include "common/broker_frame.h"
#include "common/broker_login.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <stdio.h>

enum { STALL_MS = 60000 };

struct state_row {
    int64_t deadline_ms;
    const char *what;
};

static const struct state_row state_rows[] = {
#define STATE(name, deadline_ms, what) [WIRE_##name] = {deadline_ms, what},
    WIRE_STATES(STATE)
#undef STATE
};

void broker_wire_enter(struct broker_wire *wire, enum wire_state state)
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

void broker_wire_fail_with(struct broker_wire *wire, enum err code)
{
    struct fault fault = fault_of(code);

    broker_wire_fail(wire, &fault);
}

static void on_state_timer(struct loop_timer *timer)
{
    struct broker_wire *wire = container_of(timer, struct broker_wire, state_timer);
    struct fault fault;

    if (wire->state == WIRE_BACKOFF) {
        broker_wire_connect(wire);
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
        broker_wire_fail_with(wire, ERR_NOMEM);
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

static bool connected(const struct broker_wire *wire)
{
    return wire->state >= WIRE_START && wire->state <= WIRE_CLOSING;
}

void broker_wire_on_io(struct broker_wire *wire, int events)
{
    if (!connected(wire))
        return;
    if ((events & LOOP_WRITABLE) != 0 && wire->wait_writable) {
        wire->wait_writable = false;
        watch(wire);
    }
    read_input(wire);
}

static void on_turn_end(struct loop_hook *hook)
{
    struct broker_wire *wire = container_of(hook, struct broker_wire, hook);

    if (wire->state == WIRE_READY && wire->failed.code == OK)
        wire->events.before_write(wire->context);
    if (connected(wire) && wire->failed.code == OK && !wire->wait_writable)
        write_output(wire);
    while (wire->failed.code != OK)
        broker_wire_drop(wire);
}

/* ---- what arrives ---- */

static void become_ready(struct broker_wire *wire)
{
    broker_wire_enter(wire, WIRE_READY);
    wire->epoch++;
    wire->outage_told = false;
    wire->refusal_told = false;
    wire->ready_since_ms = loop_now_ms(wire->loop);
    wire->silence_suspected = false;
    wire->uris_left = wire->options.uri_count;
    if (wire->heartbeat_s > 0)
        loop_timer_start(&wire->heartbeat_timer, wire->heartbeat_s * 250);
    wire->events.on_up(wire->context);
}

static struct broker_login login_of(const struct broker_wire *wire)
{
    const struct broker_uri *uri = broker_wire_uri(wire);

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

    broker_wire_enter(wire, WIRE_TUNE);
    if (broker_login_answer_start(&wire->output, &login, decoded, &wire->server_major, &fault) != OK)
        broker_wire_fail(wire, &fault);
}

static void answer_tune(struct broker_wire *wire, void *decoded)
{
    struct broker_login login = login_of(wire);
    enum err err =
        broker_login_answer_tune(&wire->output, &login, decoded, &wire->heartbeat_s, &wire->frame_max);

    broker_wire_enter(wire, WIRE_OPEN);
    if (err != OK)
        broker_wire_fail_with(wire, err);
}

static void answer_open_ok(struct broker_wire *wire)
{
    enum err err = broker_login_open_channel(&wire->output, BROKER_WIRE_MAIN);

    broker_wire_enter(wire, WIRE_CHANNEL);
    wire->channels_open = 0;
    if (err == OK)
        err = broker_login_open_channel(&wire->output, BROKER_WIRE_CONTROL);
    if (err != OK)
        broker_wire_fail_with(wire, err);
}

static void on_connection_close(struct broker_wire *wire, const amqp_connection_close_t *close)
{
    amqp_connection_close_ok_t ok = {0};
    struct fault fault =
        broker_login_fault_of_close(close->reply_code, close->reply_text.bytes, close->reply_text.len);

    if (broker_frame_method(&wire->output, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok) == OK)
        write_output(wire);
    wire->failed = fault; /* a failed write does not hide the broker's reason */
}

static void on_channel_close(struct broker_wire *wire, uint16_t channel, const amqp_channel_close_t *close)
{
    amqp_channel_close_ok_t ok = {0};
    struct fault fault =
        broker_login_fault_of_close(close->reply_code, close->reply_text.bytes, close->reply_text.len);
    enum err err = broker_frame_method(&wire->output, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);

    if (channel == BROKER_WIRE_MAIN || wire->state != WIRE_READY) {
        broker_wire_fail(wire, &fault);
        return;
    }
    if (err == OK)
        err = broker_login_open_channel(&wire->output, channel);
    if (err != OK)
        broker_wire_fail_with(wire, err);
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
    struct fault fault =
        fault_make(ERR_MALFORMED, "unexpected method %u.%u while waiting for %s", (unsigned)(method >> 16),
                   (unsigned)(method & 0xffff), state_rows[wire->state].what);

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
        broker_wire_fail_with(wire, ERR_CANCELED);
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
    else if (method == AMQP_CHANNEL_OPEN_OK_METHOD && wire->state == WIRE_CHANNEL &&
             ++wire->channels_open == 2)
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
    wire->backoff_ms = BROKER_WIRE_BACKOFF_FIRST_MS;
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
    broker_wire_connect(wire);
}

void broker_wire_close(struct broker_wire *wire)
{
    amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS};

    if (wire->state == WIRE_CLOSING || wire->state == WIRE_CLOSED)
        return;
    if (wire->state == WIRE_READY && wire->failed.code == OK) {
        wire->events.before_write(wire->context);
        broker_wire_enter(wire, WIRE_CLOSING);
        if (broker_frame_method(&wire->output, 0, AMQP_CONNECTION_CLOSE_METHOD, &close) == OK)
            return;
    }
    broker_wire_enter(wire, WIRE_CLOSING);
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
        broker_wire_fail_with(wire, err);
}

enum err broker_wire_publish(struct broker_wire *wire, const struct publication *publication)
{
    return broker_frame_publish(&wire->output, BROKER_WIRE_MAIN, wire->frame_max, publication);
}
