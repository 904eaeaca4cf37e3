/*
 * What becomes of an item after a run: complete, again (when), or dead. Pure: time and chance are arguments.
 */
#ifndef FULFILLD_WORKER_RETRY_POLICY_H
#define FULFILLD_WORKER_RETRY_POLICY_H

#include "worker/verdict.h"

struct retry_limits {
    int64_t first_delay_ms, max_delay_ms;
    int64_t max_attempts;
    int64_t window_ms;
    int64_t doubtful_attempts;
};

struct retry_input {
    int64_t attempts;      /* spent in this generation before this run */
    int64_t first_ms;      /* wall clock of the generation's first attempt; 0 = this one */
    int64_t now_ms;        /* wall clock */
    uint32_t chance;       /* random, uniform over all 32 bits */
};

struct retry_decision {
    enum item_verdict verdict;
    int64_t attempts;      /* spent now, this run included */
    int64_t delay_s;       /* whole seconds, rounded up; with ITEM_RETRY */
    bool exhausted;        /* ITEM_DEAD because attempts or window ran out */
    bool attempted;        /* an upstream was asked, or a module decided: an event is due */
};

/**
 * Decides, and moves lines whose chances are used up to LINE_FINAL (doubtful ones one by one; all failed ones
 * when attempts or window ran out; the window only when this run got an answer or failure of an upstream).
 * delay n is drawn from [½·d, d], d = min(max_delay, first_delay·2ⁿ⁻¹); a later wait_until_ms wins.
 */
struct retry_decision retry_decide(const struct retry_limits *limits, const struct retry_input *input,
                                   struct line_outcome *lines, size_t count);

#endif
