/*
 * Splits the byte stream into frames, has librabbitmq decode the methods, and puts messages together.
 *
 * Frames and content headers are taken apart here: librabbitmq's amqp_handle_input() copies every byte once
 * more and decodes nested header tables by recursion, as deep as the sender likes, before anyone can look.
 * For the same reason the tables of a connection.start are checked for depth before they are decoded.
 * A body over its limit is counted and dropped as it comes, so that memory is never taken for it.
 * Called by broker_wire.c.
 */
#include "common/broker_reader.h"

#include "common/broker_cursor.h"
#include "common/broker_frame.h"
#include "common/broker_properties.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

enum {
    FRAME_HEADER_BYTES = 7,
    SPACE_BYTES = 2 * (BROKER_FRAME_MAX_BYTES + BROKER_FRAME_OVERHEAD),
    POOL_PAGE_BYTES = 4096,
    METHOD_TABLE_DEPTH_MAX = 8,
    CONTENT_HEADER_BYTES = 14,
    CLASS_BASIC = 60,
};

enum assembly_state { ASSEMBLY_NONE, ASSEMBLY_HEADER, ASSEMBLY_BODY };

struct assembly {
    enum assembly_state state;
    struct broker_content content;
    uint64_t body_size; /* announced */
    uint64_t body_seen;
};

struct broker_reader {
    struct broker_reader_events events;
    void *context;
    amqp_pool_t pool; /* of one method at a time */
    struct assembly assemblies[BROKER_READER_CHANNELS];
    size_t end; /* bytes held in space */
    uint8_t space[SPACE_BYTES];
};

struct broker_reader *broker_reader_new(const struct broker_reader_events *events, void *context)
{
    struct broker_reader *reader = malloc(sizeof(*reader));

    if (!reader)
        return NULL;
    /* Not the space itself: a quarter of a megabyte of zeroes that nobody reads. */
    memset(reader, 0, offsetof(struct broker_reader, space));
    reader->events = *events;
    reader->context = context;
    init_amqp_pool(&reader->pool, POOL_PAGE_BYTES);
    return reader;
}

void broker_reader_reset(struct broker_reader *reader)
{
    for (size_t i = 0; i < BROKER_READER_CHANNELS; i++) {
        message_fini(&reader->assemblies[i].content.message);
        reader->assemblies[i] = (struct assembly){.state = ASSEMBLY_NONE};
    }
    reader->end = 0;
}

void broker_reader_free(struct broker_reader *reader)
{
    if (!reader)
        return;
    broker_reader_reset(reader);
    empty_amqp_pool(&reader->pool);
    free(reader);
}

uint8_t *broker_reader_space(struct broker_reader *reader, size_t *ret_bytes)
{
    *ret_bytes = sizeof(reader->space) - reader->end;
    return reader->space + reader->end;
}

static enum err malformed(struct fault *ret_fault, const char *what)
{
    *ret_fault = fault_make(ERR_MALFORMED, "the broker sent %s", what);
    return ERR_MALFORMED;
}

static enum err no_memory(struct fault *ret_fault)
{
    *ret_fault = fault_of(ERR_NOMEM);
    return ERR_NOMEM;
}

/* ---- frames ---- */

static char *copy_bytes(amqp_bytes_t bytes)
{
    return bytes.len > 0 ? strndup(bytes.bytes, bytes.len) : strdup("");
}

/* Starts the assembly when the method announces a message. */
static bool begin_content(struct broker_content *content, uint32_t method, void *decoded)
{
    amqp_bytes_t exchange;
    amqp_bytes_t routing_key;

    *content = (struct broker_content){.method = method};
    if (method == AMQP_BASIC_DELIVER_METHOD) {
        amqp_basic_deliver_t *deliver = decoded;

        content->delivery_tag = deliver->delivery_tag;
        content->message.redelivered = deliver->redelivered != 0;
        if (deliver->consumer_tag.len < sizeof(content->consumer_tag))
            memcpy(content->consumer_tag, deliver->consumer_tag.bytes, deliver->consumer_tag.len);
        exchange = deliver->exchange;
        routing_key = deliver->routing_key;
    } else if (method == AMQP_BASIC_GET_OK_METHOD) {
        amqp_basic_get_ok_t *got = decoded;

        content->delivery_tag = got->delivery_tag;
        content->message.redelivered = got->redelivered != 0;
        exchange = got->exchange;
        routing_key = got->routing_key;
    } else if (method == AMQP_BASIC_RETURN_METHOD) {
        amqp_basic_return_t *returned = decoded;

        content->reply_code = returned->reply_code;
        exchange = returned->exchange;
        routing_key = returned->routing_key;
    } else {
        return false;
    }
    content->message.exchange = copy_bytes(exchange);
    content->message.routing_key = copy_bytes(routing_key);
    return true;
}

/* Whether the nested tables and arrays of `bytes` (a table or an array without its length) go no deeper. */
static bool shallow(const uint8_t *bytes, size_t length, bool is_table, int depth)
{
    struct broker_cursor cursor = {bytes, length};

    while (cursor.left > 0) {
        static const char wide[] = "tbBsuIifDlLdT";
        static const uint8_t widths[] = {1, 1, 1, 2, 2, 4, 4, 4, 5, 8, 8, 8, 8};
        const char *known;
        uint8_t kind;
        size_t nested;

        if (is_table && !broker_cursor_skip_short_string(&cursor))
            return false;
        kind = cursor.left > 0 ? cursor.at[0] : 0;
        if (!broker_cursor_skip(&cursor, 1))
            return false;
        known = kind ? strchr(wide, kind) : NULL;
        if (known) {
            if (!broker_cursor_skip(&cursor, widths[known - wide]))
                return false;
            continue;
        }
        if (kind == 'V')
            continue;
        if (cursor.left < 4)
            return false;
        nested = (size_t)broker_buffer_get_number(cursor.at, 4);
        if (!broker_cursor_skip(&cursor, 4) || cursor.left < nested)
            return false;
        if ((kind == 'F' || kind == 'A') &&
            (depth == 0 || !shallow(cursor.at, nested, kind == 'F', depth - 1)))
            return false;
        (void)broker_cursor_skip(&cursor, nested);
    }
    return true;
}

/* connection.start is the only method a broker sends with a table: version octets, then server-properties. */
static bool safe_to_decode(uint32_t method, const uint8_t *payload, size_t bytes)
{
    size_t length;

    if (method != AMQP_CONNECTION_START_METHOD)
        return true;
    if (bytes < 6)
        return false;
    length = (size_t)broker_buffer_get_number(payload + 2, 4);
    return length <= bytes - 6 && shallow(payload + 6, length, true, METHOD_TABLE_DEPTH_MAX);
}

static enum err read_method(struct broker_reader *reader, uint16_t channel, const uint8_t *payload,
                            size_t bytes, bool *ret_go_on, struct fault *ret_fault)
{
    struct assembly *assembly = &reader->assemblies[channel];
    uint32_t method;
    void *decoded = NULL;
    amqp_bytes_t encoded;

    if (bytes < 4)
        return malformed(ret_fault, "a method frame without a method");
    if (assembly->state != ASSEMBLY_NONE)
        return malformed(ret_fault, "a method in the middle of a message");
    method = (uint32_t)broker_buffer_get_number(payload, 4);
    if (!safe_to_decode(method, payload + 4, bytes - 4))
        return malformed(ret_fault, "server properties that do not decode");
    encoded = (amqp_bytes_t){.len = bytes - 4, .bytes = (void *)(uintptr_t)(payload + 4)};
    recycle_amqp_pool(&reader->pool);
    if (amqp_decode_method(method, &reader->pool, encoded, &decoded) < 0)
        return malformed(ret_fault, "a method that does not decode");
    if (!begin_content(&assembly->content, method, decoded)) {
        *ret_go_on = reader->events.on_method(reader->context, channel, method, decoded);
        return OK;
    }
    if (!assembly->content.message.exchange || !assembly->content.message.routing_key)
        return no_memory(ret_fault);
    assembly->state = ASSEMBLY_HEADER;
    return OK;
}

static bool finish_content(struct broker_reader *reader, struct assembly *assembly)
{
    struct broker_content content = assembly->content;
    bool go_on;

    *assembly = (struct assembly){.state = ASSEMBLY_NONE};
    go_on = reader->events.on_content(reader->context, &content);
    message_fini(&content.message);
    return go_on;
}

static enum err read_header(struct broker_reader *reader, uint16_t channel, const uint8_t *payload,
                            size_t bytes, bool *ret_go_on, struct fault *ret_fault)
{
    struct assembly *assembly = &reader->assemblies[channel];
    struct message *message = &assembly->content.message;

    if (assembly->state != ASSEMBLY_HEADER || bytes < CONTENT_HEADER_BYTES ||
        broker_buffer_get_number(payload, 2) != CLASS_BASIC)
        return malformed(ret_fault, "a content header out of place");
    assembly->body_size = broker_buffer_get_number(payload + 4, 8);
    broker_properties_read(payload + 12, bytes - 12, message);
    message->too_big = assembly->body_size > reader->events.body_limit(reader->context, &assembly->content);
    message->body = malloc(message->too_big ? 1 : (size_t)assembly->body_size + 1);
    if (!message->body)
        return no_memory(ret_fault);
    message->body[0] = '\0';
    assembly->state = ASSEMBLY_BODY;
    if (assembly->body_size == 0)
        *ret_go_on = finish_content(reader, assembly);
    return OK;
}

static enum err read_body(struct broker_reader *reader, uint16_t channel, const uint8_t *payload,
                          size_t bytes, bool *ret_go_on, struct fault *ret_fault)
{
    struct assembly *assembly = &reader->assemblies[channel];
    struct message *message = &assembly->content.message;

    if (assembly->state != ASSEMBLY_BODY || bytes > assembly->body_size - assembly->body_seen)
        return malformed(ret_fault, "a body out of place");
    if (!message->too_big) {
        memcpy(message->body + message->body_length, payload, bytes);
        message->body_length += bytes;
        message->body[message->body_length] = '\0';
    }
    assembly->body_seen += bytes;
    if (assembly->body_seen == assembly->body_size)
        *ret_go_on = finish_content(reader, assembly);
    return OK;
}

static enum err read_frame(struct broker_reader *reader, const uint8_t *frame, size_t payload_bytes,
                           bool *ret_go_on, struct fault *ret_fault)
{
    uint16_t channel = (uint16_t)broker_buffer_get_number(frame + 1, 2);
    const uint8_t *payload = frame + FRAME_HEADER_BYTES;

    if (payload[payload_bytes] != BROKER_FRAME_END)
        return malformed(ret_fault, "a frame without its end mark");
    if (channel >= BROKER_READER_CHANNELS)
        return malformed(ret_fault, "a frame for a channel that is not open");
    switch (frame[0]) {
    case BROKER_FRAME_METHOD:
        return read_method(reader, channel, payload, payload_bytes, ret_go_on, ret_fault);
    case BROKER_FRAME_HEADER:
        return read_header(reader, channel, payload, payload_bytes, ret_go_on, ret_fault);
    case BROKER_FRAME_BODY:
        return read_body(reader, channel, payload, payload_bytes, ret_go_on, ret_fault);
    case BROKER_FRAME_HEARTBEAT:
        return OK;
    default:
        return malformed(ret_fault, "a frame of an unknown type");
    }
}

enum err broker_reader_feed(struct broker_reader *reader, size_t bytes, struct fault *ret_fault)
{
    size_t at = 0;
    size_t end = reader->end + bytes;
    bool go_on = true;

    reader->end = end;
    while (end - at >= BROKER_FRAME_OVERHEAD) {
        const uint8_t *frame = reader->space + at;
        size_t payload_bytes = (size_t)broker_buffer_get_number(frame + 3, 4);
        enum err err;

        if (memcmp(frame, "AMQP", 4) == 0)
            return malformed(ret_fault, "another protocol version than 0-9-1");
        if (payload_bytes > BROKER_FRAME_MAX_BYTES - BROKER_FRAME_OVERHEAD)
            return malformed(ret_fault, "no AMQP, or a frame over the agreed size (is this the right port?)");
        if (end - at < payload_bytes + BROKER_FRAME_OVERHEAD)
            break;
        err = read_frame(reader, frame, payload_bytes, &go_on, ret_fault);
        if (err != OK)
            return err;
        if (!go_on)
            return OK;
        at += payload_bytes + BROKER_FRAME_OVERHEAD;
    }
    memmove(reader->space, reader->space + at, end - at);
    reader->end = end - at;
    return OK;
}
