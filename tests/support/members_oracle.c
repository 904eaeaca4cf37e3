/*
 * Compares what members_read() sees of a text with jansson's tree of it. Three differences are meant: numbers
 * too large for the machine, texts nested deeper than jsonx.h allows, and NUL bytes, which jansson overlooks
 * behind a number.
 */
#include "support/members_oracle.h"

#include "worker/modules/members.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t depth_of(json_t *json)
{
    size_t deepest = 0, index;
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value) deepest = larger(deepest, depth_of(value));
    json_array_foreach(json, index, value) deepest = larger(deepest, depth_of(value));
    return json_is_object(json) || json_is_array(json) ? deepest + 1 : 0;
}

static enum members_text text_of(json_t *json)
{
    if (!json || depth_of(json) > MAX_DEPTH)
        return MEMBERS_GARBAGE;
    if (json_is_null(json))
        return MEMBERS_NULL;
    if (!json_is_object(json))
        return MEMBERS_OTHER;
    return json_object_size(json) == 0 ? MEMBERS_EMPTY : MEMBERS_OBJECT;
}

static enum member_kind kind_of(const json_t *value)
{
    if (!value)
        return MEMBER_MISSING;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return MEMBER_OBJECT;
    case JSON_ARRAY:
        return MEMBER_ARRAY;
    case JSON_STRING:
        return MEMBER_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return MEMBER_NUMBER;
    case JSON_TRUE:
        return MEMBER_TRUE;
    case JSON_FALSE:
        return MEMBER_FALSE;
    case JSON_NULL:
        break;
    }
    return MEMBER_NULL;
}

static const char *compare(const struct member *member, const json_t *value)
{
    if (member->kind != kind_of(value))
        return "a member's kind";
    if (!json_is_string(value))
        return members_say(member, "") ? "what is no string says something" : NULL;
    if (!members_say(member, json_string_value(value)))
        return "a member's string";
    return strcmp(json_string_value(value), "verified") != 0 && members_say(member, "verified")
               ? "a member says what it does not"
               : NULL;
}

const char *members_oracle(const char *text, size_t length)
{
    struct member wanted[] = {{.name = "mode"}, {.name = "is_active"}, {.name = "a"}};
    const size_t count = sizeof(wanted) / sizeof(wanted[0]);
    enum members_text seen = members_read(text, length, wanted, count);
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_DECODE_ANY, &error);
    const char *differ = NULL;

    if (memchr(text, '\0', length)) {
        json_decref(json);
        return seen == MEMBERS_GARBAGE ? NULL : "a NUL";
    }
    if (!json && json_error_code(&error) == json_error_numeric_overflow)
        return NULL;
    if (seen != text_of(json))
        differ = "what the whole text is";
    for (size_t i = 0; i < count && !differ; i++)
        differ = compare(&wanted[i], seen == MEMBERS_OBJECT ? json_object_get(json, wanted[i].name) : NULL);
    json_decref(json);
    return differ;
}
