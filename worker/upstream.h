/*
 * One upstream API: base URL, credentials, token, rate limit, in-flight limit and breaker on top of http.
 * Rate and breaker are shared by the whole pool through Redis (worker/scripts/). Called by module_host.
 */
#ifndef FULFILLD_WORKER_UPSTREAM_H
#define FULFILLD_WORKER_UPSTREAM_H

#include "common/http.h"
#include "common/store.h"
#include "fulfill/module.h"
#include "worker/settings.h"

struct upstream;

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* Runs when the breaker opens or closes, as this process learns it (≤ 250 ms late for others' doings). */
typedef void upstream_state_fn(void *context, struct upstream *upstream);

/** NULL with ret_fault: unreadable secret or CA file, bad URL. `settings` and `store` are borrowed. */
struct upstream *upstream_new(struct loop *loop, struct store *store, const char *redis_prefix,
                              const struct upstream_settings *settings, upstream_state_fn *on_state,
                              void *context, struct fault *ret_fault);
void upstream_free(struct upstream *upstream); /* cancels what runs */
const char *upstream_name(const struct upstream *upstream);
enum breaker_state upstream_breaker(const struct upstream *upstream);
/** One line for /readyz and the log: "closed", "open until 12:00:05Z: the LMS refuses the token (401): mend …". */
const char *upstream_words(const struct upstream *upstream);
/** Wall clock ms until which it takes nothing (breaker open, or Retry-After in force); 0 = takes work. */
int64_t upstream_closed_until_ms(const struct upstream *upstream);

/* ---- admission: before a line is run ---- */

enum admission { ADMITTED, ADMITTED_AS_PROBE, POSTPONED };
struct admit_op;
typedef void admit_fn(struct admit_op *op, enum admission admission, int64_t postponed_until_ms);
struct admit_op {
    admit_fn *done;
    struct upstream *upstream;
    struct loop_task task;
    struct store_op store;
    bool in_flight;
};
/** done runs exactly once, later. While half-open exactly one probe is admitted in the whole pool. */
void upstream_admit(struct upstream *upstream, struct admit_op *op, admit_fn *done);

/* ---- one exchange ---- */

struct upstream_call;
typedef void upstream_call_fn(struct upstream_call *call, const struct fulfill_answer *answer);
struct upstream_call {
    upstream_call_fn *done;
    struct upstream *upstream;
    struct http_op http;
    struct upstream_call *prev, *next; /* waiting for rate, slot or token */
    char *method, *url, *body;         /* owned copies while waiting */
    size_t body_length;
    struct http_header *headers;       /* owned */
    size_t header_count;
    uint32_t credentials;
    int64_t timeout_ms;
    bool repeated;                     /* after a 401, with a fresh token */
    bool in_flight;
    bool canceled;
};
/**
 * Adds credentials (token single flight, kept until 5 s before its end, refreshed once on a 401 and the request
 * repeated once), waits for rate and slot, sends. `extra` are host headers (traceparent). done exactly once.
 */
void upstream_call_start(struct upstream *upstream, struct upstream_call *call, const struct fulfill_request *request,
                         const struct http_header *extra, size_t extra_count, upstream_call_fn *done);
void upstream_call_cancel(struct upstream_call *call); /* done() still comes, with FULFILL_HOST_FAILED */

/* ---- reporting: after a line has run ---- */

struct report_op;
/* costs: whether a failure may cost an attempt (false: the breaker was open already, or it was a probe). */
typedef void report_fn(struct report_op *op, bool costs);
struct report_op {
    report_fn *done;
    struct upstream *upstream;
    struct loop_task task;
    struct store_op store;
    bool in_flight;
};
/**
 * Tells the breaker how the line's upstream did. GOOD closes a probed breaker and ends a row of failures; BAD
 * counts; decision FULFILL_PAUSE opens at once (words: what to mend); FULFILL_WAIT pauses the pool for
 * retry_after_s (capped). done runs exactly once, later (at once-ish when nothing is to be told to Redis; when
 * Redis is away it counts locally and says true).
 */
void upstream_report(struct upstream *upstream, struct report_op *op, enum fulfill_health health,
                     enum fulfill_decision decision, int64_t retry_after_s, bool probe, const char *words,
                     report_fn *done);

#endif
