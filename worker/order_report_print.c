/*
 * The report of an order as text for a terminal: what state it is in, what it waits for, and each line with
 * the reason it gave. Called by cmd_order.c.
 */
#include "worker/order_report.h"

#include "common/scope.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* "in 12 s", "in 3 min", "12 s ago": from what the report says, so that both say the same. */
static void print_distance(const char *utc, int64_t now_ms, FILE *out)
{
    struct tm parts = {0};
    int64_t seconds, shown;
    const char *unit = "s";

    if (!strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &parts))
        return;
    seconds = (int64_t)timegm(&parts) - now_ms / 1000;
    shown = seconds < 0 ? -seconds : seconds;
    if (shown >= 48 * 3600) {
        shown /= 24 * 3600;
        unit = "days";
    } else if (shown >= 2 * 3600) {
        shown /= 3600;
        unit = "h";
    } else if (shown >= 120) {
        shown /= 60;
        unit = "min";
    }
    fprintf(out, seconds < 0 ? " (%" PRId64 " %s ago)" : " (in %" PRId64 " %s)", shown, unit);
}

static void print_reason(const json_t *reason, FILE *out)
{
    if (!json_is_object(reason))
        return;
    fprintf(out, "  %s", text(reason, "code"));
    if (number(reason, "http_status") > 0)
        fprintf(out, " (HTTP %" PRId64 ")", number(reason, "http_status"));
    if (text(reason, "message")[0])
        fprintf(out, ": %s", text(reason, "message"));
}

static void print_line(const json_t *line, FILE *out)
{
    const json_t *result = json_object_get(line, "result");
    const char *refund = text(line, "taken_by_refund");

    fprintf(out, "  line %" PRId64 "  %s", number(line, "id"), text(line, "status"));
    if (text(line, "module")[0])
        fprintf(out, "  [%s]", text(line, "module"));
    print_reason(json_object_get(line, "reason"), out);
    if (json_is_object(result)) {
        AUTO_FREE char *dump = json_dumps(result, JSON_COMPACT | JSON_ENSURE_ASCII);

        fprintf(out, "  %s", dump ? dump : "");
    }
    if (refund[0])
        fprintf(out, "  (refund %s)", refund);
    fputc('\n', out);
}

static void print_item(const json_t *item, int64_t now_ms, FILE *out)
{
    const json_t *lines = json_object_get(item, "lines");
    const char *next = text(item, "next_attempt_at");
    bool refund = strcmp(text(item, "action"), "refund") == 0;

    fprintf(out, "\n%s%s (item %s): %s, generation %" PRId64 ", attempts %" PRId64,
            refund ? "Refund " : "Fulfilment", text(item, "refund_number"), text(item, "item"),
            text(item, "state"), number(item, "generation"), number(item, "attempts"));
    if (number(item, "waits") > 0)
        fprintf(out, ", %" PRId64 " waits that cost none", number(item, "waits"));
    if (number(item, "crashes") > 0)
        fprintf(out, ", %" PRId64 " crashes", number(item, "crashes"));
    fputc('\n', out);
    if (next[0]) {
        fprintf(out, "  next attempt %s", next);
        print_distance(next, now_ms, out);
        fputc('\n', out);
    }
    if (text(item, "worker")[0])
        fprintf(out, "  held by %s\n", text(item, "worker"));
    if (refund) {
        for (size_t i = 0; i < json_array_size(lines); i++)
            print_line(json_array_get(lines, i), out);
    }
}

void order_report_print(const json_t *report, int64_t now_ms, FILE *out)
{
    const json_t *lines = json_object_get(report, "lines");
    const json_t *items = json_object_get(report, "items");

    fprintf(out, "Order %s: %s (%s)\n", text(report, "order_number"), text(report, "status"),
            text(report, "state"));
    for (size_t i = 0; i < json_array_size(lines); i++)
        print_line(json_array_get(lines, i), out);
    for (size_t i = 0; i < json_array_size(items); i++)
        print_item(json_array_get(items, i), now_ms, out);
}
