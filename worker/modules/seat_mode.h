/* What a product's attributes say of a course mode; for enrollment and entitlement. */
#ifndef FULFILLD_WORKER_MODULES_SEAT_MODE_H
#define FULFILLD_WORKER_MODULES_SEAT_MODE_H

#include "fulfill/module.h"

/** certificate_type, else seat_type, else audit; professional without verification is no-id-professional. */
const char *seat_mode(const struct fulfill_host *host, const struct fulfill_call *call);

/** The attribute, or NULL when it is absent, no string, or empty. */
const char *seat_attribute(const struct fulfill_host *host, const struct fulfill_call *call,
                           const char *name);

#endif
