/*
 * Follows a JSON text without parsing it, to name the place where the parser gave up. Decides nothing: what
 * is wrong there says jsonx.c, which calls it.
 */
#include "common/jsonx_place.h"

#include "common/jsonx.h"

#include <ctype.h>
#include <stdio.h>

enum { KEY_MAX_BYTES = 64 };

/* One open bracket, and where in it we are. */
struct level {
    bool object;
    bool key_next;    /* of an object: the next string is a key */
    const char *key;  /* of an object: the last key; NULL before the first */
    size_t key_bytes; /* its length without the quotes */
    size_t index;     /* of an array */
};

/* The end of the string whose opening quote is bytes[at]: its closing quote, or `end`. */
static size_t string_end(const char *bytes, size_t end, size_t at)
{
    for (at++; at < end && bytes[at] != '"'; at++) {
        if (bytes[at] == '\\')
            at++;
    }
    return at < end ? at : end;
}

/* Follows one byte that is not within a string. Returns false when brackets do not match or nest too deep. */
static bool follow(struct level *levels, size_t *inout_depth, char c)
{
    struct level *top = *inout_depth > 0 ? &levels[*inout_depth - 1] : NULL;

    if (c == '{' || c == '[') {
        if (*inout_depth == JSONX_MAX_DEPTH)
            return false;
        levels[(*inout_depth)++] = (struct level){.object = c == '{', .key_next = c == '{'};
    } else if (c == '}' || c == ']') {
        if (!top)
            return false;
        --*inout_depth;
    } else if (c == ',' && top) {
        top->key_next = top->object;
        top->index++;
    } else if (c == ':' && top) {
        top->key_next = false;
    }
    return true;
}

static bool is_field_name(const struct level *level)
{
    if (!level->key || level->key_bytes == 0 || level->key_bytes > KEY_MAX_BYTES)
        return false;
    for (size_t i = 0; i < level->key_bytes; i++) {
        if (!isalnum((unsigned char)level->key[i]) && level->key[i] != '_')
            return false;
    }
    return true;
}

static void write_levels(const struct level *levels, size_t depth, char *out, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < depth && length < size; i++) {
        int more;

        if (levels[i].object && !is_field_name(&levels[i]))
            return;
        if (levels[i].object)
            more = snprintf(out + length, size - length, "%s%.*s", length > 0 ? "." : "",
                            (int)levels[i].key_bytes, levels[i].key);
        else
            more = snprintf(out + length, size - length, "[%zu]", levels[i].index);
        length += more > 0 ? (size_t)more : 0;
    }
}

void jsonx_place(const char *bytes, size_t end, char *out, size_t size)
{
    struct level levels[JSONX_MAX_DEPTH];
    size_t depth = 0;

    out[0] = '\0';
    for (size_t at = 0; at < end; at++) {
        if (bytes[at] == '"') {
            size_t closing = string_end(bytes, end, at);

            if (depth > 0 && levels[depth - 1].key_next && closing < end) {
                levels[depth - 1].key = bytes + at + 1;
                levels[depth - 1].key_bytes = closing - at - 1;
            }
            at = closing;
        } else if (!follow(levels, &depth, bytes[at])) {
            return;
        }
    }
    write_levels(levels, depth, out, size);
}
