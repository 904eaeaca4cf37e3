/*
 * common/metrics*.c on a small table, and worker/metrics.def's document. The argument is the project's
 * folder.
 */
#include "common/config.h"
#include "common/metrics.h"
#include "worker/metric_rows.h"

#include "support/unit.h"

enum { ORDERS, WAITED, IN_FLIGHT, OLDEST, TIME, EVENTS };

static const char *const outcomes[] = {"complete", "dead"};
static const struct metric_row rows[] = {
    {METRIC_COUNTER, "orders_total", METRIC_SUM, "outcome", outcomes, 2, "Orders."},
    {METRIC_COUNTER_MS, "waited_seconds_total", METRIC_SUM, NULL, NULL, 0, "Waiting."},
    {METRIC_GAUGE, "in_flight", METRIC_SUM, NULL, NULL, 0, "In flight."},
    {METRIC_GAUGE_MS, "oldest_seconds", METRIC_MAX, NULL, NULL, 0, "Oldest."},
    {METRIC_HISTOGRAM, "time_seconds", METRIC_SUM, NULL, NULL, 0, "Time."},
    {METRIC_COUNTER, "events_total", METRIC_SUM, "module", NULL, METRIC_NAMES, "Events."},
};

enum { SLOTS = 3 };

static const char *project_folder = ".";
static void *region;

static int set_up(void **state)
{
    (void)state;
    metrics_table(rows, ARRAY_LEN(rows));
    region = aligned_alloc(64, (metrics_region_bytes(SLOTS) + 63) / 64 * 64);
    if (!region)
        return -1;
    memset(region, 0, metrics_region_bytes(SLOTS));
    metrics_format(region, SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_detach();
    free(region);
    return 0;
}

static void be(size_t slot)
{
    assert_int_equal(metrics_attach(region, metrics_region_bytes(SLOTS), slot), OK);
}

static void expect_line(const char *line)
{
    AUTO_TEXT struct text out = TEXT_EMPTY(1 << 20);

    metrics_render(&out);
    assert_int_equal(out.failed, OK);
    if (!strstr(text_peek(&out), line))
        fail_msg("no line %s in:\n%s", line, text_peek(&out));
}

static void test_nothing_is_counted_before_a_slot_is_taken(void **state)
{
    AUTO_TEXT struct text out = TEXT_EMPTY(1 << 20);

    (void)state;
    metrics_add(ORDERS, 0, 1);
    metrics_beat(5);
    metrics_slot_reset(0);
    metrics_render(&out);
    assert_string_equal(text_peek(&out), "");
    assert_int_equal(metrics_slot_value(0, ORDERS, 0), 0);
}

static void test_slots_are_put_together_as_their_rows_say(void **state)
{
    (void)state;
    be(1);
    metrics_add(ORDERS, 1, 2);
    metrics_add(WAITED, 0, 1250);
    metrics_set(IN_FLIGHT, 0, 7);
    metrics_set(OLDEST, 0, 1500);
    be(2);
    metrics_add(ORDERS, 1, 3);
    metrics_set(IN_FLIGHT, 0, 5);
    metrics_set(IN_FLIGHT, 0, 4);
    metrics_set(OLDEST, 0, 20);
    be(0);
    expect_line("# HELP fulfilld_orders_total Orders.\n# TYPE fulfilld_orders_total counter\n"
                "fulfilld_orders_total{outcome=\"complete\"} 0\nfulfilld_orders_total{outcome=\"dead\"} 5\n");
    expect_line("\nfulfilld_waited_seconds_total 1.250\n");
    expect_line("# TYPE fulfilld_in_flight gauge\nfulfilld_in_flight 11\n");
    expect_line("\nfulfilld_oldest_seconds 1.500\n");
    assert_int_equal(metrics_slot_value(1, ORDERS, 1), 2);
}

static void test_names_of_run_time_are_labels_as_long_as_there_is_room(void **state)
{
    char name[METRIC_NAME_BYTES + 1];

    (void)state;
    be(0);
    metrics_name_add("licence");
    metrics_name_add("licence");
    metrics_name_add("voucher");
    metrics_name_add("other"); /* has its place already */
    be(1);
    metrics_add(EVENTS, metrics_name_find("voucher"), 2);
    metrics_add(EVENTS, metrics_name_find("unheard of"), 1);
    be(0);
    expect_line("fulfilld_events_total{module=\"other\"} 1\nfulfilld_events_total{module=\"licence\"} 0\n"
                "fulfilld_events_total{module=\"voucher\"} 2\n");
    memset(name, 'x', sizeof(name));
    name[METRIC_NAME_BYTES] = '\0';
    metrics_name_add(name); /* too long */
    assert_int_equal(metrics_name_find(name), 0);
    for (int i = 0; i < METRIC_NAMES; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        metrics_name_add(name);
    }
    assert_int_equal(metrics_name_find("n28"), METRIC_NAMES - 1);
    assert_int_equal(metrics_name_find("n29"), 0);
}

static void test_histograms_count_up_to_each_bound(void **state)
{
    (void)state;
    be(1);
    metrics_observe_ms(TIME, 0, 0);
    metrics_observe_ms(TIME, 0, 1);
    metrics_observe_ms(TIME, 0, 2);
    be(2);
    metrics_observe_ms(TIME, 0, 120000);
    metrics_observe_ms(TIME, 0, 120001);
    expect_line("# TYPE fulfilld_time_seconds histogram\nfulfilld_time_seconds_bucket{le=\"0.001\"} 2\n"
                "fulfilld_time_seconds_bucket{le=\"0.002\"} 3\n");
    expect_line("fulfilld_time_seconds_bucket{le=\"60\"} 3\nfulfilld_time_seconds_bucket{le=\"120\"} 4\n"
                "fulfilld_time_seconds_bucket{le=\"+Inf\"} 5\nfulfilld_time_seconds_sum 240.004\n"
                "fulfilld_time_seconds_count 5\n");
    assert_int_equal(metrics_slot_value(1, TIME, 0), 3);
}

static void test_a_restarted_worker_goes_on_with_its_counters_but_not_its_gauges(void **state)
{
    (void)state;
    be(1);
    metrics_add(ORDERS, 0, 2);
    metrics_set(IN_FLIGHT, 0, 9);
    metrics_observe_ms(TIME, 0, 5);
    metrics_beat(123456);
    be(0);
    assert_int_equal(metrics_slot_beat_ms(1), 123456);
    metrics_slot_reset(1);
    assert_int_equal(metrics_slot_beat_ms(1), 0);
    assert_int_equal(metrics_slot_value(1, IN_FLIGHT, 0), 0);
    be(1);
    metrics_add(ORDERS, 0, 1);
    assert_int_equal(metrics_slot_value(1, ORDERS, 0), 3);
    assert_int_equal(metrics_slot_value(1, TIME, 0), 1);
}

static void test_a_region_of_another_layout_is_refused(void **state)
{
    (void)state;
    assert_int_equal(metrics_attach(region, metrics_region_bytes(SLOTS), SLOTS), ERR_MALFORMED);
    assert_int_equal(metrics_attach(region, metrics_region_bytes(SLOTS) - 1, 0), ERR_MALFORMED);
    assert_int_equal(metrics_attach(region, 8, 0), ERR_MALFORMED);
    metrics_table(rows, ARRAY_LEN(rows) - 1);
    assert_int_equal(metrics_attach(region, metrics_region_bytes(SLOTS), 0), ERR_MALFORMED);
}

static void test_ids_outside_the_table_change_nothing(void **state)
{
    (void)state;
    be(0);
    metrics_add(ORDERS, 2, 1);
    metrics_add(99, 0, 1);
    metrics_set(IN_FLIGHT, 1, 1);
    assert_int_equal(metrics_slot_value(0, WAITED, 0), 0);
    assert_int_equal(metrics_slot_value(0, OLDEST, 0), 0);
    assert_int_equal(metrics_slot_value(SLOTS, ORDERS, 0), 0);
}

static void test_the_real_table_renders_and_is_the_document(void **state)
{
    AUTO_TEXT struct text out = TEXT_EMPTY(1 << 20);
    char path[4096], *printed = NULL, *written = NULL;
    size_t length = 0;
    struct fault fault = {0};
    FILE *memory = open_memstream(&printed, &length);

    (void)state;
    free(region);
    metrics_table(metric_rows, METRIC_ROW_COUNT);
    region = calloc(1, metrics_region_bytes(SLOTS));
    assert_non_null(region);
    metrics_format(region, SLOTS);
    be(0);
    metrics_add(METRIC_orders_settled_total, METRIC_orders_settled_total_dead, 1);
    assert_int_equal(metrics_slot_value(0, METRIC_orders_settled_total, 2), 1);
    metrics_render(&out);
    assert_int_equal(out.failed, OK);
    assert_non_null(memory);
    metrics_print_markdown(memory);
    assert_int_equal(fclose(memory), 0);
    assert_true(snprintf(path, sizeof(path), "%s/docs/metrics.md", project_folder) < (int)sizeof(path));
    if (getenv("FULFILLD_UPDATE_DOCS")) {
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_true(fputs(printed, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    if (config_read_file(path, &written, &length, &fault) != OK)
        fail_msg("%s", fault.detail);
    if (strcmp(printed, written) != 0)
        fail_msg("docs/metrics.md is not what the program prints: run FULFILLD_UPDATE_DOCS=1 ctest -R "
                 "unit.metrics");
    free(printed);
    free(written);
}

#define METRICS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        METRICS_TEST(test_nothing_is_counted_before_a_slot_is_taken),
        METRICS_TEST(test_slots_are_put_together_as_their_rows_say),
        METRICS_TEST(test_names_of_run_time_are_labels_as_long_as_there_is_room),
        METRICS_TEST(test_histograms_count_up_to_each_bound),
        METRICS_TEST(test_a_restarted_worker_goes_on_with_its_counters_but_not_its_gauges),
        METRICS_TEST(test_a_region_of_another_layout_is_refused),
        METRICS_TEST(test_ids_outside_the_table_change_nothing),
        METRICS_TEST(test_the_real_table_renders_and_is_the_document),
    };

    if (argc > 1)
        project_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
