/*
 * The ledger on a real Redis: refunds, whenever they come, and partial shipments (several items of one
 * order).
 */
#include "tests/support/ledger_bench.h"

#include <time.h>

static struct item seat;

static int set_up(void **state)
{
    bench_item(&seat, "EDX-1", ORDER_FULFILL, NULL, 11, 2);
    return bench_empty(state);
}

static const struct copy_facts original = {.message_id = "m1"};
static const struct copy_facts again = {.message_id = "m1", .redelivered = true};

static struct copy_facts dead_copy(int64_t generation)
{
    return (struct copy_facts){
        .message_id = "m1", .generation = generation, .attempts = 1, .first_ms = 1, .dead_copy = true};
}

static struct copy_facts retry_copy(int64_t generation, int64_t attempts, int64_t due_ms)
{
    return (struct copy_facts){
        .message_id = "m1", .generation = generation, .attempts = attempts, .due_ms = due_ms, .first_ms = 1};
}

static void die(const struct item *item, const struct seen *run, const char *finished)
{
    struct outcome outcome = {RECORD_DEAD, .attempts = run->result.attempts + 1, .finished = finished};

    assert_int_equal(bench_record(item, run, outcome), OK);
    assert_int_equal(bench_mark(item, run->result.generation, outcome.attempts, 0), OK);
}

/* Dead at generation 1 with line 11 complete; its dead copy confirmed. */
static void leave_dead(void)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    die(&seat, &run, "c-");
}

static void finish(const struct item *item, const struct seen *run)
{
    assert_int_equal(bench_record(item, run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}),
                     OK);
}

/* ---- refunds ---- */

static const struct copy_facts refund_copy = {.message_id = "r1"};

static void test_a_refund_of_an_unknown_order_knows_nothing(void **state)
{
    struct item refund;
    struct seen run;

    (void)state;
    run = bench_expect(bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 2), refund_copy, CLAIM_RUN);
    assert_true(run.result.order_unknown);
    assert_string_equal(run.known, "11=? 12=?");
}

static void test_a_refund_that_overtakes_the_fulfilment_wins(void **state)
{
    struct item refund;
    struct seen run;

    (void)state;
    run = bench_expect(bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 12, 1), refund_copy, CLAIM_RUN);
    assert_int_equal(
        bench_record(&refund, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "c"}), OK);
    run = bench_expect(&seat, original, CLAIM_RUN);
    assert_string_equal(run.refunded, "12");
    assert_string_equal(run.finished, "");
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cr"}), OK);
    bench_expect(&seat, again, CLAIM_DONE);
}

static void test_a_refund_wins_while_the_fulfilment_waits_or_runs(void **state)
{
    struct item refund;
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 2);
    bench_expect(&refund, refund_copy, CLAIM_BUSY);
    assert_int_equal(
        bench_record(&seat, &run,
                     (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000, .finished = "c-"}),
        OK);
    run = bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    assert_string_equal(run.refunded, "12");
    assert_string_equal(run.finished, "11=[{\"id\":11,\"state\":\"complete\"}]");
    finish(&seat, &run);
    run = bench_expect(&refund, refund_copy, CLAIM_RUN);
    assert_string_equal(run.known, "11=1 12=1");
}

static void test_a_refund_knows_what_was_fulfilled_what_never_ran_and_what_may_have(void **state)
{
    struct item refund;
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 3);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DEAD, .attempts = 1, .finished = "c-"}), OK);
    run = bench_expect(&refund, refund_copy, CLAIM_RUN);
    assert_string_equal(run.known, "11=1 12=0 13=?");
    assert_false(run.result.order_unknown);
    REDIS("FLUSHALL");
    run = bench_expect(&seat, original, CLAIM_RUN);
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_DEAD, .attempts = 1, .maybe = true}),
                     OK);
    assert_string_equal(bench_expect(&refund, refund_copy, CLAIM_RUN).known, "11=? 12=? 13=?");
}

static void test_a_refund_after_a_crash_has_to_look(void **state)
{
    struct item refund;

    (void)state;
    bench_expect(&seat, original, CLAIM_RUN);
    bench_end_lease(&seat);
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 2);
    assert_string_equal(bench_expect(&refund, refund_copy, CLAIM_RUN).known, "11=? 12=?");
}

static void test_a_refund_after_a_release_need_not_look(void **state)
{
    struct item refund;
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(bench_release(&seat, run.result.fence), OK);
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 2);
    assert_string_equal(bench_expect(&refund, refund_copy, CLAIM_RUN).known, "11=0 12=0");
}

static void test_after_a_flush_a_refund_has_to_look_where_a_retry_copy_had_been(void **state)
{
    struct item refund;

    (void)state;
    bench_expect(&seat, retry_copy(1, 2, (int64_t)time(NULL) * 1000 + 3600000), CLAIM_EARLY);
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 2);
    assert_string_equal(bench_expect(&refund, refund_copy, CLAIM_RUN).known, "11=? 12=?");
}

static void test_doubt_about_an_overtaken_line_outlives_its_end(void **state)
{
    struct item refund;
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(
        bench_record(&seat, &run,
                     (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000, .maybe = true}),
        OK);
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R1", 11, 2);
    run = bench_expect(&refund, refund_copy, CLAIM_RUN);
    assert_int_equal(
        bench_record(&refund, &run, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}), OK);
    run = bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    assert_string_equal(run.refunded, "11 12");
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "rr"}), OK);
    assert_string_equal(
        bench_expect(&refund,
                     (struct copy_facts){.message_id = "r1", .generation = 1, .attempts = 1, .due_ms = 5000},
                     CLAIM_RUN)
            .known,
        "11=? 12=?");
}

static void test_refunds_of_different_numbers_are_different(void **state)
{
    struct item first, second;
    struct seen run;

    (void)state;
    bench_item(&first, "EDX-1", ORDER_REFUND, "A", 11, 1);
    bench_item(&second, "EDX-1", ORDER_REFUND, "A:11", 11, 1);
    run = bench_expect(&first, refund_copy, CLAIM_RUN);
    assert_true(run.result.others_finished);
    assert_int_equal(
        bench_record(&first, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "c"}), OK);
    run = bench_expect(&second, (struct copy_facts){.message_id = "r2"}, CLAIM_RUN);
    assert_string_equal(run.finished, "");
    assert_int_equal(bench_release(&second, run.result.fence), OK);
    bench_item(&first, "EDX-1", ORDER_REFUND, "A", 12, 1);
    assert_true(
        bench_expect(&first, (struct copy_facts){.message_id = "r3"}, CLAIM_RUN).result.others_finished);
}

/* ---- partial shipments ---- */

static void test_items_that_share_a_line_do_not_both_run_it(void **state)
{
    struct item part;
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 12, 2);
    assert_int_equal(
        bench_record(&seat, &run,
                     (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000, .finished = "-c"}),
        OK);
    run = bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN);
    assert_string_equal(run.finished, "12=[{\"id\":12,\"state\":\"complete\"}]");
    assert_false(run.result.doubtful);
    assert_false(run.result.others_finished);
}

static void test_what_another_item_left_in_doubt_is_looked_at(void **state)
{
    struct item part;
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(
        bench_record(&seat, &run,
                     (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000, .maybe = true}),
        OK);
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 12, 2);
    assert_true(bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN).result.doubtful);
}

static void test_what_the_item_itself_left_in_doubt_is_in_its_lines(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(
        bench_record(&seat, &run,
                     (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000, .maybe = true}),
        OK);
    assert_false(bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN).result.doubtful);
}

static void test_a_dead_item_finished_by_others_needs_no_word(void **state)
{
    struct item part;
    struct seen run;

    (void)state;
    leave_dead();
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 12, 1);
    run = bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN);
    assert_int_equal(bench_record(&part, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "c"}),
                     OK);
    bench_expect(&seat, dead_copy(1), CLAIM_IGNORED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_a_refund_of_an_unknown_order_knows_nothing),
        TEST(test_a_refund_that_overtakes_the_fulfilment_wins),
        TEST(test_a_refund_wins_while_the_fulfilment_waits_or_runs),
        TEST(test_a_refund_knows_what_was_fulfilled_what_never_ran_and_what_may_have),
        TEST(test_a_refund_after_a_crash_has_to_look),
        TEST(test_a_refund_after_a_release_need_not_look),
        TEST(test_after_a_flush_a_refund_has_to_look_where_a_retry_copy_had_been),
        TEST(test_doubt_about_an_overtaken_line_outlives_its_end),
        TEST(test_refunds_of_different_numbers_are_different),
        TEST(test_items_that_share_a_line_do_not_both_run_it),
        TEST(test_what_another_item_left_in_doubt_is_looked_at),
        TEST(test_what_the_item_itself_left_in_doubt_is_in_its_lines),
        TEST(test_a_dead_item_finished_by_others_needs_no_word),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
