/* Upstreams in one process: tokens, credentials, slots, rate, the breaker's view. Redis is scripted here; the
 * scripts themselves are tested on a real one in test_upstream_pool.c. */
#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "support/line_kit.h"
#include "support/unit.h"

#include <stdio.h>

#define TOKEN_PATH  "/oauth2/access_token"
#define POST_PATH   "/api/enrollment/v1/enrollment"
#define TOKEN(name) "{\"access_token\":\"" name "\",\"expires_in\":3600,\"token_type\":\"JWT\"}"

enum { MANY = 40 };

struct try_call {
    struct upstream_call up;
    int done;
    enum fulfill_transport transport;
    int status;
    int64_t done_ms;
};

static struct line_kit kit;
static struct try_call tries[MANY];

static int close_kit(void **state)
{
    (void)state;
    line_kit_close(&kit);
    memset(tries, 0, sizeof(tries));
    return 0;
}

static void open_kit(const char *settings)
{
    line_kit_open(&kit, settings, NULL);
}

static void on_done(struct upstream_call *up, const struct fulfill_answer *answer)
{
    struct try_call *try = container_of(up, struct try_call, up);

    try->done++;
    try->transport = answer->transport;
    try->status = answer->status;
    try->done_ms = loop_now_ms(kit.loop);
}

static void start(size_t index, uint32_t credentials)
{
    const struct fulfill_request request = {
        .size = sizeof(request), .method = "GET", .path = "/x", .credentials = credentials};

    assert_int_equal(upstream_call_init(kit.upstreams[0], &tries[index].up, &request, NULL, 0), OK);
    upstream_call_start(&tries[index].up, false, on_done);
}

static size_t count_path(const char *path)
{
    size_t count = 0;

    for (size_t i = 0; i < fake_http_request_count(); i++)
        count += strcmp(fake_http_request(i)->path, path) == 0;
    return count;
}

/* ---- credentials and tokens ---- */

static void test_one_token_is_fetched_for_all_who_wait(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN);
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t1"));
    for (size_t i = 0; i < 10; i++) {
        fake_http_respond("GET", "/x", 200, "");
        start(i, 0);
    }
    fake_loop_advance(kit.loop, 100);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(tries[i].done, 1);
    assert_int_equal(count_path(TOKEN_PATH), 1);
    assert_string_equal(fake_http_request(0)->body,
                        "grant_type=client_credentials&client_id=worker&client_secret="
                        "client-secret-1&token_type=jwt");
    assert_string_equal(fake_http_request_header(0, "Content-Type"), "application/x-www-form-urlencoded");
    assert_string_equal(fake_http_request_header(5, "Authorization"), "JWT t1");
}

static void test_a_token_is_used_until_five_seconds_before_its_end(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN);
    fake_http_respond("POST", TOKEN_PATH, 200, "{\"access_token\":\"t1\",\"expires_in\":60}");
    for (int i = 0; i < 3; i++)
        fake_http_respond("GET", "/x", 200, "");
    start(0, 0);
    fake_loop_advance(kit.loop, 54000);
    start(1, 0);
    fake_loop_advance(kit.loop, 900);
    assert_int_equal(count_path(TOKEN_PATH), 1);
    fake_loop_advance(kit.loop, 200);
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t2"));
    start(2, 0);
    fake_loop_advance(kit.loop, 100);
    assert_int_equal(tries[2].done, 1);
    assert_int_equal(count_path(TOKEN_PATH), 2);
}

static void test_a_401_is_repeated_once_with_a_fresh_token(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN);
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t1"));
    fake_http_respond("GET", "/x", 401, "");
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t2"));
    fake_http_respond("GET", "/x", 200, "");
    start(0, 0);
    fake_loop_advance(kit.loop, 100);
    assert_int_equal(tries[0].status, 200);
    assert_string_equal(fake_http_request_header(3, "Authorization"), "JWT t2");
}

static void test_a_second_401_is_the_answer(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN);
    char words[] = "refused: token-2";

    for (int i = 0; i < 2; i++) {
        fake_http_respond("POST", TOKEN_PATH, 200, i == 0 ? TOKEN("token-1") : TOKEN("token-2"));
        fake_http_respond("GET", "/x", 401, "");
    }
    start(0, 0);
    fake_loop_advance(kit.loop, 100);
    assert_int_equal(tries[0].done, 1);
    assert_int_equal(tries[0].status, 401);
    upstream_redact(kit.upstreams[0], words, sizeof(words)); /* given up, but a secret until its end */
    assert_string_equal(words, "refused: *******");
    assert_int_equal(fake_http_request_count(), 4);
}

static void test_many_401s_of_one_token_refresh_it_once(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN);
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t1"));
    for (int i = 0; i < 5; i++)
        fake_http_respond("GET", "/x", 401, "");
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t2"));
    for (int i = 0; i < 5; i++)
        fake_http_respond("GET", "/x", 200, "");
    for (size_t i = 0; i < 5; i++)
        start(i, 0);
    fake_loop_advance(kit.loop, 100);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(tries[i].status, 200);
    assert_int_equal(count_path(TOKEN_PATH), 2);
}

static void test_both_credentials_are_sent_where_both_are_configured(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN "api_key_file = %DIR%/api_key\n");
    fake_http_respond("POST", TOKEN_PATH, 200, TOKEN("t1"));
    for (int i = 0; i < 2; i++)
        fake_http_respond("GET", "/x", 200, "");
    start(0, FULFILL_WITH_API_KEY | FULFILL_WITH_TOKEN);
    start(1, FULFILL_WITH_TOKEN);
    fake_loop_advance(kit.loop, 100);
    assert_string_equal(fake_http_request_header(1, "X-Edx-Api-Key"), "key-secret-1");
    assert_string_equal(fake_http_request_header(1, "Authorization"), "JWT t1");
    assert_null(fake_http_request_header(2, "X-Edx-Api-Key"));
    assert_string_equal(fake_http_request_header(2, "Authorization"), "JWT t1");
}

static void test_a_token_is_missed_where_only_a_key_is_configured(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS);
    start(0, FULFILL_WITH_TOKEN);
    assert_int_equal(tries[0].done, 0); /* later */
    fake_loop_settle(kit.loop);
    assert_int_equal(tries[0].transport, FULFILL_NO_CREDENTIALS);
    assert_int_equal(fake_http_request_count(), 0);
}

static void test_what_the_token_endpoint_says_is_told_apart(void **state)
{
    static const struct {
        enum http_outcome outcome;
        int status;
        const char *body;
        enum fulfill_transport transport;
    } rows[] = {
        {HTTP_ANSWERED, 401, "{\"error\":\"invalid_client\"}", FULFILL_TOKEN_REFUSED},
        {HTTP_ANSWERED, 400, "{\"error\":\"invalid_client\"}", FULFILL_TOKEN_REFUSED},
        {HTTP_ANSWERED, 200, "{\"expires_in\":3600}", FULFILL_TOKEN_REFUSED},
        {HTTP_ANSWERED, 200, "{\"access_token\":\"t\",\"expires_in\":\"soon\"}", FULFILL_TOKEN_REFUSED},
        {HTTP_ANSWERED, 200, "{\"access_token\":\"a\\r\\nb\",\"expires_in\":3600}", FULFILL_TOKEN_REFUSED},
        {HTTP_ANSWERED, 200, "<html>", FULFILL_TOKEN_REFUSED},
        {HTTP_ANSWERED, 403, "", FULFILL_TOKEN_FAILED},
        {HTTP_ANSWERED, 429, "", FULFILL_TOKEN_FAILED},
        {HTTP_ANSWERED, 502, "", FULFILL_TOKEN_FAILED},
        {HTTP_ANSWERED, 301, "", FULFILL_TOKEN_FAILED},
        {HTTP_NO_CONNECTION, 0, "", FULFILL_TOKEN_FAILED},
        {HTTP_TIMED_OUT, 0, "", FULFILL_TOKEN_FAILED},
    };
    (void)state;
    open_kit(LINE_KIT_LMS_TOKEN);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct fake_http_answer answer = {
            .outcome = rows[i].outcome, .status = rows[i].status, .body = rows[i].body};
        fake_http_answer("POST", TOKEN_PATH, &answer);
        start(i, 0);
        fake_loop_advance(kit.loop, 8000);
        assert_int_equal(tries[i].transport, rows[i].transport);
        assert_int_equal(tries[i].status, rows[i].status);
    }
    assert_int_equal(count_path("/x"), 0); /* no call without a token */
}

static void test_requests_that_could_be_misread_are_refused(void **state)
{
    static const struct fulfill_header evil = {"X-A", "b\r\nX-B: c"}, colon = {"X:A", "b"};
    const struct fulfill_request rows[] = {
        {.size = sizeof(rows[0]), .method = "GET", .path = "x"},
        {.size = sizeof(rows[0]), .method = "GET", .path = "/x y"},
        {.size = sizeof(rows[0]), .method = "GET", .path = "/x\r\n"},
        {.size = sizeof(rows[0]), .method = "get", .path = "/x"},
        {.size = sizeof(rows[0]), .method = "GET / HTTP/1.1", .path = "/x"},
        {.size = sizeof(rows[0]), .path = "/x"},
        {.size = sizeof(rows[0]), .method = "GET"},
        {.size = sizeof(rows[0]), .method = "GET", .path = "/x", .headers = &evil, .header_count = 1},
        {.size = sizeof(rows[0]), .method = "GET", .path = "/x", .headers = &colon, .header_count = 1},
        {.size = sizeof(rows[0]), .method = "POST", .path = "/x", .body_length = 3},
    };
    (void)state;
    open_kit(LINE_KIT_LMS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(upstream_call_init(kit.upstreams[0], &tries[0].up, &rows[i], NULL, 0),
                         ERR_MALFORMED);
}

/* ---- slots and rate ---- */

static void test_no_more_requests_run_than_max_in_flight(void **state)
{
    int64_t in_flight, waiting, limit;

    (void)state;
    open_kit(LINE_KIT_LMS "max_in_flight = 3\n");
    const struct fake_http_answer slow = {.delay_ms = 1000};
    for (size_t i = 0; i < 7; i++) {
        fake_http_answer("GET", "/x", &slow);
        start(i, 0);
    }
    fake_loop_settle(kit.loop);
    upstream_load(kit.upstreams[0], &in_flight, &waiting, &limit);
    assert_int_equal(in_flight, 3);
    assert_int_equal(waiting, 4);
    fake_loop_advance(kit.loop, 1100);
    assert_int_equal(fake_http_request_count(), 6);
    fake_loop_advance(kit.loop, 2000);
    assert_int_equal(tries[6].done, 1);
}

static void test_time_outs_lower_the_limit_and_good_answers_raise_it_again(void **state)
{
    int64_t in_flight, waiting, limit;

    (void)state;
    open_kit(LINE_KIT_LMS "max_in_flight = 16\n[breaker]\nfailures = 1000\n");
    for (size_t i = 0; i < 16; i++) {
        fake_http_ignore("GET", "/x");
        start(i, 0);
    }
    fake_loop_advance(kit.loop, 8000);
    upstream_load(kit.upstreams[0], &in_flight, &waiting, &limit);
    assert_int_equal(limit, 10); /* once a round, not sixteen times */
    for (int round = 0; round < 60; round++) {
        memset(tries, 0, sizeof(tries));
        const struct fake_http_answer quick = {.delay_ms = 20};
        for (size_t i = 0; i < 16; i++) {
            fake_http_answer("GET", "/x", &quick);
            start(i, 0);
        }
        fake_loop_advance(kit.loop, 200);
    }
    upstream_load(kit.upstreams[0], &in_flight, &waiting, &limit);
    assert_int_equal(limit, 16);
}

static void test_latency_far_above_its_floor_lowers_the_limit(void **state)
{
    int64_t in_flight, waiting, limit;

    (void)state;
    open_kit(LINE_KIT_LMS "max_in_flight = 16\n");
    for (int round = 0; round < 5; round++) {
        memset(tries, 0, sizeof(tries));
        const struct fake_http_answer answer = {.delay_ms = round < 2 ? 50 : 3000};
        for (size_t i = 0; i < 16; i++) {
            fake_http_answer("GET", "/x", &answer);
            start(i, 0);
        }
        fake_loop_advance(kit.loop, 10000);
        for (int more = 0; more < 10 && !tries[15].done; more++)
            fake_loop_advance(kit.loop, 10000);
    }
    upstream_load(kit.upstreams[0], &in_flight, &waiting, &limit);
    assert_true(limit < 16);
    assert_true(limit >= 1);
}

static void test_the_rate_spaces_requests(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS "max_requests_per_second = 10\n");
    for (size_t i = 0; i < 20; i++) {
        fake_http_respond("GET", "/x", 200, "");
        start(i, 0);
    }
    fake_loop_advance(kit.loop, 950);
    assert_int_equal(fake_http_request_count(), 10);
    fake_loop_advance(kit.loop, 1000);
    assert_int_equal(fake_http_request_count(), 20);
}

/* ---- the breaker, without Redis: the same rules on the view ---- */

static void fail_once(enum http_outcome outcome, int status, const char *body)
{
    const struct fake_http_answer answer = {.outcome = outcome, .status = status, .body = body};

    fake_http_answer("POST", POST_PATH, &answer);
    line_kit_run(&kit);
}

static void test_failures_in_a_row_open_the_breaker_and_then_nothing_is_sent(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS "[breaker]\nfailures = 3\n");
    line_kit_message(&kit, line_kit_seat);
    for (int i = 0; i < 3; i++) {
        fail_once(HTTP_NO_CONNECTION, 0, NULL);
        assert_int_equal(kit.outcome.state, LINE_FAILED);
        assert_true(kit.outcome.costs_attempt);
    }
    assert_int_equal(upstream_breaker(kit.upstreams[0]), BREAKER_OPEN);
    assert_true(upstream_closed_until_ms(kit.upstreams[0]) > 0);
    assert_non_null(strstr(upstream_words(kit.upstreams[0]), "open until"));
    line_kit_run(&kit);
    assert_int_equal(kit.outcome.state, LINE_OPEN);
    assert_false(kit.outcome.ran);
    assert_true(kit.outcome.wait_until_ms >= upstream_closed_until_ms(kit.upstreams[0]));
    assert_string_equal(kit.outcome.reason, "network"); /* the last known word stays */
    assert_int_equal(fake_http_request_count(), 3);
}

static void test_a_good_answer_ends_a_row_of_failures(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS "[breaker]\nfailures = 3\n");
    line_kit_message(&kit, line_kit_seat);
    for (int i = 0; i < 5; i++) {
        fail_once(HTTP_ANSWERED, 500, "");
        fail_once(HTTP_ANSWERED, 500, "");
        fail_once(HTTP_ANSWERED, 406, "{\"message\":\"The user u does not exist.\"}");
    }
    assert_int_equal(upstream_breaker(kit.upstreams[0]), BREAKER_CLOSED);
}

static void test_a_failed_probe_costs_nothing_and_doubles_the_pause(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS "[breaker]\nfailures = 1\nopen_for = 15s\nmax_open_for = 40s\n");
    line_kit_message(&kit, line_kit_seat);
    fail_once(HTTP_NO_CONNECTION, 0, NULL);
    static const int64_t pauses_ms[] = {15000, 30000, 40000, 40000};
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        int64_t left_ms = upstream_closed_until_ms(kit.upstreams[0]) - loop_wall_us(kit.loop) / 1000;
        assert_in_range(left_ms, pauses_ms[i] - 500, pauses_ms[i]);
        fake_loop_advance(kit.loop, left_ms + 1);
        assert_int_equal(upstream_breaker(kit.upstreams[0]), BREAKER_HALF_OPEN);
        fail_once(HTTP_ANSWERED, 404, ""); /* E3 would be final otherwise */
        assert_int_equal(kit.outcome.state, LINE_OPEN);
        assert_true(kit.outcome.ran);
        assert_false(kit.outcome.costs_attempt);
        assert_true(kit.outcome.wait_until_ms > 0);
    }
}

static void test_a_good_probe_closes_the_breaker_and_traffic_comes_back_gradually(void **state)
{
    int64_t in_flight, waiting, limit;

    (void)state;
    open_kit(LINE_KIT_LMS "[breaker]\nfailures = 1\n");
    line_kit_message(&kit, line_kit_seat);
    fail_once(HTTP_NO_CONNECTION, 0, NULL);
    fake_loop_advance(kit.loop, 16000);
    fake_http_respond("POST", POST_PATH, 200, "");
    line_kit_run(&kit);
    assert_int_equal(kit.outcome.state, LINE_COMPLETE);
    assert_int_equal(upstream_breaker(kit.upstreams[0]), BREAKER_CLOSED);
    assert_string_equal(upstream_words(kit.upstreams[0]), "closed");
    upstream_load(kit.upstreams[0], &in_flight, &waiting, &limit);
    assert_in_range(limit, 1, 8);
}

static void test_a_401_opens_at_once_and_costs_nothing(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS);
    line_kit_message(&kit, line_kit_seat);
    fail_once(HTTP_ANSWERED, 401, "{\"detail\":\"Authentication credentials were not provided.\"}");
    assert_int_equal(kit.outcome.state, LINE_OPEN);
    assert_false(kit.outcome.costs_attempt);
    assert_string_equal(kit.outcome.reason, "credentials");
    assert_int_equal(upstream_breaker(kit.upstreams[0]), BREAKER_OPEN);
    assert_non_null(strstr(upstream_words(kit.upstreams[0]), "mend the credentials"));
}

static void test_a_429_pauses_as_long_as_it_says(void **state)
{
    (void)state;
    open_kit(LINE_KIT_LMS);
    line_kit_message(&kit, line_kit_seat);
    const struct fake_http_answer answer = {
        .status = 429, .body = "{\"detail\":\"Request was throttled.\"}", .retry_after_s = 30};
    fake_http_answer("POST", POST_PATH, &answer);
    line_kit_run(&kit);
    assert_int_equal(kit.outcome.state, LINE_OPEN);
    assert_false(kit.outcome.costs_attempt);
    assert_string_equal(kit.outcome.reason, "throttled");
    int64_t left_ms = kit.outcome.wait_until_ms - loop_wall_us(kit.loop) / 1000;
    assert_in_range(left_ms, 29500, 30000);
    assert_int_equal(upstream_breaker(kit.upstreams[0]), BREAKER_CLOSED);
    line_kit_run(&kit);
    assert_false(kit.outcome.ran);
    fake_loop_advance(kit.loop, 30001);
    fake_http_respond("POST", POST_PATH, 200, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void on_reported(struct report_op *op, bool costs)
{
    (void)op;
    assert_false(costs);
}

static void test_calls_that_wait_are_postponed_when_the_breaker_opens(void **state)
{
    struct report_op report = {0};
    const struct upstream_news bad = {
        .health = FULFILL_HEALTH_BAD, .decision = FULFILL_PAUSE, .retry_after_s = -1, .words = "mend it"};
    (void)state;
    open_kit(LINE_KIT_LMS "max_in_flight = 1\n");
    const struct fake_http_answer slow = {.delay_ms = 1000};
    fake_http_answer("GET", "/x", &slow);
    start(0, 0);
    start(1, 0);
    fake_loop_settle(kit.loop);
    upstream_report(kit.upstreams[0], &report, &bad, on_reported);
    fake_loop_advance(kit.loop, 2000);
    assert_int_equal(tries[0].status, 200);
    assert_int_equal(tries[1].done, 1);
    assert_true(tries[1].up.postponed_until_ms > 0);
    assert_int_equal(fake_http_request_count(), 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_token_is_fetched_for_all_who_wait),
        TEST(test_a_token_is_used_until_five_seconds_before_its_end),
        TEST(test_a_401_is_repeated_once_with_a_fresh_token),
        TEST(test_a_second_401_is_the_answer),
        TEST(test_many_401s_of_one_token_refresh_it_once),
        TEST(test_both_credentials_are_sent_where_both_are_configured),
        TEST(test_a_token_is_missed_where_only_a_key_is_configured),
        TEST(test_what_the_token_endpoint_says_is_told_apart),
        TEST(test_requests_that_could_be_misread_are_refused),
        TEST(test_no_more_requests_run_than_max_in_flight),
        TEST(test_time_outs_lower_the_limit_and_good_answers_raise_it_again),
        TEST(test_latency_far_above_its_floor_lowers_the_limit),
        TEST(test_the_rate_spaces_requests),
        TEST(test_failures_in_a_row_open_the_breaker_and_then_nothing_is_sent),
        TEST(test_a_good_answer_ends_a_row_of_failures),
        TEST(test_a_failed_probe_costs_nothing_and_doubles_the_pause),
        TEST(test_a_good_probe_closes_the_breaker_and_traffic_comes_back_gradually),
        TEST(test_a_401_opens_at_once_and_costs_nothing),
        TEST(test_a_429_pauses_as_long_as_it_says),
        TEST(test_calls_that_wait_are_postponed_when_the_breaker_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
