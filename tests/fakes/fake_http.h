/*
 * common/http.h without a network: answers are scripted by method and path, requests are kept to be looked
 * at. Link it instead of fulfilld_http. Answers come with the loop's next tasks, or later by its clock.
 *
 * A request that nothing was scripted for ends as HTTP_FAILED with a detail that says so.
 */
#ifndef FULFILLD_TESTS_FAKE_HTTP_H
#define FULFILLD_TESTS_FAKE_HTTP_H

#include "common/http.h"

struct fake_http_answer {
    enum http_outcome outcome; /* HTTP_ANSWERED unless told otherwise */
    bool unsent;               /* with an outcome that leaves it open: the request was not sent */
    int status;                /* 0 = 200 with HTTP_ANSWERED */
    const char *body;          /* copied; NULL = none */
    const char *header_name, *header_value; /* one header, copied; NULL = none */
    int64_t retry_after_s;                  /* 0 or less = none */
    int64_t delay_ms; /* by the loop's clock; longer than the request's timeout: HTTP_TIMED_OUT */
};

/* The next request with that method and path (from the "/" after the host; a query is part of it) gets this
 * answer; several wait in line. NULL matches any. */
void fake_http_answer(const char *method, const char *path, const struct fake_http_answer *answer);
/* The same with a status and a body only. */
void fake_http_respond(const char *method, const char *path, int status, const char *body);
/* The next such request gets no answer: HTTP_TIMED_OUT after its timeout. */
void fake_http_ignore(const char *method, const char *path);

/* One request that was started; borrowed, valid until fake_http_reset(). */
struct fake_http_request {
    const char *method, *url, *path;
    const char *body; /* "" when none */
    size_t body_length;
    size_t header_count;
    struct http_header *headers;
};

size_t fake_http_request_count(void);
/** Counted from 0; NULL when there was none. */
const struct fake_http_request *fake_http_request(size_t index);
/** A header's value (case-insensitive) of that request, or NULL. */
const char *fake_http_request_header(size_t index, const char *name);
/** Answers scripted and not used yet: 0 at the end of a test. */
size_t fake_http_unused(void);
/** Forgets answers and requests. Not while a client is open. */
void fake_http_reset(void);

#endif
