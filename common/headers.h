/*
 * The headers of one message (or the arguments of a queue): an owned list of name and value. Values we make
 * are strings, integers, booleans and tables; values of other kinds (arrays, times …) are carried through
 * unchanged, as the bytes they came in.
 *
 * A set holds at most HEADERS_MAX_COUNT entries and HEADERS_MAX_BYTES encoded bytes.
 */
#ifndef FULFILLD_COMMON_HEADERS_H
#define FULFILLD_COMMON_HEADERS_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { HEADERS_MAX_COUNT = 256, HEADERS_MAX_BYTES = 64 * 1024 };

struct headers; /* NULL is a valid, empty set for every function that reads */

struct headers *headers_new(void);
void headers_free(struct headers *headers);
struct headers *headers_copy(const struct headers *headers, bool *ret_ok);

/** The string (NUL-terminated) or NULL when absent or no string. */
const char *headers_str(const struct headers *headers, const char *name);
/** The integer, reading every AMQP integer kind and numeric strings; `otherwise` when absent or neither. */
int64_t headers_int(const struct headers *headers, const char *name, int64_t otherwise);
bool headers_has(const struct headers *headers, const char *name);

/* Each replaces an entry of that name. ERR_NOMEM; ERR_TOO_BIG: over the limits, or a name over 255 bytes. */
MUST_CHECK enum err headers_set_str(struct headers *headers, const char *name, const char *value);
MUST_CHECK enum err headers_set_int(struct headers *headers, const char *name, int64_t value);
MUST_CHECK enum err headers_set_bool(struct headers *headers, const char *name, bool value);
/** Sets a copy of `value` as a nested table. */
MUST_CHECK enum err headers_set_table(struct headers *headers, const char *name, const struct headers *value);
void headers_remove(struct headers *headers, const char *name);

/** True for the entries that a broker adds by itself and that must never be published again. */
bool headers_is_brokers_own(const char *name);

/* ---- the wire form, for the broker adapter and the fake: an AMQP 0-9-1 field table without its length ----
 */

/**
 * Reads a field table. What does not fit the limits is left out and the rest kept, so that one huge foreign
 * entry cannot hide ours. A table that does not parse gives what was read before the fault.
 * @return OK; ERR_MALFORMED with *ret_headers set to the readable part; ERR_NOMEM with nothing set
 */
MUST_CHECK enum err headers_decode(const uint8_t *bytes, size_t length, struct headers **ret_headers);
/** Bytes that headers_encode() writes, with or without the broker's own entries. */
size_t headers_encoded_bytes(const struct headers *headers, bool with_brokers_own);
/** Writes the table to `out`, which has room for headers_encoded_bytes(). */
void headers_encode(const struct headers *headers, bool with_brokers_own, uint8_t *out);

#endif
