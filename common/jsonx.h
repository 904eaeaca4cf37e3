/*
 * JSON from outside: loading with limits, and typed reads whose faults name the place, as in
 * "lines[0].attributes.course_key: expected a string". Faults never show a value: it may be a learner's.
 */
#ifndef FULFILLD_COMMON_JSONX_H
#define FULFILLD_COMMON_JSONX_H

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { JSONX_MAX_DEPTH = 32 };

static inline void jsonx_scope_free(json_t **slot)
{
    json_decref(*slot);
}

/* A reference that is dropped when it leaves its scope, unless TAKE()n. */
#define AUTO_JSON __attribute__((cleanup(jsonx_scope_free)))

/**
 * Reads one JSON value of any type: UTF-8, no duplicate keys, no NUL in strings, nothing after it, nested at
 * most JSONX_MAX_DEPTH deep (checked before the parser recurses).
 * @param bytes     need not be NUL-terminated
 * @param ret_json  a new reference
 * @return OK; ERR_TOO_BIG (over max_bytes); ERR_MALFORMED (the fault says what and where); ERR_NOMEM
 */
MUST_CHECK enum err jsonx_load(const char *bytes, size_t length, size_t max_bytes, json_t **ret_json,
                               struct fault *ret_fault);

/*
 * Where an object stands, for the words of a fault: a chain of steps on the stack, written out only when
 * something is wrong. The top is NULL.
 *     struct jsonx_path lines = JSONX_KEY(NULL, "lines"), line = JSONX_INDEX(&lines, 0);
 */
struct jsonx_path {
    const struct jsonx_path *parent; /* NULL = the top */
    const char *key;                 /* NULL = an array's element */
    size_t index;
};
#define JSONX_KEY(parent_path, name)     ((struct jsonx_path){.parent = (parent_path), .key = (name)})
#define JSONX_INDEX(parent_path, number) ((struct jsonx_path){.parent = (parent_path), .index = (number)})

/* REQUIRED: missing and null are faults. NULLABLE: missing and null are OK and give NULL, or leave *ret alone
 * where it is no pointer. A wrong type is a fault either way. */
enum jsonx_need { JSONX_REQUIRED, JSONX_NULLABLE };

/*
 * Typed reads of object[key]; `path` is that of `object`. They return OK or ERR_MALFORMED with ret_fault
 * ("PATH: expected a string", "PATH: expected an integer from 0 to 9", …, with ", is missing" or ", is null"
 * where that is so). Results are borrowed from `object`. On a fault *ret is untouched.
 */
MUST_CHECK enum err jsonx_string(const json_t *object, const char *key, const struct jsonx_path *path,
                                 enum jsonx_need need, const char **ret_string, struct fault *ret_fault);
/** Also not empty, not over max_bytes, and without control characters. For identifiers. */
MUST_CHECK enum err jsonx_identifier(const json_t *object, const char *key, const struct jsonx_path *path,
                                     enum jsonx_need need, size_t max_bytes, const char **ret_string,
                                     struct fault *ret_fault);
MUST_CHECK enum err jsonx_int(const json_t *object, const char *key, const struct jsonx_path *path,
                              enum jsonx_need need, int64_t min, int64_t max, int64_t *ret_number,
                              struct fault *ret_fault);
MUST_CHECK enum err jsonx_bool(const json_t *object, const char *key, const struct jsonx_path *path,
                               enum jsonx_need need, bool *ret_bool, struct fault *ret_fault);
MUST_CHECK enum err jsonx_object(const json_t *object, const char *key, const struct jsonx_path *path,
                                 enum jsonx_need need, const json_t **ret_object, struct fault *ret_fault);
MUST_CHECK enum err jsonx_array(const json_t *object, const char *key, const struct jsonx_path *path,
                                enum jsonx_need need, const json_t **ret_array, struct fault *ret_fault);

/** OK when `value` is an object, else "PATH: expected an object" (at the top: "expected an object"). */
MUST_CHECK enum err jsonx_expect_object(const json_t *value, const struct jsonx_path *path,
                                        struct fault *ret_fault);

/** A fault about the value at `path`: "PATH: WORDS". For checks beyond the type. */
struct fault jsonx_fault(const struct jsonx_path *path, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
