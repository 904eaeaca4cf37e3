/*
 * The keys that sections of built-in modules may have, and what their values may be. Libc only.
 */
#ifndef FULFILLD_WORKER_MODULES_OPTIONS_H
#define FULFILLD_WORKER_MODULES_OPTIONS_H

/** check_option() of fulfill/module.h for modules without keys of their own. */
const char *options_check_none(const char *key, const char *value);
/** The same for webhooks. */
const char *options_check_webhook(const char *key, const char *value);

/** Whether a status stands in a list like "200-299, 409". Nothing stands in NULL. */
int options_status_listed(const char *list, int status);

#endif
