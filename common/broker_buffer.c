/*
 * The byte queue of broker_buffer.h: doubles when it grows, gives memory back when it has run empty after a
 * burst. Bounds are its users' business. Called by broker_frame.c and broker_wire.c.
 */
#include "common/broker_buffer.h"

#include <string.h>

enum { KEPT_WHEN_EMPTY = 1024 * 1024, FIRST_CAPACITY = 16 * 1024 };

void broker_buffer_fini(struct broker_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct broker_buffer){0};
}

void broker_buffer_clear(struct broker_buffer *buffer)
{
    buffer->start = 0;
    buffer->end = 0;
    if (buffer->capacity > KEPT_WHEN_EMPTY)
        broker_buffer_fini(buffer);
}

uint8_t *broker_buffer_reserve(struct broker_buffer *buffer, size_t bytes)
{
    size_t held = broker_buffer_bytes(buffer);
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    uint8_t *data;

    if (buffer->data && buffer->capacity - buffer->end >= bytes)
        return buffer->data + buffer->end;
    /* Moving what is left to the front is cheap when that is the smaller half. */
    if (buffer->data && held <= buffer->start && buffer->capacity - held >= bytes) {
        memcpy(buffer->data, buffer->data + buffer->start, held);
        buffer->start = 0;
        buffer->end = held;
        return buffer->data + held;
    }
    if (bytes > SIZE_MAX / 4 - held)
        return NULL;
    while (capacity - held < bytes || capacity < held)
        capacity *= 2;
    data = malloc(capacity);
    if (!data)
        return NULL;
    if (held > 0)
        memcpy(data, buffer->data + buffer->start, held);
    free(buffer->data);
    *buffer = (struct broker_buffer){.data = data, .end = held, .capacity = capacity};
    return data + held;
}

void broker_buffer_take(struct broker_buffer *buffer, size_t bytes)
{
    buffer->start += bytes;
    if (buffer->start == buffer->end)
        broker_buffer_clear(buffer);
}
