/*
 * An order message from text to struct. Decides what a message as a whole may be: its size, its schema's
 * limits, which lines make one item. Single fields are order_fields.c's, bodies that cannot be read
 * order_peek.c's. Called by stage_intake, stage_kept and the commands that look at messages.
 */
#include "worker/order.h"

#include "common/jsonx.h"
#include "worker/order_fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *order_action_name(enum order_action action)
{
    switch (action) {
    case ORDER_FULFILL:
        break;
    case ORDER_REFUND:
        return "refund";
    }
    return "fulfill";
}

uint64_t order_digest(uint64_t seed, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < length; i++)
        seed = (seed ^ at[i]) * UINT64_C(1099511628211);
    return seed;
}

static int compare_ids(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* Names the second of two lines with this id. */
static struct fault repeated_id(const struct order *order, int64_t id)
{
    const struct jsonx_path lines = JSONX_KEY(NULL, "lines");
    size_t seen = 0, i = 0;

    for (; i < order->line_count; i++) {
        if (order->lines[i].id == id && ++seen == 2)
            break;
    }

    const struct jsonx_path line = JSONX_INDEX(&lines, i), field = JSONX_KEY(&line, "id");

    return jsonx_fault(&field, "expected an id that no other line has");
}

/* The same for the same action, refund and set of lines, in whatever order they stand; on every host. */
static void write_item_id(struct order *order, const int64_t *sorted_ids)
{
    const char *action = order_action_name(order->action);
    const char *refund = order->refund_number ? order->refund_number : "";
    uint64_t digest = order_digest(ORDER_DIGEST_SEED, action, strlen(action) + 1);

    digest = order_digest(digest, refund, strlen(refund) + 1);
    for (size_t i = 0; i < order->line_count; i++) {
        unsigned char bytes[8];

        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = (unsigned char)((uint64_t)sorted_ids[i] >> (8 * k));
        digest = order_digest(digest, bytes, sizeof(bytes));
    }
    snprintf(order->item_id, sizeof(order->item_id), "%016" PRIx64, digest);
}

static enum err identify_item(struct order *order, struct fault *ret_fault)
{
    AUTO_FREE int64_t *ids = calloc(order->line_count + 1, sizeof(*ids));

    if (!ids) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < order->line_count; i++)
        ids[i] = order->lines[i].id;
    qsort(ids, order->line_count, sizeof(*ids), compare_ids);
    for (size_t i = 1; i < order->line_count; i++) {
        if (ids[i] == ids[i - 1]) {
            *ret_fault = repeated_id(order, ids[i]);
            return ERR_MALFORMED;
        }
    }
    write_item_id(order, ids);
    return OK;
}

static enum err load(const char *body, size_t length, json_t **ret_document, struct fault *ret_fault)
{
    enum err err;

    if (length <= ORDER_MAX_BYTES && order_peek_is_bloated(body, length)) {
        *ret_fault = fault_make(ERR_MALFORMED, "expected fewer objects and arrays");
        return ERR_MALFORMED;
    }
    err = jsonx_load(body, length, ORDER_MAX_BYTES, ret_document, ret_fault);
    if (err == ERR_TOO_BIG) {
        *ret_fault = fault_make(ERR_MALFORMED, "the body has %zu bytes: expected at most %d", length,
                                (int)ORDER_MAX_BYTES);
        return ERR_MALFORMED;
    }
    return err;
}

enum err order_parse(const char *body, size_t length, struct order **ret_order, char *ret_number,
                     struct fault *ret_fault)
{
    struct order *order = calloc(1, sizeof(*order));
    enum err err = ERR_NOMEM;

    ret_number[0] = '\0';
    *ret_fault = fault_of(ERR_NOMEM);
    if (order)
        err = load(body, length, &order->document, ret_fault);
    if (err == OK)
        err = order_fields_read(order, ret_fault);
    if (err == OK)
        err = identify_item(order, ret_fault);
    if (err != OK) {
        if (err == ERR_MALFORMED)
            order_peek_number(body, length, ret_number);
        order_free(order);
        return err;
    }
    *ret_fault = fault_of(OK);
    *ret_order = order;
    return OK;
}

void order_free(struct order *order)
{
    if (!order)
        return;
    free(order->lines);
    json_decref(order->document);
    free(order);
}
