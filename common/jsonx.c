/*
 * Loading JSON within limits, and typed reads with faults that name the place. Decides what JSON may look
 * like at all; which fields exist and what is required is for the callers (order_fields.c, the modules,
 * upstream_token.c …).
 */
#include "common/jsonx.h"

#include "common/jsonx_place.h"
#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>

enum { PATH_MAX_BYTES = 160 };

/*
 * Looks for nesting beyond the limit without recursion, so that the parser cannot be led to use up the stack.
 * Returns the offset of the first bracket too many, or `length`. Text that is no JSON may pass: the parser's
 * business.
 */
static size_t find_too_deep(const char *bytes, size_t length)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t at = 0; at < length; at++) {
        char c = bytes[at];

        if (in_string) {
            if (c == '\\')
                at++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSONX_MAX_DEPTH)
                return at;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return length;
}

/* A fault at the byte that was read last: "PATH: words", without a path at the top. */
static struct fault fault_at(const char *bytes, size_t end, const char *words)
{
    char place[PATH_MAX_BYTES];

    jsonx_place(bytes, end, place, sizeof(place));
    return fault_make(ERR_MALFORMED, "%s%s%s", place, place[0] ? ": " : "", words);
}

/* What the parser did not like. */
static struct fault parser_fault(const char *bytes, size_t length, json_error_t *error)
{
    size_t end = error->position > 0 && (size_t)error->position < length ? (size_t)error->position : length;
    char *near = strstr(error->text, " near ");

    if (json_error_code(error) == json_error_out_of_memory)
        return fault_of(ERR_NOMEM);
    if (json_error_code(error) == json_error_duplicate_key)
        return fault_at(bytes, end, "expected this key once, it is there twice");
    /* What stands near the place is data, perhaps a learner's: only the parser's own words are kept. */
    if (near)
        *near = '\0';
    return fault_make(ERR_MALFORMED, "not JSON: %s at line %d, column %d", error->text, error->line,
                      error->column);
}

MUST_CHECK enum err jsonx_load(const char *bytes, size_t length, size_t max_bytes, json_t **ret_json,
                               struct fault *ret_fault)
{
    json_error_t error;
    json_t *json;
    size_t too_deep;

    if (length > max_bytes) {
        *ret_fault = fault_make(ERR_TOO_BIG, "%zu bytes, more than the %zu allowed", length, max_bytes);
        return ERR_TOO_BIG;
    }
    too_deep = find_too_deep(bytes, length);
    if (too_deep < length) {
        char words[80];

        (void)snprintf(words, sizeof(words), "nested deeper than %d levels at byte %zu", JSONX_MAX_DEPTH,
                       too_deep);
        *ret_fault = fault_at(bytes, too_deep, words);
        return ERR_MALFORMED;
    }
    json = json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (json) {
        *ret_json = json;
        return OK;
    }
    *ret_fault = parser_fault(bytes, length, &error);
    return ret_fault->code;
}

/* Writes the chain from its top; returns the length so far, which may exceed the buffer like snprintf's. */
static size_t write_path(const struct jsonx_path *path, char *out, size_t size)
{
    size_t length = 0;
    int more;

    if (!path)
        return 0;
    length = write_path(path->parent, out, size);
    if (length >= size)
        return length;
    if (path->key)
        more = snprintf(out + length, size - length, "%s%s", length > 0 ? "." : "", path->key);
    else
        more = snprintf(out + length, size - length, "[%zu]", path->index);
    return more < 0 ? length : length + (size_t)more;
}

struct fault jsonx_fault(const struct jsonx_path *path, const char *format, ...)
{
    char place[PATH_MAX_BYTES] = "", words[200];
    va_list args;

    (void)write_path(path, place, sizeof(place));
    va_start(args, format);
    if (vsnprintf(words, sizeof(words), format, args) < 0)
        words[0] = '\0';
    va_end(args);
    return fault_make(ERR_MALFORMED, "%s%s%s", place, place[0] ? ": " : "", words);
}

/* The value of a key, or NULL when there is none; null counts as none where it may. */
static const json_t *find(const json_t *object, const char *key, enum jsonx_need need)
{
    const json_t *value = json_object_get(object, key);

    return need == JSONX_NULLABLE && json_is_null(value) ? NULL : value;
}

static MUST_CHECK enum err refuse(const json_t *value, const char *key, const struct jsonx_path *path,
                                  const char *expected, struct fault *ret_fault)
{
    struct jsonx_path place = JSONX_KEY(path, key);
    const char *more = !value ? ", is missing" : json_is_null(value) ? ", is null" : "";

    *ret_fault = jsonx_fault(&place, "expected %s%s", expected, more);
    return ERR_MALFORMED;
}

MUST_CHECK enum err jsonx_string(const json_t *object, const char *key, const struct jsonx_path *path,
                                 enum jsonx_need need, const char **ret_string, struct fault *ret_fault)
{
    const json_t *value = find(object, key, need);

    if (!json_is_string(value) && !(need == JSONX_NULLABLE && !value))
        return refuse(value, key, path, "a string", ret_fault);
    *ret_string = json_string_value(value);
    return OK;
}

MUST_CHECK enum err jsonx_identifier(const json_t *object, const char *key, const struct jsonx_path *path,
                                     enum jsonx_need need, size_t max_bytes, const char **ret_string,
                                     struct fault *ret_fault)
{
    const char *string = NULL;
    char expected[80];
    enum err err = jsonx_string(object, key, path, need, &string, ret_fault);
    bool fits;

    if (err != OK)
        return err;
    fits = !string || (string[0] != '\0' && strlen(string) <= max_bytes);
    for (const char *at = string; fits && at && *at != '\0'; at++)
        fits = (unsigned char)*at >= 0x20 && *at != 0x7f;
    if (!fits) {
        (void)snprintf(expected, sizeof(expected), "a string of 1 to %zu bytes without control characters",
                       max_bytes);
        return refuse(json_object_get(object, key), key, path, expected, ret_fault);
    }
    *ret_string = string;
    return OK;
}

MUST_CHECK enum err jsonx_int(const json_t *object, const char *key, const struct jsonx_path *path,
                              enum jsonx_need need, int64_t min, int64_t max, int64_t *ret_number,
                              struct fault *ret_fault)
{
    const json_t *value = find(object, key, need);
    char expected[80] = "an integer";

    if (need == JSONX_NULLABLE && !value)
        return OK;
    if (json_is_integer(value) && json_integer_value(value) >= min && json_integer_value(value) <= max) {
        *ret_number = json_integer_value(value);
        return OK;
    }
    if (min != INT64_MIN && max != INT64_MAX)
        (void)snprintf(expected, sizeof(expected), "an integer from %" PRId64 " to %" PRId64, min, max);
    else if (min != INT64_MIN)
        (void)snprintf(expected, sizeof(expected), "an integer, %" PRId64 " or more", min);
    return refuse(value, key, path, expected, ret_fault);
}

MUST_CHECK enum err jsonx_bool(const json_t *object, const char *key, const struct jsonx_path *path,
                               enum jsonx_need need, bool *ret_bool, struct fault *ret_fault)
{
    const json_t *value = find(object, key, need);

    if (need == JSONX_NULLABLE && !value)
        return OK;
    if (!json_is_boolean(value))
        return refuse(value, key, path, "true or false", ret_fault);
    *ret_bool = json_is_true(value);
    return OK;
}

MUST_CHECK enum err jsonx_object(const json_t *object, const char *key, const struct jsonx_path *path,
                                 enum jsonx_need need, const json_t **ret_object, struct fault *ret_fault)
{
    const json_t *value = find(object, key, need);

    if (!json_is_object(value) && !(need == JSONX_NULLABLE && !value))
        return refuse(value, key, path, "an object", ret_fault);
    *ret_object = value;
    return OK;
}

MUST_CHECK enum err jsonx_array(const json_t *object, const char *key, const struct jsonx_path *path,
                                enum jsonx_need need, const json_t **ret_array, struct fault *ret_fault)
{
    const json_t *value = find(object, key, need);

    if (!json_is_array(value) && !(need == JSONX_NULLABLE && !value))
        return refuse(value, key, path, "an array", ret_fault);
    *ret_array = value;
    return OK;
}

MUST_CHECK enum err jsonx_expect_object(const json_t *value, const struct jsonx_path *path,
                                        struct fault *ret_fault)
{
    if (json_is_object(value))
        return OK;
    *ret_fault = jsonx_fault(path, "expected an object");
    return ERR_MALFORMED;
}
