/*
 * The ledger on a real Redis, first half: copies of an item on their way (order, waits, marks, records),
 * leases, crashes, and what a flush between any two steps does. People's words and refunds:
 * contract_ledger_words.c.
 */
#include "tests/support/ledger_bench.h"

#include <stdio.h>

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

static void test_a_claim_whose_answer_was_lost_is_given_again(void **state)
{
    static const struct copy_facts lost = {.message_id = "m1", .claim_number = 7};
    struct seen first, second;

    (void)state;
    first = bench_expect(&seat, lost, CLAIM_RUN);
    bench_expect(&seat, original, CLAIM_BUSY); /* another one of the same process */
    second = bench_expect(&seat, lost, CLAIM_RUN);
    assert_true(second.result.fence > first.result.fence);
    assert_false(second.result.doubtful);
    assert_int_equal(second.result.attempts, 0);
    assert_int_equal(
        bench_record(&seat, &first, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}),
        ERR_FENCED);
    assert_int_equal(
        bench_record(&seat, &second, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
    bench_expect(&seat, lost, CLAIM_DONE);
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

static void leave_dead(void)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DEAD, .attempts = 1, .finished = "c-"}), OK);
}

/* ---- first claims ---- */

static void test_the_first_copy_runs_at_generation_one(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(run.result.generation, 1);
    assert_int_equal(run.result.attempts, 0);
    assert_int_equal(run.result.first_ms, 0);
    assert_false(run.result.doubtful);
    assert_false(run.result.started);
    assert_true(run.result.others_finished);
    assert_true(run.result.fence > 1000000000000000);
    assert_true(run.result.now_ms > 1000000000000);
    assert_string_equal(run.finished, "");
    assert_string_equal(run.decision, "");
}

/* All fields of a key in order, numbers of five digits and more (times) as N. */
static const char *dump(const char *key)
{
    return REDIS("EVAL",
                 "local all, rows = redis.call('HGETALL', KEYS[1]), {} "
                 "for i = 1, #all, 2 do rows[#rows + 1] = all[i] .. '=' .. string.gsub(all[i + 1], "
                 "'%d%d%d%d%d+', 'N') end "
                 "table.sort(rows) return table.concat(rows, ' ')",
                 "1", key);
}

static void test_a_new_order_is_claimed_alike_by_a_first_copy_and_by_any_other(void **state)
{
    static const struct copy_facts short_way = {.message_id = "m1", .claim_number = 1};
    static const struct copy_facts long_way = {
        .message_id = "m1", .claim_number = 1, .deliveries = 1}; /* which changes nothing */
    struct seen first = bench_expect(&seat, short_way, CLAIM_RUN), other;
    char order[512], item[512];

    (void)state;
    snprintf(order, sizeof(order), "%s", dump(bench_order_key(&seat)));
    snprintf(item, sizeof(item), "%s", dump(bench_item_key(&seat)));
    REDIS("FLUSHALL");
    other = bench_expect(&seat, long_way, CLAIM_RUN);
    assert_string_equal(dump(bench_order_key(&seat)), order);
    assert_string_equal(dump(bench_item_key(&seat)), item);
    assert_non_null(strstr(order, "line:11= "));
    assert_string_equal(item, "gen=1 marked=1 mid=m1 state=run");
    assert_int_equal(other.result.generation, first.result.generation);
    assert_int_equal(other.result.attempts, first.result.attempts);
    assert_int_equal(other.result.others_finished, first.result.others_finished);
    assert_int_equal(other.result.doubtful, first.result.doubtful);
}

static void test_the_longest_order_is_claimed_in_one_step(void **state)
{
    static struct order_line lines[ORDER_MAX_LINES];
    struct item item;

    (void)state;
    bench_item(&item, "EDX-3", ORDER_FULFILL, NULL, 1, 1);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        lines[i].id = INT64_MAX - (int64_t)i;
    item.order.lines = lines;
    item.order.line_count = ARRAY_LEN(lines);
    bench_expect(&item, original, CLAIM_RUN);
    assert_string_equal(REDIS("HLEN", bench_order_key(&item)), "2005"); /* two of each line, and five */
}

/* How many commands Redis has run since CONFIG RESETSTAT, those inside scripts as well. */
static long commands_run(void)
{
    long count = 0;

    for (const char *row = REDIS("INFO", "commandstats"); (row = strstr(row, "cmdstat_")); row++) {
        const char *calls = strstr(row, ":calls=");

        if (calls && strncmp(row, "cmdstat_config", 14) != 0 && strncmp(row, "cmdstat_ping", 12) != 0)
            count += strtol(calls + strlen(":calls="), NULL, 10);
    }
    return count;
}

/* Redis has one thread for all workers: what each order asks of it bounds the pool (docs/performance.md). */
static void test_an_order_done_at_the_first_try_costs_redis_twelve_commands(void **state)
{
    struct seen run;

    (void)state;
    REDIS("CONFIG", "RESETSTAT");
    run = bench_expect(&seat, original, CLAIM_RUN);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
    assert_in_range(commands_run(), 2, 12); /* the two scripts, and ten inside */
}

static void test_a_second_copy_is_busy_while_the_first_runs(void **state)
{
    struct seen busy;

    (void)state;
    bench_expect(&seat, original, CLAIM_RUN);
    busy = bench_expect(&seat, again, CLAIM_BUSY);
    assert_int_equal(busy.result.wait_ms, 1000);
}

static void test_other_items_of_the_order_are_busy_and_other_orders_are_not(void **state)
{
    struct item part, other;
    struct seen run;

    (void)state;
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 20, 1);
    bench_item(&other, "EDX-2", ORDER_FULFILL, NULL, 11, 2);
    run = bench_expect(&seat, original, CLAIM_RUN);
    bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_BUSY);
    bench_expect(&other, original, CLAIM_RUN);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
    /* Back from its wait, it is still as fresh as it was. */
    run = bench_expect(&part, (struct copy_facts){.message_id = "p", .redelivered = true}, CLAIM_RUN);
    assert_false(run.result.doubtful);
    assert_true(run.result.others_finished);
}

static void test_others_finished_is_over_every_line_of_the_order(void **state)
{
    struct item part;
    struct seen run;

    (void)state;
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 20, 1);
    leave_waiting(false);
    run = bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN);
    assert_false(run.result.others_finished);
}

static void test_odd_order_numbers_have_keys_of_their_own(void **state)
{
    static const char *const numbers[] = {"{}", "a{b}c", "%7B%7D", "a\x01\x7f", "caf\xc3\xa9 1", "%"};
    struct item odd;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        bench_expect(bench_item(&odd, numbers[i], ORDER_FULFILL, NULL, 1, 1), original, CLAIM_RUN);
    assert_string_equal(REDIS("DBSIZE"), "12");
    assert_string_equal(REDIS("EXISTS", BENCH_PREFIX "{a%7Bb%7Dc}"), "1");
    assert_string_equal(REDIS("EXISTS", BENCH_PREFIX "{a%01%7F}"), "1");
}

/* ---- waiting ---- */

static void test_the_next_step_is_repeated_until_its_copy_is_confirmed(void **state)
{
    struct seen seen;

    (void)state;
    leave_waiting(false);
    seen = bench_expect(&seat, again, CLAIM_REPEAT);
    assert_string_equal(seen.decision, "decision");
    assert_int_equal(bench_mark(&seat, 1, 0, 0), OK); /* another step's mark changes nothing */
    bench_expect(&seat, again, CLAIM_REPEAT);
    assert_int_equal(bench_mark(&seat, 1, 1, 0), OK);
    bench_expect(&seat, again, CLAIM_STALE);
}

static void test_a_copy_is_early_until_it_is_due(void **state)
{
    int64_t due_ms = leave_waiting(false);
    struct seen seen = bench_expect(&seat, retry_copy(1, 1, due_ms), CLAIM_EARLY);

    (void)state;
    assert_in_range(seen.result.wait_ms, 3500000, 3600000);
    bench_expect(&seat, again, CLAIM_STALE); /* the step's copy has been seen: it is safe */
}

static void test_a_due_copy_runs_with_what_is_stored(void **state)
{
    int64_t due_ms = leave_waiting(true);
    struct seen run = bench_expect(&seat, retry_copy(1, 1, due_ms), CLAIM_RUN);

    (void)state;
    assert_int_equal(run.result.attempts, 1);
    assert_true(run.result.first_ms > 0);
    assert_false(run.result.doubtful);
    assert_true(run.result.lines_current);
    assert_string_equal(run.lines_blob, "[\"lines\"]");
    bench_expect(&seat, again, CLAIM_STALE); /* older than the claimed copy, which carries the item on */
}

static void test_a_copy_that_lost_one_header_is_still_known(void **state)
{
    int64_t due_ms = leave_waiting(false);
    struct copy_facts copies[] = {retry_copy(0, 1, due_ms), retry_copy(1, 0, due_ms), retry_copy(1, 1, 0)};

    (void)state;
    assert_int_equal(bench_mark(&seat, 1, 1, 0), OK);
    for (size_t i = 0; i < ARRAY_LEN(copies); i++)
        bench_expect(&seat, copies[i], CLAIM_EARLY);
}

static void test_a_copy_stripped_of_all_headers_is_kept_until_it_is_due(void **state)
{
    struct seen run;

    (void)state;
    leave_waiting(false);
    assert_int_equal(bench_mark(&seat, 1, 1, 0), OK);
    bench_expect(&seat, original, CLAIM_EARLY);
    bench_expect(&seat, again, CLAIM_STALE);
    bench_expect(&seat, (struct copy_facts){.message_id = "other"}, CLAIM_STALE);
    REDIS("HSET", bench_item_key(&seat), "due", "5000");
    run = bench_expect(&seat, again, CLAIM_RUN);
    assert_int_equal(run.result.attempts, 1); /* Redis knows what the copy does not */
}

static void test_a_wait_without_an_attempt_is_a_step_of_its_own(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);
    int64_t later_ms = bench_now_ms() + 3600000;

    (void)state;
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .waits = 1, .due_ms = 5000}),
                     OK);
    run = bench_expect(&seat, retry_copy(1, 0, 5000), CLAIM_RUN);
    assert_int_equal(run.result.waits, 1);
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .waits = 2, .due_ms = later_ms}),
                     OK);
    bench_expect(&seat, retry_copy(1, 0, 5000), CLAIM_REPEAT);
    assert_int_equal(bench_mark(&seat, 1, 0, 2), OK);
    bench_expect(&seat, retry_copy(1, 0, 5000), CLAIM_STALE);
    bench_expect(&seat, retry_copy(1, 0, later_ms), CLAIM_EARLY);
}

static void test_the_larger_of_the_two_counts(void **state)
{
    struct seen run;

    (void)state;
    leave_waiting(true);
    run = bench_expect(&seat, retry_copy(1, 7, 5000), CLAIM_RUN);
    assert_int_equal(run.result.attempts, 7);
    assert_true(run.result.doubtful); /* six runs that Redis has lost */
    assert_int_equal(run.result.first_ms, 1);
}

static void test_an_older_copy_tells_of_the_step_that_nobody_was_told_of(void **state)
{
    (void)state;
    leave_waiting(true);
    bench_expect(&seat, again, CLAIM_REPEAT); /* also when it is due: event and copy may be missing */
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    bench_expect(&seat, again, CLAIM_STALE); /* that copy is there */
}

/* ---- done and dead ---- */

static void test_done_repeats_its_event_for_ever(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN), done;

    (void)state;
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
    done = bench_expect(&seat, again, CLAIM_DONE);
    assert_string_equal(done.decision, "decision");
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_DONE);
    bench_expect(&seat, (struct copy_facts){.message_id = "other"}, CLAIM_DONE);
    assert_string_equal(REDIS("HEXISTS", bench_item_key(&seat), "msg"), "0");
}

static void test_dead_is_repeated_until_its_copy_is_confirmed_and_then_told_only(void **state)
{
    (void)state;
    leave_dead();
    bench_expect(&seat, again, CLAIM_REPEAT);
    assert_int_equal(bench_mark(&seat, 1, 1, 0), OK);
    bench_expect(&seat, again, CLAIM_DONE);
    bench_expect(&seat, original, CLAIM_DONE);
    bench_expect(&seat, (struct copy_facts){.message_id = "other"}, CLAIM_DONE);
}

static void test_finished_lines_are_finished_for_every_item_of_the_order(void **state)
{
    struct item whole;
    struct seen run;

    (void)state;
    leave_dead(); /* line 11 is complete */
    bench_item(&whole, "EDX-1", ORDER_FULFILL, NULL, 11, 1);
    run = bench_expect(&whole, (struct copy_facts){.message_id = "w"}, CLAIM_RUN);
    assert_string_equal(run.finished, "11=[{\"id\":11,\"state\":\"complete\"}]");
}

static void test_an_order_is_kept_for_a_while_when_all_of_it_is_finished(void **state)
{
    struct item part;
    struct seen run;

    (void)state;
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 20, 1);
    leave_dead();
    run = bench_expect(&part, (struct copy_facts){.message_id = "p"}, CLAIM_RUN);
    assert_int_equal(bench_record(&part, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "c"}),
                     OK);
    assert_string_equal(REDIS("PTTL", bench_order_key(&part)), "-1");
    assert_string_equal(REDIS("PTTL", bench_item_key(&part)), "-1");
    run = bench_expect(
        &seat, (struct copy_facts){.message_id = "m1", .generation = 1, .attempts = 1, .dead_copy = true},
        CLAIM_RUN);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
    assert_in_range(strtoll(REDIS("PTTL", bench_order_key(&seat)), NULL, 10), 7775000000, 7776000000);
    assert_in_range(strtoll(REDIS("PTTL", bench_item_key(&seat)), NULL, 10), 7775000000, 7776000000);
    assert_in_range(strtoll(REDIS("PTTL", bench_item_key(&part)), NULL, 10), 7775000000, 7776000000);
    /* Something new for the order: it stays again. */
    bench_item(&part, "EDX-1", ORDER_FULFILL, NULL, 30, 1);
    bench_expect(&part, (struct copy_facts){.message_id = "q"}, CLAIM_RUN);
    assert_string_equal(REDIS("PTTL", bench_order_key(&seat)), "-1");
    assert_string_equal(REDIS("PTTL", bench_item_key(&seat)), "-1");
}

/* ---- leases ---- */

static void test_a_dead_lease_is_taken_over_in_doubt(void **state)
{
    struct seen run, second;

    (void)state;
    run = bench_expect(&seat, original, CLAIM_RUN);
    bench_end_lease(&seat);
    second = bench_expect(&seat, again, CLAIM_RUN);
    assert_true(second.result.doubtful);
    assert_int_equal(second.result.attempts, 0);
    assert_true(second.result.fence > run.result.fence);
    assert_int_equal(bench_renew(&seat, run.result.fence), ERR_FENCED);
    assert_int_equal(bench_release(&seat, run.result.fence), ERR_FENCED);
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}),
        ERR_FENCED);
    bench_expect(&seat, again, CLAIM_BUSY);
    assert_int_equal(
        bench_record(&seat, &second, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}), OK);
    second = bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    assert_false(second.result.doubtful); /* the record says what there is to know */
}

static void test_of_a_done_item_no_crash_and_no_doubt_is_left(void **state)
{
    struct seen run;

    (void)state;
    bench_expect(&seat, original, CLAIM_RUN);
    bench_end_lease(&seat);
    run = bench_expect(&seat, again, CLAIM_RUN);
    assert_string_equal(REDIS("HGET", bench_item_key(&seat), "crashes"), "1");
    assert_int_equal(
        bench_record(&seat, &run, (struct outcome){RECORD_DONE, .attempts = 1, .finished = "cc"}), OK);
    assert_string_equal(REDIS("HEXISTS", bench_item_key(&seat), "crashes"), "0");
    assert_string_equal(REDIS("HEXISTS", bench_item_key(&seat), "doubtful"), "0");
}

static void test_an_older_copy_takes_over_at_the_stored_attempt(void **state)
{
    struct seen run;

    (void)state;
    leave_waiting(true);
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    bench_end_lease(&seat);
    run = bench_expect(&seat, again, CLAIM_RUN);
    assert_int_equal(run.result.attempts, 1);
    assert_true(run.result.doubtful);
}

static void test_a_renewed_lease_lives_on(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    bench_end_lease(&seat);
    assert_int_equal(bench_renew(&seat, run.result.fence), OK);
    bench_expect(&seat, again, CLAIM_BUSY);
}

static void test_a_late_renewal_does_not_bring_a_recorded_lease_back(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);

    (void)state;
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}),
                     OK);
    assert_int_equal(bench_renew(&seat, run.result.fence), OK);
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
}

static void test_a_repeated_record_changes_nothing(void **state)
{
    struct seen run = bench_expect(&seat, original, CLAIM_RUN);
    struct outcome outcome = {RECORD_WAIT, .attempts = 1, .due_ms = 5000};

    (void)state;
    assert_int_equal(bench_record(&seat, &run, outcome), OK);
    assert_int_equal(bench_record(&seat, &run, outcome), OK);
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    assert_int_equal(bench_record(&seat, &run, outcome), ERR_FENCED);
}

static void test_a_release_leaves_no_trace(void **state)
{
    struct seen run;

    (void)state;
    for (int i = 0; i < 5; i++) {
        run = bench_expect(&seat, again, CLAIM_RUN);
        assert_int_equal(run.result.doubtful, i == 0); /* redelivered, and Redis knew nothing of it */
        assert_int_equal(bench_release(&seat, run.result.fence), OK);
        if (i == 0)
            REDIS("HSET", bench_item_key(&seat), "doubtful", "0");
        if (i == 0)
            REDIS("HDEL", bench_order_key(&seat), "maybe:11", "maybe:12");
    }
    run = bench_expect(&seat, again, CLAIM_RUN);
    assert_false(run.result.doubtful);
}

static void test_three_crashes_make_a_suspect_and_three_more_in_solo_a_dead_one(void **state)
{
    struct copy_facts alone = again;

    (void)state;
    for (int i = 0; i < 3; i++) {
        bench_expect(&seat, again, CLAIM_RUN);
        bench_end_lease(&seat);
    }
    bench_expect(&seat, again, CLAIM_SOLO);
    bench_expect(&seat, again, CLAIM_SOLO); /* being moved is no crash */
    alone.solo = true;
    for (int i = 0; i < 3; i++) {
        bench_expect(&seat, alone, CLAIM_RUN);
        bench_end_lease(&seat);
    }
    assert_true(bench_expect(&seat, alone, CLAIM_CRASHED).result.fence > 0);
    bench_expect(&seat, alone, CLAIM_BUSY);
}

static void test_ten_deliveries_make_a_suspect_but_do_not_kill(void **state)
{
    struct copy_facts worn = {.message_id = "m1", .redelivered = true, .deliveries = 10};

    (void)state;
    bench_expect(&seat, worn, CLAIM_SOLO);
    worn.solo = true;
    worn.deliveries = 1000;
    bench_expect(&seat, worn, CLAIM_RUN);
}

static void test_a_record_clears_the_crashes(void **state)
{
    struct seen run;

    (void)state;
    for (int i = 0; i < 2; i++) {
        bench_expect(&seat, again, CLAIM_RUN);
        bench_end_lease(&seat);
    }
    run = bench_expect(&seat, again, CLAIM_RUN);
    assert_int_equal(bench_record(&seat, &run, (struct outcome){RECORD_WAIT, .attempts = 1, .due_ms = 5000}),
                     OK);
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
    bench_end_lease(&seat);
    bench_expect(&seat, retry_copy(1, 1, 5000), CLAIM_RUN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_copy_runs_at_generation_one),
        TEST(test_a_claim_whose_answer_was_lost_is_given_again),
        TEST(test_a_new_order_is_claimed_alike_by_a_first_copy_and_by_any_other),
        TEST(test_the_longest_order_is_claimed_in_one_step),
        TEST(test_an_order_done_at_the_first_try_costs_redis_twelve_commands),
        TEST(test_a_second_copy_is_busy_while_the_first_runs),
        TEST(test_other_items_of_the_order_are_busy_and_other_orders_are_not),
        TEST(test_others_finished_is_over_every_line_of_the_order),
        TEST(test_odd_order_numbers_have_keys_of_their_own),
        TEST(test_the_next_step_is_repeated_until_its_copy_is_confirmed),
        TEST(test_a_copy_is_early_until_it_is_due),
        TEST(test_a_due_copy_runs_with_what_is_stored),
        TEST(test_a_copy_that_lost_one_header_is_still_known),
        TEST(test_a_copy_stripped_of_all_headers_is_kept_until_it_is_due),
        TEST(test_a_wait_without_an_attempt_is_a_step_of_its_own),
        TEST(test_the_larger_of_the_two_counts),
        TEST(test_an_older_copy_tells_of_the_step_that_nobody_was_told_of),
        TEST(test_done_repeats_its_event_for_ever),
        TEST(test_dead_is_repeated_until_its_copy_is_confirmed_and_then_told_only),
        TEST(test_finished_lines_are_finished_for_every_item_of_the_order),
        TEST(test_an_order_is_kept_for_a_while_when_all_of_it_is_finished),
        TEST(test_a_dead_lease_is_taken_over_in_doubt),
        TEST(test_of_a_done_item_no_crash_and_no_doubt_is_left),
        TEST(test_an_older_copy_takes_over_at_the_stored_attempt),
        TEST(test_a_renewed_lease_lives_on),
        TEST(test_a_late_renewal_does_not_bring_a_recorded_lease_back),
        TEST(test_a_repeated_record_changes_nothing),
        TEST(test_a_release_leaves_no_trace),
        TEST(test_three_crashes_make_a_suspect_and_three_more_in_solo_a_dead_one),
        TEST(test_ten_deliveries_make_a_suspect_but_do_not_kill),
        TEST(test_a_record_clears_the_crashes),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
