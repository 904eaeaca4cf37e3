/*
 * The table that metrics_table() named, where each row's cells lie, and the reference of all rows. Changes no
 * value: that is metrics.c.
 */
#include "common/metrics_table.h"

static struct {
    const struct metric_row *rows;
    size_t count;
    size_t first_cell[METRICS_ROWS_MAX + 1];
} table;

void metrics_table(const struct metric_row *rows, size_t count)
{
    table.rows = rows;
    table.count = count < METRICS_ROWS_MAX ? count : METRICS_ROWS_MAX;
    table.first_cell[0] = 0;
    for (size_t i = 0; i < table.count; i++)
        table.first_cell[i + 1] = table.first_cell[i] + metrics_cells_of(&rows[i]);
}

size_t metrics_table_count(void)
{
    return table.count;
}

const struct metric_row *metrics_table_row(size_t metric)
{
    return &table.rows[metric];
}

size_t metrics_table_first_cell(size_t metric)
{
    return table.first_cell[metric];
}

size_t metrics_table_cell_count(void)
{
    return table.first_cell[table.count];
}

const char *metrics_kind_name(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
    case METRIC_COUNTER_MS:
        return "counter";
    case METRIC_GAUGE:
    case METRIC_GAUGE_MS:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

/* The values of a row's label, each in `before` and `after`. */
static void print_values(FILE *out, const struct metric_row *row, const char *before, const char *after)
{
    if (!row->values)
        (void)fputs("one for each NAME of the configuration, or other", out);
    for (size_t i = 0; row->values && i < row->value_count; i++)
        (void)fprintf(out, "%s%s%s%s", i == 0 ? "" : ", ", before, row->values[i], after);
}

void metrics_print_reference(FILE *out)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct metric_row *row = &table.rows[i];

        (void)fprintf(out, "%s" METRICS_PREFIX "%s (%s)\n    %s\n", i == 0 ? "" : "\n", row->name,
                      metrics_kind_name(row->kind), row->doc);
        if (row->label) {
            (void)fprintf(out, "    %s: ", row->label);
            print_values(out, row, "", "");
            (void)fputc('\n', out);
        }
    }
}

/* How the slots of a pool become one number, in a word. */
static const char *merge_text(const struct metric_row *row)
{
    return row->merge == METRIC_MAX ? "largest" : "sum";
}

static const char markdown_head[] =
    "# Metrics\n\n"
    "<!-- Made from worker/metrics.def. Do not edit: FULFILLD_UPDATE_DOCS=1 ctest -R unit.metrics -->\n\n"
    "`GET /metrics` on `http.listen` answers in Prometheus' text format, for the whole pool of this\n"
    "host: the worker processes write into shared memory, and the master puts their values together.\n"
    "Counters and histograms go on when a worker is replaced; they begin at 0 when fulfilld is\n"
    "started. Times are seconds.\n\n"
    "| metric | kind | of workers | label | meaning |\n| --- | --- | --- | --- | --- |\n";

void metrics_print_markdown(FILE *out)
{
    (void)fputs(markdown_head, out);
    for (size_t i = 0; i < table.count; i++) {
        const struct metric_row *row = &table.rows[i];

        (void)fprintf(out, "| `" METRICS_PREFIX "%s` | %s | %s | ", row->name, metrics_kind_name(row->kind),
                      merge_text(row));
        if (row->label)
            (void)fprintf(out, "`%s`: ", row->label);
        else
            (void)fputs("–", out);
        if (row->label)
            print_values(out, row, "`", "`");
        (void)fprintf(out, " | %s |\n", row->doc);
    }
}
