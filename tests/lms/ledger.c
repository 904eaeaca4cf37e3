/*
 * The ledger: what arrived, in order, with what was answered and what it changed. Decides what is
 * kept and for how long; showing it as JSON is in ledger_dump.c. Written by exchange.c for every
 * request but the admin interface's own.
 */
#include "ledger.h"

#include "caller.h"
#include "ledger_text.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void ledger_init(struct ledger *ledger, size_t capacity, size_t body_limit)
{
    *ledger = (struct ledger){.capacity = capacity, .body_limit = body_limit, .next_seq = 1};
    ledger->ring = mem_new(capacity * sizeof(*ledger->ring));
}

void ledger_clear(struct ledger *ledger)
{
    uint64_t in_flight = ledger->in_flight;
    uint64_t next_seq = ledger->next_seq;
    struct ledger_entry *ring = ledger->ring;
    size_t capacity = ledger->capacity;
    size_t body_limit = ledger->body_limit;

    for (size_t i = 0; i < capacity; i++) {
        free(ring[i].block);
        ring[i] = (struct ledger_entry){0};
    }
    map_clear(&ledger->by_kind, free);
    map_clear(&ledger->open_orders, NULL);
    *ledger = (struct ledger){.ring = ring,
                              .capacity = capacity,
                              .body_limit = body_limit,
                              .next_seq = next_seq,
                              .in_flight = in_flight,
                              .max_in_flight = in_flight};
}

void ledger_fini(struct ledger *ledger)
{
    ledger_clear(ledger);
    free(ledger->ring);
    *ledger = (struct ledger){0};
}

static struct ledger_entry *entry_of(struct ledger *ledger, uint64_t seq)
{
    struct ledger_entry *entry = &ledger->ring[(seq - 1) % ledger->capacity];

    return entry->seq == seq ? entry : NULL;
}

static void put_text(struct ledger_entry *entry, struct buf *block, enum ledger_text which, const char *text,
                     size_t len)
{
    if (!text)
        return;
    entry->at[which] = block->len;
    buf_add(block, text, len);
    buf_add(block, "", 1);
}

/* Header lines, credentials replaced by what they are worth. */
static void put_headers(struct ledger_entry *entry, struct buf *block, const struct request *request,
                        bool key_is_good)
{
    entry->at[LEDGER_HEADERS] = block->len;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->arena.data + request->headers[i].name_at;
        const char *value = request->arena.data + request->headers[i].value_at;

        if (strcasecmp(name, "Authorization") == 0)
            value = caller_authorization_kind(request);
        else if (strcasecmp(name, "X-Edx-Api-Key") == 0)
            value = key_is_good ? "good" : "bad";
        buf_printf(block, "%s: %s\n", name, value);
    }
    buf_add(block, "", 1);
}

static void put_texts(const struct ledger *ledger, struct ledger_entry *entry, const struct request *request,
                      bool key_is_good)
{
    static struct buf block; /* kept between calls for its memory */
    const struct {
        enum ledger_text which;
        const char *text;
    } texts[] = {
        {LEDGER_METHOD, request->method}, {LEDGER_URL, buf_str(&request->url)}, {LEDGER_KIND, request->kind},
        {LEDGER_USER, request->user},     {LEDGER_COURSE, request->course},     {LEDGER_MODE, request->mode},
        {LEDGER_ORDER, request->order},
    };

    buf_reset(&block);
    buf_add(&block, "", 1); /* offset 0 means "not said" */
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        put_text(entry, &block, texts[i].which, texts[i].text, texts[i].text ? strlen(texts[i].text) : 0);
    put_headers(entry, &block, request, key_is_good);
    if (request->body.len && request->body.len <= ledger->body_limit)
        put_text(entry, &block, LEDGER_BODY, buf_str(&request->body), request->body.len);
    entry->block = mem_new(block.len);
    memcpy(entry->block, block.data, block.len);
}

static char *line_key(const struct request *request)
{
    struct buf key = {0};

    buf_printf(&key, "%s\n%s\n%s", request->order, request->user ? request->user : "",
               request->course ? request->course : "");
    return key.data;
}

static unsigned add_open(struct map *open, const char *key, int change)
{
    uintptr_t before = (uintptr_t)map_take(open, key);
    uintptr_t after = change > 0 ? before + 1 : before - (before > 0);

    if (after)
        (void)map_put(open, key, (void *)after);
    return (unsigned)before;
}

static void count_arrival(struct ledger *ledger, const struct request *request, int64_t at_us)
{
    int64_t second = at_us / 1000000;
    struct second_count *count = &ledger->seconds[second % LEDGER_SECONDS];
    uint64_t *kind_count = map_get(&ledger->by_kind, request->kind);

    if (count->second != second)
        *count = (struct second_count){.second = second};
    count->requests++;
    if (!kind_count) {
        kind_count = mem_new(sizeof(*kind_count));
        (void)map_put(&ledger->by_kind, request->kind, kind_count);
    }
    (*kind_count)++;
    if (++ledger->in_flight > ledger->max_in_flight)
        ledger->max_in_flight = ledger->in_flight;
}

uint64_t ledger_open(struct ledger *ledger, const struct request *request, bool key_is_good,
                     uint64_t connection, uint64_t nth)
{
    uint64_t seq = ledger->next_seq++;
    struct ledger_entry *entry = &ledger->ring[(seq - 1) % ledger->capacity];

    free(entry->block);
    *entry = (struct ledger_entry){.seq = seq,
                                   .arrived_us = now_us(),
                                   .connection = connection,
                                   .nth = nth,
                                   .resource = request->resource,
                                   .is_active = request->is_active,
                                   .body_len = request->body.len};
    put_texts(ledger, entry, request, key_is_good);
    count_arrival(ledger, request, entry->arrived_us);
    if (request->order) {
        char *key = line_key(request);

        entry->overlap_order = add_open(&ledger->open_orders, request->order, +1);
        entry->overlap_line = add_open(&ledger->open_orders, key, +1);
        ledger->overlaps += entry->overlap_line > 0;
        free(key);
    }
    return seq;
}

void ledger_plan(struct ledger *ledger, uint64_t seq, int status, bool applied, const char *fault,
                 const char *rule)
{
    struct ledger_entry *entry = entry_of(ledger, seq);

    if (!entry)
        return;
    entry->status = status;
    entry->applied = applied;
    entry->fault = fault;
    if (rule) {
        size_t used = entry->at[LEDGER_BODY]
                          ? entry->at[LEDGER_BODY] + entry->body_len + 1
                          : entry->at[LEDGER_HEADERS] + strlen(entry->block + entry->at[LEDGER_HEADERS]) + 1;

        entry->block = mem_resize(entry->block, used + strlen(rule) + 1);
        memcpy(entry->block + used, rule, strlen(rule) + 1);
        entry->at[LEDGER_RULE] = used;
    }
}

static void leave_order(struct ledger *ledger, const struct ledger_entry *entry)
{
    struct buf key = {0};

    if (!entry->at[LEDGER_ORDER])
        return;
    buf_printf(&key, "%s\n%s\n%s", ledger_text(entry, LEDGER_ORDER),
               entry->at[LEDGER_USER] ? ledger_text(entry, LEDGER_USER) : "",
               entry->at[LEDGER_COURSE] ? ledger_text(entry, LEDGER_COURSE) : "");
    (void)add_open(&ledger->open_orders, ledger_text(entry, LEDGER_ORDER), -1);
    (void)add_open(&ledger->open_orders, key.data, -1);
    buf_free(&key);
}

void ledger_close(struct ledger *ledger, uint64_t seq, bool answered)
{
    struct ledger_entry *entry = entry_of(ledger, seq);

    ledger->in_flight -= ledger->in_flight > 0;
    if (!answered)
        ledger->unanswered++;
    if (!entry || entry->finished_us)
        return;
    entry->finished_us = now_us();
    entry->answered = answered;
    if (!answered)
        entry->status = 0;
    else if (entry->status > 0 && entry->status < LEDGER_STATUS_MAX)
        ledger->by_status[entry->status]++;
    leave_order(ledger, entry);
}
