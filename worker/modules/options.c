/*
 * Checks the keys of [module NAME] sections at start, so that a slip of the pen is no business rule: a list
 * of statuses that cannot be read would make every answer final. Called through the modules' tables.
 */
#include "options.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LOWEST_STATUS = 100, HIGHEST_STATUS = 599, MAX_METHOD = 16 };

/* ---- values; NULL = fine, else what would be right ---- */

static const char *check_path(const char *value)
{
    return value[0] == '/' && !strpbrk(value, " \t") ? NULL : "expected a path that begins with /";
}

static const char *check_method(const char *value)
{
    size_t length = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return length > 0 && length <= MAX_METHOD && value[length] == '\0' ? NULL
                                                                       : "expected a method, as in POST";
}

static const char *check_yes_no(const char *value)
{
    return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0 ? NULL : "expected yes or no";
}

static const char *check_file(const char *value)
{
    return value[0] != '\0' ? NULL : "expected the path of a file";
}

/* Reads "200" or "200-299", and the comma behind it. The rest of the list, or NULL when it is none. */
static const char *read_range(const char *list, long *ret_from, long *ret_to)
{
    char *end;

    *ret_from = *ret_to = strtol(list, &end, 10);
    if (end == list)
        return NULL;
    if (*end == '-') {
        list = end + 1;
        *ret_to = strtol(list, &end, 10);
        if (end == list)
            return NULL;
    }
    list = end + strspn(end, " \t");
    if (*list == '\0')
        return list;
    if (*list != ',')
        return NULL;
    return list + 1 + strspn(list + 1, " \t");
}

static const char *check_statuses(const char *value)
{
    static const char wrong[] = "expected statuses from 100 to 599 and ranges of them, as in 200-299, 409";
    long from, to;

    do {
        value = read_range(value, &from, &to);
        if (!value || from < LOWEST_STATUS || to > HIGHEST_STATUS || from > to)
            return wrong;
    } while (*value != '\0');
    return NULL;
}

/* ---- keys ---- */

/* A token of RFC 9110, section 5.6.2. */
static bool is_header_name(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    return name[0] != '\0' && name[strspn(name, token)] == '\0';
}

const char *options_check_none(const char *key, const char *value)
{
    (void)key, (void)value;
    return "a module of this type has no keys but type and upstream";
}

const char *options_check_webhook(const char *key, const char *value)
{
    static const struct {
        const char *key;
        const char *(*check)(const char *value);
    } keys[] = {
        {"path", check_path},
        {"method", check_method},
        {"refund_path", check_path},
        {"refund_method", check_method},
        {"secret_file", check_file},
        {"done_statuses", check_statuses},
        {"retry_statuses", check_statuses},
        {"final_statuses", check_statuses},
        {"poll", check_yes_no},
    };
    static const char wrong_name[] = "expected the name of a header behind the dot";

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i].key, key) == 0)
            return keys[i].check(value);
    if (strncmp(key, "header_file.", 12) == 0)
        return is_header_name(key + 12) ? check_file(value) : wrong_name;
    if (strncmp(key, "header.", 7) == 0)
        return is_header_name(key + 7) ? NULL : wrong_name;
    return "there is no such key: a webhook has path, method, refund_path, refund_method, header.NAME, "
           "header_file.NAME, secret_file, done_statuses, retry_statuses, final_statuses and poll";
}

int options_status_listed(const char *list, int status)
{
    long from, to;

    while (list && *list != '\0') {
        list = read_range(list, &from, &to);
        if (list && status >= from && status <= to)
            return 1;
    }
    return 0;
}
