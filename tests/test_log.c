/* common/log.c: how a line looks, and that what comes from outside cannot break it. */
#include "common/log.h"

#include "support/unit.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

static int saved_stderr = -1, capture = -1;
static char line[200000];

static int start_capture(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    capture = memfd_create("log", 0);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_identify(NULL, -1);
    return saved_stderr >= 0 && capture >= 0 && dup2(capture, STDERR_FILENO) >= 0 ? 0 : -1;
}

static int end_capture(void **state)
{
    (void)state;
    (void)dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(capture);
    return 0;
}

/* All that was written so far. */
static const char *written(void)
{
    ssize_t count = pread(capture, line, sizeof(line) - 1, 0);

    assert_true(count >= 0);
    line[count] = '\0';
    return line;
}

static json_t *written_object(void)
{
    json_t *object = json_loads(written(), 0, NULL);

    assert_non_null(object);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    return object;
}

static void test_an_event_is_one_json_object_on_one_line(void **state)
{
    json_t *object;

    (void)state;
    log_identify("worker", 3);
    log_info("order.retrying", "will try again", LOG_STR("order", "EDX-1"), LOG_INT("delay_s", -5),
             LOG_BOOL("final", false), LOG_STR("absent", NULL));
    object = written_object();
    assert_string_equal(json_string_value(json_object_get(object, "event")), "order.retrying");
    assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(object, "message")), "will try again");
    assert_string_equal(json_string_value(json_object_get(object, "role")), "worker");
    assert_int_equal(json_integer_value(json_object_get(object, "slot")), 3);
    assert_string_equal(json_string_value(json_object_get(object, "order")), "EDX-1");
    assert_int_equal(json_integer_value(json_object_get(object, "delay_s")), -5);
    assert_true(json_is_false(json_object_get(object, "final")));
    assert_true(json_is_null(json_object_get(object, "absent")));
    assert_int_equal(strlen(json_string_value(json_object_get(object, "time"))), 24);
    json_decref(object);
}

static void test_values_from_outside_cannot_break_the_line(void **state)
{
    json_t *object;

    (void)state;
    log_warning("broker.lost", "lost", LOG_STR("reason", "a\"b\\c\nd\xff\x01"));
    object = written_object();
    assert_string_equal(json_string_value(json_object_get(object, "reason")), "a\"b\\c d\xef\xbf\xbd ");
    json_decref(object);
}

static void test_long_values_are_cut_at_1000_bytes(void **state)
{
    char value[3001];
    json_t *object;

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    log_error("a.b", "c", LOG_STR("value", value));
    object = written_object();
    assert_int_equal(json_string_length(json_object_get(object, "value")), 1000);
    json_decref(object);
}

static void test_events_below_the_level_are_not_written(void **state)
{
    (void)state;
    log_debug("a.b", "not shown");
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
    log_warning("a.b", "not shown");
    assert_false(log_enabled(LOG_LEVEL_WARNING));
    assert_string_equal(written(), "");
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    log_debug("a.b", "shown");
    assert_non_null(strstr(written(), "shown"));
}

static void test_text_format_reads_like_a_sentence(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_identify("worker", 0);
    log_info("link.up", "connected", LOG_STR("link", "redis"), LOG_INT("after_ms", 12));
    assert_string_equal(written() + 25, "info    worker/0 link.up: connected link=\"redis\" after_ms=12\n");
}

static void test_a_reader_that_went_away_does_no_harm(void **state)
{
    (void)state;
    close(STDERR_FILENO);
    log_info("a.b", "nobody hears this");
    assert_int_equal(dup2(capture, STDERR_FILENO), STDERR_FILENO);
    assert_string_equal(written(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_event_is_one_json_object_on_one_line, start_capture,
                                        end_capture),
        cmocka_unit_test_setup_teardown(test_values_from_outside_cannot_break_the_line, start_capture,
                                        end_capture),
        cmocka_unit_test_setup_teardown(test_long_values_are_cut_at_1000_bytes, start_capture, end_capture),
        cmocka_unit_test_setup_teardown(test_events_below_the_level_are_not_written, start_capture,
                                        end_capture),
        cmocka_unit_test_setup_teardown(test_text_format_reads_like_a_sentence, start_capture, end_capture),
        cmocka_unit_test_setup_teardown(test_a_reader_that_went_away_does_no_harm, start_capture,
                                        end_capture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
