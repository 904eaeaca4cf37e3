/*
 * The growable buffer and the JSON string writer. Decides how memory grows and what is escaped; how much is
 * too much is the caller's choice (text_init). UTF-8 is in text_utf8.c. Called by everybody who builds a
 * document or a line.
 */
#include "common/text.h"

#include "common/text_utf8.h"

#include <stdio.h>

enum { FIRST_CAPACITY = 256 };

void text_init(struct text *text, size_t max)
{
    *text = TEXT_EMPTY(max);
}

void text_fini(struct text *text)
{
    free(text->data);
    *text = TEXT_EMPTY(text->max);
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->failed = OK;
    if (text->data)
        text->data[0] = '\0';
}

/* Makes room for `more` bytes and the NUL; false when the buffer has failed, now or before. */
static bool reserve(struct text *text, size_t more)
{
    size_t wanted, capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
    char *data;

    if (text->failed != OK)
        return false;
    if (more > text->max || text->length > text->max - more) {
        text->failed = ERR_TOO_BIG;
        return false;
    }
    wanted = text->length + more + 1;
    if (wanted <= text->capacity)
        return true;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    data = realloc(text->data, capacity);
    if (!data) {
        text->failed = ERR_NOMEM;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_append(struct text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length))
        return;
    if (length > 0)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_puts(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_putc(struct text *text, char c)
{
    text_append(text, &c, 1);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args, again;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    if (length < 0) {
        text->failed = text->failed == OK ? ERR_MALFORMED : text->failed;
    } else if (reserve(text, (size_t)length)) {
        (void)vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

size_t text_write_integer(char *out, int64_t number)
{
    char digits[TEXT_INTEGER_BYTES];
    size_t at = sizeof(digits);
    /* The magnitude of INT64_MIN has no int64_t. */
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (number < 0)
        digits[--at] = '-';
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at - 1;
}

void text_integer(struct text *text, int64_t number)
{
    char digits[TEXT_INTEGER_BYTES];

    text_append(text, digits, text_write_integer(digits, number));
}

/* Appends the escape of one byte that may not stand in a JSON string. */
static void append_escape(struct text *text, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    char unicode[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

    switch (byte) {
    case '"':
        text_append(text, "\\\"", 2);
        break;
    case '\\':
        text_append(text, "\\\\", 2);
        break;
    case '\n':
        text_append(text, "\\n", 2);
        break;
    case '\r':
        text_append(text, "\\r", 2);
        break;
    case '\t':
        text_append(text, "\\t", 2);
        break;
    default:
        text_append(text, unicode, sizeof(unicode));
        break;
    }
}

void text_json_string(struct text *text, const char *bytes, size_t length)
{
    size_t start = 0, at = 0;

    text_putc(text, '"');
    while (at < length) {
        unsigned char byte = (unsigned char)bytes[at];
        size_t taken = 1;

        if (byte >= 0x80)
            taken = text_utf8_sequence(bytes + at, length - at);
        if (taken > 0 && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f) {
            at += taken;
            continue;
        }
        text_append(text, bytes + start, at - start);
        if (taken == 0)
            text_puts(text, TEXT_UTF8_REPLACEMENT);
        else
            append_escape(text, byte);
        start = ++at;
    }
    text_append(text, bytes + start, at - start);
    text_putc(text, '"');
}

void text_json(struct text *text, const char *string)
{
    if (string)
        text_json_string(text, string, strlen(string));
    else
        text_puts(text, "null");
}

const char *text_peek(const struct text *text)
{
    return text->data ? text->data : "";
}

MUST_CHECK enum err text_take(struct text *text, char **ret_bytes, size_t *ret_length)
{
    text_append(text, "", 0);
    if (text->failed != OK)
        return text->failed;
    if (ret_length)
        *ret_length = text->length;
    *ret_bytes = TAKE(text->data);
    text_fini(text);
    return OK;
}
