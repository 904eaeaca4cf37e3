/*
 * The arguments of one script call, packed without an allocation that could fail half-way: only ledger.c and
 * ledger_reply.c include this.
 */
#ifndef FULFILLD_WORKER_LEDGER_PACK_H
#define FULFILLD_WORKER_LEDGER_PACK_H

#include "common/text.h"
#include "worker/ledger.h"

enum {
    LEDGER_LINE_ARGS = 3,
    LEDGER_MAX_ARGS = 24 + LEDGER_LINE_ARGS * ORDER_MAX_LINES,
    LEDGER_MAX_NUMBERS = 24 + ORDER_MAX_LINES,
    LEDGER_MAX_COUNT = 1000000000 /* generations and attempts above this are somebody's mistake */
};

struct ledger {
    struct store *store; /* borrowed */
    struct ledger_options options;
    char *prefix; /* owned */
    char *owner;  /* owned */
    /* Of the call being packed; the store copies them at once. */
    char *order_key, *item_key; /* owned, of key_bytes each */
    size_t key_bytes;
    size_t arg_count, number_count;
    struct store_arg args[LEDGER_MAX_ARGS];
    char numbers[LEDGER_MAX_NUMBERS][TEXT_INTEGER_BYTES];
};

void ledger_pack_start(struct ledger *ledger, const char *order_number, const char *item_id);
void ledger_pack_text(struct ledger *ledger, const char *text); /* NULL = "" */
void ledger_pack_bytes(struct ledger *ledger, const char *data, size_t length);
void ledger_pack_number(struct ledger *ledger, int64_t number);
void ledger_pack_flag(struct ledger *ledger, bool flag);

/* What a reply is read into; each ends the operation with exactly one call of its function. */
void ledger_reply_claim(struct ledger_op *op, const struct store_reply *reply, const struct fault *fault);
void ledger_reply_done(struct ledger_op *op, const struct store_reply *reply, const struct fault *fault);
void ledger_reply_kept(struct ledger_op *op, const struct store_reply *reply, const struct fault *fault);

#endif
