/* What a copy says of itself: read from whatever arrives, written within what a set of headers can hold. */
#include "support/unit.h"

#include "worker/copy_headers.h"

#include <stdio.h>

static struct headers *headers;

static int make(void **state)
{
    (void)state;
    headers = headers_new();
    return headers ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    headers_free(headers);
    return 0;
}

static void set_str(const char *name, const char *value)
{
    assert_int_equal(headers_set_str(headers, name, value), OK);
}

static void set_int(const char *name, int64_t value)
{
    assert_int_equal(headers_set_int(headers, name, value), OK);
}

static struct copy_facts read_facts(void)
{
    struct copy_facts facts = {0};

    copy_headers_read(headers, &facts);
    return facts;
}

static void test_no_headers_are_no_facts(void **state)
{
    struct copy_facts facts = {.generation = 7};

    (void)state;
    copy_headers_read(NULL, &facts);
    assert_int_equal(facts.generation, 0);
    assert_false(facts.dead_copy);
    assert_null(facts.finished);
}

static void test_what_was_written_is_read(void **state)
{
    const struct decision decision = {.copy = COPY_RETRY,
                                      .generation = 2,
                                      .attempts = 3,
                                      .first_ms = 5,
                                      .due_ms = 1767323045000,
                                      .finished = (char *)(uintptr_t) "[]"};
    struct headers *copy;
    struct copy_facts facts = {0};

    (void)state;
    set_str("traceparent", "00-1");
    set_str("x-shop", "a");
    set_str(HEADER_REASON, "timeout");
    set_str(HEADER_DETAIL, "of another life");
    copy = copy_headers_for(headers, &decision);
    assert_non_null(copy);
    copy_headers_read(copy, &facts);
    assert_int_equal(facts.generation, 2);
    assert_int_equal(facts.attempts, 3);
    assert_int_equal(facts.first_ms, 5);
    assert_int_equal(facts.due_ms, 1767323045000);
    assert_string_equal(facts.finished, "[]");
    assert_false(facts.dead_copy);
    assert_string_equal(headers_str(copy, "x-shop"), "a");
    assert_string_equal(headers_str(copy, "traceparent"), "00-1");
    assert_false(headers_has(copy, HEADER_DETAIL));
    headers_free(copy);
}

static void test_hostile_values_count_as_absent(void **state)
{
    struct copy_facts facts;

    (void)state;
    set_int(HEADER_GENERATION, -4);
    set_str(HEADER_ATTEMPTS, "many");
    set_int(HEADER_DUE, INT64_MIN);
    set_int(HEADER_LINES, 4);
    facts = read_facts();
    assert_int_equal(facts.generation, 0);
    assert_int_equal(facts.attempts, 0);
    assert_int_equal(facts.due_ms, 0);
    assert_null(facts.finished);
}

static void test_a_dead_copy_carries_reason_and_detail_and_no_due(void **state)
{
    const struct decision decision = {.copy = COPY_DEAD,
                                      .generation = 1,
                                      .attempts = 1,
                                      .reason = (char *)(uintptr_t) "conflict",
                                      .detail = (char *)(uintptr_t) "line 1: no"};
    struct headers *copy;

    (void)state;
    set_int(HEADER_DUE, 99);
    copy = copy_headers_for(headers, &decision);
    assert_string_equal(headers_str(copy, HEADER_REASON), "conflict");
    assert_string_equal(headers_str(copy, HEADER_DETAIL), "line 1: no");
    assert_false(headers_has(copy, HEADER_DUE));
    headers_free(copy);
}

static void test_the_word_that_started_it_goes_no_further(void **state)
{
    const struct decision decision = {.copy = COPY_RETRY, .generation = 2, .attempts = 1, .due_ms = 4};
    struct copy_facts facts;
    struct headers *copy;

    (void)state;
    set_str(HEADER_WORD, "r1");
    copy_headers_read(headers, &facts);
    assert_string_equal(facts.word_id, "r1");
    copy = copy_headers_for(headers, &decision);
    assert_false(headers_has(copy, HEADER_WORD));
    headers_free(copy);
}

static void test_finished_lines_that_do_not_fit_are_left_to_redis(void **state)
{
    size_t length = 70000;
    AUTO_FREE char *lines = calloc(1, length + 1);
    struct decision decision = {.copy = COPY_RETRY, .generation = 1, .attempts = 2};
    struct headers *copy;

    (void)state;
    memset(lines, 'x', length);
    decision.finished = lines;
    set_str("x-shop", "a");
    copy = copy_headers_for(headers, &decision);
    assert_non_null(copy);
    assert_false(headers_has(copy, HEADER_LINES));
    assert_int_equal(headers_int(copy, HEADER_ATTEMPTS, 0), 2);
    assert_string_equal(headers_str(copy, "x-shop"), "a");
    headers_free(copy);
}

static void fill_with_foreign(void)
{
    char name[32];

    for (int i = 0; i < HEADERS_MAX_COUNT - 1; i++) {
        snprintf(name, sizeof(name), "x-shop-%d", i);
        set_str(name, "a");
    }
    set_str("traceparent", "00-1");
}

static void test_a_set_that_is_full_already_makes_room_for_what_counts(void **state)
{
    const struct decision decision = {.copy = COPY_RETRY, .generation = 1, .attempts = 2, .due_ms = 4};
    struct headers *copy;

    (void)state;
    fill_with_foreign();
    copy = copy_headers_for(headers, &decision);
    assert_non_null(copy);
    assert_int_equal(headers_int(copy, HEADER_ATTEMPTS, 0), 2);
    assert_int_equal(headers_int(copy, HEADER_DUE, 0), 4);
    assert_string_equal(headers_str(copy, "traceparent"), "00-1");
    headers_free(copy);
    copy = copy_headers_dead(headers, "invalid_message", "no");
    assert_non_null(copy);
    assert_string_equal(headers_str(copy, HEADER_REASON), "invalid_message");
    assert_string_equal(headers_str(copy, "traceparent"), "00-1");
    headers_free(copy);
}

static void test_a_copy_that_was_not_run_keeps_what_it_says_of_itself(void **state)
{
    struct headers *copy;

    (void)state;
    set_int(HEADER_GENERATION, 3);
    set_str(HEADER_LINES, "[]");
    copy = copy_headers_dead(headers, "unknown_order", "why");
    assert_int_equal(headers_int(copy, HEADER_GENERATION, 0), 3);
    assert_string_equal(headers_str(copy, HEADER_LINES), "[]");
    assert_string_equal(headers_str(copy, HEADER_DETAIL), "why");
    headers_free(copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_headers_are_no_facts),
        TEST(test_what_was_written_is_read),
        TEST(test_hostile_values_count_as_absent),
        TEST(test_a_dead_copy_carries_reason_and_detail_and_no_due),
        TEST(test_the_word_that_started_it_goes_no_further),
        TEST(test_finished_lines_that_do_not_fit_are_left_to_redis),
        TEST(test_a_set_that_is_full_already_makes_room_for_what_counts),
        TEST(test_a_copy_that_was_not_run_keeps_what_it_says_of_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
