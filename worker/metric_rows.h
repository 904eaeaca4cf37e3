/*
 * metrics.def as ids and rows:
 *     metrics_add(METRIC_orders_settled_total, METRIC_orders_settled_total_dead, 1);
 *     metrics_observe_ms(METRIC_order_seconds, 0, elapsed_ms);
 *
 * STYLE: these enum values are in lower case, because they are the names that an operator sees.
 */
#ifndef FULFILLD_WORKER_METRIC_ROWS_H
#define FULFILLD_WORKER_METRIC_ROWS_H

#include "common/metrics.h"

enum metric_id {
#define VALUES_FIRST(metric, value)
#define VALUES_NEXT(metric, value)
#define VALUES_END(metric)
#define METRIC(kind, name, merge, doc)              METRIC_##name,
#define METRIC_BY(kind, name, merge, label, doc)    METRIC_##name,
#define METRIC_NAMED(kind, name, merge, label, doc) METRIC_##name,
#include "worker/metrics.def"
#undef VALUES_FIRST
#undef VALUES_NEXT
#undef METRIC
#undef METRIC_BY
#undef METRIC_NAMED
};

enum metric_value {
#define VALUES_FIRST(metric, value) METRIC_##metric##_##value = 0,
#define VALUES_NEXT(metric, value)  METRIC_##metric##_##value,
#define METRIC(kind, name, merge, doc)
#define METRIC_BY(kind, name, merge, label, doc)
#define METRIC_NAMED(kind, name, merge, label, doc)
#include "worker/metrics.def"
#undef VALUES_FIRST
#undef VALUES_NEXT
#undef METRIC
#undef METRIC_BY
#undef METRIC_NAMED
};

enum {
    METRIC_ROW_COUNT = 0
#define VALUES_FIRST(metric, value)
#define VALUES_NEXT(metric, value)
#define METRIC(kind, name, merge, doc)              +1
#define METRIC_BY(kind, name, merge, label, doc)    +1
#define METRIC_NAMED(kind, name, merge, label, doc) +1
#include "worker/metrics.def"
#undef VALUES_FIRST
#undef VALUES_NEXT
#undef VALUES_END
#undef METRIC
#undef METRIC_BY
#undef METRIC_NAMED
};

/* For metrics_table(). */
extern const struct metric_row metric_rows[METRIC_ROW_COUNT];

#endif
