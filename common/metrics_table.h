/* The table of metrics as metrics.c and metrics_table.c share it; private to those. */
#ifndef FULFILLD_COMMON_METRICS_TABLE_H
#define FULFILLD_COMMON_METRICS_TABLE_H

#include "common/metrics.h"

#define METRICS_PREFIX "fulfilld_"

enum { METRICS_ROWS_MAX = 128 };

size_t metrics_table_count(void);
const struct metric_row *metrics_table_row(size_t metric);
/* Where a metric's cells begin, counted in cells from the first metric's; and how many all take. */
size_t metrics_table_first_cell(size_t metric);
size_t metrics_table_cell_count(void);
/* How many cells a row takes in a slot (metrics.c). */
size_t metrics_cells_of(const struct metric_row *row);
/* Prometheus' word for a kind. */
const char *metrics_kind_name(enum metric_kind kind);

#endif
