/* metrics.def as rows for common/metrics.h. Data only; named by main.c. */
#include "worker/metric_rows.h"

#define VALUES_FIRST(metric, value) static const char *const values_of_##metric[] = {#value
#define VALUES_NEXT(metric, value)  , #value
#define VALUES_END(metric)                                                                                   \
    }                                                                                                        \
    ;
#define METRIC(metric_kind, metric_name, metric_merge, words)
#define METRIC_BY(metric_kind, metric_name, metric_merge, label_name, words)
#define METRIC_NAMED(metric_kind, metric_name, metric_merge, label_name, words)
#include "worker/metrics.def"
#undef VALUES_FIRST
#undef VALUES_NEXT
#undef VALUES_END
#undef METRIC
#undef METRIC_BY
#undef METRIC_NAMED

#define VALUES_FIRST(metric, value)
#define VALUES_NEXT(metric, value)
#define VALUES_END(metric)
#define METRIC(metric_kind, metric_name, metric_merge, words)                                                \
    {.kind = METRIC_##metric_kind, .name = #metric_name, .merge = METRIC_##metric_merge, .doc = words},
#define METRIC_BY(metric_kind, metric_name, metric_merge, label_name, words)                                 \
    {.kind = METRIC_##metric_kind,                                                                           \
     .name = #metric_name,                                                                                   \
     .merge = METRIC_##metric_merge,                                                                         \
     .label = label_name,                                                                                    \
     .values = values_of_##metric_name,                                                                      \
     .value_count = ARRAY_LEN(values_of_##metric_name),                                                      \
     .doc = words},
#define METRIC_NAMED(metric_kind, metric_name, metric_merge, label_name, words)                              \
    {.kind = METRIC_##metric_kind,                                                                           \
     .name = #metric_name,                                                                                   \
     .merge = METRIC_##metric_merge,                                                                         \
     .label = label_name,                                                                                    \
     .value_count = METRIC_NAMES,                                                                            \
     .doc = words},

const struct metric_row metric_rows[METRIC_ROW_COUNT] = {
#include "worker/metrics.def"
};
