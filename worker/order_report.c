/*
 * Reads the fields of an order's hashes (docs/redis.md) into one document. Decides which of several items
 * speaks for the order, and what may be shown: states, reasons and results, never the kept message. Called by
 * cmd_order.c; order_report_print.c turns the document into text.
 */
#include "worker/order_report.h"

#include "common/jsonx.h"
#include "common/text.h"
#include "worker/verdict.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 600, MAX_STORED_BYTES = 16 * 1024 * 1024 };

const char *const order_report_item_fields[] = {"state",   "gen",      "att", "waits", "due", "first",
                                                "crashes", "doubtful", "mid", "lines", NULL};

static const char *field(const json_t *fields, const char *name)
{
    const char *value = json_string_value(json_object_get(fields, name));

    return value ? value : "";
}

static int64_t number_field(const json_t *fields, const char *name)
{
    return strtoll(field(fields, name), NULL, 10);
}

/* Text that came from outside, fit for a terminal and for JSON. */
static json_t *clean(const char *text)
{
    char out[TEXT_BYTES];

    text_utf8_copy(out, sizeof(out), text, strlen(text));
    return json_string(out);
}

/* The process alone; behind it stands the number of its claim. */
static json_t *owner_of(const char *text)
{
    char out[TEXT_BYTES];

    text_utf8_copy(out, sizeof(out), text, strcspn(text, "#"));
    return json_string(out);
}

static json_t *utc(int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char out[32];

    if (time_ms <= 0 || !gmtime_r(&seconds, &parts) ||
        strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return json_null();
    return json_string(out);
}

/* ---- lines ---- */

static json_t *load(const char *text)
{
    json_t *json = NULL;
    struct fault fault;

    if (jsonx_load(text, strlen(text), MAX_STORED_BYTES, &json, &fault) != OK)
        return NULL;
    return json;
}

static json_t *describe_line(const struct line_outcome *line, bool refund)
{
    AUTO_JSON json_t *reason = json_null();
    AUTO_JSON json_t *result = line->result_json ? load(line->result_json) : json_null();

    if (line->reason[0])
        reason = json_pack("{s:s, s:s, s:i}", "code", line->reason, "message", line->message, "http_status",
                           line->http_status);
    return json_pack("{s:I, s:s, s:s?, s:O?, s:O?}", "id", (json_int_t)line->id, "status",
                     line_status_text(line, refund), "module", line->module[0] ? line->module : NULL,
                     "reason", reason, "result", result);
}

/* The rows of an item's `lines`, in their order, with what the whole order knows of each laid over them. */
static json_t *describe_lines(const json_t *order, const char *prefix, const json_t *rows, bool refund)
{
    json_t *lines = json_array();

    for (size_t i = 0; lines && i < json_array_size(rows); i++) {
        struct line_outcome line = {.id = json_integer_value(json_object_get(json_array_get(rows, i), "id"))};
        char name[TEXT_BYTES];
        const char *finished;
        json_t *stored = NULL;
        int failed;

        snprintf(name, sizeof(name), "%s%" PRId64, prefix, line.id);
        finished = field(order, name);
        if (finished[0])
            stored = load(finished + 1); /* behind the letter that scripts read */
        line_outcomes_merge(&line, 1, stored, true);
        line_outcomes_merge(&line, 1, rows, true);
        failed = json_array_append_new(lines, describe_line(&line, refund));
        json_decref(stored);
        line_outcomes_free(&line, 1);
        if (failed) {
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

static json_t *last_reason(const json_t *lines)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_t *reason = json_object_get(json_array_get(lines, i), "reason");

        if (json_is_object(reason))
            return json_incref(reason);
    }
    return json_null();
}

/* ---- items ---- */

static const char *state_word(const char *state)
{
    static const char *const words[][2] = {
        {"run", "running"}, {"wait", "waiting"}, {"dead", "dead"}, {"done", "done"}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i][0], state) == 0)
            return words[i][1];
    }
    return "unknown"; /* expired or evicted; its lines are known all the same */
}

static json_t *describe_item(const json_t *order, const char *id, const char *action, const json_t *fields,
                             int64_t now_ms)
{
    bool refund = strncmp(action, "refund ", 7) == 0;
    const char *state = state_word(field(fields, "state"));
    bool leased = strcmp(field(order, "lease_item"), id) == 0 && number_field(order, "lease_until") > now_ms;
    AUTO_JSON json_t *refund_number = refund ? clean(action + 7) : json_null();
    AUTO_JSON json_t *rows = load(field(fields, "lines"));
    AUTO_JSON json_t *lines = NULL;
    char prefix[TEXT_BYTES];

    if (strcmp(state, "running") == 0 && !leased)
        state = "interrupted"; /* its worker died; the next copy takes it over */
    snprintf(prefix, sizeof(prefix), refund ? "rline:%s:" : "line:", action + (refund ? 7 : 0));
    lines = describe_lines(order, prefix, rows, refund);
    if (!lines)
        return NULL;
    return json_pack(
        "{s:o, s:s, s:O, s:s, s:I, s:I, s:I, s:o, s:o, s:I, s:b, s:o, s:o, s:o, s:O}", "item", clean(id),
        "action", refund ? "refund" : "fulfill", "refund_number", refund_number, "state", state, "generation",
        (json_int_t)number_field(fields, "gen"), "attempts", (json_int_t)number_field(fields, "att"), "waits",
        (json_int_t)number_field(fields, "waits"), "first_attempt_at", utc(number_field(fields, "first")),
        "next_attempt_at", strcmp(state, "waiting") == 0 ? utc(number_field(fields, "due")) : json_null(),
        "crashes", (json_int_t)number_field(fields, "crashes"), "doubtful",
        strcmp(field(fields, "doubtful"), "1") == 0, "message_id", clean(field(fields, "mid")), "worker",
        leased ? owner_of(field(order, "lease_owner")) : json_null(), "last_reason", last_reason(lines),
        "lines", lines);
}

static json_t *describe_items(const json_t *order, const json_t *items, int64_t now_ms)
{
    json_t *list = json_array();
    const char *name;
    json_t *action;

    json_object_foreach((json_t *)(uintptr_t)order, name, action)
    {
        const char *id = name + 5;

        if (strncmp(name, "item:", 5) != 0)
            continue;
        if (json_array_append_new(list, describe_item(order, id, json_string_value(action),
                                                      json_object_get(items, id), now_ms)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* ---- the order ---- */

/* Which item speaks for the order: one with work left before one that is done, a
 * fulfilment before a refund, and then the one that most wants a person's eye. */
static const json_t *speaker(const json_t *list)
{
    static const char *const urgency[] = {"done", "unknown", "running", "interrupted", "waiting", "dead"};
    const json_t *best = NULL;
    size_t best_rank = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        size_t rank = strcmp(field(item, "action"), "fulfill") == 0 ? 1 + ARRAY_LEN(urgency) : 1;

        if (strcmp(field(item, "state"), "done") != 0)
            rank += 2 * ARRAY_LEN(urgency);

        for (size_t at = 0; at < ARRAY_LEN(urgency); at++)
            rank += strcmp(urgency[at], field(item, "state")) == 0 ? at : 0;
        if (rank > best_rank) {
            best = item;
            best_rank = rank;
        }
    }
    return best;
}

/* The line as some item last recorded it; NULL where no item has recorded it yet. */
static json_t *recorded_line(const json_t *list, int64_t id)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *lines = json_object_get(item, "lines");

        if (strcmp(field(item, "action"), "fulfill") != 0)
            continue;
        for (size_t at = 0; at < json_array_size(lines); at++) {
            json_t *line = json_array_get(lines, at);

            if (json_integer_value(json_object_get(line, "id")) == id)
                return line;
        }
    }
    return NULL;
}

static json_t *one_line(const json_t *order, const json_t *list, int64_t id)
{
    AUTO_JSON json_t *row = json_pack("[{s:I}]", "id", (json_int_t)id);
    AUTO_JSON json_t *bare = row ? describe_lines(order, "line:", row, false) : NULL;
    json_t *recorded = recorded_line(list, id);
    json_t *line = json_copy(recorded ? recorded : json_array_get(bare, 0));
    char name[64];

    snprintf(name, sizeof(name), "refunded:%" PRId64, id);
    if (!line || json_object_set_new(line, "taken_by_refund",
                                     field(order, name)[0] ? clean(field(order, name)) : json_null()) != 0) {
        json_decref(line);
        return NULL;
    }
    return line;
}

static int compare_ids(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

static json_t *all_lines(const json_t *order, const json_t *list, bool *ret_finished)
{
    AUTO_FREE int64_t *ids = malloc((json_object_size(order) + 1) * sizeof(*ids));
    json_t *lines = json_array();
    size_t count = 0;
    const char *name;
    json_t *value;

    *ret_finished = true;
    json_object_foreach((json_t *)(uintptr_t)order, name, value)
    {
        if (ids && strncmp(name, "line:", 5) == 0) {
            ids[count++] = strtoll(name + 5, NULL, 10);
            *ret_finished = *ret_finished && json_string_length(value) > 0;
        }
    }
    *ret_finished = *ret_finished && count > 0;
    if (ids)
        qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(lines, one_line(order, list, ids[i])) != 0) {
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

/* In the words of the event; "Open" while nothing has failed and something is still to be done. */
static const char *status_text(const json_t *item, const json_t *lines, bool finished)
{
    bool refund = json_array_size(lines) == 0 && strcmp(field(item, "action"), "refund") == 0;
    json_t *reason = last_reason(refund ? json_object_get(item, "lines") : lines);
    bool failed = json_is_object(reason);

    json_decref(reason);
    if (finished || (refund && strcmp(field(item, "state"), "done") == 0))
        return "Complete";
    if (!failed)
        return "Open";
    return refund ? "Revocation Error" : "Fulfillment Error";
}

json_t *order_report(const char *number, const json_t *order, const json_t *items, int64_t now_ms)
{
    AUTO_JSON json_t *list = describe_items(order, items, now_ms);
    bool finished;
    AUTO_JSON json_t *lines = list ? all_lines(order, list, &finished) : NULL;
    const json_t *item = speaker(list);

    if (!lines)
        return NULL;
    return json_pack("{s:o, s:s, s:s, s:O?, s:O?, s:O?, s:O?, s:O, s:O}", "order_number", clean(number),
                     "status", status_text(item, lines, finished), "state",
                     item ? field(item, "state") : "unknown", "generation",
                     json_object_get(item, "generation"), "attempts", json_object_get(item, "attempts"),
                     "next_attempt_at", json_object_get(item, "next_attempt_at"), "last_reason",
                     json_object_get(item, "last_reason"), "lines", lines, "items", list);
}
