/*
 * What Redis knows of an order: claims with leases and fencing, records, kept messages. Every change is one
 * Lua script (worker/scripts/). The stages ask; nothing else touches these keys. Layout: docs/redis.md.
 */
#ifndef FULFILLD_WORKER_LEDGER_H
#define FULFILLD_WORKER_LEDGER_H

#include "common/store.h"
#include "worker/order.h"

struct ledger;

struct ledger_options {
    const char *prefix; /* redis.prefix; NULL = none */
    const char *owner;  /* this process, unique: shown by `fulfilld order` */
    int64_t lease_ms;   /* ≤ 15,000 */
    int64_t keep_ms;    /* how long a finished order stays */
};

/* The names of keys, for those who only look. Buffers of ledger_key_bytes(); false when a part is too long or
 * empty. */
size_t ledger_key_bytes(const char *prefix);
MUST_CHECK bool ledger_order_key(const char *prefix, const char *order_number, char *ret_key, size_t size);
MUST_CHECK bool ledger_item_key(const char *order_key, const char *item_id, char *ret_key, size_t size);

struct ledger *ledger_new(struct store *store, const struct ledger_options *options);
void ledger_free(struct ledger *ledger);

/* What a copy says of itself: its headers, and where it came from. */
struct copy_facts {
    const char *message_id; /* never NULL: the publisher's, or derived */
    int64_t generation;     /* x-fulfillment-generation; 0 = none */
    int64_t attempts;       /* x-fulfillment-attempts; 0 = none */
    int64_t first_ms;       /* x-fulfillment-first; 0 = none */
    int64_t due_ms;         /* x-fulfillment-due; 0 = none */
    const char *finished;   /* x-fulfillment-lines as it came, or NULL */
    bool dead_copy;      /* carries x-fulfillment-reason: came back from the dead queue by a person's word */
    bool resubmit;       /* action resubmit without our headers: a person's word as well */
    const char *word_id; /* x-fulfillment-word: the message that was the word, where it is not this one; or
                            NULL */
    bool redelivered;    /* the broker's flag, or it came back from a wait (has x-death) */
    int64_t deliveries;  /* x-delivery-count; 0 = first */
    bool solo;           /* arrived in the solo queue */
    uint64_t
        claim_number; /* of the process: one that asks again, because the answer was lost, says the same */
};

enum claim_verdict {
    CLAIM_RUN,     /* ours: run it */
    CLAIM_DONE,    /* finished or dead, told already: repeat the stored event, ack */
    CLAIM_BUSY,    /* the order runs elsewhere: wait 1 s in the retry queues, headers unchanged */
    CLAIM_EARLY,   /* not due yet: wait `wait_ms`, headers unchanged */
    CLAIM_STALE,   /* its next step is known to be safe: ack without a word */
    CLAIM_REPEAT,  /* its next step may not have been published: publish the stored decision again */
    CLAIM_IGNORED, /* a person's word that was not needed: event `ignored`, ack */
    CLAIM_SOLO,    /* suspect: move to the solo queue, headers unchanged */
    CLAIM_CRASHED  /* crashed its worker too often in solo: ours, to be recorded dead as `crashed` unrun */
};

struct claim_result {
    enum claim_verdict verdict;
    int64_t fence; /* of RUN and CRASHED; also the sequence number of this claim's `requeued` event; the
                      outcome's is above it. Grows for one order, also over a flush. */
    int64_t generation;
    int64_t attempts; /* spent in this generation, the larger of Redis and copy */
    int64_t waits;    /* runs in this generation that cost no attempt */
    int64_t first_ms; /* 0 = no attempt yet */
    int64_t now_ms;   /* Redis' wall clock */
    bool doubtful;    /* an earlier claim ended without release: look before writing */
    bool started;     /* this copy is the word that started the generation: `requeued` is due. Also with
                         DONE and REPEAT, when that word is redelivered. */
    int64_t started_sequence; /* sequence of that `requeued` event; 0 = Redis has lost it */
    bool others_finished;     /* every other line of the order that is known is finished */
    bool order_unknown;       /* of a refund: nothing is known of the order */
    int64_t wait_ms;          /* BUSY, EARLY */
    int64_t sequence;         /* IGNORED: of its event */
    /* borrowed, valid inside done() only. With IGNORED of an item that does not run, and with DONE and REPEAT
       that are `started`, finished_lines and lines_blob tell what is known: */
    const struct store_reply *finished_lines; /* array: id, blob, id, blob …: finished for this item; a blob
                                                 is a JSON array of one row (line_outcomes_text) */
    const struct store_reply *refunded_lines; /* array of line ids that a refund has taken */
    const struct store_reply
        *known_lines;       /* array: id, "1" fulfilled / "0" never ran / "?" may have: refunds */
    const char *lines_blob; /* line_outcomes_text() of the item's last record; NULL = none */
    bool lines_current;     /* lines_blob is of this generation */
    const char *decision;   /* DONE, REPEAT: what ledger_record() stored; NULL = none */
};

struct ledger_op;
/* fault OK: the result is valid inside done(). Otherwise as store_done_fn. Runs exactly once, later. */
typedef void ledger_claim_fn(struct ledger_op *op, const struct claim_result *result,
                             const struct fault *fault);
/* OK, ERR_FENCED (somebody else has taken over), or as store_done_fn. */
typedef void ledger_done_fn(struct ledger_op *op, const struct fault *fault);

struct kept_item;
/* dead_items: see ledger_kept(). */
typedef void ledger_kept_fn(struct ledger_op *op, const struct kept_item *dead_items, size_t count,
                            bool known, int64_t sequence, const struct fault *fault);

struct ledger_op {
    struct store_op store;
    enum err failed; /* OK, or why it never went out */
    struct ledger *ledger;
    ledger_claim_fn *claimed;
    ledger_done_fn *done;
    ledger_kept_fn *kept;
};

void ledger_claim(struct ledger *ledger, struct ledger_op *op, const struct order *order,
                  const struct copy_facts *copy, ledger_claim_fn *claimed);

/** Prolongs the lease; puts it back where Redis has lost the order. ERR_FENCED when it is another's. */
void ledger_renew(struct ledger *ledger, struct ledger_op *op, const struct order *order, int64_t fence,
                  ledger_done_fn *done);

/** Gives a claim back unrun (drain, lost connection, paused upstream): no crash is counted. */
void ledger_release(struct ledger *ledger, struct ledger_op *op, const struct order *order, int64_t fence,
                    ledger_done_fn *done);

enum record_state { RECORD_DONE, RECORD_WAIT, RECORD_DEAD };

struct record_facts {
    enum record_state state;
    int64_t fence;
    int64_t sequence; /* of its event: above the fence */
    int64_t generation, attempts, waits, first_ms;
    int64_t due_ms;               /* WAIT: wall clock of the next try */
    const char *message_id;       /* the item's, for a record that has to be rebuilt */
    const char *start_message_id; /* what started this generation ("" = the order itself) */
    int64_t start_generation;
    const char *lines_blob; /* line_outcomes_text() */
    /* per line of the item, parallel to order->lines: "" = unfinished, else line_outcomes_text() of this
       one finished line: a JSON array of one row */
    const char *const *finished;
    const char *decision; /* opaque to Redis: what CLAIM_DONE and CLAIM_REPEAT return */
    const char *body;     /* the message, kept while the item is not done */
    size_t body_length;
    bool maybe; /* some line's effect may be there although it is not finished */
};

/**
 * Writes the outcome and ends the lease, atomically. Rebuilds the record where Redis has lost it.
 * ERR_FENCED: refused, another claim is in force.
 */
void ledger_record(struct ledger *ledger, struct ledger_op *op, const struct order *order,
                   const struct record_facts *facts, ledger_done_fn *done);

/** Marks that the copy carrying the recorded next step (retry, dead) is confirmed by the broker. */
void ledger_mark(struct ledger *ledger, struct ledger_op *op, const struct order *order, int64_t generation,
                 int64_t attempts, int64_t waits, ledger_done_fn *done);

/* A resubmit by order number: what can be done about it. */
struct kept_item {
    const char *body; /* borrowed, inside done() only */
    size_t body_length;
    const char *message_id;
    int64_t generation;   /* the dead one */
    const char *finished; /* x-fulfillment-lines for the copy; NULL = none */
};
/**
 * The dead items of an order with their kept messages, and waiting ones whose copy is 15 minutes overdue and
 * must have been lost. known false: Redis has nothing of the order. With none, `sequence` is that of the
 * event that says so: the same when the same message asks again.
 */
void ledger_kept(struct ledger *ledger, struct ledger_op *op, const char *order_number,
                 const char *message_id, ledger_kept_fn *kept);

#endif
