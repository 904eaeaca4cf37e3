/*
 * One TCP connection: parses requests one by one (what comes early waits), asks exchange.c for the
 * answer and delivers it whole, late, byte by byte, cut off or not at all, as the delivery says.
 * Decides nothing about contents. Answers of a pipelined batch leave in one write.
 */
#include "conn.h"

#include "exchange.h"
#include "mem.h"

#include <http_parser.h>
#include <stdlib.h>

enum {
    READ_BYTES = 64 * 1024,
    OUT_MAX = 4 * 1024 * 1024, /* above this no further request is taken */
    PENDING_MAX = 1024 * 1024, /* above this nothing is read */
};

struct conn {
    struct lms *lms;
    uv_tcp_t tcp;
    uv_timer_t timer; /* delay, then dribble */
    int handles;      /* of the two above that are not closed yet */
    http_parser parser;
    struct request request;
    struct buf pending; /* bytes read but not parsed yet */
    struct buf out;     /* bytes to write */
    struct buf sending; /* bytes that the loop is writing now */
    uv_write_t write;
    bool writing, closing, reading;
    bool busy;       /* an answer is still to come: no further request is taken */
    bool complete;   /* the parser has a whole request */
    bool last;       /* close once everything is written */
    size_t dribbled; /* bytes of the delivery that have been let out */
    struct delivery delivery;
    uint64_t id, served;
};

static void pump(struct conn *conn);
static void flush(struct conn *conn);

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    if (--conn->handles)
        return;
    conn->lms->open_connections--;
    request_free(&conn->request);
    buf_free(&conn->pending);
    buf_free(&conn->out);
    buf_free(&conn->sending);
    buf_free(&conn->delivery.bytes);
    free(conn);
}

static void end_exchange(struct conn *conn, bool answered)
{
    conn->busy = false;
    exchange_end(conn->lms, &conn->delivery, answered);
}

static void shut(struct conn *conn, bool with_reset)
{
    if (conn->closing)
        return;
    conn->closing = true;
    if (conn->busy)
        end_exchange(conn, false);
    uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
    if (!with_reset || uv_tcp_close_reset(&conn->tcp, on_handle_closed) != 0)
        uv_close((uv_handle_t *)&conn->tcp, on_handle_closed);
}

static void on_dribble(uv_timer_t *timer)
{
    struct conn *conn = timer->data;

    buf_add(&conn->out, conn->delivery.bytes.data + conn->dribbled++, 1);
    if (conn->dribbled == conn->delivery.bytes.len) {
        (void)uv_timer_stop(timer);
        conn->last = conn->last || conn->delivery.way != WAY_WHOLE;
        end_exchange(conn, conn->delivery.way == WAY_WHOLE || conn->delivery.way == WAY_HANGUP);
        pump(conn);
        return;
    }
    flush(conn);
}

/* The moment of the answer: now, or after its delay. */
static void deliver(struct conn *conn)
{
    struct delivery *delivery = &conn->delivery;

    switch (delivery->way) {
    case WAY_NEVER:
        return;
    case WAY_CLOSE:
        shut(conn, false);
        return;
    case WAY_RESET:
        shut(conn, true);
        return;
    case WAY_WHOLE:
    case WAY_TRUNCATE:
    case WAY_GARBAGE:
    case WAY_HANGUP:
        break;
    }
    if (delivery->dribble_ms) {
        conn->dribbled = 0;
        (void)uv_timer_start(&conn->timer, on_dribble, 0, (uint64_t)delivery->dribble_ms);
        return;
    }
    buf_add(&conn->out, buf_str(&delivery->bytes), delivery->bytes.len);
    conn->last = conn->last || delivery->way != WAY_WHOLE;
    end_exchange(conn, delivery->way == WAY_WHOLE || delivery->way == WAY_HANGUP);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct conn *conn = timer->data;

    deliver(conn);
    if (!conn->closing)
        pump(conn);
}

static void run_exchange(struct conn *conn)
{
    bool keep_alive = http_should_keep_alive(&conn->parser) && !conn->request.too_big;

    conn->complete = false;
    conn->busy = true;
    conn->served++;
    conn->request.method = http_method_str((enum http_method)conn->parser.method);
    conn->last = conn->last || !keep_alive;
    exchange_run(conn->lms, &conn->request, conn->id, conn->served, keep_alive, &conn->delivery);
    if (conn->delivery.delay_ms) {
        uv_update_time(conn->timer.loop); /* the time kept by the loop is that of its last turn */
        (void)uv_timer_start(&conn->timer, on_delay_over, (uint64_t)conn->delivery.delay_ms, 0);
    } else {
        deliver(conn);
    }
}

static int on_begin(http_parser *parser)
{
    request_reset(&((struct conn *)parser->data)->request);
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    buf_add(&((struct conn *)parser->data)->request.url, at, len);
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
    request_add_header_name(&((struct conn *)parser->data)->request, at, len);
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    request_add_header_value(&((struct conn *)parser->data)->request, at, len);
    return 0;
}

static int on_headers(http_parser *parser)
{
    struct conn *conn = parser->data;

    if (request_header(&conn->request, "Expect")) {
        buf_text(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
        flush(conn);
    }
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    request_add_body(&((struct conn *)parser->data)->request, at, len);
    return 0;
}

static int on_complete(http_parser *parser)
{
    ((struct conn *)parser->data)->complete = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* Parses and answers as far as it goes; answers how many bytes were used. */
static size_t consume(struct conn *conn, const char *bytes, size_t len)
{
    size_t used = 0;

    while (used < len && !conn->busy && !conn->last && !conn->closing && conn->out.len < OUT_MAX) {
        used += http_parser_execute(&conn->parser, &callbacks, bytes + used, len - used);
        if (conn->complete) {
            http_parser_pause(&conn->parser, 0);
            run_exchange(conn);
        } else if (HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK) {
            buf_text(&conn->out, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n");
            conn->last = true;
        }
    }
    return used;
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *conn = write->data;

    conn->writing = false;
    if (conn->closing)
        return;
    if (status < 0)
        shut(conn, false);
    else
        pump(conn);
}

static void flush(struct conn *conn)
{
    uv_buf_t whole;
    int written;

    if (conn->closing || conn->writing)
        return;
    if (conn->out.len) {
        whole = uv_buf_init(conn->out.data, (unsigned)conn->out.len);
        written = uv_try_write((uv_stream_t *)&conn->tcp, &whole, 1);
        if (written < 0 && written != UV_EAGAIN) {
            shut(conn, false);
            return;
        }
        if (written > 0)
            buf_drop(&conn->out, (size_t)written);
    }
    if (conn->out.len) {
        struct buf empty = conn->sending;

        conn->sending = conn->out;
        conn->out = empty;
        buf_reset(&conn->out);
        conn->writing = true;
        conn->write.data = conn;
        whole = uv_buf_init(conn->sending.data, (unsigned)conn->sending.len);
        if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &whole, 1, on_written) != 0) {
            conn->writing = false;
            shut(conn, false);
        }
        return;
    }
    if (conn->last && !conn->busy)
        shut(conn, false);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *read);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char shared[READ_BYTES]; /* used up before the next read: one thread, one loop */

    (void)handle;
    (void)suggested;
    *ret_buf = uv_buf_init(shared, sizeof(shared));
}

static void set_reading(struct conn *conn)
{
    bool wanted = conn->pending.len < PENDING_MAX;

    if (conn->closing || wanted == conn->reading)
        return;
    conn->reading = wanted;
    if (!wanted)
        (void)uv_read_stop((uv_stream_t *)&conn->tcp);
    else if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0)
        shut(conn, false);
}

/* Goes on with what has been read before. */
static void pump(struct conn *conn)
{
    size_t used;

    if (conn->pending.len) {
        used = consume(conn, conn->pending.data, conn->pending.len);
        if (conn->closing)
            return;
        buf_drop(&conn->pending, used);
    }
    flush(conn);
    set_reading(conn);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *read)
{
    struct conn *conn = stream->data;
    size_t used = 0;

    if (len < 0) {
        shut(conn, false);
        return;
    }
    if (!conn->pending.len)
        used = consume(conn, read->base, (size_t)len);
    if (conn->closing)
        return;
    if (used < (size_t)len)
        buf_add(&conn->pending, read->base + used, (size_t)len - used);
    flush(conn);
    set_reading(conn);
}

void conn_accept(struct lms *lms, uv_stream_t *listener)
{
    struct conn *conn = mem_new(sizeof(*conn));

    conn->lms = lms;
    conn->id = ++lms->connections;
    lms->open_connections++;
    conn->handles = 2;
    conn->tcp.data = conn->timer.data = conn;
    http_parser_init(&conn->parser, HTTP_REQUEST);
    conn->parser.data = conn;
    /* neither init can fail: no socket is made yet */
    (void)uv_timer_init(listener->loop, &conn->timer);
    (void)uv_tcp_init(listener->loop, &conn->tcp);
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
        shut(conn, false);
        return;
    }
    (void)uv_tcp_nodelay(&conn->tcp, 1);
    set_reading(conn);
}
