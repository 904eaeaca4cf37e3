/* Walks over received bytes without leaving them. Private to broker*.c. */
#ifndef FULFILLD_COMMON_BROKER_CURSOR_H
#define FULFILLD_COMMON_BROKER_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker_cursor {
    const uint8_t *at;
    size_t left;
};

/** False, and nothing is moved, when there are fewer bytes. */
static inline bool broker_cursor_skip(struct broker_cursor *cursor, size_t bytes)
{
    if (cursor->left < bytes)
        return false;
    cursor->at += bytes;
    cursor->left -= bytes;
    return true;
}

/** Moves over a short string (a length octet, and its bytes). False: cut off. */
static inline bool broker_cursor_skip_short_string(struct broker_cursor *cursor)
{
    return cursor->left > 0 && broker_cursor_skip(cursor, 1 + (size_t)cursor->at[0]);
}

#endif
