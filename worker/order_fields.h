/* The steps of order_parse(); private to order.c and its helpers. */
#ifndef FULFILLD_WORKER_ORDER_FIELDS_H
#define FULFILLD_WORKER_ORDER_FIELDS_H

#include "worker/order.h"

/**
 * Reads and checks every field of order->document into *order; ids of lines are not compared yet.
 * @return OK, ERR_MALFORMED (ret_fault names the field), ERR_NOMEM
 */
MUST_CHECK enum err order_fields_read(struct order *order, struct fault *ret_fault);

/**
 * The order number of a body that cannot be read as a whole.
 * @param ret_number  ORDER_MAX_NUMBER + 1 bytes; "" when there is none, or more than one
 */
void order_peek_number(const char *body, size_t length, char *ret_number);

/** Whether a body holds so many objects and arrays that reading it would cost far more memory than its size.
 */
bool order_peek_is_bloated(const char *body, size_t length);

#endif
