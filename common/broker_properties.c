/*
 * Reads a message's properties, keeps those that are the publisher's own affair as the bytes they came in,
 * and writes them again. Decides which those are: not the expiration (a copy must not vanish), not the user
 * id (the broker refuses another's name), not the cluster id (out of use). Called by broker_reader.c and
 * broker_frame.c.
 */
#include "common/broker_properties.h"

#include "common/broker_buffer.h"
#include "common/broker_cursor.h"

#include <string.h>

enum { DELIVERY_PERSISTENT = 2, FLAG_BYTES = 2, TIMESTAMP_BYTES = 8, SHORT_STRING_ROOM = 256 };

enum kind { SHORT_STRING, TABLE, OCTET, TIMESTAMP };

/* In the order of the wire; the first has the highest flag. */
enum property {
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HEADERS,
    DELIVERY_MODE,
    PRIORITY,
    CORRELATION_ID,
    REPLY_TO,
    EXPIRATION,
    MESSAGE_ID,
    SENT_AT,
    TYPE,
    USER_ID,
    APP_ID,
    CLUSTER_ID,
    PROPERTIES
};

static const struct {
    enum kind kind;
    bool carried;
} properties[PROPERTIES] = {
    [CONTENT_ENCODING] = {SHORT_STRING, true},
    [HEADERS] = {TABLE, false},
    [DELIVERY_MODE] = {OCTET, false},
    [PRIORITY] = {OCTET, true},
    [CORRELATION_ID] = {SHORT_STRING, true},
    [REPLY_TO] = {SHORT_STRING, true},
    [SENT_AT] = {TIMESTAMP, true},
    [TYPE] = {SHORT_STRING, true},
    [APP_ID] = {SHORT_STRING, true},
};

/* The carried properties of a message, one behind the other: five short strings, an octet and a timestamp. */
struct carried_properties {
    unsigned flags;
    size_t length;
    uint8_t bytes[5 * SHORT_STRING_ROOM + 1 + TIMESTAMP_BYTES];
};

static unsigned flag_of(size_t property)
{
    return 1U << (15 - property);
}

/* ---- in ---- */

static bool skip_property(struct broker_cursor *cursor, enum kind kind)
{
    switch (kind) {
    case SHORT_STRING:
        return broker_cursor_skip_short_string(cursor);
    case TABLE:
        return cursor->left >= 4 &&
               broker_cursor_skip(cursor, 4 + (size_t)broker_buffer_get_number(cursor->at, 4));
    case OCTET:
        return broker_cursor_skip(cursor, 1);
    case TIMESTAMP:
        return broker_cursor_skip(cursor, TIMESTAMP_BYTES);
    }
    return false;
}

/* NULL where it has a NUL: no text of ours. */
static char *short_string(const uint8_t *at)
{
    return memchr(at + 1, '\0', at[0]) ? NULL : strndup((const char *)at + 1, at[0]);
}

/* Takes the property that begins at `at`. False: its inside does not parse. */
static bool take(size_t property, const uint8_t *at, size_t length, struct message *message)
{
    if (property == CONTENT_TYPE)
        message->content_type = short_string(at);
    else if (property == MESSAGE_ID)
        message->message_id = short_string(at);
    else if (property == HEADERS)
        return headers_decode(at + 4, length - 4, &message->headers) == OK;
    return true;
}

static void carry(struct message *message, size_t property, const uint8_t *at, size_t length)
{
    if (!message->carried)
        message->carried = calloc(1, sizeof(*message->carried));
    if (!message->carried)
        return;
    memcpy(message->carried->bytes + message->carried->length, at, length);
    message->carried->length += length;
    message->carried->flags |= flag_of(property);
}

void broker_properties_read(const uint8_t *bytes, size_t length, struct message *message)
{
    struct broker_cursor cursor = {bytes, length};
    unsigned flags;

    if (length < FLAG_BYTES)
        return;
    flags = (unsigned)broker_buffer_get_number(bytes, FLAG_BYTES);
    if ((flags & 1) != 0) /* more flag words follow: no such property exists */
        return;
    (void)broker_cursor_skip(&cursor, FLAG_BYTES);
    for (size_t i = 0; i < PROPERTIES; i++) {
        const uint8_t *start = cursor.at;

        if ((flags & flag_of(i)) == 0)
            continue;
        if (!skip_property(&cursor, properties[i].kind) ||
            !take(i, start, (size_t)(cursor.at - start), message))
            return;
        if (properties[i].carried)
            carry(message, i, start, (size_t)(cursor.at - start));
    }
}

/* ---- out ---- */

size_t broker_properties_bytes(const struct publication *publication, size_t headers_bytes)
{
    return FLAG_BYTES + 4 + headers_bytes + 1 +
           (publication->content_type ? 1 + strlen(publication->content_type) : 0) +
           (publication->message_id ? 1 + strlen(publication->message_id) : 0) +
           (publication->carried ? publication->carried->length : 0);
}

static uint8_t *put_bytes(uint8_t *out, const void *bytes, size_t length)
{
    memcpy(out, bytes, length);
    return out + length;
}

uint8_t *broker_properties_write(uint8_t *out, const struct publication *publication, size_t headers_bytes)
{
    const struct carried_properties *carried = publication->carried;
    struct broker_cursor rest = {carried ? carried->bytes : NULL, carried ? carried->length : 0};
    unsigned flags = flag_of(DELIVERY_MODE) | flag_of(HEADERS) | (carried ? carried->flags : 0);
    uint8_t *at = out + FLAG_BYTES;

    if (publication->content_type)
        flags |= flag_of(CONTENT_TYPE);
    if (publication->message_id)
        flags |= flag_of(MESSAGE_ID);
    broker_buffer_put_number(out, flags, FLAG_BYTES);
    for (size_t i = 0; i < PROPERTIES; i++) {
        const uint8_t *start = rest.at;

        if ((flags & flag_of(i)) == 0)
            continue;
        if (i == CONTENT_TYPE || i == MESSAGE_ID) {
            at = broker_buffer_put_short_string(at, i == MESSAGE_ID ? publication->message_id
                                                                    : publication->content_type);
        } else if (i == HEADERS) {
            broker_buffer_put_number(at, headers_bytes, 4);
            headers_encode(publication->headers, false, at + 4);
            at += 4 + headers_bytes;
        } else if (i == DELIVERY_MODE) {
            *at++ = DELIVERY_PERSISTENT;
        } else if (skip_property(&rest, properties[i].kind)) {
            at = put_bytes(at, start, (size_t)(rest.at - start));
        }
    }
    return at;
}
