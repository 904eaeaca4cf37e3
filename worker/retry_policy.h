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
    int64_t attempts; /* spent in this generation before this run */
    int64_t first_ms; /* wall clock of the generation's first attempt; 0 = this one */
    int64_t now_ms;   /* wall clock */
    uint32_t chance;  /* random, uniform over all 32 bits */
    bool interrupted; /* the run was cut short by this process, as at the end of a drain */
};

struct retry_decision {
    enum item_verdict verdict;
    int64_t attempts; /* spent now, this run included */
    int64_t delay_s;  /* whole seconds, rounded up; with ITEM_RETRY */
    bool exhausted;   /* ITEM_DEAD because attempts or window ran out */
    bool attempted;   /* an upstream was asked, or a module decided: an event is due */
};

/* What the chain of retry queues can hold, seconds. A copy that comes back before its time waits again. */
enum { RETRY_LONGEST_S = (1 << 18) - 1 };

/**
 * Decides, counts doubtful answers, and moves lines whose chances are used up to LINE_FINAL: doubtful ones
 * one by one; all failed ones when attempts ran out in this run, or the window did (looked at only when this
 * run got an answer or failure of an upstream; a refused credential is none).
 *
 * Each line that can be tried again has its own time: a failed one delay n, drawn from [½·d, d],
 * d = min(max_delay, first_delay·2ⁿ⁻¹), or its wait_until_ms where that is later; a postponed one its
 * wait_until_ms, but none before the latest wait of a line of the same module (they share an upstream). The
 * item comes back at the earliest of these times. Waits are spread by up to a tenth (5 s at the most), never
 * early. An interrupted run that asked nobody comes back at once, which is a second: another process goes on.
 */
struct retry_decision retry_decide(const struct retry_limits *limits, const struct retry_input *input,
                                   struct line_outcome *lines, size_t count);

#endif
