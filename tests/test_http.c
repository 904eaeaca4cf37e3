/*
 * common/http.c against servers that misbehave: which outcome each fault has, what is sent, what the limits
 * do. The server is a puppet on the same loop.
 */
#include "common/http.h"

#include "support/await.h"
#include "support/http_trial.h"
#include "support/tls_server.h"
#include "support/unit.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

/* ---- outcomes ---- */

static const struct {
    const char *path;
    enum http_outcome outcome;
    int status;
    const char *body;
} outcome_rows[] = {
    {"/ok", HTTP_ANSWERED, 200, "ok"},
    {"/chunked", HTTP_ANSWERED, 200, "ok"},
    {"/until-close", HTTP_ANSWERED, 200, "ok"},
    {"/continue", HTTP_ANSWERED, 200, "ok"},
    {"/empty", HTTP_ANSWERED, 204, ""},
    {"/redirect", HTTP_ANSWERED, 302, ""},
    {"/unauthorized", HTTP_ANSWERED, 401, ""},
    {"/close", HTTP_NO_ANSWER, 0, NULL},
    {"/reset", HTTP_NO_ANSWER, 0, NULL},
    {"/half-head", HTTP_NO_ANSWER, 200, NULL},
    {"/head-without-end", HTTP_NO_ANSWER, 200, NULL},
    {"/half-body", HTTP_TRUNCATED, 200, NULL},
    {"/half-chunk", HTTP_TRUNCATED, 200, NULL},
    {"/bad-chunk", HTTP_TRUNCATED, 200, NULL},
    {"/garbage", HTTP_INVALID, 0, NULL},
    {"/http-0.9", HTTP_INVALID, 0, NULL},
    {"/other-protocol", HTTP_INVALID, 0, NULL},
    {"/status-999", HTTP_INVALID, 999, NULL},
    {"/big-declared", HTTP_TOO_BIG, 200, NULL},
    {"/endless-body", HTTP_TOO_BIG, 200, NULL},
    {"/endless-lines", HTTP_TOO_BIG, 200, NULL},
    {"/endless-line", HTTP_INVALID, 200, NULL},
};

static void test_every_way_to_answer_has_its_outcome(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(outcome_rows); index++) {
        struct trial trial;
        http_trial_start(&trial, "POST", outcome_rows[index].path, "body", LONG_MS);
        assert_true(await_flag(loop, &trial.ended));
        if (trial.op.outcome != outcome_rows[index].outcome || trial.op.status != outcome_rows[index].status)
            fail_msg("%s: %s, status %d (%s)", outcome_rows[index].path, http_outcome_text(trial.op.outcome),
                     trial.op.status, trial.op.detail);
        assert_true(trial.op.sent);
        if (outcome_rows[index].body)
            assert_string_equal(trial.body, outcome_rows[index].body);
        assert_int_equal(http_puppet_count(puppet, NULL, outcome_rows[index].path), 1);
    }
    assert_int_equal(http_puppet_count(puppet, NULL, "/ok"), 1); /* the redirect was not followed */
}

static void test_no_answer_in_time_is_told_as_sent(void **state)
{
    struct trial none, half;

    (void)state;
    http_trial_start(&none, "POST", "/never", "x", TIMEOUT_MS);
    http_trial_start(&half, "POST", "/half-body-never", "x", TIMEOUT_MS);
    http_trial_finish(&none, HTTP_TIMED_OUT);
    http_trial_finish(&half, HTTP_TIMED_OUT);
    assert_true(none.op.sent && half.op.sent);
    assert_true(none.op.elapsed_ms >= TIMEOUT_MS);
}

/* Whether a socket of this process gives up what is not acknowledged after so long. */
static bool some_socket_gives_up_after(unsigned wanted_ms)
{
    for (int fd = 3; fd < 1024; fd++) {
        unsigned timeout_ms = 0;
        socklen_t size = sizeof(timeout_ms);
        if (getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size) == 0 && timeout_ms == wanted_ms)
            return true;
    }
    return false;
}

static void test_the_kernel_repeats_nothing_after_the_deadline(void **state)
{
    struct trial trial;

    (void)state;
    assert_false(some_socket_gives_up_after(LONG_MS));
    http_trial_start(&trial, "POST", "/ok", "x", LONG_MS);
    http_trial_finish(&trial, HTTP_ANSWERED);
    assert_true(some_socket_gives_up_after(LONG_MS)); /* kept for reuse */
}

static void test_a_body_that_the_server_does_not_read_in_time_was_not_sent(void **state)
{
    enum { BODY = 16 << 20 };
    AUTO_FREE char *body = http_trial_body(BODY);
    struct trial trial;

    (void)state;
    puppet_stop_reading(http_puppet_peers(puppet));
    http_trial_start(&trial, "POST", "/ok", body, TIMEOUT_MS);
    http_trial_finish(&trial, HTTP_SEND_FAILED);
    assert_false(trial.op.sent);
}

static void test_a_body_cut_off_on_a_new_connection_was_not_sent(void **state)
{
    enum { BODY = 16 << 20 };
    AUTO_FREE char *body = http_trial_body(BODY);
    struct trial trial;

    (void)state;
    puppet_stop_reading(http_puppet_peers(puppet));
    http_trial_start(&trial, "POST", "/ok", body, LONG_MS);
    await_nothing(loop, 100);
    puppet_reset_all(http_puppet_peers(puppet));
    http_trial_finish(&trial, HTTP_SEND_FAILED);
    assert_false(trial.op.sent);
}

static void test_a_refused_connection_and_an_unknown_name_are_told_apart(void **state)
{
    struct trial refused, unknown;

    (void)state;
    http_trial_start_url(&refused, "POST", "http://127.0.0.1:1/", "x", LONG_MS);
    http_trial_start_url(&unknown, "POST", "http://no-such-host.invalid/", "x", LONG_MS);
    http_trial_finish(&refused, HTTP_NO_CONNECTION);
    http_trial_finish(&unknown, HTTP_NO_NAME);
    assert_false(refused.op.sent || unknown.op.sent);
}

static void on_hello(void *context, struct puppet_peer *peer, const char *data, size_t length)
{
    (void)context;
    (void)data;
    (void)length;
    puppet_say(peer, "HTTP/1.1 400 Bad Request\r\n\r\n");
    puppet_end(peer);
}

static void test_a_server_without_tls_is_told(void **state)
{
    struct puppet *plain = puppet_new(loop, on_hello, NULL);
    struct trial trial;
    char url[64];

    (void)state;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/ok", puppet_port(plain));
    http_trial_start_url(&trial, "POST", url, "x", LONG_MS);
    http_trial_finish(&trial, HTTP_NO_TLS);
    assert_false(trial.op.sent);
    puppet_free(plain);
}

static void test_a_handshake_without_end_is_no_connection(void **state)
{
    struct trial trial;
    char url[64];

    (void)state;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/ok", puppet_port(http_puppet_peers(puppet)));
    http_trial_start_url(&trial, "POST", url, "x", TIMEOUT_MS);
    http_trial_finish(&trial, HTTP_NO_CONNECTION);
    assert_false(trial.op.sent);
}

static enum http_outcome ask_https(const struct tls_server *server, const char *ca_file)
{
    struct trial trial;

    http_trial_reopen(
        &(struct http_options){.max_connections = 1, .max_response_bytes = MAX_RESPONSE, .ca_file = ca_file});
    http_trial_start_url(&trial, "GET", tls_server_url(server), NULL, LONG_MS);
    assert_true(await_flag(loop, &trial.ended));
    assert_true(trial.op.sent == (trial.op.outcome == HTTP_ANSWERED));
    return trial.op.outcome;
}

static void test_only_certificates_of_the_ca_for_the_host_are_accepted(void **state)
{
    struct tls_server *right = tls_server_start("IP:127.0.0.1");
    struct tls_server *wrong_host = tls_server_start("DNS:elsewhere.example");

    (void)state;
    if (!right || !wrong_host)
        skip();
    assert_int_equal(ask_https(right, tls_server_ca_file(right)), HTTP_ANSWERED);
    assert_int_equal(ask_https(right, tls_server_ca_file(wrong_host)), HTTP_NO_TLS);
    assert_int_equal(ask_https(right, NULL), HTTP_NO_TLS);
    assert_int_equal(ask_https(wrong_host, tls_server_ca_file(wrong_host)), HTTP_NO_TLS);
    tls_server_stop(right);
    tls_server_stop(wrong_host);
}

static void test_private_addresses_can_be_forbidden(void **state)
{
    struct trial trial;
    static const char *const hosts[] = {"127.0.0.1", "localhost",          "[::1]",
                                        "0x7f.1",    "[::ffff:127.0.0.1]", "0"};

    (void)state;
    http_trial_reopen(&(struct http_options){
        .max_connections = 1, .max_response_bytes = MAX_RESPONSE, .forbid_private = true});
    for (size_t index = 0; index < ARRAY_LEN(hosts); index++) {
        char url[96];
        snprintf(url, sizeof url, "http://%s:%d/ok", hosts[index], puppet_port(http_puppet_peers(puppet)));
        http_trial_start_url(&trial, "GET", url, NULL, LONG_MS);
        http_trial_finish(&trial, HTTP_FORBIDDEN);
        assert_false(trial.op.sent);
    }
    assert_int_equal(puppet_accepted(http_puppet_peers(puppet)), 0);
}

/* ---- what is sent ---- */

static void assert_sent(const char *text, bool expected)
{
    bool found = strcasestr(http_puppet_last(puppet), text) != NULL;

    if (found != expected)
        fail_msg("%s \"%s\" in: %s", expected ? "no" : "unwanted", text, http_puppet_last(puppet));
}

static void test_nothing_is_sent_that_was_not_asked_for(void **state)
{
    struct trial trial;
    AUTO_FREE char *body = malloc(20001);

    (void)state;
    memset(body, 'x', 20000); /* libcurl asks "Expect: 100-continue" from some size on */
    body[20000] = '\0';
    http_trial_run(&trial, "GET", "/cookie", NULL, HTTP_ANSWERED);
    http_trial_run(&trial, "POST", "/ok", body, HTTP_ANSWERED);
    assert_sent("HTTP/1.1\r\n", true);
    assert_sent("\r\nX-Test: 1\r\n", true);
    assert_sent("\r\nContent-Length: 20000\r\n", true);
    assert_sent("Expect:", false);
    assert_sent("Content-Type:", false);
    assert_sent("Cookie:", false);
    assert_sent("Upgrade:", false);
    http_trial_run(&trial, "POST", "/ok", NULL, HTTP_ANSWERED);
    assert_sent("POST /ok ", true);
    assert_sent("\r\nContent-Length: 0\r\n", true);
    http_trial_run(&trial, "DELETE", "/ok", NULL, HTTP_ANSWERED);
    assert_sent("DELETE /ok ", true);
    assert_sent("Content-Length:", false);
    http_trial_run(&trial, "DELETE", "/ok", "b", HTTP_ANSWERED);
    assert_sent("DELETE /ok ", true);
    assert_sent("\r\n\r\nb", true);
    http_trial_run(&trial, "GET", "/ok", NULL, HTTP_ANSWERED);
    assert_sent("GET /ok ", true);
    assert_sent("Content-Length:", false);
    http_trial_run(&trial, "PUT", "/ok", "b", HTTP_ANSWERED);
    assert_sent("PUT /ok ", true);
}

static const struct {
    struct http_header header;
    const char *method, *url;
} unsendable[] = {
    {{"X-A", "b\r\nX-C: d"}, "GET", NULL},
    {{"X-A", "b\n"}, "GET", NULL},
    {{"X-A", "b\r"}, "GET", NULL},
    {{"X-A\r\nX-B", "c"}, "GET", NULL},
    {{"X A", "c"}, "GET", NULL},
    {{"", "c"}, "GET", NULL},
    {{"X-A:", "c"}, "GET", NULL},
    {{"X-A", "\x01"}, "GET", NULL},
    {{"X-A", "b"}, "GET /ok HTTP/1.1\r\nX:", NULL},
    {{"X-A", "b"}, "", NULL},
    {{"X-A", "b"}, "GET", "file:///etc/passwd"},
    {{"X-A", "b"}, "GET", "ftp://127.0.0.1/"},
    {{"X-A", "b"}, "GET", "127.0.0.1/"},
    {{"X-A", "b"}, "GET", "http://"},
    {{"X-A", "b"}, "GET", "http://127.0.0.1:99999/"},
    {{"X-A", "b"}, "GET", ""},
};

static void test_a_request_that_may_not_be_sent_ends_unsent(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(unsendable); index++) {
        struct trial trial = {.ended = false};
        struct http_request request = {.method = unsendable[index].method,
                                       .url = unsendable[index].url ? unsendable[index].url
                                                                    : http_puppet_url(puppet, "/ok"),
                                       .headers = &unsendable[index].header,
                                       .header_count = 1,
                                       .connect_timeout_ms = LONG_MS,
                                       .timeout_ms = LONG_MS};
        http_start(http, &trial.op, &request, http_trial_on_done);
        assert_false(trial.ended);
        http_trial_finish(&trial, HTTP_FAILED);
        assert_false(trial.op.sent);
    }
    assert_int_equal(puppet_accepted(http_puppet_peers(puppet)), 0);
}

static void test_a_line_break_in_a_url_adds_no_header(void **state)
{
    struct trial trial;

    (void)state;
    http_trial_start(&trial, "GET", "/ok HTTP/1.1\r\nX-Evil: 1\r\nX:", NULL, LONG_MS);
    assert_true(await_flag(loop, &trial.ended));
    assert_int_equal(trial.op.outcome, HTTP_FAILED);
    assert_false(trial.op.sent);
}

static void test_the_first_of_several_headers_is_given(void **state)
{
    struct trial trial;

    (void)state;
    http_trial_run(&trial, "GET", "/twice", NULL, HTTP_ANSWERED);
    assert_string_equal(trial.header, "first");
}

static const struct {
    const char *path;
    int64_t least_s, most_s;
} retry_rows[] = {
    {"/ok", -1, -1},
    {"/retry-7", 7, 7},
    {"/retry-past", 0, 0},
    {"/retry-2099", 366 * 86400, 366 * 86400},
    {"/retry-huge", 366 * 86400, 366 * 86400},
    {"/retry-odd", -1, -1},
    {"/retry-negative", -1, -1},
};

static void test_retry_after_is_read_in_both_forms(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(retry_rows); index++) {
        struct trial trial;
        http_trial_run(&trial, "GET", retry_rows[index].path, NULL, HTTP_ANSWERED);
        if (trial.op.retry_after_s < retry_rows[index].least_s ||
            trial.op.retry_after_s > retry_rows[index].most_s)
            fail_msg("%s: %d", retry_rows[index].path, (int)trial.op.retry_after_s);
    }
}

/* ---- queue, cancel, close ---- */

static void test_no_more_run_than_may_and_waiting_does_not_count_as_time(void **state)
{
    struct trial trials[MAX_CONNECTIONS * 3];

    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(trials); index++)
        http_trial_start(&trials[index], "POST", "/never", "x", LONG_MS);
    for (size_t round = 1; round <= 3; round++) {
        await_nothing(loop, 100);
        assert_int_equal(http_puppet_count(puppet, "POST", "/never"), MAX_CONNECTIONS * round);
        http_puppet_answer_waiting(puppet);
    }
    for (size_t index = 0; index < ARRAY_LEN(trials); index++) {
        http_trial_finish(&trials[index], HTTP_ANSWERED);
        assert_true(trials[index].op.elapsed_ms < 250); /* not the rounds before its own */
    }
    assert_int_equal(puppet_accepted(http_puppet_peers(puppet)), MAX_CONNECTIONS);
}

static void test_canceling_ends_running_and_queued_requests(void **state)
{
    struct trial trials[MAX_CONNECTIONS + 2], after;

    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(trials); index++)
        http_trial_start(&trials[index], "POST", "/never", "x", LONG_MS);
    await_nothing(loop, 50);
    http_cancel(&trials[0].op);
    http_cancel(&trials[0].op);
    http_cancel(&trials[MAX_CONNECTIONS + 1].op);
    assert_false(trials[0].ended);
    http_trial_finish(&trials[0], HTTP_CANCELED);
    http_trial_finish(&trials[MAX_CONNECTIONS + 1], HTTP_CANCELED);
    assert_true(trials[0].op.sent);
    assert_false(trials[MAX_CONNECTIONS + 1].op.sent);
    http_cancel(&trials[0].op); /* harmless after the end */
    for (size_t index = 1; index <= MAX_CONNECTIONS; index++)
        http_cancel(&trials[index].op);
    http_trial_run(&after, "GET", "/ok", NULL, HTTP_ANSWERED);
}

static void on_done_close(struct http_op *op)
{
    http_trial_on_done(op);
    http_close(http);
    http = NULL;
}

static void test_closing_from_an_end_ends_all_others(void **state)
{
    struct trial first = {.ended = false}, others[MAX_CONNECTIONS + 2];
    struct http_request request = {.method = "GET", .connect_timeout_ms = LONG_MS, .timeout_ms = LONG_MS};

    (void)state;
    for (size_t index = 1; index < ARRAY_LEN(others); index++)
        http_trial_start(&others[index], "POST", index % 2 ? "/never" : "/ok", "x", LONG_MS);
    for (size_t index = 2; index < ARRAY_LEN(others); index += 2)
        http_trial_finish(&others[index], HTTP_ANSWERED);
    request.url = http_puppet_url(puppet, "/ok");
    http_start(http, &first.op, &request, on_done_close);
    http_trial_finish(&first, HTTP_ANSWERED);
    for (size_t index = 1; index < ARRAY_LEN(others); index += 2)
        http_trial_finish(&others[index], HTTP_CANCELED);
}

static void test_closing_at_any_moment_leaves_nothing(void **state)
{
    (void)state;
    for (int64_t delay_ms = 0; delay_ms < 10; delay_ms += 2) {
        struct trial local, named;
        http_trial_start(&local, "POST", "/ok", "x", LONG_MS);
        http_trial_start_url(&named, "POST", "http://no-such-host.invalid/", "x", LONG_MS);
        await_nothing(loop, delay_ms);
        http_trial_reopen(&(struct http_options){.max_connections = 2, .max_response_bytes = MAX_RESPONSE});
        assert_true(await_flag(loop, &local.ended));
        assert_true(await_flag(loop, &named.ended));
    }
}

static void test_a_ca_file_that_cannot_be_used_is_told_at_once(void **state)
{
    static const char *const paths[] = {"/nonexistent/ca.pem", "/etc/hostname"};

    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(paths); index++) {
        struct http_options options = {
            .max_connections = 1, .ca_file = paths[index], .max_response_bytes = 1};
        struct fault fault = fault_of(OK);
        assert_null(http_open(loop, &options, &fault));
        assert_int_equal(fault.code, ERR_CONFIG);
        assert_non_null(strstr(fault.detail, paths[index]));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, http_trial_set_up, http_trial_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_way_to_answer_has_its_outcome),
        TEST(test_the_kernel_repeats_nothing_after_the_deadline),
        TEST(test_no_answer_in_time_is_told_as_sent),
        TEST(test_a_body_that_the_server_does_not_read_in_time_was_not_sent),
        TEST(test_a_body_cut_off_on_a_new_connection_was_not_sent),
        TEST(test_a_refused_connection_and_an_unknown_name_are_told_apart),
        TEST(test_a_server_without_tls_is_told),
        TEST(test_a_handshake_without_end_is_no_connection),
        TEST(test_only_certificates_of_the_ca_for_the_host_are_accepted),
        TEST(test_private_addresses_can_be_forbidden),
        TEST(test_nothing_is_sent_that_was_not_asked_for),
        TEST(test_a_request_that_may_not_be_sent_ends_unsent),
        TEST(test_a_line_break_in_a_url_adds_no_header),
        TEST(test_the_first_of_several_headers_is_given),
        TEST(test_retry_after_is_read_in_both_forms),
        TEST(test_no_more_run_than_may_and_waiting_does_not_count_as_time),
        TEST(test_canceling_ends_running_and_queued_requests),
        TEST(test_closing_from_an_end_ends_all_others),
        TEST(test_closing_at_any_moment_leaves_nothing),
        TEST(test_a_ca_file_that_cannot_be_used_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
