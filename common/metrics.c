/*
 * Metrics in shared memory: where each value lies, how its one writer changes it, and how all slots become
 * Prometheus text. Which metrics there are is worker/metrics.def's; the table and its reference are in
 * metrics_table.c. Called by the workers (values), the master (slots, text) and `print-metrics`.
 *
 * A region is a header and one slot a process; a slot is the beat, then the cells of each row in order. A
 * cell is 64 bits with one writer, so relaxed loads and stores are enough: a reader may see one metric a
 * moment before another, never a torn value.
 */
#include "common/metrics.h"

#include "common/metrics_table.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

typedef _Atomic int64_t cell;

enum { CACHE_LINE_CELLS = 8, REGION_MAGIC = 0x464d5431 };

/* Upper bounds of a histogram's buckets in milliseconds; the last one, +Inf, has no bound. */
static const int64_t buckets_ms[] = {1,   2,    5,    10,   25,    50,    100,   250,
                                     500, 1000, 2500, 5000, 10000, 30000, 60000, 120000};
enum { BUCKET_COUNT = ARRAY_LEN(buckets_ms) + 1, HISTOGRAM_CELLS = BUCKET_COUNT + 1 /* the sum */ };

struct header {
    uint64_t magic;
    uint64_t layout; /* of the rows: another version of the program lays its slots out otherwise */
    uint64_t slot_count;
    uint64_t slot_cells;
    _Atomic uint64_t name_count;
    uint64_t reserved[3];                        /* slots begin on a cache line */
    char names[METRIC_NAMES][METRIC_NAME_BYTES]; /* written once, by the master, before they are counted */
};
_Static_assert(sizeof(struct header) % 64 == 0, "slots begin on a cache line");

static struct {
    struct header *header; /* NULL = not attached */
    cell *own;             /* this process's slot */
} attached;

/* ---- layout ---- */

size_t metrics_cells_of(const struct metric_row *row)
{
    size_t values = row->value_count > 0 ? row->value_count : 1;

    return row->kind == METRIC_HISTOGRAM ? values * HISTOGRAM_CELLS : values;
}

static size_t round_up(size_t cells)
{
    return (cells + CACHE_LINE_CELLS - 1) / CACHE_LINE_CELLS * CACHE_LINE_CELLS;
}

static size_t slot_cells(void)
{
    return round_up(1 + metrics_table_cell_count());
}

/* FNV-1a over what decides the layout. */
static uint64_t layout_hash(void)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < metrics_table_count(); i++) {
        const struct metric_row *row = metrics_table_row(i);

        for (const char *at = row->name; *at != '\0'; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
        hash = (hash ^ (uint64_t)row->kind) * UINT64_C(1099511628211);
        hash = (hash ^ row->value_count) * UINT64_C(1099511628211);
    }
    return hash;
}

size_t metrics_region_bytes(size_t slot_count)
{
    return sizeof(struct header) + slot_count * slot_cells() * sizeof(cell);
}

void metrics_format(void *region, size_t slot_count)
{
    *(struct header *)region = (struct header){.magic = REGION_MAGIC,
                                               .layout = layout_hash(),
                                               .slot_count = slot_count,
                                               .slot_cells = slot_cells(),
                                               .name_count = 1,
                                               .names = {"other"}};
}

static cell *slot_at(size_t slot)
{
    return (cell *)(void *)(attached.header + 1) + slot * attached.header->slot_cells;
}

MUST_CHECK enum err metrics_attach(void *region, size_t region_bytes, size_t slot)
{
    struct header *header = region;

    if (region_bytes < sizeof(*header) || header->magic != REGION_MAGIC || header->layout != layout_hash() ||
        header->slot_cells != slot_cells() || slot >= header->slot_count ||
        header->slot_count > (region_bytes - sizeof(*header)) / sizeof(cell) / slot_cells())
        return ERR_MALFORMED;
    attached.header = header;
    attached.own = slot_at(slot);
    return OK;
}

void metrics_detach(void)
{
    attached.header = NULL;
    attached.own = NULL;
}

/* ---- names ---- */

static size_t name_count(void)
{
    return attached.header ? atomic_load_explicit(&attached.header->name_count, memory_order_acquire) : 0;
}

size_t metrics_name_find(const char *name)
{
    for (size_t i = 1; i < name_count(); i++) {
        if (strcmp(attached.header->names[i], name) == 0)
            return i;
    }
    return 0;
}

void metrics_name_add(const char *name)
{
    size_t count = name_count();

    if (count == 0 || count >= METRIC_NAMES || strlen(name) >= METRIC_NAME_BYTES ||
        strcmp(name, attached.header->names[0]) == 0 || metrics_name_find(name) != 0)
        return;
    strcpy(attached.header->names[count], name);
    atomic_store_explicit(&attached.header->name_count, count + 1, memory_order_release);
}

/* ---- one writer ---- */

static void set_cell(cell *at, int64_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed);
}

static int64_t get_cell(cell *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void add_cell(cell *at, int64_t count)
{
    set_cell(at, get_cell(at) + count); /* no other process writes here */
}

/* The first cell of a metric's value in a slot, or NULL when there is none such. */
static cell *find_cell(cell *slot, size_t metric, size_t label)
{
    const struct metric_row *row = metric < metrics_table_count() ? metrics_table_row(metric) : NULL;
    size_t values = row && row->value_count > 0 ? row->value_count : 1;

    if (!slot || !row || label >= values)
        return NULL;
    return slot + 1 + metrics_table_first_cell(metric) + label * (metrics_cells_of(row) / values);
}

void metrics_add(size_t metric, size_t label, int64_t count)
{
    cell *at = find_cell(attached.own, metric, label);

    if (at)
        add_cell(at, count);
}

void metrics_set(size_t metric, size_t label, int64_t value)
{
    cell *at = find_cell(attached.own, metric, label);

    if (at)
        set_cell(at, value);
}

void metrics_observe_ms(size_t metric, size_t label, int64_t elapsed_ms)
{
    cell *at = find_cell(attached.own, metric, label);
    size_t bucket = 0;

    if (!at)
        return;
    while (bucket < ARRAY_LEN(buckets_ms) && elapsed_ms > buckets_ms[bucket])
        bucket++;
    add_cell(at + bucket, 1);
    add_cell(at + BUCKET_COUNT, elapsed_ms);
}

void metrics_beat(int64_t now_ms)
{
    if (attached.own)
        set_cell(attached.own, now_ms);
}

/* ---- many readers ---- */

static cell *find_slot(size_t slot)
{
    return attached.header && slot < attached.header->slot_count ? slot_at(slot) : NULL;
}

int64_t metrics_slot_beat_ms(size_t slot)
{
    cell *at = find_slot(slot);

    return at ? get_cell(at) : 0;
}

int64_t metrics_slot_value(size_t slot, size_t metric, size_t label)
{
    cell *at = find_cell(find_slot(slot), metric, label);
    int64_t value = 0;

    if (!at)
        return 0;
    if (metrics_table_row(metric)->kind != METRIC_HISTOGRAM)
        return get_cell(at);
    for (size_t bucket = 0; bucket < BUCKET_COUNT; bucket++)
        value += get_cell(at + bucket);
    return value;
}

void metrics_slot_reset(size_t slot)
{
    cell *at = find_slot(slot);

    if (at)
        set_cell(at, 0);
    for (size_t metric = 0; at && metric < metrics_table_count(); metric++) {
        const struct metric_row *row = metrics_table_row(metric);

        if (row->kind != METRIC_GAUGE && row->kind != METRIC_GAUGE_MS)
            continue;
        for (size_t i = 0; i < metrics_cells_of(row); i++)
            set_cell(find_cell(at, metric, 0) + i, 0);
    }
}

/* ---- Prometheus text ---- */

/* One cell of a value over all slots. */
static int64_t merge(const struct metric_row *row, size_t metric, size_t label, size_t offset)
{
    int64_t merged = 0;

    for (size_t slot = 0; slot < attached.header->slot_count; slot++) {
        int64_t value = get_cell(find_cell(slot_at(slot), metric, label) + offset);

        if (row->merge == METRIC_SUM || row->kind == METRIC_HISTOGRAM)
            merged += value;
        else if (slot == 0 || value > merged)
            merged = value;
    }
    return merged;
}

static void render_seconds(struct text *out, int64_t ms)
{
    text_printf(out, "%s%" PRId64 ".%03d", ms < 0 ? "-" : "", (ms < 0 ? -ms : ms) / 1000,
                (int)((ms < 0 ? -ms : ms) % 1000));
}

/* `{label="value",le="bound"}`; le NULL = none. */
static void render_labels(struct text *out, const struct metric_row *row, size_t label, const char *le)
{
    if (!row->label && !le)
        return;
    text_putc(out, '{');
    if (row->label)
        text_printf(out, "%s=\"%s\"%s", row->label,
                    row->values ? row->values[label] : attached.header->names[label], le ? "," : "");
    if (le)
        text_printf(out, "le=\"%s\"", le);
    text_putc(out, '}');
}

static void render_histogram(struct text *out, const struct metric_row *row, size_t metric, size_t label)
{
    int64_t count = 0;

    for (size_t bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        char bound[32] = "+Inf";

        count += merge(row, metric, label, bucket);
        if (bucket < ARRAY_LEN(buckets_ms))
            (void)snprintf(bound, sizeof(bound), "%g", (double)buckets_ms[bucket] / 1000);
        text_printf(out, METRICS_PREFIX "%s_bucket", row->name);
        render_labels(out, row, label, bound);
        text_printf(out, " %" PRId64 "\n", count);
    }
    text_printf(out, METRICS_PREFIX "%s_sum", row->name);
    render_labels(out, row, label, NULL);
    text_putc(out, ' ');
    render_seconds(out, merge(row, metric, label, BUCKET_COUNT));
    text_printf(out, "\n" METRICS_PREFIX "%s_count", row->name);
    render_labels(out, row, label, NULL);
    text_printf(out, " %" PRId64 "\n", count);
}

static void render_value(struct text *out, const struct metric_row *row, size_t metric, size_t label)
{
    int64_t value;

    if (row->kind == METRIC_HISTOGRAM) {
        render_histogram(out, row, metric, label);
        return;
    }
    value = merge(row, metric, label, 0);
    text_printf(out, METRICS_PREFIX "%s", row->name);
    render_labels(out, row, label, NULL);
    text_putc(out, ' ');
    if (row->kind == METRIC_COUNTER_MS || row->kind == METRIC_GAUGE_MS)
        render_seconds(out, value);
    else
        text_integer(out, value);
    text_putc(out, '\n');
}

void metrics_render(struct text *out)
{
    for (size_t metric = 0; attached.header && metric < metrics_table_count(); metric++) {
        const struct metric_row *row = metrics_table_row(metric);

        text_printf(out, "# HELP " METRICS_PREFIX "%s %s\n# TYPE " METRICS_PREFIX "%s %s\n", row->name,
                    row->doc, row->name, metrics_kind_name(row->kind));
        size_t values = row->label && !row->values ? name_count() : row->value_count;
        for (size_t label = 0; label == 0 || label < values; label++)
            render_value(out, row, metric, label);
    }
}
