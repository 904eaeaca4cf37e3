/*
 * A tiny HTTP server on the loop for /metrics, /healthz and /readyz: GET and HEAD only, a bounded number of
 * connections, short time-outs. One answer a request, made at once.
 */
#ifndef FULFILLD_COMMON_HTTP_LISTEN_H
#define FULFILLD_COMMON_HTTP_LISTEN_H

#include "common/loop.h"
#include "common/text.h"

struct http_listen;

enum { HTTP_LISTEN_MAX_CONNECTIONS = 64, HTTP_LISTEN_TIMEOUT_S = 5, HTTP_LISTEN_MAX_BODY_BYTES = 4 << 20 };

struct http_listen_answer {
    int status; /* 404 unless set */
    const char
        *content_type; /* borrowed until the answer is copied; "text/plain; charset=utf-8" unless set */
    struct text body;  /* http_listen's; append to it */
};

/** Fills the answer for a path (without the query). Runs on the loop; must not close the server. */
typedef void http_listen_fn(void *context, const char *path, struct http_listen_answer *answer);

/**
 * Listens on `address`: "127.0.0.1:9464", "[::1]:9464", "localhost:9464", ":9464" (all addresses); port 0
 * takes a free one.
 * @return NULL with ret_fault: ERR_CONFIG (names the address and why: busy, not ours, not allowed), ERR_NOMEM
 */
struct http_listen *http_listen_open(struct loop *loop, const char *address, http_listen_fn *fn,
                                     void *context, struct fault *ret_fault);
/** The port in use. */
uint16_t http_listen_port(const struct http_listen *listen);
/** Ends all connections, frees. NULL is fine. */
void http_listen_close(struct http_listen *listen);

#endif
