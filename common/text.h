/*
 * A growable, bounded byte buffer, JSON strings, and UTF-8: checking, cutting and repairing what came from
 * outside. Base layer: everybody may include this.
 */
#ifndef FULFILLD_COMMON_TEXT_H
#define FULFILLD_COMMON_TEXT_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * The first failure sticks: what follows is ignored, and text_take() reports it. So a writer appends all it
 * has and looks once. `data` is NULL or NUL-terminated.
 */
struct text {
    char *data;      /* owned */
    size_t length;   /* bytes, without the NUL */
    size_t capacity; /* bytes allocated */
    size_t max;      /* the most bytes it may ever hold */
    enum err failed; /* OK, ERR_NOMEM, ERR_TOO_BIG (over max) or ERR_MALFORMED (a bad format) */
};

/** Empty, nothing allocated yet. `max` bounds the length in bytes. */
void text_init(struct text *text, size_t max);
/** Frees the contents; the buffer is empty and usable again. */
void text_fini(struct text *text);
/** Forgets the contents and the failure, keeps the memory. */
void text_clear(struct text *text);

/* A struct text that is freed when it leaves its scope; initialise it at once with TEXT_EMPTY(max). */
#define AUTO_TEXT             __attribute__((cleanup(text_fini)))
#define TEXT_EMPTY(max_bytes) ((struct text){.max = (max_bytes)})

void text_append(struct text *text, const char *bytes, size_t length);
void text_puts(struct text *text, const char *string);
void text_putc(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_integer(struct text *text, int64_t number);

/** Appends bytes as a JSON string, quotes included. What is not UTF-8 becomes U+FFFD; NUL is \u0000. */
void text_json_string(struct text *text, const char *bytes, size_t length);
/** The same for a NUL-terminated string; NULL becomes null. */
void text_json(struct text *text, const char *string);

enum { TEXT_INTEGER_BYTES = 21 /* of INT64_MIN and a NUL */ };
/** Writes the number in decimal and a NUL, TEXT_INTEGER_BYTES at most; returns its length. */
size_t text_write_integer(char *out, int64_t number);

/** The contents so far, never NULL; borrowed until the next call. */
const char *text_peek(const struct text *text);

/**
 * Hands the contents over (malloc'd, NUL-terminated, never NULL with OK) and empties the buffer.
 * @param ret_length  bytes; may be NULL
 * @return the first failure of all appends since text_init, then ret_bytes is untouched
 */
MUST_CHECK enum err text_take(struct text *text, char **ret_bytes, size_t *ret_length);

/* ---- UTF-8 ---- */

/** Whether the bytes are UTF-8: no overlong forms, surrogates, or values over U+10FFFF. NUL is allowed. */
bool text_utf8_valid(const char *bytes, size_t length);

/** How many of the bytes, at most `max`, end on a character's boundary. For valid UTF-8. */
size_t text_utf8_cut(const char *bytes, size_t length, size_t max);

/** How many of the bytes the first `characters` characters take. Bytes that are not UTF-8 count one each. */
size_t text_utf8_prefix(const char *bytes, size_t length, size_t characters);

/**
 * Copies what an operator may safely see: invalid bytes become U+FFFD; control characters, line separators
 * and direction marks become a space; cut on a boundary to fit; always NUL-terminated.
 * @param size  of `out` in bytes, 1 or more
 * @return the length of `out` without the NUL
 */
size_t text_utf8_copy(char *out, size_t size, const char *bytes, size_t length);

#endif
