/*
 * What contract_http.c needs of the client it is run against: contract_http_fake.c (scripted answers, virtual
 * clock) or contract_http_real.c (a puppet server).
 */
#ifndef FULFILLD_TESTS_CONTRACT_HTTP_H
#define FULFILLD_TESTS_CONTRACT_HTTP_H

#include "common/http.h"

/** A new loop and what answers: "/ok" with 200 and "ok", "/retry-7" with 503 and Retry-After 7, "/never" not,
 *  "/close" by closing after the request, "/big-declared" with more than SUBJECT_MAX_RESPONSE bytes. */
int subject_set_up(void);
void subject_tear_down(void);
struct loop *subject_loop(void);
/** http://host and the path; static. */
const char *subject_url(const char *path);
/** Makes the subject ready for one request of that path. */
void subject_expect(const char *path);
/** Runs the loop until the flag is set; false when that does not come about. */
MUST_CHECK bool subject_await(const bool *flag);

enum { SUBJECT_MAX_RESPONSE = 1000, SUBJECT_TIMEOUT_MS = 300 };

#endif
