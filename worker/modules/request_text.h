/*
 * Texts of requests, for the built-in modules: JSON and percent-encoded paths, appended piece by piece. Libc
 * only. The first failure (out of memory) sticks and is looked at once, at the end.
 */
#ifndef FULFILLD_WORKER_MODULES_REQUEST_TEXT_H
#define FULFILLD_WORKER_MODULES_REQUEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct request_text {
    char *bytes; /* owned; NUL-terminated once something was appended */
    size_t length, capacity;
    bool failed;
};

void request_text_free(struct request_text *text);
void request_text_add(struct request_text *text, const char *plain);
/** A JSON string, quotes included; NULL becomes null. `value` is UTF-8, as everything in a message is. */
void request_text_json(struct request_text *text, const char *value);
/** "key":"value", with a comma before it unless the text ends with an opening bracket. */
void request_text_member(struct request_text *text, const char *key, const char *value);
/** Percent-encodes all but unreserved characters, `+` and `/` included. */
void request_text_percent(struct request_text *text, const char *value);

/** Whether a value may stand in a header: no control characters. */
bool request_text_header_safe(const char *value);

#endif
