/*
 * Builds the texts of requests. Decides nothing. Called by the built-in modules.
 */
#include "request_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void request_text_free(struct request_text *text)
{
    free(text->bytes);
    *text = (struct request_text){0};
}

static void append(struct request_text *text, const char *bytes, size_t length)
{
    if (text->failed)
        return;
    if (text->length + length + 1 > text->capacity) {
        size_t capacity = (text->length + length + 1) * 2 < 512 ? 512 : (text->length + length + 1) * 2;
        char *more = realloc(text->bytes, capacity);
        if (!more) {
            text->failed = true;
            return;
        }
        text->bytes = more;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void request_text_add(struct request_text *text, const char *plain)
{
    append(text, plain, strlen(plain));
}

void request_text_json(struct request_text *text, const char *value)
{
    char escape[8];

    if (!value) {
        request_text_add(text, "null");
        return;
    }
    append(text, "\"", 1);
    for (const char *start = value;; value++) {
        unsigned char c = (unsigned char)*value;
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        append(text, start, (size_t)(value - start));
        if (c == '\0')
            break;
        if (c == '"' || c == '\\')
            snprintf(escape, sizeof(escape), "\\%c", c);
        else
            snprintf(escape, sizeof(escape), "\\u%04x", c);
        request_text_add(text, escape);
        start = value + 1;
    }
    append(text, "\"", 1);
}

void request_text_member(struct request_text *text, const char *key, const char *value)
{
    char last = text->length > 0 ? text->bytes[text->length - 1] : '{';

    if (last != '{' && last != '[')
        append(text, ",", 1);
    request_text_json(text, key);
    append(text, ":", 1);
    request_text_json(text, value);
}

void request_text_percent(struct request_text *text, const char *value)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char escape[4];

    while (*value != '\0') {
        size_t plain = strspn(value, unreserved);
        append(text, value, plain);
        value += plain;
        if (*value != '\0') {
            snprintf(escape, sizeof(escape), "%%%02X", (unsigned char)*value++);
            append(text, escape, 3);
        }
    }
}

bool request_text_header_safe(const char *value)
{
    for (; *value != '\0'; value++)
        if ((unsigned char)*value < 0x20 || *value == 0x7f)
            return false;
    return true;
}
