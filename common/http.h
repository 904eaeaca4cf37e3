/*
 * HTTP/1.1 client on the loop: one request in, one callback out. Reuses connections, never follows a
 * redirect, verifies TLS, caps answers, never repeats a request by itself (libcurl would repeat a POST on a
 * reused connection that died: see http.c), reads no proxy from the environment.
 *
 * Fake for unit tests: tests/fakes/fake_http.c (scripted answers).
 */
#ifndef FULFILLD_COMMON_HTTP_H
#define FULFILLD_COMMON_HTTP_H

#include "common/loop.h"

struct http;

struct http_options {
    size_t max_connections;    /* in flight at once; further requests wait in our own queue */
    const char *ca_file;       /* NULL = the system's */
    size_t max_response_bytes; /* 1 MiB by contract; more ends as HTTP_TOO_BIG */
    bool forbid_private;       /* refuse loopback, link-local and private addresses (after name look-up) */
};

/* How an exchange ended. `sent` below tells whether the request may have reached the server. */
enum http_outcome {
    HTTP_ANSWERED,      /* status, headers and body are complete */
    HTTP_NO_NAME,       /* name look-up failed */
    HTTP_NO_CONNECTION, /* refused, unreachable, connect timed out */
    HTTP_NO_TLS,        /* handshake or certificate */
    HTTP_SEND_FAILED,   /* reset or closed before the request was fully sent */
    HTTP_NO_ANSWER,     /* reset or closed after the request was sent, before a whole answer head */
    HTTP_TIMED_OUT,     /* no whole answer before timeout_ms, request sent */
    HTTP_TRUNCATED,     /* answer ended before its length, or garbled encoding */
    HTTP_TOO_BIG,       /* answer over max_response_bytes */
    HTTP_INVALID,       /* what came is not HTTP */
    HTTP_FORBIDDEN,     /* forbid_private and the address is private; never sent */
    HTTP_CANCELED,
    HTTP_FAILED /* out of memory and the like, before sending */
};
const char *http_outcome_text(enum http_outcome outcome);

struct http_header {
    const char *name;
    const char *value; /* CR, LF and NUL are refused: the request ends as HTTP_FAILED, unsent */
};

struct http_request {
    const char *method; /* "GET", "POST", "DELETE", … */
    const char *url;    /* http:// or https:// */
    const struct http_header *headers;
    size_t header_count;
    const char *body; /* NULL = none */
    size_t body_length;
    int64_t connect_timeout_ms;
    int64_t timeout_ms; /* whole exchange, from the moment it leaves our queue */
};

struct http_op;
/** Runs exactly once, later; op's answer fields are valid until it returns. */
typedef void http_done_fn(struct http_op *op);

struct http_op {
    http_done_fn *done;
    /* the answer: */
    enum http_outcome outcome;
    bool sent;        /* the request was sent whole, or may have been */
    int status;       /* 100..599 with HTTP_ANSWERED, else what was seen or 0 */
    const char *body; /* NUL-terminated, "" when none; borrowed */
    size_t body_length;
    int64_t elapsed_ms;
    int64_t retry_after_s; /* Retry-After as seconds from now (both forms, never below 0); -1 = none */
    char detail[160];      /* the library's words, for the log; no secrets */
    /* http.c's: */
    struct http *http;
    struct http_op *prev, *next;
    void *transfer;
    bool in_flight;
    bool canceled;
};

/** NULL with ret_fault when the CA file cannot be used or memory is out. */
struct http *http_open(struct loop *loop, const struct http_options *options, struct fault *ret_fault);
/** Ends everything with HTTP_CANCELED, frees once the loop is done with it. NULL is fine. */
void http_close(struct http *http);

/** Starts (or queues) the request; everything of `request` is copied. `op` stays put until done. */
void http_start(struct http *http, struct http_op *op, const struct http_request *request,
                http_done_fn *done);
/** done() still comes, later, with HTTP_CANCELED unless it had already ended. */
void http_cancel(struct http_op *op);
static inline bool http_op_active(const struct http_op *op)
{
    return op->in_flight;
}

/** A response header's first value (case-insensitive), or NULL; valid inside done() only. */
const char *http_header(const struct http_op *op, const char *name);

#endif
