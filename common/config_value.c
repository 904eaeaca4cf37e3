/*
 * One value of a configuration: from text to its field, by its row. Decides what durations, sizes and the
 * like look like and what is said when a value is not allowed. Files, sections and keys are config.c's, its
 * caller.
 */
#include "common/config.h"

#include "common/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

/* A unit of durations or sizes, largest first. */
struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"d", INT64_C(86400000)}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
static const struct unit size_units[] = {
    {"g", INT64_C(1) << 30},
    {"m", 1 << 20},
    {"k", 1 << 10},
    {"", 1},
};

/* ---- words about what is allowed ---- */

/* The number in its largest whole unit: 90000 → "90s". */
static void write_in_units(int64_t number, const struct unit *units, size_t count, char *out, size_t size)
{
    size_t i = 0;

    while (i + 1 < count && (number == 0 || number % units[i].factor != 0))
        i++;
    (void)snprintf(out, size, "%" PRId64 "%s", number / units[i].factor, units[i].suffix);
}

static void write_range(const struct config_row *row, const char *what, const struct unit *units,
                        size_t count, const char *examples, char *out, size_t size)
{
    char min[32], max[32];

    write_in_units(row->min, units, count, min, sizeof(min));
    write_in_units(row->max, units, count, max, sizeof(max));
    (void)snprintf(out, size, "%s from %s to %s%s", what, min, max, examples);
}

/* "a|b|c" as "a, b or c". */
static void write_choices(const char *choices, char *out, size_t size)
{
    size_t length = 0;

    for (const char *at = choices; *at != '\0' && length + 1 < size;) {
        size_t word = strcspn(at, "|");
        const char *joint = at[word] == '\0' ? "" : strchr(at + word + 1, '|') ? ", " : " or ";
        int more = snprintf(out + length, size - length, "%.*s%s", (int)word, at, joint);

        length += more > 0 ? (size_t)more : 0;
        at += word + (at[word] == '|');
    }
}

void config_value_allowed(const struct config_row *row, char *out, size_t size)
{
    switch (row->type) {
    case CONFIG_COUNT:
        (void)snprintf(out, size, "%s%san integer from %" PRId64 " to %" PRId64,
                       row->choices ? row->choices : "", row->choices ? ", or " : "", row->min, row->max);
        break;
    case CONFIG_RATE:
        (void)snprintf(out, size, "a number from %" PRId64 " to %" PRId64, row->min, row->max);
        break;
    case CONFIG_DURATION:
        write_range(row, "a duration", duration_units, ARRAY_LEN(duration_units),
                    ", as in 200ms, 5s, 10m, 48h or 90d", out, size);
        break;
    case CONFIG_SIZE:
        write_range(row, "a size", size_units, ARRAY_LEN(size_units), ", as in 512, 64k or 1m", out, size);
        break;
    case CONFIG_BOOLEAN:
        (void)snprintf(out, size, "yes or no");
        break;
    case CONFIG_TEXT:
        if (row->max > 0)
            (void)snprintf(out, size, "text of at most %" PRId64 " bytes", row->max);
        else
            (void)snprintf(out, size, "text");
        break;
    case CONFIG_PATH:
        (void)snprintf(out, size, "a path");
        break;
    case CONFIG_LIST:
        (void)snprintf(out, size, "items without blanks, separated by commas");
        break;
    case CONFIG_CHOICE:
        write_choices(row->choices, out, size);
        break;
    case CONFIG_ADDRESS:
        (void)snprintf(out, size, "HOST:PORT, as in 127.0.0.1:9464 or [::1]:9464");
        break;
    }
}

void config_value_redact(const char *value, char *out, size_t size)
{
    const char *host = strstr(value, "://");
    const char *end = value + strlen(value), *at = NULL;
    char hidden[512];

    /* User information may stand in any URL of a list; from the first "://" to the last "@" nothing is shown.
     */
    for (const char *c = host; c && c < end; c++)
        at = *c == '@' ? c : at;
    if (at) {
        (void)snprintf(hidden, sizeof(hidden), "%.*s://***%.200s",
                       (int)(host - value < 64 ? host - value : 64), value, at);
        value = hidden;
    }
    (void)text_utf8_copy(out, size, value, strlen(value));
}

/* ---- reading ---- */

/* Decimal digits only; false when there are none or the number does not fit. */
static bool read_digits(const char *text, const char **ret_end, int64_t *ret_number)
{
    int64_t number = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        int digit = *at - '0';

        if (number > (INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_end = at;
    *ret_number = number;
    return at > text;
}

static bool read_count(const struct config_row *row, const char *value, int64_t *ret_count)
{
    const char *end;
    int64_t count;

    if (row->choices && strcasecmp(value, row->choices) == 0) {
        *ret_count = 0;
        return true;
    }
    if (!read_digits(value, &end, &count) || *end != '\0' || count < row->min || count > row->max)
        return false;
    *ret_count = count;
    return true;
}

static bool read_in_units(const struct config_row *row, const char *value, const struct unit *units,
                          size_t count, int64_t *ret_number)
{
    const char *suffix;
    int64_t number;

    if (!read_digits(value, &suffix, &number))
        return false;
    for (size_t i = 0; i < count; i++) {
        /* A bare 0 needs no unit. */
        if (strcasecmp(suffix, units[i].suffix) != 0 && !(number == 0 && *suffix == '\0'))
            continue;
        if (number > INT64_MAX / units[i].factor)
            return false;
        number *= units[i].factor;
        if (number < row->min || number > row->max)
            return false;
        *ret_number = number;
        return true;
    }
    return false;
}

static bool read_rate(const struct config_row *row, const char *value, double *ret_rate)
{
    double rate;
    char *end;

    /* strtod knows hexadecimal, "inf" and signs; none belongs here. */
    if (strspn(value, "0123456789.") != strlen(value) || value[0] == '\0')
        return false;
    rate = strtod(value, &end);
    if (*end != '\0' || rate < (double)row->min || rate > (double)row->max)
        return false;
    *ret_rate = rate;
    return true;
}

static bool read_boolean(const char *value, bool *ret_boolean)
{
    static const char *const words[] = {"no", "false", "off", "0", "yes", "true", "on", "1"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *ret_boolean = i >= ARRAY_LEN(words) / 2;
            return true;
        }
    }
    return false;
}

static bool read_choice(const struct config_row *row, const char *value, int *ret_choice)
{
    int position = 0;

    for (const char *at = row->choices; *at != '\0'; position++) {
        size_t word = strcspn(at, "|");

        if (strlen(value) == word && strncasecmp(value, at, word) == 0) {
            *ret_choice = position;
            return true;
        }
        at += word + (at[word] == '|');
    }
    return false;
}

/* Items without blanks or control characters; the separators lose theirs. False for an empty item. */
static bool normalise_list(const char *value, char *out)
{
    size_t length = 0, item = 0;

    for (const char *at = value;; at++) {
        if (*at == ',' || *at == '\0') {
            if (item == 0)
                return false;
            out[length++] = *at;
            item = 0;
            if (*at == '\0')
                return true;
        } else if (isspace((unsigned char)*at)) {
            size_t blanks = strspn(at, " \t\n");

            if (item > 0 && at[blanks] != ',' && at[blanks] != '\0')
                return false;
            at += blanks > 0 ? blanks - 1 : 0;
        } else {
            out[length++] = *at;
            item++;
        }
    }
}

static bool is_address(const char *value)
{
    const char *colon = strrchr(value, ':'), *end;
    bool bracketed = value[0] == '[';
    int64_t port;

    if (!colon || !read_digits(colon + 1, &end, &port) || *end != '\0' || port > 65535)
        return false;
    for (const char *at = value; at < colon; at++) {
        if (isspace((unsigned char)*at) || (*at == ':' && !bracketed))
            return false;
    }
    return !bracketed || (colon > value + 2 && colon[-1] == ']');
}

/* Checks and copies a value that stays text. */
static MUST_CHECK enum err read_text(const struct config_row *row, const char *value, char **ret_text,
                                     bool *ret_good)
{
    AUTO_FREE char *copy = strdup(value);

    if (!copy)
        return ERR_NOMEM;
    *ret_good = true;
    if (value[0] == '\0') {
        *ret_text = NULL;
        return OK;
    }
    if (row->type == CONFIG_PATH)
        *ret_good = strlen(value) < PATH_MAX;
    else if (row->type == CONFIG_ADDRESS)
        *ret_good = is_address(value);
    else if (row->type == CONFIG_LIST)
        *ret_good = normalise_list(value, copy);
    else
        *ret_good = row->max <= 0 || strlen(value) <= (size_t)row->max;
    if (*ret_good)
        *ret_text = TAKE(copy);
    return OK;
}

MUST_CHECK enum err config_value_read(const struct config_row *row, const char *value, void *field,
                                      struct fault *ret_allowed)
{
    bool good = false;
    char allowed[200];
    enum err err = OK;

    switch (row->type) {
    case CONFIG_COUNT:
        good = read_count(row, value, field);
        break;
    case CONFIG_RATE:
        good = read_rate(row, value, field);
        break;
    case CONFIG_DURATION:
        good = read_in_units(row, value, duration_units, ARRAY_LEN(duration_units), field);
        break;
    case CONFIG_SIZE:
        good = read_in_units(row, value, size_units, ARRAY_LEN(size_units), field);
        break;
    case CONFIG_BOOLEAN:
        good = read_boolean(value, field);
        break;
    case CONFIG_CHOICE:
        good = read_choice(row, value, field);
        break;
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_LIST:
    case CONFIG_ADDRESS:
        err = read_text(row, value, field, &good);
        break;
    }
    if (err != OK) {
        *ret_allowed = fault_of(err);
        return err;
    }
    if (good)
        return OK;
    config_value_allowed(row, allowed, sizeof(allowed));
    *ret_allowed = fault_make(ERR_CONFIG, "%s", allowed);
    return ERR_CONFIG;
}
