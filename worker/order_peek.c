/*
 * What can be said of a body without parsing it: whether it is safe to parse, and which order it speaks of
 * when it is not valid. Reads any bytes in one pass, without memory of its own. Called by order.c.
 */
#include "worker/order_fields.h"

#include "common/jsonx.h"

#include <string.h>

/* 1,000 lines with all their parts hold some 4,000; an empty object of 2 bytes costs the parser 250. */
enum { MAX_CONTAINERS = 32768 };

/* The end of the string that begins at body[at] == '"': the index of its closing quote, or `length`. */
static size_t string_end(const char *body, size_t length, size_t at)
{
    for (at++; at < length && body[at] != '"'; at++) {
        if (body[at] == '\\')
            at++;
    }
    return at < length ? at : length;
}

bool order_peek_is_bloated(const char *body, size_t length)
{
    size_t brackets = 0, containers = 0;

    if (length <= MAX_CONTAINERS)
        return false;
    /* Brackets within strings count here as well: this loop is fast, and is enough for all but odd bodies. */
    for (size_t at = 0; at < length; at++)
        brackets += (size_t)(body[at] == '{') + (size_t)(body[at] == '[');
    if (brackets <= MAX_CONTAINERS)
        return false;
    for (size_t at = 0; at < length; at++) {
        if (body[at] == '"')
            at = string_end(body, length, at);
        else if (body[at] == '{' || body[at] == '[')
            containers++;
    }
    return containers > MAX_CONTAINERS;
}

static size_t skip_space(const char *body, size_t length, size_t at)
{
    while (at < length && (body[at] == ' ' || body[at] == '\t' || body[at] == '\n' || body[at] == '\r'))
        at++;
    return at;
}

/* Reads the string that begins at body[at], if it is one that an order number may be. */
static bool read_number(const char *body, size_t length, size_t at, char *ret_number)
{
    AUTO_JSON json_t *holder = NULL;
    const char *number = NULL;
    struct fault ignored;
    size_t end;

    if (at >= length || body[at] != '"')
        return false;
    end = string_end(body, length, at);
    if (end == length)
        return false;
    holder = json_object();
    if (!holder ||
        json_object_set_new(holder, "n", json_loadb(body + at, end - at + 1, JSON_DECODE_ANY, NULL)) != 0 ||
        jsonx_identifier(holder, "n", NULL, JSONX_REQUIRED, ORDER_MAX_NUMBER, &number, &ignored) != OK)
        return false;
    memcpy(ret_number, number, strlen(number) + 1);
    return true;
}

/* Where the value of the only member of that name (with its quotes) begins, of those of the outermost object;
 * `length` when there is none. Given twice, nobody can say which one is meant. */
static size_t find_member(const char *body, size_t length, const char *quoted)
{
    size_t depth = 0, found = length, size = strlen(quoted);

    for (size_t at = 0; at < length; at++) {
        size_t start = at, next;

        if (body[at] == '{' || body[at] == '[')
            depth++;
        else if ((body[at] == '}' || body[at] == ']') && (depth == 0 || --depth == 0))
            break;
        if (body[at] != '"')
            continue;
        at = string_end(body, length, at);
        if (depth != 1 || at == length || at - start + 1 != size || memcmp(body + start, quoted, size) != 0)
            continue;
        next = skip_space(body, length, at + 1);
        if (next == length || body[next] != ':')
            continue;
        if (found != length)
            return length;
        found = skip_space(body, length, next + 1);
    }
    return found;
}

void order_peek_number(const char *body, size_t length, char *ret_number)
{
    if (!read_number(body, length, find_member(body, length, "\"order_number\""), ret_number))
        ret_number[0] = '\0';
}

static bool is_text(const char *body, size_t length, size_t at, const char *quoted)
{
    return length - at >= strlen(quoted) && memcmp(body + at, quoted, strlen(quoted)) == 0;
}

bool order_peek_is_refund(const char *body, size_t length)
{
    size_t action = find_member(body, length, "\"action\"");

    return is_text(body, length, action, "\"refund\"") ||
           (is_text(body, length, action, "\"resubmit\"") &&
            is_text(body, length, find_member(body, length, "\"refund_number\""), "\""));
}
