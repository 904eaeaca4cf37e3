/* worker/retry_policy.c: complete, again (when), or dead. */
#include "worker/retry_policy.h"

#include "common/scope.h"

#include "support/unit.h"

static const struct retry_limits defaults = {.first_delay_ms = 5000,
                                             .max_delay_ms = 3600000,
                                             .max_attempts = 40,
                                             .window_ms = INT64_C(48) * 3600000,
                                             .doubtful_attempts = 3};
static const int64_t now = INT64_C(1767323049123);

static struct line_outcome done(void)
{
    return (struct line_outcome){.state = LINE_COMPLETE, .ran = true, .decision = FULFILL_DONE};
}

static struct line_outcome failed(enum fulfill_decision decision)
{
    return (struct line_outcome){
        .state = LINE_FAILED, .ran = true, .costs_attempt = true, .decision = decision};
}

static struct line_outcome refused(void)
{
    return (struct line_outcome){
        .state = LINE_FINAL, .ran = true, .costs_attempt = true, .decision = FULFILL_FINAL};
}

static struct line_outcome throttled(int64_t until_ms)
{
    return (struct line_outcome){
        .state = LINE_FAILED, .ran = true, .decision = FULFILL_WAIT, .wait_until_ms = until_ms};
}

static struct line_outcome postponed(int64_t until_ms)
{
    return (struct line_outcome){.state = LINE_OPEN, .wait_until_ms = until_ms};
}

static struct retry_decision decide(int64_t attempts, uint32_t chance, struct line_outcome *lines,
                                    size_t count)
{
    const struct retry_input input = {
        .attempts = attempts, .first_ms = attempts > 0 ? now - 60000 : 0, .now_ms = now, .chance = chance};

    return retry_decide(&defaults, &input, lines, count);
}

static void test_an_item_whose_lines_are_finished_is_complete(void **state)
{
    struct line_outcome lines[] = {done(), {.state = LINE_REFUNDED}, {.state = LINE_COMPLETE}};
    struct retry_decision decision = decide(2, 0, lines, ARRAY_LEN(lines));

    (void)state;
    assert_int_equal(decision.verdict, ITEM_COMPLETE);
    assert_int_equal(decision.attempts, 2);
    assert_true(decision.attempted);
}

static void test_one_run_costs_one_attempt_however_many_lines_failed(void **state)
{
    struct line_outcome lines[] = {failed(FULFILL_RETRY), failed(FULFILL_RETRY), done()};
    struct retry_decision decision = decide(3, 0, lines, ARRAY_LEN(lines));

    (void)state;
    assert_int_equal(decision.verdict, ITEM_RETRY);
    assert_int_equal(decision.attempts, 4);
    assert_int_equal(lines[0].state, LINE_FAILED);
}

static void test_a_final_line_waits_for_the_others_before_the_item_is_dead(void **state)
{
    struct line_outcome lines[] = {refused(), failed(FULFILL_RETRY)};
    struct retry_decision decision = decide(0, 0, lines, ARRAY_LEN(lines));

    (void)state;
    assert_int_equal(decision.verdict, ITEM_RETRY);
    lines[0].ran = lines[0].costs_attempt = false;
    lines[1] = done();
    decision = decide(1, 0, lines, ARRAY_LEN(lines));
    assert_int_equal(decision.verdict, ITEM_DEAD);
    assert_false(decision.exhausted);
    assert_int_equal(decision.attempts, 1);
}

static void test_waiting_costs_no_attempt_and_is_no_attempt(void **state)
{
    struct line_outcome line = postponed(now + 15000);
    struct retry_decision decision = decide(39, 0, &line, 1);

    (void)state;
    assert_int_equal(decision.verdict, ITEM_RETRY);
    assert_int_equal(decision.attempts, 39);
    assert_int_equal(decision.delay_s, 15);
    assert_false(decision.attempted);
}

static void test_a_throttled_line_was_asked_but_costs_nothing(void **state)
{
    struct line_outcome line = throttled(now + 20000);
    struct retry_decision decision = decide(1, UINT32_MAX, &line, 1);

    (void)state;
    assert_int_equal(decision.verdict, ITEM_RETRY);
    assert_int_equal(decision.attempts, 1);
    assert_int_equal(decision.delay_s, 22); /* 20 s and, at the most, a tenth to spread the herd */
    assert_true(decision.attempted);
}

static void test_a_throttled_line_waits_for_the_later_of_retry_after_and_backoff(void **state)
{
    struct line_outcome line = throttled(now + 2000);
    struct retry_decision decision = decide(39, UINT32_MAX, &line, 1);

    (void)state;
    assert_int_equal(decision.attempts, 39);
    assert_int_equal(decision.delay_s, 3600);
}

static void test_the_last_attempt_makes_failed_lines_final(void **state)
{
    struct line_outcome lines[] = {failed(FULFILL_RETRY), done(), failed(FULFILL_RETRY_FEW)};
    struct retry_decision decision = decide(39, 0, lines, ARRAY_LEN(lines));

    (void)state;
    assert_int_equal(decision.verdict, ITEM_DEAD);
    assert_int_equal(decision.attempts, 40);
    assert_true(decision.exhausted);
    assert_int_equal(lines[0].state, LINE_FINAL);
    assert_int_equal(lines[1].state, LINE_COMPLETE);
    assert_int_equal(lines[2].state, LINE_FINAL);
}

static void test_a_line_that_only_waited_outlives_the_attempts_of_another(void **state)
{
    struct line_outcome lines[] = {failed(FULFILL_RETRY), postponed(now + 30000)};
    struct retry_decision decision;

    (void)state;
    strcpy(lines[1].module, "webhook");
    decision = decide(39, 0, lines, ARRAY_LEN(lines));
    assert_int_equal(decision.verdict, ITEM_RETRY);
    assert_int_equal(decision.delay_s, 30);
    assert_int_equal(lines[0].state, LINE_FINAL);
    assert_int_equal(lines[1].state, LINE_OPEN);
    lines[0].ran = lines[0].costs_attempt = false;
    lines[1] = failed(FULFILL_RETRY);
    decision = decide(40, 0, lines, ARRAY_LEN(lines));
    assert_int_equal(decision.verdict, ITEM_DEAD);
}

static void test_doubtful_answers_are_counted_line_by_line(void **state)
{
    struct line_outcome lines[] = {failed(FULFILL_RETRY_FEW), failed(FULFILL_RETRY)};

    (void)state;
    for (int64_t attempt = 1; attempt <= 2; attempt++) {
        assert_int_equal(decide(attempt - 1, 0, lines, ARRAY_LEN(lines)).verdict, ITEM_RETRY);
        assert_int_equal(lines[0].doubtful, attempt);
        assert_int_equal(lines[0].state, LINE_FAILED);
    }
    assert_int_equal(decide(2, 0, lines, ARRAY_LEN(lines)).verdict, ITEM_RETRY);
    assert_int_equal(lines[0].state, LINE_FINAL);
    assert_int_equal(lines[1].state, LINE_FAILED);
    assert_int_equal(lines[1].doubtful, 0);
}

static void test_a_doubtful_line_alone_is_dead_after_its_few_tries(void **state)
{
    struct line_outcome line = failed(FULFILL_RETRY_FEW);
    struct retry_decision decision;

    (void)state;
    line.doubtful = 2;
    decision = decide(2, 0, &line, 1);
    assert_int_equal(decision.verdict, ITEM_DEAD);
    assert_int_equal(decision.attempts, 3);
    assert_false(decision.exhausted);
}

static void test_a_line_that_failed_before_and_did_not_run_is_not_counted_again(void **state)
{
    struct line_outcome line = failed(FULFILL_RETRY_FEW);

    (void)state;
    line.ran = line.costs_attempt = false;
    line.doubtful = 2;
    line.wait_until_ms = now + 1000;
    assert_int_equal(decide(2, 0, &line, 1).verdict, ITEM_RETRY);
    assert_int_equal(line.doubtful, 2);
}

static struct retry_decision decide_late(struct line_outcome *line)
{
    const struct retry_input input = {.attempts = 4, .first_ms = now - defaults.window_ms, .now_ms = now};

    return retry_decide(&defaults, &input, line, 1);
}

static void test_the_window_ends_only_what_an_upstream_has_answered(void **state)
{
    struct line_outcome answered = failed(FULFILL_RETRY), busy = throttled(now + 5000);
    struct line_outcome open_busy = throttled(now + 5000), waits = postponed(now + 5000);
    struct line_outcome locked_out = failed(FULFILL_PAUSE);
    struct retry_decision decision;

    (void)state;
    decision = decide_late(&answered);
    assert_int_equal(decision.verdict, ITEM_DEAD);
    assert_true(decision.exhausted);
    assert_int_equal(decide_late(&busy).verdict, ITEM_DEAD);
    open_busy.state = LINE_OPEN;
    assert_int_equal(decide_late(&open_busy).verdict, ITEM_DEAD);
    assert_int_equal(decide_late(&waits).verdict, ITEM_RETRY);
    locked_out.costs_attempt = false;
    assert_int_equal(decide_late(&locked_out).verdict, ITEM_RETRY);
}

static void test_the_window_begins_with_the_first_attempt(void **state)
{
    const struct retry_input input = {.attempts = 0, .first_ms = 0, .now_ms = now};
    struct line_outcome line = failed(FULFILL_RETRY);

    (void)state;
    assert_int_equal(retry_decide(&defaults, &input, &line, 1).verdict, ITEM_RETRY);
}

static void test_delays_double_up_to_the_longest(void **state)
{
    static const struct {
        int64_t attempt, shortest_s, longest_s;
    } rows[] = {{1, 3, 5},        {2, 5, 10},       {3, 10, 20},     {4, 20, 40},
                {10, 1280, 2560}, {11, 1800, 3600}, {39, 1800, 3600}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line_outcome line = failed(FULFILL_RETRY);

        assert_int_equal(decide(rows[i].attempt - 1, 0, &line, 1).delay_s, rows[i].shortest_s);
        assert_int_equal(decide(rows[i].attempt - 1, UINT32_MAX, &line, 1).delay_s, rows[i].longest_s);
    }
}

static void test_a_short_first_delay_is_still_a_whole_second(void **state)
{
    struct retry_limits limits = defaults;
    const struct retry_input input = {.now_ms = now, .chance = UINT32_MAX / 2};
    struct line_outcome line = failed(FULFILL_RETRY);

    (void)state;
    limits.first_delay_ms = 200;
    assert_int_equal(retry_decide(&limits, &input, &line, 1).delay_s, 1);
    limits.first_delay_ms = 0;
    assert_int_equal(retry_decide(&limits, &input, &line, 1).delay_s, 1);
}

static void test_a_wait_that_is_later_than_the_backoff_wins(void **state)
{
    struct line_outcome line = failed(FULFILL_RETRY);

    (void)state;
    line.wait_until_ms = now + 7001;
    assert_int_equal(decide(0, 0, &line, 1).delay_s, 8);
    line.wait_until_ms = now + 1000;
    assert_int_equal(decide(0, 0, &line, 1).delay_s, 3);
}

static void test_the_item_comes_back_for_the_line_that_is_due_first(void **state)
{
    struct line_outcome lines[] = {failed(FULFILL_RETRY), postponed(now + 300000)};

    (void)state;
    strcpy(lines[0].module, "enrollment");
    strcpy(lines[1].module, "webhook");
    assert_int_equal(decide(0, 0, lines, ARRAY_LEN(lines)).delay_s, 3);
    /* The same upstream: coming back before its wait is over would be for nothing. */
    strcpy(lines[1].module, "enrollment");
    assert_int_equal(decide(0, 0, lines, ARRAY_LEN(lines)).delay_s, 300);
}

static void test_a_wait_that_nobody_knows_the_end_of_takes_the_backoff(void **state)
{
    struct line_outcome line = postponed(0);

    (void)state;
    assert_int_equal(decide(0, 0, &line, 1).delay_s, 3);
    line.wait_until_ms = now - 5000;
    assert_int_equal(decide(0, 0, &line, 1).delay_s, 1);
}

static void test_an_interrupted_run_comes_back_at_once_unless_something_failed(void **state)
{
    const struct retry_input input = {.now_ms = now, .interrupted = true};
    struct line_outcome lines[] = {postponed(0), failed(FULFILL_RETRY)};

    (void)state;
    assert_int_equal(retry_decide(&defaults, &input, lines, 1).delay_s, 1);
    assert_int_equal(retry_decide(&defaults, &input, lines, 2).delay_s, 3);
}

static void test_long_waits_are_spread_but_by_no_more_than_five_seconds(void **state)
{
    struct line_outcome line = postponed(now + 15000);

    (void)state;
    assert_int_equal(decide(0, UINT32_MAX, &line, 1).delay_s, 16);
    line.wait_until_ms = now + 3600000;
    assert_int_equal(decide(0, 0, &line, 1).delay_s, 3600);
    assert_int_equal(decide(0, UINT32_MAX, &line, 1).delay_s, 3605);
    line.wait_until_ms = now + 9000;
    assert_int_equal(decide(0, UINT32_MAX, &line, 1).delay_s, 9);
}

static void test_a_delay_never_exceeds_what_the_queues_hold(void **state)
{
    struct line_outcome line = postponed(INT64_MAX);
    struct retry_limits limits = defaults;
    const struct retry_input input = {.attempts = INT64_MAX - 1, .now_ms = now, .chance = UINT32_MAX};

    (void)state;
    assert_int_equal(decide(0, UINT32_MAX, &line, 1).delay_s, RETRY_LONGEST_S);
    limits.first_delay_ms = INT64_MAX / 2;
    limits.max_delay_ms = INT64_MAX;
    limits.max_attempts = INT64_MAX;
    line = failed(FULFILL_RETRY);
    assert_int_equal(
        retry_decide(&limits, &(struct retry_input){.now_ms = now, .chance = UINT32_MAX}, &line, 1).delay_s,
        RETRY_LONGEST_S);
    line = failed(FULFILL_RETRY);
    assert_int_equal(retry_decide(&limits, &input, &line, 1).verdict, ITEM_DEAD);
}

/* A small generator of our own: the same cases in every run. */
static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 32);
}

static void test_backoff_stays_within_its_bounds_for_any_chance(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct retry_limits limits = defaults;
        struct line_outcome line = failed(FULFILL_RETRY);
        int64_t attempt = 1 + next_random(&seed) % 39, longest_ms;
        struct retry_input input = {
            .attempts = attempt - 1, .first_ms = now, .now_ms = now, .chance = next_random(&seed)};
        struct retry_decision decision;

        limits.first_delay_ms = 1 + next_random(&seed) % 100000;
        limits.max_delay_ms = limits.first_delay_ms + next_random(&seed) % 4000000;
        longest_ms = limits.first_delay_ms;
        for (int64_t n = 1; n < attempt && longest_ms < limits.max_delay_ms; n++)
            longest_ms *= 2;
        if (longest_ms > limits.max_delay_ms)
            longest_ms = limits.max_delay_ms;
        decision = retry_decide(&limits, &input, &line, 1);
        assert_int_equal(decision.verdict, ITEM_RETRY);
        assert_in_range(decision.delay_s, (longest_ms / 2 + 999) / 1000, (longest_ms + 999) / 1000);
        assert_true(decision.delay_s >= 1);
    }
}

static void test_no_wait_ends_early_for_any_chance(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t wait_ms = 1 + next_random(&seed) % 7200000;
        struct line_outcome line = i % 2 ? throttled(now + wait_ms) : postponed(now + wait_ms);
        struct retry_decision decision = decide(next_random(&seed) % 30, next_random(&seed), &line, 1);

        assert_true(decision.delay_s * 1000 >= wait_ms);
        if (i % 2)
            continue; /* may be later: backoff */
        assert_true(decision.delay_s <= (wait_ms + 999) / 1000 + 5);
        assert_true(decision.delay_s * 10 <= (wait_ms + 999) / 1000 * 11);
    }
}

static void test_no_series_of_failures_has_more_attempts_than_allowed(void **state)
{
    uint64_t seed = 3;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct retry_limits limits = defaults;
        struct retry_input input = {.now_ms = now, .first_ms = now};
        struct retry_decision decision;
        int64_t failures = 0;

        limits.max_attempts = 1 + next_random(&seed) % 40;
        do {
            bool waits = next_random(&seed) % 2;
            struct line_outcome line = waits ? throttled(input.now_ms + 5000) : failed(FULFILL_RETRY);

            input.chance = next_random(&seed);
            decision = retry_decide(&limits, &input, &line, 1);
            failures += !waits;
            assert_int_equal(decision.attempts, failures);
            input.attempts = decision.attempts;
        } while (decision.verdict == ITEM_RETRY);
        assert_int_equal(decision.verdict, ITEM_DEAD);
        assert_int_equal(failures, limits.max_attempts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_item_whose_lines_are_finished_is_complete),
        cmocka_unit_test(test_one_run_costs_one_attempt_however_many_lines_failed),
        cmocka_unit_test(test_a_final_line_waits_for_the_others_before_the_item_is_dead),
        cmocka_unit_test(test_waiting_costs_no_attempt_and_is_no_attempt),
        cmocka_unit_test(test_a_throttled_line_was_asked_but_costs_nothing),
        cmocka_unit_test(test_a_throttled_line_waits_for_the_later_of_retry_after_and_backoff),
        cmocka_unit_test(test_the_last_attempt_makes_failed_lines_final),
        cmocka_unit_test(test_a_line_that_only_waited_outlives_the_attempts_of_another),
        cmocka_unit_test(test_doubtful_answers_are_counted_line_by_line),
        cmocka_unit_test(test_a_doubtful_line_alone_is_dead_after_its_few_tries),
        cmocka_unit_test(test_a_line_that_failed_before_and_did_not_run_is_not_counted_again),
        cmocka_unit_test(test_the_window_ends_only_what_an_upstream_has_answered),
        cmocka_unit_test(test_the_window_begins_with_the_first_attempt),
        cmocka_unit_test(test_delays_double_up_to_the_longest),
        cmocka_unit_test(test_a_short_first_delay_is_still_a_whole_second),
        cmocka_unit_test(test_a_wait_that_is_later_than_the_backoff_wins),
        cmocka_unit_test(test_the_item_comes_back_for_the_line_that_is_due_first),
        cmocka_unit_test(test_a_wait_that_nobody_knows_the_end_of_takes_the_backoff),
        cmocka_unit_test(test_an_interrupted_run_comes_back_at_once_unless_something_failed),
        cmocka_unit_test(test_long_waits_are_spread_but_by_no_more_than_five_seconds),
        cmocka_unit_test(test_a_delay_never_exceeds_what_the_queues_hold),
        cmocka_unit_test(test_backoff_stays_within_its_bounds_for_any_chance),
        cmocka_unit_test(test_no_wait_ends_early_for_any_chance),
        cmocka_unit_test(test_no_series_of_failures_has_more_attempts_than_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
