/*
 * The ledger as JSON, for tests. Decides how an entry looks and which entries a filter lets through;
 * called by admin.c.
 */
#include "ledger_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Header lines as an object with lower-case names; a header that came twice is joined by a comma. */
static json_t *headers_of(const char *lines)
{
    json_t *headers = json_object();

    while (lines && *lines) {
        size_t len = strcspn(lines, "\n");
        size_t name_len = strcspn(lines, ":");
        char name[128];

        if (name_len < sizeof(name) && name_len + 2 <= len) {
            json_t *value = json_stringn_nocheck(lines + name_len + 2, len - name_len - 2);
            json_t *former;

            for (size_t i = 0; i < name_len; i++)
                name[i] = (char)tolower((unsigned char)lines[i]);
            name[name_len] = '\0';
            former = json_object_get(headers, name);
            if (former)
                value = json_sprintf("%s, %s", json_string_value(former), json_string_value(value));
            (void)json_object_set_new_nocheck(headers, name, value);
        }
        lines += len;
        lines += *lines == '\n';
    }
    return headers;
}

/* The body as text when it is UTF-8; else null, and body_bytes tells that there was one. */
static json_t *body_of(const struct ledger_entry *entry)
{
    const char *body = ledger_text(entry, LEDGER_BODY);
    json_t *text = body ? json_stringn(body, entry->body_len) : NULL;

    return text ? text : json_null();
}

static json_t *attributes_of(const struct ledger_entry *entry)
{
    const char *body = ledger_text(entry, LEDGER_BODY);
    json_t *doc = body ? json_loadb(body, entry->body_len, JSON_ALLOW_NUL, NULL) : NULL;
    json_t *attributes = json_incref(json_object_get(doc, "enrollment_attributes"));

    json_decref(doc);
    return attributes ? attributes : json_null();
}

static json_t *text_or_null(const struct ledger_entry *entry, enum ledger_text which)
{
    const char *text = ledger_text(entry, which);
    json_t *value = text ? json_string(text) : NULL;

    return value ? value : json_null();
}

static json_t *dump_entry(const struct ledger_entry *entry)
{
    json_t *out =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:I, s:I, s:I, s:s?}", "seq", (json_int_t)entry->seq,
                  "arrived_us", (json_int_t)entry->arrived_us, "finished_us", (json_int_t)entry->finished_us,
                  "connection", (json_int_t)entry->connection, "connection_request", (json_int_t)entry->nth,
                  "applied", entry->applied, "answered", entry->answered, "overlap_order",
                  (json_int_t)entry->overlap_order, "overlap_line", (json_int_t)entry->overlap_line,
                  "body_bytes", (json_int_t)entry->body_len, "fault", entry->fault);
    const struct {
        const char *key;
        enum ledger_text which;
    } texts[] = {
        {"method", LEDGER_METHOD},      {"path", LEDGER_URL},      {"kind", LEDGER_KIND},
        {"user", LEDGER_USER},          {"course", LEDGER_COURSE}, {"mode", LEDGER_MODE},
        {"order_number", LEDGER_ORDER}, {"rule", LEDGER_RULE},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        (void)json_object_set_new(out, texts[i].key, text_or_null(entry, texts[i].which));
    (void)json_object_set_new(out, "status", entry->status ? json_integer(entry->status) : json_null());
    (void)json_object_set_new(out, "is_active",
                              entry->is_active < 0 ? json_null() : json_boolean(entry->is_active));
    (void)json_object_set_new(out, "headers", headers_of(ledger_text(entry, LEDGER_HEADERS)));
    (void)json_object_set_new(out, "attributes", attributes_of(entry));
    (void)json_object_set_new(out, "body", body_of(entry));
    return out;
}

static bool is_or_any(const char *wanted, const struct ledger_entry *entry, enum ledger_text which)
{
    const char *text = ledger_text(entry, which);

    return !wanted || (text && strcmp(wanted, text) == 0);
}

static bool passes(const struct ledger_filter *filter, const struct ledger_entry *entry)
{
    return is_or_any(filter->order, entry, LEDGER_ORDER) && is_or_any(filter->user, entry, LEDGER_USER) &&
           is_or_any(filter->course, entry, LEDGER_COURSE) && is_or_any(filter->kind, entry, LEDGER_KIND) &&
           (!filter->path ||
            strncmp(ledger_text(entry, LEDGER_URL), filter->path, strlen(filter->path)) == 0);
}

json_t *ledger_dump(const struct ledger *ledger, const struct ledger_filter *filter)
{
    json_t *entries = json_array();
    uint64_t first = ledger->next_seq > ledger->capacity ? ledger->next_seq - ledger->capacity : 1;

    if (first <= filter->since)
        first = filter->since + 1;
    for (uint64_t seq = first; seq < ledger->next_seq; seq++) {
        const struct ledger_entry *entry = &ledger->ring[(seq - 1) % ledger->capacity];

        if (entry->seq != seq || !passes(filter, entry))
            continue;
        if (filter->limit && json_array_size(entries) == filter->limit)
            break;
        (void)json_array_append_new(entries, dump_entry(entry));
    }
    return json_pack("{s:I, s:o}", "last", (json_int_t)(ledger->next_seq - 1), "entries", entries);
}

struct kind_sum {
    json_t *kinds;
    json_int_t total;
};

static void dump_kind(const char *kind, void *value, void *arg)
{
    struct kind_sum *sum = arg;
    json_int_t count = (json_int_t) * (uint64_t *)value;

    (void)json_object_set_new(sum->kinds, kind, json_integer(count));
    sum->total += count;
}

json_t *ledger_stats(const struct ledger *ledger)
{
    struct kind_sum sum = {.kinds = json_object()};
    json_t *statuses = json_object();
    json_t *seconds = json_object();
    char key[32];

    map_each(&ledger->by_kind, dump_kind, &sum);
    for (int i = 0; i < LEDGER_STATUS_MAX; i++) {
        if (!ledger->by_status[i])
            continue;
        (void)snprintf(key, sizeof(key), "%d", i);
        (void)json_object_set_new(statuses, key, json_integer((json_int_t)ledger->by_status[i]));
    }
    for (int i = 0; i < LEDGER_SECONDS; i++) {
        if (!ledger->seconds[i].requests)
            continue;
        (void)snprintf(key, sizeof(key), "%lld", (long long)ledger->seconds[i].second);
        (void)json_object_set_new(seconds, key, json_integer((json_int_t)ledger->seconds[i].requests));
    }
    return json_pack("{s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "requests", sum.total, "by_kind", sum.kinds,
                     "by_status", statuses, "per_second", seconds, "in_flight", (json_int_t)ledger->in_flight,
                     "max_in_flight", (json_int_t)ledger->max_in_flight, "unanswered",
                     (json_int_t)ledger->unanswered, "overlaps", (json_int_t)ledger->overlaps);
}
