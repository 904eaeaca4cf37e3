/*
 * The ledger on a real Redis that forgets: emptied between any two steps, half evicted, without its scripts,
 * or with values of somebody else in its keys.
 */
#include "tests/support/ledger_bench.h"

static struct item seat;

static int set_up(void **state)
{
    bench_item(&seat, "EDX-1", ORDER_FULFILL, NULL, 11, 2);
    return bench_empty(state);
}

static const struct copy_facts original = {.message_id = "m1"};
static const struct copy_facts again = {.message_id = "m1", .redelivered = true};

static struct copy_facts retry_copy(int64_t generation, int64_t attempts, int64_t due_ms)
{
    return (struct copy_facts){
        .message_id = "m1", .generation = generation, .attempts = attempts, .due_ms = due_ms, .first_ms = 1};
}

/* Leaves the item waiting at (1, 1): due long ago, or in an hour. */
static int64_t leave_waiting(bool due_now)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);
    int64_t due_ms = due_now ? 5000 : bench_now_ms() + 3600000;

    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = due_ms}), OK);
    return due_ms;
}

/* ---- Redis emptied ---- */

static void test_after_a_flush_the_copy_says_where_the_item_was(void **state)
{
    struct copy_facts copy = retry_copy(3, 5, 5000);
    struct seen run;

    (void)state;
    copy.finished =
        "[{\"id\":12,\"state\":\"complete\",\"result\":{\"uuid\":\"u\"}},{\"id\":99,\"state\":\"complete\"}]";
    run = bench_expect(&seat, copy, CLAIM_RUN);
    assert_int_equal(run.result.generation, 3);
    assert_int_equal(run.result.attempts, 5);
    assert_int_equal(run.result.first_ms, 1);
    assert_true(run.result.doubtful);
    assert_string_equal(run.finished, "12=[{\"id\":12,\"state\":\"complete\",\"result\":{\"uuid\":\"u\"}}]");
    assert_string_equal(REDIS("HEXISTS", bench_order_key(&seat), "line:99"), "0");
}

static void test_a_nonsensical_lines_header_says_nothing(void **state)
{
    static const char *const headers[] = {"",
                                          "{",
                                          "[1,null,\"x\",[]]",
                                          "{\"id\":11,\"state\":\"complete\"}",
                                          "[{\"id\":\"11\",\"state\":\"complete\"}]",
                                          "[{\"id\":11,\"state\":7}]",
                                          "[{\"id\":11}]",
                                          "[{\"id\":11,\"state\":\"open\"}]"};
    struct copy_facts copy = retry_copy(1, 1, 5000);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        REDIS("FLUSHALL");
        copy.finished = headers[i];
        assert_string_equal(bench_expect(&seat, copy, CLAIM_RUN).finished, "");
    }
}

static void test_line_ids_are_exact_to_the_last_digit(void **state)
{
    struct item big;
    struct copy_facts copy = retry_copy(1, 1, 5000);

    (void)state;
    bench_item(&big, "EDX-1", ORDER_FULFILL, NULL, 9007199254740992, 2);
    copy.finished = "[{\"id\":9007199254740993,\"state\":\"complete\"}]";
    assert_string_equal(bench_expect(&big, copy, CLAIM_RUN).finished,
                        "9007199254740993=[{\"id\":9007199254740993,\"state\":\"complete\"}]");
}

static void test_absurd_headers_do_not_break_the_numbers(void **state)
{
    struct copy_facts copy = {.message_id = "m1",
                              .generation = INT64_MAX,
                              .attempts = INT64_MAX,
                              .first_ms = INT64_MAX,
                              .due_ms = -5,
                              .deliveries = -1};
    struct seen run = bench_expect(&seat, copy, CLAIM_RUN);

    (void)state;
    assert_int_equal(run.result.generation, 1000000000);
    assert_int_equal(run.result.attempts, 1000000000);
}

static void test_no_header_puts_an_order_off_for_years(void **state)
{
    struct copy_facts copy = retry_copy(1, 1, INT64_MAX);

    (void)state;
    copy.first_ms = INT64_MAX;
    assert_int_equal(bench_expect(&seat, copy, CLAIM_RUN).result.attempts, 1);
}

static void test_a_flush_while_it_waits_keeps_the_due_time(void **state)
{
    int64_t due_ms = leave_waiting(false);

    (void)state;
    REDIS("FLUSHALL");
    bench_expect(&seat, retry_copy(1, 1, due_ms), CLAIM_EARLY);
    bench_expect(&seat, retry_copy(1, 1, due_ms), CLAIM_EARLY);
}

static void test_a_renewal_after_a_flush_puts_the_lease_back(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    REDIS("FLUSHALL");
    assert_int_equal(bench_renew(&seat, run.result.fence), OK);
    bench_expect(&seat, again, CLAIM_BUSY);
    bench_expect(&seat, (struct copy_facts){.message_id = "w", .resubmit = true}, CLAIM_BUSY);
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}),
                     OK);
    assert_int_equal(bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN).result.attempts, 1);
}

static void test_a_lease_put_back_after_a_flush_can_die_as_well(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    REDIS("FLUSHALL");
    assert_int_equal(bench_renew(&seat, run.result.fence), OK);
    bench_end_lease(&seat);
    run = bench_expect(&seat, original, CLAIM_RUN);
    assert_true(run.result.doubtful);
}

static void test_a_record_after_a_flush_rebuilds_everything(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN), seen;

    (void)state;
    REDIS("FLUSHALL");
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DEAD, .attempts = 4, .finished = "-c"}), OK);
    seen = bench_expect(&seat, again, CLAIM_REPEAT);
    assert_int_equal(seen.result.attempts, 4);
    assert_string_equal(seen.decision, "decision");
    assert_int_equal(bench_kept("EDX-1", "r1").count, 1);
}

static void test_a_record_after_a_flush_and_another_claim_is_refused(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    REDIS("FLUSHALL");
    assert_true(bench_expect(&seat, again, CLAIM_RUN).result.fence > run.result.fence);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}),
        ERR_FENCED);
}

static void test_after_a_flush_a_mark_or_release_does_nothing(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    REDIS("FLUSHALL");
    assert_int_equal(bench_mark(&seat, 1, 1, 0), OK);
    assert_int_equal(bench_release(&seat, run.result.fence), OK);
    assert_string_equal(REDIS("DBSIZE"), "0");
}

static void test_half_evicted_it_does_not_go_back(void **state)
{
    struct seen first = bench_expect(&seat, original, CLAIM_RUN), second;

    (void)state;
    assert_int_equal(
        bench_record(&seat, &first, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}), OK);
    second = bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    assert_int_equal(
        bench_record(&seat, &second, (struct outcome){RECORD_WAIT, .attempts = 2, .due_ms = 6000}), OK);
    REDIS("DEL", bench_order_key(&seat));
    assert_int_equal(
        bench_record(&seat, &first, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}),
        ERR_FENCED);
    assert_int_equal(bench_expect(&seat, retry_copy(1, 2, 6000), CLAIM_RUN).result.attempts, 2);
}

static void test_scripts_survive_a_script_flush(void **state)
{
    struct seen run;

    (void)state;
    REDIS("SCRIPT", "FLUSH");
    run = bench_expect(&seat, original, CLAIM_RUN);
    REDIS("SCRIPT", "FLUSH");
    assert_int_equal(bench_renew(&seat, run.result.fence), OK);
    REDIS("SCRIPT", "FLUSH");
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
}

static void test_the_fence_grows_over_a_flush_and_sequences_never_meet(void **state)
{
    int64_t last = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct seen run = bench_expect(&seat, original, CLAIM_RUN);

        assert_true(run.result.fence > last);
        last = run.result.fence + 1; /* the outcome's */
        if (i % 3 == 0) {
            REDIS("FLUSHALL");
        } else {
            assert_int_equal(bench_release(&seat, run.result.fence), OK);
        }
    }
}

/* ---- foreign values ---- */

static void test_a_foreign_value_is_refused_by_the_name_of_its_key(void **state)
{
    struct seen seen;

    (void)state;
    REDIS("SET", bench_order_key(&seat), "mine");
    seen = bench_claim(&seat, original);
    assert_int_equal(seen.err, ERR_REFUSED);
    assert_non_null(strstr(seen.detail, bench_order_key(&seat)));
    assert_int_equal(bench_renew(&seat, 5), ERR_REFUSED);
    assert_int_equal(bench_release(&seat, 5), ERR_REFUSED);
    assert_int_equal(bench_kept("EDX-1", "r1").err, ERR_REFUSED);
    REDIS("DEL", bench_order_key(&seat));
    REDIS("RPUSH", bench_item_key(&seat), "x");
    seen = bench_claim(&seat, original);
    assert_int_equal(seen.err, ERR_REFUSED);
    assert_non_null(strstr(seen.detail, bench_item_key(&seat)));
    assert_int_equal(bench_mark(&seat, 1, 1, 0), ERR_REFUSED);
    assert_string_equal(REDIS("DBSIZE"), "1");
}

static void test_garbage_in_the_fields_is_no_crash(void **state)
{
    (void)state;
    REDIS("HSET", bench_order_key(&seat), "fence", "x", "seq", "y", "lease_until", "", "lease_item", "z",
          "line:11", "", "item:zz", "?");
    REDIS("HSET", bench_item_key(&seat), "state", "nonsense", "gen", "-", "due", "soon");
    bench_expect(&seat, original, CLAIM_RUN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_after_a_flush_the_copy_says_where_the_item_was),
        TEST(test_a_nonsensical_lines_header_says_nothing),
        TEST(test_line_ids_are_exact_to_the_last_digit),
        TEST(test_absurd_headers_do_not_break_the_numbers),
        TEST(test_no_header_puts_an_order_off_for_years),
        TEST(test_a_flush_while_it_waits_keeps_the_due_time),
        TEST(test_a_renewal_after_a_flush_puts_the_lease_back),
        TEST(test_a_lease_put_back_after_a_flush_can_die_as_well),
        TEST(test_a_record_after_a_flush_rebuilds_everything),
        TEST(test_a_record_after_a_flush_and_another_claim_is_refused),
        TEST(test_after_a_flush_a_mark_or_release_does_nothing),
        TEST(test_half_evicted_it_does_not_go_back),
        TEST(test_scripts_survive_a_script_flush),
        TEST(test_the_fence_grows_over_a_flush_and_sequences_never_meet),
        TEST(test_a_foreign_value_is_refused_by_the_name_of_its_key),
        TEST(test_garbage_in_the_fields_is_no_crash),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
