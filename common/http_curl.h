/*
 * What http.c (many exchanges on the loop) and http_exchange.c (one exchange) share. Private to those two:
 * libcurl shows here.
 */
#ifndef FULFILLD_COMMON_HTTP_CURL_H
#define FULFILLD_COMMON_HTTP_CURL_H

#include "common/http.h"

#include <curl/curl.h>

/* The same for every exchange of one client. */
struct http_rules {
    struct loop *loop;
    char *ca_file; /* owned by the client; NULL = the system's */
    size_t max_response_bytes;
    bool forbid_private;
};

/* One request and what came of it; behind op->transfer until op->done has returned. */
struct http_exchange {
    struct http_op *op;
    const struct http_rules *rules;

    struct curl_slist *headers;
    const char *method, *url, *body; /* in `copies` */
    size_t body_length;
    int64_t connect_timeout_ms, timeout_ms;

    CURL *easy; /* NULL until it leaves the queue */
    char *answer;
    size_t answer_length, answer_capacity;
    size_t head_bytes;
    unsigned begun_count; /* times a connection was ready and sending began */
    bool head_complete;   /* of the final answer */
    bool answered;        /* HTTP_ANSWERED */
    bool too_big;
    bool out_of_memory;
    bool forbidden;      /* an address was private */
    bool repeat_refused; /* libcurl wanted to send a second copy */
    char words[CURL_ERROR_SIZE];
    char copies[];
};

/** A copy of the request; NULL with ret_why (static) when it is not one that may be sent, or out of memory.
 */
struct http_exchange *http_exchange_new(const struct http_rules *rules, const struct http_request *request,
                                        struct http_op *op, const char **ret_why);
void http_exchange_free(struct http_exchange *exchange);

/** A handle with all options that never change; NULL when one is refused or out of memory. */
CURL *http_easy_new(const struct http_rules *rules, curl_opensocket_callback on_open,
                    curl_closesocket_callback on_close, void *context);

/** Sets this request's options; the handle is the exchange's from now on. false = out of memory. */
MUST_CHECK bool http_exchange_apply(struct http_exchange *exchange, CURL *easy);

/**
 * Asked before a socket is opened and before sending begins: true when it would be for a second copy of a
 * request of which a part has left already. The exchange then remembers why it fails.
 */
bool http_exchange_refuses_repeat(struct http_exchange *exchange);

/** Whether the handle may serve another request: libcurl counts repeats over a handle's whole life. */
bool http_exchange_handle_is_fresh(const struct http_exchange *exchange);

/** Fills the op's answer fields by what libcurl said at the end; the handle is out of its multi handle. */
void http_exchange_conclude(struct http_exchange *exchange, CURLcode code);

#endif
