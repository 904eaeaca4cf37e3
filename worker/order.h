/*
 * An order message as data: read, checked, owned. Pure: no I/O, no clock.
 * Called by stage_intake (and by commands that look at messages).
 */
#ifndef FULFILLD_WORKER_ORDER_H
#define FULFILLD_WORKER_ORDER_H

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum order_action { ORDER_FULFILL, ORDER_REFUND };

enum {
    ORDER_ITEM_ID_SIZE = 17,
    ORDER_MAX_LINES = 1000,
    ORDER_MAX_NUMBER = 128,       /* bytes, also of a refund number */
    ORDER_MAX_BYTES = 1024 * 1024 /* of a body */
};

struct order_line {
    int64_t id;
    const char *product_class; /* all texts: borrowed from the order's document; NULL = not given */
    const char *sku;
    const char *title;
    const char *username; /* the line's learner where it names one, else the order's; never "" */
    const char *email;    /* of the same learner; any characters */
    int64_t quantity;
    const json_t *json;       /* the line's object (borrowed) */
    const json_t *attributes; /* object or NULL (borrowed) */
    const json_t *result;     /* of a refund's line: what fulfilment returned; object or NULL (borrowed) */
};

struct order {
    json_t *document; /* owned */
    const char *number;
    enum order_action action;  /* a resubmit's is its item's: refund when it has a refund_number */
    bool resubmit;             /* action said "resubmit" */
    bool by_number;            /* a resubmit without lines */
    const char *refund_number; /* NULL unless a refund */
    bool zero_total;           /* a refund of "0.00" */
    char date_placed[24];      /* UTC seconds "2026-01-02T03:04:05Z", "" when not given */
    const char *ga_client_id, *lms_ip, *enterprise_customer_uuid; /* NULL = not given */
    bool email_opt_in;
    struct order_line *lines; /* owned array */
    size_t line_count;
    char item_id[ORDER_ITEM_ID_SIZE]; /* hex digest of action, refund number and the set of line ids */
};

/**
 * Reads and checks a whole message.
 *
 * @param body       borrowed for the call; need not be NUL-terminated
 * @param ret_order  on OK: the caller's, freed by order_free()
 * @param ret_number at least ORDER_MAX_NUMBER + 1 bytes: on ERR_MALFORMED the order number where it could be
 *                   read all the same (also in a body that is no JSON, too long or too deep), else ""
 * @param ret_fault  on failure names the field and what was expected:
 *                   "lines[0].attributes.course_key: expected a string"
 * @return OK, ERR_MALFORMED, ERR_NOMEM
 */
MUST_CHECK enum err order_parse(const char *body, size_t length, struct order **ret_order, char *ret_number,
                                struct fault *ret_fault);
/** Whether a body that order_parse() refuses speaks of a refund, as far as anybody can tell; reads any bytes.
 */
bool order_peek_is_refund(const char *body, size_t length);
/** NULL is allowed. */
void order_free(struct order *order);

const char *order_action_name(enum order_action action); /* "fulfill", "refund" */

/*
 * A digest for ids: FNV-1a, 64 bits, continued from `seed` (ORDER_DIGEST_SEED to begin). Tells items and
 * bodies of one order apart; no protection against who wants a collision with an order of their own.
 */
#define ORDER_DIGEST_SEED UINT64_C(14695981039346656037)
uint64_t order_digest(uint64_t seed, const void *bytes, size_t length);

#endif
