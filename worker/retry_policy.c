/*
 * What becomes of an item after a run. Decides attempts, giving up, and when to come back; what an answer of
 * an upstream means was decided before (line_outcome.decision), and how a delay is kept is the topology's
 * affair. Called by stage_record.
 */
#include "worker/retry_policy.h"

#include <string.h>

enum { MAX_SPREAD_S = 5, SPREAD_DIVISOR = 10 };

/* Chance scaled to 0 … range, ends included. `range` is below 2³². */
static int64_t draw(uint32_t chance, int64_t range)
{
    return (int64_t)(((uint64_t)range + 1) * chance >> 32);
}

static int64_t ceil_to_seconds(int64_t ms)
{
    return ms <= 0 ? 0 : (ms - 1) / 1000 + 1;
}

/* d of delay n; no overflow whatever n is. */
static int64_t longest_delay_ms(const struct retry_limits *limits, int64_t n)
{
    const int64_t cap = limits->max_delay_ms < RETRY_LONGEST_S * INT64_C(1000)
                            ? limits->max_delay_ms
                            : RETRY_LONGEST_S * INT64_C(1000);
    int64_t delay_ms = limits->first_delay_ms;

    for (; n > 1 && delay_ms > 0 && delay_ms < cap; n--)
        delay_ms *= 2;
    return delay_ms < cap ? delay_ms : cap;
}

static int64_t backoff_ms(const struct retry_limits *limits, int64_t attempts, uint32_t chance)
{
    int64_t longest = longest_delay_ms(limits, attempts);
    int64_t shortest = longest - longest / 2;

    return shortest + draw(chance, longest - shortest);
}

static bool retryable(const struct line_outcome *line)
{
    return line->state == LINE_OPEN || line->state == LINE_FAILED;
}

/* An upstream answered, or failed to: 429 and the like as well, but not a refusal of our credentials. */
static bool heard_of_upstream(const struct line_outcome *line)
{
    return line->ran && line->decision != FULFILL_PAUSE;
}

/* The latest wait of all lines of this line's module: they share its upstream. */
static int64_t wait_of_module(const struct line_outcome *lines, size_t count, const struct line_outcome *line)
{
    int64_t wait_until_ms = line->wait_until_ms;

    for (size_t i = 0; i < count; i++) {
        if (retryable(&lines[i]) && lines[i].wait_until_ms > wait_until_ms &&
            strcmp(lines[i].module, line->module) == 0)
            wait_until_ms = lines[i].wait_until_ms;
    }
    return wait_until_ms;
}

/* Seconds until the item can do something useful again, before spreading. */
static int64_t earliest_delay_s(const struct retry_input *input, const struct line_outcome *lines,
                                size_t count, int64_t own_delay_ms, bool *ret_waits)
{
    int64_t earliest_ms = INT64_MAX;

    for (size_t i = 0; i < count; i++) {
        /* A throttled line waits for the later of Retry-After and backoff (failure matrix, 429). */
        bool failed_now = lines[i].ran && (lines[i].costs_attempt || lines[i].decision == FULFILL_WAIT);
        int64_t wait_until_ms, wait_ms, delay_ms;

        if (!retryable(&lines[i]))
            continue;
        wait_until_ms = wait_of_module(lines, count, &lines[i]);
        wait_ms = wait_until_ms > input->now_ms ? wait_until_ms - input->now_ms : 0;
        /* A line that only waits has no delay of its own, unless nobody said for how long. */
        delay_ms = failed_now || wait_until_ms == 0 ? own_delay_ms : 0;
        if (wait_ms > delay_ms)
            delay_ms = wait_ms;
        if (delay_ms < earliest_ms) {
            earliest_ms = delay_ms;
            *ret_waits = delay_ms == wait_ms;
        }
    }
    return ceil_to_seconds(earliest_ms);
}

static int64_t delay_s(const struct retry_limits *limits, const struct retry_input *input, int64_t attempts,
                       const struct line_outcome *lines, size_t count)
{
    int64_t own_ms = backoff_ms(limits, attempts, input->chance);
    bool waits = false;
    int64_t seconds = earliest_delay_s(input, lines, count, own_ms, &waits);

    if (seconds < 1)
        seconds = 1;
    /* Many items wait for the same moment. Whole seconds only: a short wait must not be rounded up twice. */
    if (waits) {
        int64_t spread_s = seconds / SPREAD_DIVISOR;

        seconds += draw(input->chance, spread_s < MAX_SPREAD_S ? spread_s : MAX_SPREAD_S);
    }
    return seconds < RETRY_LONGEST_S ? seconds : RETRY_LONGEST_S;
}

/* Counts what this run's doubtful answers cost and gives up on lines that had enough of them. */
static void count_doubtful(const struct retry_limits *limits, struct line_outcome *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct line_outcome *line = &lines[i];

        if (line->state != LINE_FAILED || !line->ran || line->decision != FULFILL_RETRY_FEW)
            continue;
        line->doubtful++;
        if (line->doubtful >= limits->doubtful_attempts)
            line->state = LINE_FINAL;
    }
}

/* What was asked and failed is given up; what has only waited is not. Returns whether something was. */
static bool give_up(struct line_outcome *lines, size_t count, bool window_over)
{
    bool gave_up = false;

    for (size_t i = 0; i < count; i++) {
        struct line_outcome *line = &lines[i];

        if (line->state == LINE_FAILED ||
            (window_over && line->state == LINE_OPEN && heard_of_upstream(line))) {
            line->state = LINE_FINAL;
            gave_up = true;
        }
    }
    return gave_up;
}

struct retry_decision retry_decide(const struct retry_limits *limits, const struct retry_input *input,
                                   struct line_outcome *lines, size_t count)
{
    struct retry_decision decision = {.verdict = ITEM_COMPLETE, .attempts = input->attempts};
    bool costs = false, heard = false, open = false, final = false, gave_up = false;
    bool attempts_over, window_over;

    for (size_t i = 0; i < count; i++) {
        decision.attempted = decision.attempted || lines[i].ran;
        costs = costs || (lines[i].ran && lines[i].costs_attempt);
        heard = heard || heard_of_upstream(&lines[i]);
    }
    if (costs)
        decision.attempts++;
    count_doubtful(limits, lines, count);
    attempts_over = costs && decision.attempts >= limits->max_attempts;
    window_over = heard && input->first_ms > 0 && input->now_ms - input->first_ms >= limits->window_ms;
    if (attempts_over || window_over)
        gave_up = give_up(lines, count, window_over);
    for (size_t i = 0; i < count; i++) {
        open = open || retryable(&lines[i]);
        final = final || lines[i].state == LINE_FINAL;
    }
    if (open) {
        decision.verdict = ITEM_RETRY;
        decision.delay_s = input->interrupted && !decision.attempted
                               ? 1
                               : delay_s(limits, input, decision.attempts, lines, count);
    } else if (final) {
        decision.verdict = ITEM_DEAD;
        decision.exhausted = gave_up;
    }
    return decision;
}
