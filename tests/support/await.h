/* Waits for conditions on a real loop: no sleeping, and an end in any case. */
#ifndef FULFILLD_TESTS_SUPPORT_AWAIT_H
#define FULFILLD_TESTS_SUPPORT_AWAIT_H

#include "common/loop.h"

typedef bool await_fn(void *context);

/** Runs the loop until the condition holds at the end of a turn; false when it does not within 20 s. */
MUST_CHECK bool await(struct loop *loop, await_fn *condition, void *context);
/** The same for a flag, and for a counter to be at least `least`. */
MUST_CHECK bool await_flag(struct loop *loop, const bool *flag);
MUST_CHECK bool await_count(struct loop *loop, const size_t *count, size_t least);
/** Runs the loop for that long, to see that something does not happen. */
void await_nothing(struct loop *loop, int64_t delay_ms);

#endif
