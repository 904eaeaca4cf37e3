/*
 * Runs a loop until something has come true. A test that waits for what never comes fails instead of hanging.
 */
#ifndef FULFILLD_TESTS_SUPPORT_RUN_UNTIL_H
#define FULFILLD_TESTS_SUPPORT_RUN_UNTIL_H

#include "common/loop.h"

typedef bool run_until_fn(void *context);

/** Looks at the end of each turn, and every 10 ms; false when `limit_ms` have passed first. */
bool run_until(struct loop *loop, run_until_fn *is_true, void *context, int64_t limit_ms);

#endif
