/* The request throttle of the LMS: a sliding window per kind of caller. */
#ifndef LMS_THROTTLE_H
#define LMS_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

enum { THROTTLE_LIMIT_MAX = 100000 };

struct throttle {
    size_t limit; /* requests in a window; 0 = no throttle */
    int64_t window_ms;
    int64_t *times_ms; /* ring of the last limit requests that were let through */
    size_t next, filled;
};

/** Sets limit (at most THROTTLE_LIMIT_MAX) and window, and forgets what was counted. */
void throttle_set(struct throttle *throttle, size_t limit, int64_t window_ms);

/** Counts a request; answers 0, or in how many milliseconds the next is let through. */
int64_t throttle_take(struct throttle *throttle, int64_t now_ms);

#endif
