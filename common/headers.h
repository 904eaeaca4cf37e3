/*
 * The headers of one message: an owned list of name and value. Values we make are strings and integers;
 * values of other kinds (tables, arrays, times …) are carried through unchanged.
 */
#ifndef FULFILLD_COMMON_HEADERS_H
#define FULFILLD_COMMON_HEADERS_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct headers; /* NULL is a valid, empty set for every function that reads */

struct headers *headers_new(void);
void headers_free(struct headers *headers);
struct headers *headers_copy(const struct headers *headers, bool *ret_ok);

/** The string (NUL-terminated) or NULL when absent or no string. */
const char *headers_str(const struct headers *headers, const char *name);
/** The integer, reading every AMQP integer kind and numeric strings; `otherwise` when absent or neither. */
int64_t headers_int(const struct headers *headers, const char *name, int64_t otherwise);
bool headers_has(const struct headers *headers, const char *name);

MUST_CHECK enum err headers_set_str(struct headers *headers, const char *name, const char *value);
MUST_CHECK enum err headers_set_int(struct headers *headers, const char *name, int64_t value);
void headers_remove(struct headers *headers, const char *name);

#endif
