/* Times as RFC 3339 writes them, to the one form that goes upstream. */
#ifndef FULFILLD_WORKER_ORDER_DATE_H
#define FULFILLD_WORKER_ORDER_DATE_H

#include <stdbool.h>

enum { ORDER_DATE_BYTES = 24 };

/**
 * "2026-01-02T05:04:05.678+02:00" → "2026-01-02T03:04:05Z": UTC, whole seconds (fractions are cut off).
 * @param ret_utc  ORDER_DATE_BYTES bytes, untouched when false
 * @return false when it is no such time, names no offset, or is outside the years 1 to 9999
 */
bool order_date_to_utc(const char *text, char *ret_utc);

#endif
