/* Growable bytes, always followed by a NUL that is not counted. */
#ifndef LMS_BUF_H
#define LMS_BUF_H

#include <stddef.h>

struct buf {
    char *data; /* NULL until the first append */
    size_t len; /* bytes in use, the closing NUL not counted */
    size_t cap; /* bytes allocated */
};

/** Appends bytes. */
void buf_add(struct buf *buf, const void *bytes, size_t len);

/** Appends a NUL-terminated text. */
void buf_text(struct buf *buf, const char *text);

/** Appends formatted text. */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Appends text as a JSON string with its quotes; NULL becomes null. Bytes that are not UTF-8 are
 *  written as U+FFFD, so the result is always valid JSON. */
void buf_json(struct buf *buf, const char *text);

/** Appends count times the same byte. */
void buf_fill(struct buf *buf, char byte, size_t count);

/** Cuts the first count bytes off. */
void buf_drop(struct buf *buf, size_t count);

/** Empties it and keeps the memory. */
void buf_reset(struct buf *buf);

/** Gives the memory back; the buf can be used again. */
void buf_free(struct buf *buf);

/** The text, never NULL; borrowed until the next change. */
const char *buf_str(const struct buf *buf);

#endif
