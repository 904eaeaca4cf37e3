/*
 * One-line log events on standard error, as JSON or as text (log.format). Events are rows of
 * worker/events.def; adapters do not log: whoever decides, logs, once.
 *
 * Repeated trouble is said once when it starts and once when it ends; the caller keeps that state.
 */
#ifndef FULFILLD_COMMON_LOG_H
#define FULFILLD_COMMON_LOG_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

/* One field of an event. Made by the macros below, never by hand. */
struct log_field {
    const char *key;
    enum { LOG_FIELD_END, LOG_FIELD_STRING, LOG_FIELD_INTEGER, LOG_FIELD_BOOLEAN } kind;
    const char *string; /* borrowed; any bytes: made valid UTF-8 and cut at 1,000 bytes */
    int64_t integer;
};

#define LOG_STR(name, value) ((struct log_field){.key = (name), .kind = LOG_FIELD_STRING, .string = (value)})
#define LOG_INT(name, value)                                                                                 \
    ((struct log_field){.key = (name), .kind = LOG_FIELD_INTEGER, .integer = (int64_t)(value)})
#define LOG_BOOL(name, value)                                                                                \
    ((struct log_field){.key = (name), .kind = LOG_FIELD_BOOLEAN, .integer = (value)})

void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* Shown with each line from now on, e.g. role "worker", slot 3. role is borrowed for ever. */
void log_identify(const char *role, int slot);

#define LOG_END ((struct log_field){.kind = LOG_FIELD_END})

/**
 * Writes one line. `event` is a dotted lower-case name; `message` a sentence; then struct log_field
 * values, the last one LOG_END. Use the macros below, which add it:
 *     log_info("order.retrying", "will try again", LOG_STR("order", number), LOG_INT("delay_s", 5));
 */
void log_write(enum log_level level, const char *event, const char *message, ...);

#define log_debug(...)                                                                                       \
    do {                                                                                                     \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                                    \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_END);                                                \
    } while (0)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__, LOG_END)
#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__, LOG_END)

#endif
