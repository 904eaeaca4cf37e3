/*
 * A ledger on a real Redis with everything made synchronous: what contract_ledger*.c drive. Each call runs
 * the loop until its answer is there and fails the test on an answer it did not ask for.
 */
#ifndef FULFILLD_TESTS_SUPPORT_LEDGER_BENCH_H
#define FULFILLD_TESTS_SUPPORT_LEDGER_BENCH_H

#include "tests/support/unit.h"
#include "worker/ledger.h"

enum { BENCH_MAX_LINES = 16, BENCH_TEXT_BYTES = 512, BENCH_LEASE_MS = 15000 };
#define BENCH_PREFIX "t:"

/* An answer to a claim, copied out of the reply. */
struct seen {
    struct claim_result result; /* its borrowed parts are NULL */
    enum err err;
    char detail[240];
    char decision[BENCH_TEXT_BYTES]; /* "" = none */
    char lines_blob[BENCH_TEXT_BYTES];
    char finished[BENCH_TEXT_BYTES]; /* "11=[…] 12=[…]", in the order of the item's lines */
    char refunded[BENCH_TEXT_BYTES]; /* "11 12" */
    char known[BENCH_TEXT_BYTES];    /* "11=1 12=?" */
};

/* What was kept of dead items: the first two. */
struct seen_kept {
    enum err err;
    size_t count;
    bool known;
    int64_t sequence;
    struct {
        char body[BENCH_TEXT_BYTES], message_id[64], finished[BENCH_TEXT_BYTES];
        int64_t generation;
    } items[2];
};

struct item {
    struct order order;
    struct order_line lines[BENCH_MAX_LINES];
};

/* Group fixtures. bench_open() skips nothing: bench_there() says whether there is a Redis. */
int bench_open(void **state);
int bench_close(void **state);
/* Test fixture: an empty Redis; skips the test where there is none. */
int bench_empty(void **state);

/** An item of order `number` with lines first_id, first_id + 1 … item_id is made of its arguments. */
struct item *bench_item(struct item *item, const char *number, enum order_action action,
                        const char *refund_number, int64_t first_id, size_t line_count);

struct seen bench_claim(const struct item *item, struct copy_facts copy);
/* The same, and it must succeed with this verdict. */
struct seen bench_expect(const struct item *item, struct copy_facts copy, enum claim_verdict verdict);
const char *bench_verdict_name(enum claim_verdict verdict); /* "RUN" … */
enum err bench_renew(const struct item *item, int64_t fence);
enum err bench_release(const struct item *item, int64_t fence);
enum err bench_mark(const struct item *item, int64_t generation, int64_t attempts, int64_t waits);
struct seen_kept bench_kept(const char *number, const char *message_id);

/* What a record says beyond what the claim said. */
struct outcome {
    enum record_state state;
    int64_t attempts; /* spent now, this run included */
    int64_t waits;
    int64_t due_ms;
    const char *finished; /* per line one letter: 'c' complete, 'r' refunded, '-' unfinished; NULL = none */
    const char *decision;
    const char *message_id;       /* NULL = "m1" */
    const char *start_message_id; /* NULL = "" */
    int64_t start_generation;
    bool maybe;
    int64_t sequence; /* 0 = fence + 1 */
};
enum err bench_record(const struct item *item, const struct seen *claim, struct outcome outcome);

/** A Redis command given as words; its answer as text (integers in decimal), borrowed until the next one. */
const char *bench_redis(const char *const *words);
#define REDIS(...) bench_redis((const char *const[]){__VA_ARGS__, NULL})
/* Its process has died: the lease of the order ends at once. */
void bench_end_lease(const struct item *item);
/* Names of the keys, borrowed until the next call. */
const char *bench_order_key(const struct item *item);
const char *bench_item_key(const struct item *item);
int64_t bench_now_ms(void);

#endif
