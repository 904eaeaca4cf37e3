/* See http_trial.h. */
#include "support/http_trial.h"

#include "support/await.h"
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>

struct loop *loop;
struct http *http;
struct http_puppet *puppet;

void http_trial_reopen(const struct http_options *options)
{
    struct fault fault = fault_of(OK);

    http_close(http);
    http = http_open(loop, options, &fault);
    assert_non_null(http);
}

int http_trial_set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);                      /* as the program does */
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be used */
    loop = loop_new();
    puppet = http_puppet_new(loop);
    http_trial_reopen(
        &(struct http_options){.max_connections = MAX_CONNECTIONS, .max_response_bytes = MAX_RESPONSE});
    return 0;
}

int http_trial_tear_down(void **state)
{
    (void)state;
    http_close(http);
    http_puppet_free(puppet);
    http = NULL;
    puppet = NULL;
    loop_run(loop);
    loop_free(loop);
    return 0;
}

void http_trial_on_done(struct http_op *op)
{
    struct trial *trial = container_of(op, struct trial, op);
    const char *header = http_header(op, "x-twice");

    assert_false(trial->ended);
    assert_false(http_op_active(op));
    assert_int_equal(op->body[op->body_length], '\0');
    trial->ended = true;
    snprintf(trial->header, sizeof trial->header, "%s", header ? header : "");
    snprintf(trial->body, sizeof trial->body, "%.60s", op->body);
}

void http_trial_start_url(struct trial *trial, const char *method, const char *url, const char *body,
                          int64_t timeout_ms)
{
    struct http_header header = {"X-Test", "1"};
    struct http_request request = {.method = method,
                                   .url = url,
                                   .headers = &header,
                                   .header_count = 1,
                                   .body = body,
                                   .body_length = body ? strlen(body) : 0,
                                   .connect_timeout_ms = timeout_ms,
                                   .timeout_ms = timeout_ms};

    *trial = (struct trial){.ended = false};
    http_start(http, &trial->op, &request, http_trial_on_done);
    assert_false(trial->ended);
}

void http_trial_start(struct trial *trial, const char *method, const char *path, const char *body,
                      int64_t timeout_ms)
{
    http_trial_start_url(trial, method, http_puppet_url(puppet, path), body, timeout_ms);
}

void http_trial_finish(struct trial *trial, enum http_outcome outcome)
{
    assert_true(await_flag(loop, &trial->ended));
    if (trial->op.outcome != outcome)
        fail_msg("outcome \"%s\" (%s), not \"%s\"", http_outcome_text(trial->op.outcome), trial->op.detail,
                 http_outcome_text(outcome));
}

void http_trial_run(struct trial *trial, const char *method, const char *path, const char *body,
                    enum http_outcome outcome)
{
    http_trial_start(trial, method, path, body, LONG_MS);
    http_trial_finish(trial, outcome);
}

char *http_trial_body(size_t length)
{
    char *body = malloc(length + 1);

    assert_non_null(body);
    memset(body, 'x', length);
    body[length] = '\0';
    return body;
}
