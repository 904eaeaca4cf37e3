/*
 * The parts of an upstream, private to upstream*.c: identity and credentials (upstream.c), the breaker's view
 * (upstream_breaker.c), slots and rate (upstream_limit.c), who waits (upstream_crowd.c), the token
 * (upstream_token.c), exchanges (upstream_call.c).
 */
#ifndef FULFILLD_WORKER_UPSTREAM_PARTS_H
#define FULFILLD_WORKER_UPSTREAM_PARTS_H

#include "worker/upstream.h"

enum { UPSTREAM_WORDS_BYTES = 300, UPSTREAM_BATCHES = 2 };

struct call_list {
    struct upstream_call *first, *last;
    size_t count;
};

/* What Redis said of the breaker; times in ms of Redis' clock, 0 = none. */
struct breaker_view {
    int64_t failures, open_until_ms, opens, probe_until_ms, pause_until_ms;
    int64_t clock_offset_ms; /* Redis' clock minus the loop's; of our own clock while !clock_known */
    bool clock_known;
    int64_t seen_ms; /* loop clock of the last news */
    char words[UPSTREAM_WORDS_BYTES];
};

struct breaker_limits {
    int64_t failures, open_for_ms, max_open_for_ms, max_pause_ms, probe_ms;
};

/* How many requests the API bears at once: see upstream_limit.c. */
struct slots {
    double limit;
    int64_t max;
    int64_t in_flight;
    double threshold;   /* slow start ends here */
    double latency_ms;  /* smoothed; 0 = none yet */
    double floor_ms[2]; /* least latency of this window and of the one before; 0 = none */
    int64_t window_ends_ms;
    int64_t lowered_ms; /* when the limit was lowered last */
};

/* Slots of time that were reserved from the pool's rate. Microseconds of the loop's clock. */
struct rate {
    double per_second; /* 0 = no limit */
    int64_t interval_us;
    struct {
        int64_t next_us;
        size_t left;
    } batches[UPSTREAM_BATCHES];
    int64_t local_us; /* next free slot when there is no pool */
    size_t wanted;    /* slots asked for */
    bool reserving;
    struct store_op store;
    struct loop_timer timer;
};

/* Lines that wait for this upstream, and when those that were sent back will have their turn. */
struct crowd {
    size_t most;          /* 0 = however many */
    size_t admitting;     /* admitted, not queued yet */
    int64_t last_turn_ms; /* loop clock */
};

struct token {
    char *value;        /* "JWT eyJ…", NULL = none */
    char *last;         /* the one before, which an answer may still speak of */
    int64_t serial;     /* of value; grows */
    int64_t expires_ms; /* loop clock; 5 s early already */
    bool fetching;
    struct http_op http;
    struct call_list waiting;
};

struct upstream {
    struct loop *loop;
    struct store *store;
    struct http *http;
    upstream_state_fn *on_state;
    void *context;
    char *name, *base_url;
    char *api_key, *api_key_header, *token_url, *client_id, *client_secret; /* NULL = none */
    bool is_lms;
    int64_t connect_timeout_ms, timeout_ms;
    char *breaker_key, *rate_key;
    struct breaker_view view;
    struct breaker_limits breaker;
    enum breaker_state told_state;
    int64_t told_until_ms;
    struct loop_timer poll_timer;
    struct loop_timer turn_timer; /* when an open breaker becomes half-open, a pause ends */
    struct store_op poll_op;
    struct slots slots;
    struct rate rate;
    struct call_list queue; /* waiting for slot and rate */
    struct crowd crowd;
    struct token token;
    bool pumping; /* keeps the queue's pump from entering itself */
    size_t busy;  /* operations that still come back: admits, reports, calls, polls … */
    bool closing;
    bool tls_told;                         /* that TLS fails; until it does not */
    char shown[UPSTREAM_WORDS_BYTES + 64]; /* upstream_words() */
};

/* ---- upstream.c ---- */
void upstream_hold(struct upstream *upstream);    /* one more operation that comes back */
void upstream_release(struct upstream *upstream); /* it came; frees the upstream when it was closing's last */
bool upstream_has_store(const struct upstream *upstream); /* Redis can be asked now */
/* One exchange has ended, tokens included: counts it, and tells of a certificate that fails, once. */
void upstream_exchanged(struct upstream *upstream, const struct http_op *op);

/* ---- upstream_breaker.c ---- */
void breaker_start(struct upstream *upstream);
void breaker_stop(struct upstream *upstream);
int64_t breaker_now_ms(const struct upstream *upstream); /* Redis' clock */
/* Wall clock until which calls of ordinary lines end unsent; 0 = they may go. */
int64_t breaker_holds_until_ms(const struct upstream *upstream);

/* ---- upstream_limit.c ---- */
void limit_init(struct upstream *upstream, int64_t max_in_flight, double per_second);
void limit_stop(struct upstream *upstream);
void limit_enqueue(struct upstream *upstream, struct upstream_call *call, bool first);
void limit_remove(struct upstream *upstream, struct upstream_call *call);
void limit_pump(struct upstream *upstream); /* sends what may go */
void limit_count(const struct http_op *op); /* one exchange, tokens included: metrics */
void limit_learn(struct upstream *upstream, enum http_outcome outcome, int64_t elapsed_ms);
void limit_slow_start(struct upstream *upstream); /* the breaker has closed, or a pause is over */

/* ---- upstream_crowd.c ---- */
bool crowd_is_full(const struct upstream *upstream);
/* Gives one line more its turn: Redis' clock. */
int64_t crowd_turn_ms(struct upstream *upstream);

/* ---- upstream_token.c ---- */
bool token_valid(const struct upstream *upstream);
void token_wait(struct upstream *upstream, struct upstream_call *call); /* and fetch it, once for all */
void token_forget(struct upstream *upstream, int64_t serial);           /* unless there is a newer one */
void token_stop(struct upstream *upstream);

/* ---- upstream_call.c ---- */
void call_send(struct upstream_call *call);
void call_end_unsent(struct upstream_call *call, enum fulfill_transport transport, int status,
                     int64_t retry_after_s, const char *words);
void call_postpone(struct upstream_call *call, int64_t until_ms);
void call_list_add(struct call_list *list, struct upstream_call *call, bool first);
void call_list_remove(struct call_list *list, struct upstream_call *call);

#endif
