/*
 * Turns methods and publications into frames. The content header is written here and not by librabbitmq, so
 * that headers are copied in the form they are kept in (headers.c) instead of being built and walked again.
 * Decides nothing else; called by broker_wire.c.
 */
#include "common/broker_frame.h"

#include "common/broker_properties.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

enum { METHOD_ROOM = BROKER_FRAME_MAX_BYTES, SMALL_METHOD_ROOM = 2048, FRAME_HEADER_BYTES = 7 };

/* The number of the class "basic". */
enum { CLASS_BASIC = 60 };

static void put_frame_header(uint8_t *out, uint8_t type, uint16_t channel, size_t payload_bytes)
{
    out[0] = type;
    broker_buffer_put_number(out + 1, channel, 2);
    broker_buffer_put_number(out + 3, payload_bytes, 4);
}

enum err broker_frame_protocol_header(struct broker_buffer *out)
{
    static const uint8_t header[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
    uint8_t *at = broker_buffer_reserve(out, sizeof(header));

    if (!at)
        return ERR_NOMEM;
    memcpy(at, header, sizeof(header));
    out->end += sizeof(header);
    return OK;
}

enum err broker_frame_method(struct broker_buffer *out, uint16_t channel, uint32_t method, void *decoded)
{
    /* Only these carry tables of any size; a full frame's room for each ack would move memory for nothing. */
    const bool large = method == AMQP_QUEUE_DECLARE_METHOD || method == AMQP_EXCHANGE_DECLARE_METHOD ||
                       method == AMQP_CONNECTION_START_OK_METHOD;
    const size_t room = large ? METHOD_ROOM : SMALL_METHOD_ROOM;
    uint8_t *at = broker_buffer_reserve(out, room);
    amqp_bytes_t payload;
    int bytes;

    if (!at)
        return ERR_NOMEM;
    payload.bytes = at + FRAME_HEADER_BYTES + 4;
    payload.len = room - BROKER_FRAME_OVERHEAD - 4;
    bytes = amqp_encode_method(method, decoded, payload);
    if (bytes < 0)
        return ERR_TOO_BIG;
    put_frame_header(at, BROKER_FRAME_METHOD, channel, (size_t)bytes + 4);
    broker_buffer_put_number(at + FRAME_HEADER_BYTES, method, 4);
    at[FRAME_HEADER_BYTES + 4 + bytes] = BROKER_FRAME_END;
    out->end += (size_t)bytes + 4 + BROKER_FRAME_OVERHEAD;
    return OK;
}

enum err broker_frame_heartbeat(struct broker_buffer *out)
{
    uint8_t *at = broker_buffer_reserve(out, BROKER_FRAME_OVERHEAD);

    if (!at)
        return ERR_NOMEM;
    put_frame_header(at, BROKER_FRAME_HEARTBEAT, 0, 0);
    at[FRAME_HEADER_BYTES] = BROKER_FRAME_END;
    out->end += BROKER_FRAME_OVERHEAD;
    return OK;
}

static uint8_t *put_method(uint8_t *out, uint16_t channel, const struct publication *publication)
{
    uint8_t *at = out + FRAME_HEADER_BYTES;

    broker_buffer_put_number(at, AMQP_BASIC_PUBLISH_METHOD, 4);
    broker_buffer_put_number(at + 4, 0, 2); /* the reserved ticket */
    at = broker_buffer_put_short_string(at + 6, publication->exchange);
    at = broker_buffer_put_short_string(at, publication->routing_key);
    *at++ = 1; /* mandatory */
    put_frame_header(out, BROKER_FRAME_METHOD, channel, (size_t)(at - out) - FRAME_HEADER_BYTES);
    *at++ = BROKER_FRAME_END;
    return at;
}

static uint8_t *put_header(uint8_t *out, uint16_t channel, const struct publication *publication,
                           size_t headers_bytes)
{
    uint8_t *at = out + FRAME_HEADER_BYTES;

    broker_buffer_put_number(at, CLASS_BASIC, 2);
    broker_buffer_put_number(at + 2, 0, 2); /* weight, always 0 */
    broker_buffer_put_number(at + 4, publication->body_length, 8);
    at = broker_properties_write(at + 12, publication, headers_bytes);
    put_frame_header(out, BROKER_FRAME_HEADER, channel, (size_t)(at - out) - FRAME_HEADER_BYTES);
    *at++ = BROKER_FRAME_END;
    return at;
}

static bool too_long(const char *text)
{
    return text && strnlen(text, BROKER_FRAME_SHORT_STRING_MAX + 1) > BROKER_FRAME_SHORT_STRING_MAX;
}

enum err broker_frame_publish(struct broker_buffer *out, uint16_t channel, size_t frame_max,
                              const struct publication *publication)
{
    const size_t headers_bytes = headers_encoded_bytes(publication->headers, false);
    const size_t chunk_max = frame_max - BROKER_FRAME_OVERHEAD;
    const size_t frames = publication->body_length / chunk_max + 1;
    const size_t properties_bytes = broker_properties_bytes(publication, headers_bytes);
    /* The names and fixed parts of the method and the content header come to less than 600 bytes. */
    const size_t room = 600 + properties_bytes + publication->body_length + frames * BROKER_FRAME_OVERHEAD;
    uint8_t *at;

    if (too_long(publication->exchange) || too_long(publication->routing_key) ||
        too_long(publication->message_id) || too_long(publication->content_type) ||
        properties_bytes + 600 > frame_max)
        return ERR_TOO_BIG;
    at = broker_buffer_reserve(out, room);
    if (!at)
        return ERR_NOMEM;
    at = put_method(at, channel, publication);
    at = put_header(at, channel, publication, headers_bytes);
    for (size_t sent = 0; sent < publication->body_length;) {
        size_t left = publication->body_length - sent;
        size_t chunk = left < chunk_max ? left : chunk_max;

        put_frame_header(at, BROKER_FRAME_BODY, channel, chunk);
        memcpy(at + FRAME_HEADER_BYTES, publication->body + sent, chunk);
        at[FRAME_HEADER_BYTES + chunk] = BROKER_FRAME_END;
        at += chunk + BROKER_FRAME_OVERHEAD;
        sent += chunk;
    }
    out->end = (size_t)(at - out->data);
    return OK;
}
