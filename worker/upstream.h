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

/* Runs when the breaker opens or closes, as this process learns it: with a claim, or half a second late. */
typedef void upstream_state_fn(void *context, struct upstream *upstream);

/* What all upstreams share. */
struct upstream_common {
    struct loop *loop;
    struct store *store; /* NULL: no pool; breaker and rate are kept in this process */
    const char *redis_prefix;
    int64_t retry_max_delay_ms; /* Retry-After is obeyed up to this, or 1 h where that is more */
    size_t max_waiting; /* lines that may wait here for a slot or the rate; more are postponed; 0 = all may */
    upstream_state_fn *on_state; /* NULL = nobody asks */
    void *context;
};

/** NULL with ret_fault: unreadable secret or CA file, bad URL. Everything is borrowed for the call, except
 * loop and store, which must outlive the upstream. */
struct upstream *upstream_new(const struct upstream_common *common, const struct upstream_settings *settings,
                              struct fault *ret_fault);
/** Cancels what runs; its done() functions still come. Freed when they have. NULL is fine. */
void upstream_free(struct upstream *upstream);
const char *upstream_name(const struct upstream *upstream);
enum breaker_state upstream_breaker(const struct upstream *upstream);
/** One line for /readyz and the log: "closed", "open until 12:00:05Z: the LMS refuses the token (401): mend
 * …". */
const char *upstream_words(const struct upstream *upstream);
/** Wall clock ms until which it takes nothing (breaker open, a probe is out, Retry-After in force); 0 = takes
 * work. */
int64_t upstream_closed_until_ms(const struct upstream *upstream);
/** Replaces our credentials in a text that an upstream wrote, in place; also the beginning of one at the end
 * of a text that was cut to fit `size` bytes. */
void upstream_redact(const struct upstream *upstream, char *text, size_t size);
/** Requests now with the API, waiting here, and the present limit of the former: for metrics. */
void upstream_load(const struct upstream *upstream, int64_t *ret_in_flight, int64_t *ret_waiting,
                   int64_t *ret_limit);

/**
 * Asks Redis how the breaker stands, unless it is being asked. Called before a claim is sent: what the pool
 * knew then is known here when the claim's answer comes, since one store answers in order. No-op without a
 * store.
 */
void upstream_refresh(struct upstream *upstream);

/* ---- admission: before a line is run ---- */

enum admission { ADMITTED, ADMITTED_AS_PROBE, POSTPONED };
struct admit_op;
typedef void admit_fn(struct admit_op *op, enum admission admission, int64_t postponed_until_ms);
struct admit_op {
    admit_fn *done;
    struct upstream *upstream;
    struct loop_task task;
    struct store_op store;
    enum admission admission;
    int64_t until_ms;
    bool in_flight;
};
/** done runs exactly once, later. While half-open exactly one probe is admitted in the whole pool. */
void upstream_admit(struct upstream *upstream, struct admit_op *op, admit_fn *done);

/* ---- one exchange ---- */

struct upstream_call;
typedef void upstream_call_fn(struct upstream_call *call, const struct fulfill_answer *answer);

enum upstream_call_stage { CALL_IDLE, CALL_WAITS_TOKEN, CALL_QUEUED, CALL_SENT, CALL_ENDING };

struct upstream_call {
    upstream_call_fn *done;
    struct upstream *upstream;
    struct http_op http;
    struct loop_task task;             /* of an end without an exchange */
    struct upstream_call *prev, *next; /* waiting for token, rate or slot */
    char *block;                       /* owned: the copies of the request that follow */
    const char *method, *url, *body;
    size_t body_length;
    struct http_header *headers; /* two more than header_count, for the credentials */
    size_t header_count;
    uint32_t credentials;
    enum upstream_call_stage stage;
    bool probe;    /* goes through although the breaker is open */
    bool repeated; /* after a 401, with a fresh token */
    bool canceled;
    int64_t token_serial; /* of the token it was sent with; 0 = none */
    int64_t queued_ms;    /* loop clock */
    int64_t sent_ms;      /* loop clock */
    /* of the end, valid in done(): */
    bool sent;                     /* the request may have reached the server */
    int64_t postponed_until_ms;    /* not sent: breaker, pause or rate; wall clock; 0 = not so */
    enum fulfill_transport failed; /* of an end without an exchange */
    int failed_status;
    int64_t failed_retry_after_s;
    char failed_words[160];
};

/**
 * Copies the request; `extra` are host headers (traceparent). Nothing runs yet. upstream_call_drop() or
 * upstream_call_start() must follow.
 * @return ERR_MALFORMED for an unusable method, path or header; ERR_NOMEM
 */
MUST_CHECK enum err upstream_call_init(struct upstream *upstream, struct upstream_call *call,
                                       const struct fulfill_request *request, const struct http_header *extra,
                                       size_t extra_count);
void upstream_call_drop(struct upstream_call *call);

/**
 * Adds credentials (token single flight, kept until 5 s before its end, refreshed once on a 401 and the
 * request repeated once), waits for rate and slot, sends. done exactly once, later; a call that would wait
 * longer than a minute, or whose breaker has opened, ends unsent with postponed_until_ms.
 */
void upstream_call_start(struct upstream_call *call, bool probe, upstream_call_fn *done);
void upstream_call_cancel(struct upstream_call *call); /* done() still comes, with FULFILL_HOST_FAILED */
/** Started and still waiting for token, rate or slot. */
bool upstream_call_waits(const struct upstream_call *call);

/* ---- reporting: after a line has run ---- */

struct upstream_news {
    enum fulfill_health health;
    enum fulfill_decision decision;
    int64_t retry_after_s; /* of FULFILL_WAIT; -1 = unknown */
    bool probe;
    const char *words; /* what to mend, shown while the breaker is open; borrowed for the call */
};

struct report_op;
/* costs: whether a failure may cost an attempt (false: the breaker was open already, or it was a probe). */
typedef void report_fn(struct report_op *op, bool costs);
struct report_op {
    report_fn *done;
    struct upstream *upstream;
    struct loop_task task;
    struct store_op store;
    struct upstream_news news; /* words emptied */
    bool costs;
    bool in_flight;
};
/**
 * Tells the breaker how the line's upstream did. GOOD closes a probed breaker and ends a row of failures; BAD
 * counts; decision FULFILL_PAUSE opens at once (words: what to mend); FULFILL_WAIT pauses the pool for
 * retry_after_s (capped). done runs exactly once, later (at once-ish when nothing is to be told to Redis;
 * when Redis is away it counts locally and says true).
 */
void upstream_report(struct upstream *upstream, struct report_op *op, const struct upstream_news *news,
                     report_fn *done);

#endif
