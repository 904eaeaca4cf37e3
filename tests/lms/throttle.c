/*
 * A sliding window over the last N requests, as the LMS throttles: one that is refused is not
 * counted. Who is throttled by which window is decided in caller.c.
 */
#include "throttle.h"

#include "mem.h"

#include <stdlib.h>

void throttle_set(struct throttle *throttle, size_t limit, int64_t window_ms)
{
    free(throttle->times_ms);
    if (limit > THROTTLE_LIMIT_MAX)
        limit = THROTTLE_LIMIT_MAX;
    *throttle = (struct throttle){.limit = limit, .window_ms = window_ms};
    if (limit)
        throttle->times_ms = mem_new(limit * sizeof(*throttle->times_ms));
}

int64_t throttle_take(struct throttle *throttle, int64_t now_ms)
{
    int64_t oldest_ms;

    if (!throttle->limit)
        return 0;
    if (throttle->filled == throttle->limit) {
        oldest_ms = throttle->times_ms[throttle->next];
        if (now_ms - oldest_ms < throttle->window_ms)
            return throttle->window_ms - (now_ms - oldest_ms);
    } else {
        throttle->filled++;
    }
    throttle->times_ms[throttle->next] = now_ms;
    throttle->next = (throttle->next + 1) % throttle->limit;
    return 0;
}
