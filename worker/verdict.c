/*
 * What is known of a line: its word in the event, and its form in Redis and in the x-fulfillment-lines
 * header. Decides how much of a row from outside may be believed; what becomes of lines is retry_policy's.
 * Called by the stages (merge before a run, text after it) and by event.c.
 */
#include "worker/verdict.h"

#include "common/scope.h"
#include "common/text.h"

#include <ctype.h>

/* The names are stored: they never change their meaning. */
static const char *const state_names[] = {
    [LINE_OPEN] = "open",     [LINE_COMPLETE] = "complete", [LINE_REFUNDED] = "refunded",
    [LINE_FAILED] = "failed", [LINE_FINAL] = "final",
};

static const char *const status_names[] = {
    [FULFILL_STATUS_COMPLETE] = "complete", [FULFILL_STATUS_CONFIGURATION] = "configuration",
    [FULFILL_STATUS_NETWORK] = "network",   [FULFILL_STATUS_TIMEOUT] = "timeout",
    [FULFILL_STATUS_SERVER] = "server",
};

enum { MAX_DOUBTFUL = 1000000, MAX_GENERATION = INT32_MAX, UNKNOWN_NAME = -1 };

bool line_finished(const struct line_outcome *line)
{
    return line->state == LINE_COMPLETE || line->state == LINE_REFUNDED;
}

static const char *error_text(enum fulfill_status status)
{
    switch (status) {
    case FULFILL_STATUS_CONFIGURATION:
        return "Fulfillment Configuration Error";
    case FULFILL_STATUS_NETWORK:
        return "Fulfillment Network Error";
    case FULFILL_STATUS_TIMEOUT:
        return "Fulfillment Timeout Error";
    case FULFILL_STATUS_COMPLETE: /* a module's nonsense: failed and complete */
    case FULFILL_STATUS_SERVER:
        break;
    }
    return "Fulfillment Server Error";
}

const char *line_status_text(const struct line_outcome *line, bool refund)
{
    switch (line->state) {
    case LINE_COMPLETE:
        return "Complete";
    case LINE_REFUNDED:
        return refund ? "Complete" : "Refunded";
    case LINE_OPEN:
        if (!line->reason[0])
            return "Open";
        break;
    case LINE_FAILED:
    case LINE_FINAL:
        break;
    }
    return refund ? "Revocation Error" : error_text(line->status);
}

/* ---- out ---- */

/* Appends a string literal. */
#define PUT(text, literal) text_append((text), (literal), sizeof(literal) - 1)

/* Adds `,KEY` and a text unless that is empty; whatever its bytes, what is stored is valid. `key` is written
 * as it stands: with its comma, quotes and colon. */
static void put_text(struct text *text, const char *key, const char *value)
{
    char clean[LINE_MESSAGE_BYTES];

    if (!value[0])
        return;
    text_puts(text, key);
    text_json_string(text, clean, text_utf8_copy(clean, sizeof(clean), value, strlen(value)));
}

static void put_number(struct text *text, const char *key, int64_t number)
{
    if (number == 0)
        return;
    text_puts(text, key);
    text_integer(text, number);
}

/* What a module returned, if it is what it should be. Returns false when memory is out. */
static bool put_result(struct text *text, const char *result_json)
{
    json_t *result = result_json ? json_loads(result_json, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool object = json_is_object(result);
    AUTO_FREE char *compact = object ? json_dumps(result, JSON_COMPACT) : NULL;

    json_decref(result);
    if (!object)
        return true;
    if (!compact)
        return false;
    PUT(text, ",\"result\":");
    text_puts(text, compact);
    return true;
}

/* What a failed or open line has beyond what a finished one keeps. */
static void put_failure(struct text *text, const struct line_outcome *line)
{
    put_text(text, ",\"reason\":", line->reason);
    put_text(text, ",\"message\":", line->message);
    if (line->reason[0])
        put_text(text, ",\"status\":", status_names[line->status]);
    put_number(text, ",\"http_status\":", line->http_status);
    put_number(text, ",\"doubtful\":", line->doubtful > 0 ? line->doubtful : 0);
}

/* What the next attempt of an unfinished line needs, so that it does nothing twice. */
static void put_doubt(struct text *text, const struct line_outcome *line)
{
    if (line->look_first)
        PUT(text, ",\"look_first\":true");
    put_number(text, ",\"key_generation\":", line->key_generation);
}

static void put_beginning(struct text *text, const struct line_outcome *line)
{
    PUT(text, "{\"id\":");
    text_integer(text, line->id);
    put_text(text, ",\"state\":", state_names[line->state]);
}

static bool put_line(struct text *text, const struct line_outcome *line)
{
    bool put;

    put_beginning(text, line);
    put_text(text, ",\"module\":", line->module);
    put = put_result(text, line->result_json);
    if (!line_finished(line)) {
        put_failure(text, line);
        put_doubt(text, line);
    }
    PUT(text, "}");
    return put;
}

static bool put_header_line(struct text *text, const struct line_outcome *line)
{
    if (line_finished(line))
        return put_line(text, line);
    put_beginning(text, line);
    put_doubt(text, line);
    PUT(text, "}");
    return true;
}

static bool in_header(const struct line_outcome *line)
{
    return line_finished(line) || line->look_first;
}

/* Those lines that are `wanted` (NULL: all), each as `put` writes it. */
static char *lines_text(const struct line_outcome *lines, size_t count,
                        bool (*wanted)(const struct line_outcome *line),
                        bool (*put)(struct text *text, const struct line_outcome *line))
{
    AUTO_TEXT struct text text = TEXT_EMPTY(SIZE_MAX / 4); /* what goes in is bounded */
    char *written = NULL;

    PUT(&text, "[");
    for (size_t i = 0; i < count; i++) {
        if (wanted && !wanted(&lines[i]))
            continue;
        if (text.length > 1)
            PUT(&text, ",");
        if (!put(&text, &lines[i]))
            return NULL;
    }
    PUT(&text, "]");
    return text_take(&text, &written, NULL) == OK ? written : NULL;
}

char *line_outcomes_text(const struct line_outcome *lines, size_t count)
{
    return lines_text(lines, count, NULL, put_line);
}

char *line_outcomes_header(const struct line_outcome *lines, size_t count)
{
    return lines_text(lines, count, in_header, put_header_line);
}

/* ---- in ---- */

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; name && i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return UNKNOWN_NAME;
}

static void get_text(const json_t *row, const char *key, char *out, size_t size)
{
    const json_t *value = json_object_get(row, key);

    text_utf8_copy(out, size, json_is_string(value) ? json_string_value(value) : "",
                   json_is_string(value) ? json_string_length(value) : 0);
}

static int get_number(const json_t *row, const char *key, int low, int high)
{
    json_int_t value = json_integer_value(json_object_get(row, key));

    return value >= low && value <= high ? (int)value : 0;
}

/* A code goes into metrics and documents unescaped: words of ours look like this, others are dropped. */
static void get_reason(const json_t *row, char *out)
{
    get_text(row, "reason", out, LINE_REASON_BYTES);
    for (const char *at = out; *at; at++) {
        if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_') {
            out[0] = '\0';
            return;
        }
    }
}

static void merge_result(struct line_outcome *line, const json_t *result)
{
    char *text;

    if (!json_is_object(result))
        return;
    text = json_dumps(result, JSON_COMPACT);
    if (!text)
        return;
    free(line->result_json);
    line->result_json = text;
}

static void merge_failure(struct line_outcome *line, const json_t *row, bool same_generation)
{
    int status =
        find_name(status_names, ARRAY_LEN(status_names), json_string_value(json_object_get(row, "status")));
    int doubtful = get_number(row, "doubtful", 0, MAX_DOUBTFUL);

    line->status = status == UNKNOWN_NAME ? FULFILL_STATUS_SERVER : (enum fulfill_status)status;
    get_reason(row, line->reason);
    get_text(row, "message", line->message, sizeof(line->message));
    line->http_status = get_number(row, "http_status", 100, 599);
    /* Once in doubt, always in doubt until somebody has looked. */
    line->look_first = line->look_first || json_is_true(json_object_get(row, "look_first"));
    if (same_generation || line->look_first)
        line->key_generation = get_number(row, "key_generation", 1, MAX_GENERATION);
    if (same_generation && doubtful > line->doubtful)
        line->doubtful = doubtful;
}

static void merge_row(struct line_outcome *line, const json_t *row, bool same_generation)
{
    int state =
        find_name(state_names, ARRAY_LEN(state_names), json_string_value(json_object_get(row, "state")));

    if (state == UNKNOWN_NAME || line_finished(line))
        return;
    line->state = (enum line_state)state;
    get_text(row, "module", line->module, sizeof(line->module));
    merge_result(line, json_object_get(row, "result"));
    if (line_finished(line)) {
        line->status = FULFILL_STATUS_COMPLETE;
        line->reason[0] = line->message[0] = '\0';
        line->http_status = 0;
        return;
    }
    if (!same_generation)
        line->state = LINE_OPEN;
    merge_failure(line, row, same_generation);
}

void line_outcomes_merge(struct line_outcome *lines, size_t count, const json_t *array, bool same_generation)
{
    size_t next = 0; /* rows come in the order of the lines: look there first */

    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *row = json_array_get(array, i);
        const json_t *id = json_object_get(row, "id");

        if (!json_is_integer(id))
            continue;
        for (size_t tried = 0; tried < count; tried++) {
            size_t at = (next + tried) % count;

            if (lines[at].id == json_integer_value(id)) {
                merge_row(&lines[at], row, same_generation);
                next = at + 1;
                break;
            }
        }
    }
}

void line_outcomes_choose_keys(struct line_outcome *lines, size_t count, int64_t generation)
{
    for (size_t i = 0; i < count; i++) {
        if (lines[i].key_generation == 0)
            lines[i].key_generation = generation;
    }
}

void line_outcomes_free(struct line_outcome *lines, size_t count)
{
    for (size_t i = 0; lines && i < count; i++) {
        free(lines[i].result_json);
        lines[i].result_json = NULL;
    }
}
