/*
 * The x-fulfillment-* headers: what a copy says of itself, read and written. Pure but for the headers type.
 */
#ifndef FULFILLD_WORKER_COPY_HEADERS_H
#define FULFILLD_WORKER_COPY_HEADERS_H

#include "common/headers.h"
#include "worker/decision.h"
#include "worker/ledger.h"

#define HEADER_GENERATION "x-fulfillment-generation"
#define HEADER_ATTEMPTS   "x-fulfillment-attempts"
#define HEADER_FIRST      "x-fulfillment-first"
#define HEADER_DUE        "x-fulfillment-due"
#define HEADER_LINES      "x-fulfillment-lines"
#define HEADER_REASON     "x-fulfillment-reason"
#define HEADER_DETAIL     "x-fulfillment-detail"
/* Of a kept message that a resubmit by number has put back to work: the message id of that resubmit. */
#define HEADER_WORD       "x-fulfillment-word"

/** Fills the facts that headers carry; texts are borrowed from `headers`. Hostile values count as absent. */
void copy_headers_read(const struct headers *headers, struct copy_facts *ret_facts);

/** A copy of `original` with the decision's own headers in place of older ones. NULL when out of memory. */
struct headers *copy_headers_for(const struct headers *original, const struct decision *decision);

/** A copy of `original` as a dead copy that was not run: reason and detail only. NULL when out of memory. */
struct headers *copy_headers_dead(const struct headers *original, const char *reason, const char *detail);

#endif
