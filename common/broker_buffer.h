/*
 * A growing byte queue: bytes are appended at the end and taken from the front. What a connection has
 * encoded and not yet written waits here.
 */
#ifndef FULFILLD_COMMON_BROKER_BUFFER_H
#define FULFILLD_COMMON_BROKER_BUFFER_H

#include "common/err.h"

#include <stdint.h>
#include <string.h>

struct broker_buffer {
    uint8_t *data;
    size_t start; /* first byte not yet taken */
    size_t end;   /* one past the last byte */
    size_t capacity;
};

void broker_buffer_fini(struct broker_buffer *buffer);
void broker_buffer_clear(struct broker_buffer *buffer);
static inline size_t broker_buffer_bytes(const struct broker_buffer *buffer)
{
    return buffer->end - buffer->start;
}
/** Room for `bytes` more at data + end; the caller moves `end` on. NULL when out of memory. */
uint8_t *broker_buffer_reserve(struct broker_buffer *buffer, size_t bytes);
void broker_buffer_take(struct broker_buffer *buffer, size_t bytes);

static inline void broker_buffer_put_number(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i > 0; i--, value >>= 8)
        out[i - 1] = (uint8_t)value;
}

/** A length octet and the text, of at most 255 bytes; returns what follows. */
static inline uint8_t *broker_buffer_put_short_string(uint8_t *out, const char *text)
{
    size_t length = strlen(text);

    *out = (uint8_t)length;
    memcpy(out + 1, text, length);
    return out + 1 + length;
}

static inline uint64_t broker_buffer_get_number(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

#endif
