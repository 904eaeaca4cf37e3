/*
 * What Redis knows of one order, as a document for people and programs. Pure: the fields come in, the clock
 * as well. Called by cmd_order.c.
 */
#ifndef FULFILLD_WORKER_ORDER_REPORT_H
#define FULFILLD_WORKER_ORDER_REPORT_H

#include "common/err.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* The fields of an item that the report wants, NULL-terminated. */
extern const char *const order_report_item_fields[];

/**
 * Puts the document together: what `fulfilld order --json` prints.
 *
 * @param number  the order number
 * @param order   the fields of the order's hash: an object of strings, of any bytes
 * @param items   by item id the fields of the item's hash (those of order_report_item_fields)
 * @param now_ms  wall clock
 * @return a new reference, or NULL when out of memory
 */
json_t *order_report(const char *number, const json_t *order, const json_t *items, int64_t now_ms);

/** The same for people. */
void order_report_print(const json_t *report, int64_t now_ms, FILE *out);

#endif
