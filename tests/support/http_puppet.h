/*
 * A puppet that reads HTTP requests and answers by their path: see the table in http_puppet.c ("/ok",
 * "/close",
 * "/half-body" …). Counts the whole requests that arrived, also those it does not answer.
 */
#ifndef FULFILLD_TESTS_SUPPORT_HTTP_PUPPET_H
#define FULFILLD_TESTS_SUPPORT_HTTP_PUPPET_H

#include "support/puppet.h"

struct http_puppet;

struct http_puppet *http_puppet_new(struct loop *loop);
void http_puppet_free(struct http_puppet *puppet);
struct puppet *http_puppet_peers(struct http_puppet *puppet);
/** http://127.0.0.1:PORT and the path; static. */
const char *http_puppet_url(const struct http_puppet *puppet, const char *path);
/** Whole requests so far with that method and path; NULL = any. Of the last 64. */
size_t http_puppet_count(const struct http_puppet *puppet, const char *method, const char *path);
/** The last whole request as it came; "" before the first. */
const char *http_puppet_last(const struct http_puppet *puppet);
/** Connections in whose request "/never" was asked and that wait for an answer: all of them get /ok's. */
void http_puppet_answer_waiting(struct http_puppet *puppet);

#endif
