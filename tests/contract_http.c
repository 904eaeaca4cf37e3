/* The promises of common/http.h, run against the fake and against a real server. */
#include "contract_http.h"

#include "support/unit.h"

#include <stdio.h>

struct trial {
    struct http_op op;
    bool ended;
    char body[32];
    char header[32];
};

static struct http *http;

static int set_up(void **state)
{
    struct http_options options = {.max_connections = 2, .max_response_bytes = SUBJECT_MAX_RESPONSE};
    struct fault fault;

    (void)state;
    if (subject_set_up() < 0)
        return -1;
    http = http_open(subject_loop(), &options, &fault);
    return http ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_close(http);
    http = NULL;
    subject_tear_down();
    return 0;
}

static void on_done(struct http_op *op)
{
    struct trial *trial = container_of(op, struct trial, op);
    const char *header = http_header(op, "rETRY-aFTER");

    assert_false(trial->ended);
    assert_false(http_op_active(op));
    assert_non_null(op->body);
    assert_int_equal(op->body[op->body_length], '\0');
    trial->ended = true;
    snprintf(trial->body, sizeof trial->body, "%.30s", op->body);
    snprintf(trial->header, sizeof trial->header, "%s", header ? header : "");
}

static void start_with(struct trial *trial, const char *path, const struct http_header *header,
                       http_done_fn *done)
{
    struct http_request request = {.method = "POST",
                                   .url = subject_url(path),
                                   .headers = header,
                                   .header_count = header ? 1 : 0,
                                   .body = "{}",
                                   .body_length = 2,
                                   .connect_timeout_ms = SUBJECT_TIMEOUT_MS,
                                   .timeout_ms = SUBJECT_TIMEOUT_MS};

    *trial = (struct trial){.ended = false};
    http_start(http, &trial->op, &request, done);
    assert_false(trial->ended); /* never inside start */
    assert_true(http_op_active(&trial->op));
}

static void start(struct trial *trial, const char *path)
{
    subject_expect(path);
    start_with(trial, path, NULL, on_done);
}

static void finish(struct trial *trial, enum http_outcome outcome, bool sent)
{
    assert_true(subject_await(&trial->ended));
    if (trial->op.outcome != outcome)
        fail_msg("%s (%s)", http_outcome_text(trial->op.outcome), trial->op.detail);
    assert_true(trial->op.sent == sent);
}

static void test_an_answer_comes_with_status_and_body(void **state)
{
    struct trial trial;

    (void)state;
    start(&trial, "/ok");
    finish(&trial, HTTP_ANSWERED, true);
    assert_int_equal(trial.op.status, 200);
    assert_string_equal(trial.body, "ok");
    assert_int_equal(trial.op.retry_after_s, -1);
    assert_string_equal(trial.header, "");
}

static void test_retry_after_is_given_as_header_and_as_seconds(void **state)
{
    struct trial trial;

    (void)state;
    start(&trial, "/retry-7");
    finish(&trial, HTTP_ANSWERED, true);
    assert_int_equal(trial.op.status, 503);
    assert_int_equal(trial.op.retry_after_s, 7);
    assert_string_equal(trial.header, "7");
}

static void test_no_answer_ends_at_the_deadline(void **state)
{
    struct trial trial;

    (void)state;
    start(&trial, "/never");
    finish(&trial, HTTP_TIMED_OUT, true);
}

static void test_a_connection_lost_after_the_request_is_told_as_sent(void **state)
{
    struct trial trial;

    (void)state;
    start(&trial, "/close");
    finish(&trial, HTTP_NO_ANSWER, true);
}

static void test_an_answer_over_the_limit_is_not_kept(void **state)
{
    struct trial trial;

    (void)state;
    start(&trial, "/big-declared");
    finish(&trial, HTTP_TOO_BIG, true);
}

static void test_a_header_with_a_line_break_is_never_sent(void **state)
{
    struct http_header header = {"X-A", "b\r\nX-C: d"};
    struct trial trial;

    (void)state;
    start_with(&trial, "/ok", &header, on_done);
    finish(&trial, HTTP_FAILED, false);
}

static void test_a_canceled_request_ends_once(void **state)
{
    struct trial trial;

    (void)state;
    start(&trial, "/never");
    http_cancel(&trial.op);
    http_cancel(&trial.op);
    assert_false(trial.ended);
    assert_true(subject_await(&trial.ended));
    assert_int_equal(trial.op.outcome, HTTP_CANCELED);
    http_cancel(&trial.op); /* harmless after the end */
}

static void test_closing_ends_running_and_queued_requests(void **state)
{
    struct trial trials[5];

    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(trials); index++)
        start(&trials[index], "/never");
    http_close(http);
    http = NULL;
    for (size_t index = 0; index < ARRAY_LEN(trials); index++) {
        assert_false(trials[0].ended && index == 0);
        assert_true(subject_await(&trials[index].ended));
        assert_int_equal(trials[index].op.outcome, HTTP_CANCELED);
    }
}

static struct trial again;
static size_t starts_left;

static void on_done_start_again(struct http_op *op)
{
    assert_int_equal(op->outcome, HTTP_ANSWERED);
    if (starts_left-- == 0) {
        again.ended = true;
        return;
    }
    subject_expect("/ok");
    start_with(&again, "/ok", NULL, on_done_start_again);
}

static void test_a_request_may_be_started_again_from_its_own_end(void **state)
{
    (void)state;
    starts_left = 5;
    subject_expect("/ok");
    start_with(&again, "/ok", NULL, on_done_start_again);
    assert_true(subject_await(&again.ended));
}

static void on_done_close(struct http_op *op)
{
    on_done(op);
    http_close(http);
    http = NULL;
}

static void test_the_client_may_be_closed_from_an_end(void **state)
{
    struct trial first, second;

    (void)state;
    start(&second, "/never");
    subject_expect("/ok");
    start_with(&first, "/ok", NULL, on_done_close);
    finish(&first, HTTP_ANSWERED, true);
    assert_true(subject_await(&second.ended));
    assert_int_equal(second.op.outcome, HTTP_CANCELED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_comes_with_status_and_body),
        TEST(test_retry_after_is_given_as_header_and_as_seconds),
        TEST(test_no_answer_ends_at_the_deadline),
        TEST(test_a_connection_lost_after_the_request_is_told_as_sent),
        TEST(test_an_answer_over_the_limit_is_not_kept),
        TEST(test_a_header_with_a_line_break_is_never_sent),
        TEST(test_a_canceled_request_ends_once),
        TEST(test_closing_ends_running_and_queued_requests),
        TEST(test_a_request_may_be_started_again_from_its_own_end),
        TEST(test_the_client_may_be_closed_from_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
