/*
 * What the tests of the HTTP client share: a client, a puppet server on the same loop, and requests that note
 * how they ended. One of each at a time.
 */
#ifndef FULFILLD_TESTS_SUPPORT_HTTP_TRIAL_H
#define FULFILLD_TESTS_SUPPORT_HTTP_TRIAL_H

#include "common/http.h"
#include "support/http_puppet.h"

enum { MAX_RESPONSE = 100000, MAX_CONNECTIONS = 4, TIMEOUT_MS = 400, LONG_MS = 15000 };

struct trial {
    struct http_op op;
    bool ended;
    char header[64]; /* the answer's X-Twice */
    char body[64];
};

extern struct loop *loop;
extern struct http *http; /* closed by the tear-down unless NULL */
extern struct http_puppet *puppet;

/* cmocka's set-up and tear-down of a test. The tear-down fails where something is left on the loop. */
int http_trial_set_up(void **state);
int http_trial_tear_down(void **state);

/** Closes the client there is and opens another. */
void http_trial_reopen(const struct http_options *options);

/* Of a request that http_trial_start() did not start; `op` is a trial's. */
void http_trial_on_done(struct http_op *op);
/** Starts a request to any URL, or to a path of the puppet. The trial is made anew. */
void http_trial_start_url(struct trial *trial, const char *method, const char *url, const char *body,
                          int64_t timeout_ms);
void http_trial_start(struct trial *trial, const char *method, const char *path, const char *body,
                      int64_t timeout_ms);
/** Waits for the end, which must be that one. */
void http_trial_finish(struct trial *trial, enum http_outcome outcome);
/** Both, with a long timeout. */
void http_trial_run(struct trial *trial, const char *method, const char *path, const char *body,
                    enum http_outcome outcome);
/** A body of `length` letters; the caller's. */
char *http_trial_body(size_t length);

#endif
