/*
 * The ledger on a real Redis: a person's words (dead copies that come back, resubmits) and kept messages.
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

static struct copy_facts dead_copy(int64_t generation)
{
    return (struct copy_facts){
        .message_id = "m1", .generation = generation, .attempts = 1, .first_ms = 1, .dead_copy = true};
}

static struct copy_facts resubmit(const char *message_id, bool redelivered)
{
    return (struct copy_facts){.message_id = message_id, .resubmit = true, .redelivered = redelivered};
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

/* ---- a new generation ---- */

static void test_a_dead_copy_starts_a_generation_without_attempts(void **state)
{
    struct seen run;

    (void)state;
    leave_dead();
    run = bench_expect(&seat, dead_copy(1), CLAIM_RUN);
    assert_int_equal(run.result.generation, 2);
    assert_int_equal(run.result.attempts, 0);
    assert_int_equal(run.result.first_ms, 0);
    assert_true(run.result.started);
    assert_int_equal(run.result.started_sequence, run.result.fence);
    assert_false(run.result.doubtful);
    assert_false(run.result.lines_current);
    assert_string_equal(run.finished, "11=[{\"id\":11,\"state\":\"complete\"}]");
}

static void test_a_resubmit_starts_a_generation(void **state)
{
    struct seen run;

    (void)state;
    leave_dead();
    run = bench_expect(&seat, resubmit("w1", false), CLAIM_RUN);
    assert_int_equal(run.result.generation, 2);
    assert_true(run.result.started);
}

static void test_a_resubmit_of_an_unknown_order_is_its_first_generation(void **state)
{
    struct seen run = bench_expect(&seat, resubmit("w1", false), CLAIM_RUN);

    (void)state;
    assert_int_equal(run.result.generation, 1);
    assert_true(run.result.started);
    assert_true(run.result.doubtful);
}

static void test_a_generation_starts_in_doubt_where_an_effect_may_be_there(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_DEAD, .attempts = 1, .maybe = true}),
                     OK);
    assert_true(bench_expect(&seat, dead_copy(1), CLAIM_RUN).result.doubtful);
}

static void test_a_word_that_is_redelivered_goes_on_with_its_generation(void **state)
{
    struct copy_facts words[] = {dead_copy(1), resubmit("w1", false)};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct copy_facts redelivered = words[i];
        struct seen first, second;

        REDIS("FLUSHALL");
        leave_dead();
        redelivered.redelivered = true;
        first = bench_expect(&seat, words[i], CLAIM_RUN);
        bench_expect(&seat, redelivered, CLAIM_BUSY);
        bench_end_lease(&seat);
        second = bench_expect(&seat, redelivered, CLAIM_RUN);
        assert_int_equal(second.result.generation, 2);
        assert_true(second.result.started);
        assert_int_equal(second.result.started_sequence, first.result.started_sequence);
        assert_true(second.result.doubtful);
        assert_int_equal(bench_release(&seat, second.result.fence), OK);
        second = bench_expect(&seat, redelivered, CLAIM_RUN);
        assert_int_equal(second.result.generation, 2);
        assert_int_equal(
            bench_record(&seat, &second,
                         (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = INT64_MAX / 4096}),
            OK);
        second = bench_expect(&seat, redelivered, CLAIM_REPEAT);
        assert_int_equal(second.result.started_sequence, first.result.started_sequence);
        assert_true(second.result.started);
        assert_int_equal(bench_mark(&seat, 2, 1, 0), OK);
        bench_expect(&seat, redelivered, CLAIM_STALE);
    }
}

static void test_words_by_number_are_told_apart_although_the_kept_message_is_the_same(void **state)
{
    struct copy_facts first = dead_copy(1), second = dead_copy(1);
    struct seen run;

    (void)state;
    first.word_id = "r1";
    second.word_id = "r2";
    leave_dead();
    run = bench_expect(&seat, first, CLAIM_RUN);
    bench_expect(&seat, second, CLAIM_IGNORED);
    finish(&seat, &run);
    assert_true(bench_expect(&seat, first, CLAIM_DONE).result.started);
    bench_expect(&seat, second, CLAIM_IGNORED);
    bench_expect(&seat, dead_copy(1), CLAIM_IGNORED); /* the one that still lay in the dead queue */
}

static void test_a_finished_generation_repeats_its_event_for_its_word(void **state)
{
    struct seen run, done;

    (void)state;
    leave_dead();
    run = bench_expect(&seat, dead_copy(1), CLAIM_RUN);
    finish(&seat, &run);
    done = bench_expect(&seat, dead_copy(1), CLAIM_DONE);
    assert_true(done.result.started);
    assert_int_equal(done.result.started_sequence, run.result.fence);
    bench_expect(&seat, again, CLAIM_DONE);
    assert_false(bench_expect(&seat, again, CLAIM_DONE).result.started);
}

static void test_another_word_is_ignored_while_the_item_runs_waits_or_is_complete(void **state)
{
    struct seen run, first, second;

    (void)state;
    run = bench_expect(&seat, original, CLAIM_RUN);
    first = bench_expect(&seat, resubmit("w1", false), CLAIM_IGNORED);
    assert_true(first.result.sequence > run.result.fence + 1);
    bench_expect(&seat, dead_copy(1), CLAIM_IGNORED);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = bench_now_ms()}),
        OK);
    bench_expect(&seat, resubmit("w2", false), CLAIM_IGNORED);
    run = bench_expect(&seat, retry_copy(1, 1, bench_now_ms()), CLAIM_RUN);
    finish(&seat, &run);
    first = bench_expect(&seat, resubmit("w3", false), CLAIM_IGNORED);
    second = bench_expect(&seat, resubmit("w3", true), CLAIM_IGNORED);
    assert_int_equal(first.result.sequence, second.result.sequence); /* one event, told twice */
    second = bench_expect(&seat, resubmit("w4", false), CLAIM_IGNORED);
    assert_true(second.result.sequence > first.result.sequence);
    assert_true(first.result.sequence > run.result.fence + 1);
}

static void test_the_same_words_typed_again_after_death_are_a_new_word(void **state)
{
    struct seen run;

    (void)state;
    leave_dead();
    run = bench_expect(&seat, resubmit("typed", false), CLAIM_RUN);
    die(&seat, &run, "c-");
    assert_true(
        bench_expect(&seat, resubmit("typed", true), CLAIM_DONE).result.started); /* a redelivery is not */
    run = bench_expect(&seat, resubmit("typed", false), CLAIM_RUN);
    assert_int_equal(run.result.generation, 3);
    assert_true(run.result.started);
}

static void test_words_typed_again_stay_new_over_a_wait(void **state)
{
    struct item part;
    struct seen run;

    (void)state;
    leave_dead();
    run = bench_expect(&seat, resubmit("typed", false), CLAIM_RUN);
    die(&seat, &run, "c-");
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 30, 1);
    bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN);
    bench_expect(&seat, resubmit("typed", false), CLAIM_BUSY);
    bench_end_lease(&part);
    assert_int_equal(bench_expect(&seat, resubmit("typed", true), CLAIM_RUN).result.generation, 3);
}

static void test_an_old_dead_copy_is_ignored_and_the_newest_is_heard(void **state)
{
    struct seen run;

    (void)state;
    leave_dead();
    run = bench_expect(&seat, resubmit("w1", false), CLAIM_RUN);
    die(&seat, &run, "c-");
    bench_expect(&seat, dead_copy(1), CLAIM_IGNORED);
    run = bench_expect(&seat, dead_copy(2), CLAIM_RUN);
    assert_int_equal(run.result.generation, 3);
    die(&seat, &run, "c-");
    bench_expect(&seat, dead_copy(2), CLAIM_DONE); /* what started generation 3, again */
}

static void test_a_word_goes_on_where_a_lease_died(void **state)
{
    struct seen run;

    (void)state;
    bench_expect(&seat, original, CLAIM_RUN);
    bench_end_lease(&seat);
    run = bench_expect(&seat, resubmit("w1", false), CLAIM_RUN);
    assert_int_equal(run.result.generation, 1);
    assert_false(run.result.started);
    assert_true(run.result.doubtful);
}

static void test_a_word_goes_on_where_the_waiting_copy_was_lost(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .attempts = 3, .due_ms = bench_now_ms()}),
        OK);
    assert_int_equal(bench_kept("EDX-1", "r1").count, 0);
    REDIS("HSET", bench_item_key(&seat), "due", "5000");
    assert_int_equal(bench_kept("EDX-1", "r1").count, 1);
    run = bench_expect(&seat, resubmit("w1", false), CLAIM_RUN);
    assert_int_equal(run.result.generation, 1);
    assert_int_equal(run.result.attempts, 3);
}

static void test_a_word_after_a_flush_goes_on_from_its_copy(void **state)
{
    struct seen run;

    (void)state;
    leave_dead();
    REDIS("FLUSHALL");
    run = bench_expect(&seat, dead_copy(4), CLAIM_RUN);
    assert_int_equal(run.result.generation, 5);
    assert_true(run.result.doubtful);
    REDIS("FLUSHALL");
    assert_int_equal(bench_record(&seat, &run,
                                  (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = INT64_MAX / 4096,
                                                   .start_message_id = "m1", .start_generation = 4}),
                     OK);
    assert_true(bench_expect(&seat, dead_copy(4), CLAIM_REPEAT).result.started);
}

static void test_a_word_waits_for_the_lease_of_another_item(void **state)
{
    struct item part;

    (void)state;
    leave_dead();
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 30, 1);
    bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN);
    bench_expect(&seat, dead_copy(1), CLAIM_BUSY);
    bench_expect(&seat, again, CLAIM_DONE); /* the generation has not begun */
    bench_end_lease(&part);
    assert_int_equal(bench_expect(&seat, dead_copy(1), CLAIM_RUN).result.generation, 2);
}

static void test_a_crashed_item_starts_over_unsuspected(void **state)
{
    struct copy_facts alone = again;
    struct seen run;

    (void)state;
    alone.solo = true;
    for (int i = 0; i < 6; i++) {
        bench_expect(&seat, alone, CLAIM_RUN);
        bench_end_lease(&seat);
    }
    run = bench_expect(&seat, alone, CLAIM_CRASHED);
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_DEAD, .maybe = true}), OK);
    run = bench_expect(&seat, dead_copy(1), CLAIM_RUN);
    assert_int_equal(run.result.generation, 2);
    assert_true(run.result.doubtful); /* nobody knows what the crashes left behind */
}

/* ---- kept messages ---- */

static void test_a_dead_item_keeps_its_message_until_it_is_done(void **state)
{
    struct seen_kept kept = bench_kept("EDX-1", "r1");
    struct seen run;

    (void)state;
    assert_false(kept.known);
    assert_int_equal(kept.count, 0);
    assert_string_equal(REDIS("DBSIZE"), "0");
    leave_dead();
    kept = bench_kept("EDX-1", "r1");
    assert_true(kept.known);
    assert_int_equal(kept.count, 1);
    assert_string_equal(kept.items[0].body, "body");
    assert_string_equal(kept.items[0].message_id, "m1");
    assert_int_equal(kept.items[0].generation, 1);
    assert_string_equal(kept.items[0].finished, "[{\"id\":11,\"state\":\"complete\"}]");
    run = bench_expect(&seat, dead_copy(1), CLAIM_RUN);
    assert_true(run.result.fence > kept.sequence);
    assert_int_equal(bench_kept("EDX-1", "r1").count, 0); /* running */
    finish(&seat, &run);
    kept = bench_kept("EDX-1", "r1");
    assert_true(kept.known);
    assert_int_equal(kept.count, 0);
    assert_true(kept.sequence > run.result.fence + 1);
}

static void test_that_nothing_is_kept_is_told_each_message_under_one_number(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);
    int64_t first, second;

    (void)state;
    finish(&seat, &run);
    first = bench_kept("EDX-1", "r1").sequence;
    assert_int_equal(bench_kept("EDX-1", "r1").sequence, first);
    second = bench_kept("EDX-1", "r2").sequence;
    assert_true(second > first);
    assert_true(bench_expect(&seat, resubmit("w1", false), CLAIM_IGNORED).result.sequence > second);
}

static void test_an_outcome_may_have_a_later_number_than_what_was_told_while_it_ran(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);
    int64_t later = run.result.now_ms * 1000 + 5000000;

    (void)state;
    assert_true(bench_expect(&seat, resubmit("w1", false), CLAIM_IGNORED).result.sequence < later);
    assert_int_equal(
        bench_record(&seat, &run,
                     (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc", .sequence = later}),
        OK);
    assert_int_equal(bench_expect(&seat, resubmit("w2", false), CLAIM_IGNORED).result.sequence, later + 1);
}

static void test_every_dead_item_of_the_order_is_kept_with_its_own_lines(void **state)
{
    struct item refund;
    struct seen run;
    struct seen_kept kept;
    int of_refund;

    (void)state;
    leave_dead();
    bench_item(&refund, "EDX-1", ORDER_REFUND, "R:1", 11, 2);
    run = bench_expect(&refund, (struct copy_facts){.message_id = "r1"}, CLAIM_RUN);
    assert_int_equal(
        bench_record(&refund, &run,
                     (struct outcome){RECORD_DEAD, .attempts = 1, .finished = "-c", .message_id = "r1"}),
        OK);
    kept = bench_kept("EDX-1", "r1");
    assert_int_equal(kept.count, 2);
    of_refund = strcmp(kept.items[0].message_id, "r1") == 0 ? 0 : 1;
    assert_string_equal(kept.items[of_refund].finished, "[{\"id\":12,\"state\":\"complete\"}]");
    assert_string_equal(kept.items[1 - of_refund].finished, "[{\"id\":11,\"state\":\"complete\"}]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_a_dead_copy_starts_a_generation_without_attempts),
        TEST(test_a_resubmit_starts_a_generation),
        TEST(test_a_resubmit_of_an_unknown_order_is_its_first_generation),
        TEST(test_a_generation_starts_in_doubt_where_an_effect_may_be_there),
        TEST(test_a_word_that_is_redelivered_goes_on_with_its_generation),
        TEST(test_words_by_number_are_told_apart_although_the_kept_message_is_the_same),
        TEST(test_a_finished_generation_repeats_its_event_for_its_word),
        TEST(test_another_word_is_ignored_while_the_item_runs_waits_or_is_complete),
        TEST(test_the_same_words_typed_again_after_death_are_a_new_word),
        TEST(test_words_typed_again_stay_new_over_a_wait),
        TEST(test_an_old_dead_copy_is_ignored_and_the_newest_is_heard),
        TEST(test_a_word_goes_on_where_a_lease_died),
        TEST(test_a_word_goes_on_where_the_waiting_copy_was_lost),
        TEST(test_a_word_after_a_flush_goes_on_from_its_copy),
        TEST(test_a_word_waits_for_the_lease_of_another_item),
        TEST(test_a_crashed_item_starts_over_unsuspected),
        TEST(test_a_dead_item_keeps_its_message_until_it_is_done),
        TEST(test_that_nothing_is_kept_is_told_each_message_under_one_number),
        TEST(test_an_outcome_may_have_a_later_number_than_what_was_told_while_it_ran),
        TEST(test_every_dead_item_of_the_order_is_kept_with_its_own_lines),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
