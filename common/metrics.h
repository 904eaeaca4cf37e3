/*
 * Counters, gauges and histograms from rows of a table, in memory that the processes of one pool share: one
 * slot a process, one writer a slot, no locks. The master reads all slots and writes Prometheus text.
 *
 * The table of fulfilld is worker/metrics.def (ids: worker/metric_rows.h). Until metrics_attach()
 * every call below does nothing, so that sub-commands and unit tests need no region.
 */
#ifndef FULFILLD_COMMON_METRICS_H
#define FULFILLD_COMMON_METRICS_H

#include "common/text.h"

#include <stdio.h>

enum metric_kind {
    METRIC_COUNTER,
    METRIC_COUNTER_MS, /* counts milliseconds, shown as seconds */
    METRIC_GAUGE,
    METRIC_GAUGE_MS, /* set in milliseconds, shown as seconds */
    METRIC_HISTOGRAM /* observed in milliseconds, shown as seconds */
};

/* Names that become known at run time only (metrics_name_add): the values of rows with a label and no values.
 * Place 0 is "other": what has no name of its own. */
enum { METRIC_NAMES = 32, METRIC_NAME_BYTES = 40 };

/* How a gauge's slots become one value. Counters and histograms are summed. */
enum metric_merge { METRIC_SUM, METRIC_MAX };

struct metric_row {
    enum metric_kind kind;
    const char *name; /* without the prefix "fulfilld_" */
    enum metric_merge merge;
    const char *label;         /* NULL = none */
    const char *const *values; /* of the label; NULL with a label: names of run time */
    size_t value_count;        /* 0 without a label; METRIC_NAMES with names of run time */
    const char *doc;           /* one sentence */
};

/** Names the table, once, before all else. Borrowed for ever. */
void metrics_table(const struct metric_row *rows, size_t count);

/** Bytes a region for so many slots takes. */
size_t metrics_region_bytes(size_t slot_count);

/** Lays out a region (zeroed memory, 64-byte aligned, e.g. mmap of a memfd). For the master, once. */
void metrics_format(void *region, size_t slot_count);

/**
 * Takes a slot of a region as this process's own. Its counters go on from where the last owner left them.
 * @return ERR_MALFORMED when the region was laid out by another version or for fewer slots
 */
MUST_CHECK enum err metrics_attach(void *region, size_t region_bytes, size_t slot);
/** Forgets the region (before it is unmapped). */
void metrics_detach(void);

/** The place of a name of run time, for metrics_add(); 0 = it has none. */
size_t metrics_name_find(const char *name);

/* ---- the owner of a slot; `label` is the position of the label's value, 0 without a label ---- */

void metrics_add(size_t metric, size_t label, int64_t count);
void metrics_set(size_t metric, size_t label, int64_t value);
void metrics_observe_ms(size_t metric, size_t label, int64_t elapsed_ms);
/** Says "my loop turns", with loop_now_ms(): the clock is the machine's, so that others may compare. */
void metrics_beat(int64_t now_ms);

/* ---- the master; valid while attached ---- */

/** Gives a name a place, for as long as the region is there; there is none left after METRIC_NAMES - 1. */
void metrics_name_add(const char *name);

/** When a slot beat last, 0 = not since its reset. */
int64_t metrics_slot_beat_ms(size_t slot);
/** A slot's own value of a metric: a counter, a gauge, or how often a histogram was observed. */
int64_t metrics_slot_value(size_t slot, size_t metric, size_t label);
/** After a process is gone: beat and gauges to 0; counters and histograms stay. */
void metrics_slot_reset(size_t slot);

/** Appends all metrics over all slots in Prometheus' text format, version 0.0.4. */
void metrics_render(struct text *out);

/** The reference of the table: one line a metric. */
void metrics_print_reference(FILE *out);
/** The same as Markdown: docs/metrics.md. */
void metrics_print_markdown(FILE *out);

#endif
