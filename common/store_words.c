/*
 * Encodes commands and reads error answers. Decides which of Redis' error codes mean "not now" and which
 * mean "never"; store.c acts on it.
 */
#include "common/store_words.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH_MAX = 24 /* of "$", 20 digits, CR, LF and NUL */ };

/* Of EVALSHA as a bulk string, and of its digest as one. */
#define EVALSHA_WORDS "$7\r\nEVALSHA\r\n$40\r\n"
enum { EVALSHA_BYTES = sizeof EVALSHA_WORDS - 1 + 40 + 2 };

/* ---- commands ---- */

static size_t digit_count(size_t value)
{
    size_t count = 1;

    for (; value >= 10; value /= 10)
        count++;
    return count;
}

/* snprintf() would cost more than all the rest of a command. */
static char *put_size(char *at, char mark, size_t value)
{
    size_t digits = digit_count(value);

    *at++ = mark;
    for (size_t place = digits; place > 0; place--) {
        at[place - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    at += digits;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static char *put_bulk(char *at, const struct store_arg *arg)
{
    at = put_size(at, '$', arg->length);
    if (arg->length > 0)
        memcpy(at, arg->data, arg->length);
    at += arg->length;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

char *store_command_encode(const struct store_part *parts, size_t part_count, size_t *ret_length)
{
    size_t arg_count = 0;
    size_t bytes = LENGTH_MAX;

    for (size_t part = 0; part < part_count; part++) {
        arg_count += parts[part].count;
        for (size_t index = 0; index < parts[part].count; index++) {
            if (__builtin_add_overflow(bytes, parts[part].args[index].length + LENGTH_MAX + 2, &bytes))
                return NULL;
        }
    }
    char *command = malloc(bytes);
    if (!command)
        return NULL;
    char *at = put_size(command, '*', arg_count);
    for (size_t part = 0; part < part_count; part++)
        for (size_t index = 0; index < parts[part].count; index++)
            at = put_bulk(at, &parts[part].args[index]);
    *ret_length = (size_t)(at - command);
    return command;
}

const char *store_command_tail(const char *command, size_t *ret_first_line_length)
{
    *ret_first_line_length = (size_t)(strchr(command, '\n') - command) + 1;
    return command + *ret_first_line_length + EVALSHA_BYTES;
}

/* ---- errors ---- */

static bool begins_with(const char *words, const char *code)
{
    size_t length = strlen(code);

    return strncmp(words, code, length) == 0 && (words[length] == ' ' || words[length] == '\0');
}

/* Redis did not run it and may do so later, or on another node, or after an operator has acted. */
static const char *const unavailable_codes[] = {
    "READONLY", "LOADING", "OOM", "MISCONF",  "NOAUTH",      "WRONGPASS",  "NOPERM",
    "BUSY",     "MOVED",   "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS",
};

/* The same, in sentences that come under the general code ERR. */
static const char *const unavailable_sentences[] = {
    "ERR max number of clients",
    "ERR operation not permitted", /* NOAUTH before Redis 2.8.. and of some proxies */
    "ERR invalid password",        /* WRONGPASS before Redis 6 */
    "ERR AUTH ",
    "ERR Client sent AUTH",         /* the same before Redis 6 */
    "ERR server closed connection", /* of proxies */
    "ERR Background save",
};

/* Until Redis 6 an error inside a script comes wrapped: "ERR Error running script … -OOM command not …". */
static bool is_wrapped_unavailable(const char *words)
{
    if (strncmp(words, "ERR Error running script", 24) != 0)
        return false;
    for (size_t index = 0; index < ARRAY_LEN(unavailable_codes); index++) {
        char marked[16];
        snprintf(marked, sizeof marked, "-%s ", unavailable_codes[index]);
        if (strstr(words, marked))
            return true;
    }
    return false;
}

static bool is_unavailable(const char *words)
{
    for (size_t index = 0; index < ARRAY_LEN(unavailable_codes); index++)
        if (begins_with(words, unavailable_codes[index]))
            return true;
    for (size_t index = 0; index < ARRAY_LEN(unavailable_sentences); index++)
        if (strncmp(words, unavailable_sentences[index], strlen(unavailable_sentences[index])) == 0)
            return true;
    return is_wrapped_unavailable(words);
}

struct fault store_error_read(const char *words)
{
    /* "unknown command 'AUTH', with args beginning with: 'secret'": what was sent stays out of messages. */
    const char *quoted = strstr(words, "with args beginning with");
    int shown = quoted ? (int)(quoted - words) : (int)strnlen(words, 200);

    return fault_make(is_unavailable(words) ? ERR_UNAVAILABLE : ERR_REFUSED, "Redis: %.*s", shown, words);
}

bool store_error_is_noscript(const char *words)
{
    return begins_with(words, "NOSCRIPT");
}

bool store_error_wants_reconnect(const char *words)
{
    return begins_with(words, "READONLY") || begins_with(words, "NOAUTH") ||
           begins_with(words, "MASTERDOWN") || (is_wrapped_unavailable(words) && strstr(words, "-READONLY "));
}
