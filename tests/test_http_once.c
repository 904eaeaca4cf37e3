/*
 * common/http.c and the promise that no request is ever sent twice, whatever becomes of the connection. The
 * server is a puppet on the same loop that counts what arrives.
 */
#include "common/http.h"

#include "support/await.h"
#include "support/http_trial.h"
#include "support/unit.h"

static const struct {
    const char *method, *body;
} requests[] = {
    {"POST", "{\"a\":1}"}, {"POST", NULL},  {"POST", ""},  {"PUT", "b"},   {"PATCH", "b"},
    {"DELETE", NULL},      {"DELETE", "b"}, {"GET", NULL}, {"HEAD", NULL}, {"OPTIONS", NULL},
};

static void check_one_copy(const char *path)
{
    for (size_t index = 0; index < ARRAY_LEN(requests); index++) {
        const char *method = requests[index].method;
        struct trial warm, trial;
        size_t before = http_puppet_count(puppet, method, path);
        size_t accepted = puppet_accepted(http_puppet_peers(puppet));
        http_trial_run(&warm, "GET", "/ok", NULL, HTTP_ANSWERED);
        http_trial_run(&trial, method, path, requests[index].body, HTTP_NO_ANSWER);
        assert_true(trial.op.sent);
        await_nothing(loop, 20);
        assert_int_equal(http_puppet_count(puppet, method, path), before + 1);
        /* The request was on the connection that GET had opened, and no other was opened for a repeat. */
        assert_int_equal(puppet_accepted(http_puppet_peers(puppet)), accepted + 1);
    }
}

static void test_a_reused_connection_that_closes_without_an_answer_is_no_reason_to_repeat(void **state)
{
    (void)state;
    check_one_copy("/close");
}

static void test_a_reused_connection_that_is_reset_is_no_reason_to_repeat(void **state)
{
    (void)state;
    check_one_copy("/reset");
}

static void test_other_idle_connections_are_no_reason_to_repeat(void **state)
{
    struct trial waiting[3], trial;

    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(waiting); index++)
        http_trial_start(&waiting[index], "GET", "/never", NULL, LONG_MS);
    await_nothing(loop, 50);
    http_puppet_answer_waiting(puppet);
    for (size_t index = 0; index < ARRAY_LEN(waiting); index++)
        http_trial_finish(&waiting[index], HTTP_ANSWERED);
    http_trial_run(&trial, "POST", "/close", "x", HTTP_NO_ANSWER);
    await_nothing(loop, 20);
    assert_int_equal(http_puppet_count(puppet, "POST", "/close"), 1);
}

static void test_a_large_body_cut_off_on_a_reused_connection_is_not_repeated(void **state)
{
    enum { BODY = 16 << 20 };
    AUTO_FREE char *body = http_trial_body(BODY);
    struct trial warm, trial;

    (void)state;
    http_trial_run(&warm, "GET", "/ok", NULL, HTTP_ANSWERED);
    puppet_stop_reading(http_puppet_peers(puppet));
    http_trial_start(&trial, "POST", "/ok", body, LONG_MS);
    await_nothing(loop, 100);
    puppet_reset_all(http_puppet_peers(puppet));
    http_trial_finish(&trial, HTTP_NO_ANSWER); /* how much had left is not known any more */
    assert_true(trial.op.sent);
    await_nothing(loop, 50);
    assert_int_equal(puppet_accepted(http_puppet_peers(puppet)), 1);
}

static void test_a_large_body_sent_whole_is_told_as_sent(void **state)
{
    enum { BODY = 500000 };
    AUTO_FREE char *body = http_trial_body(BODY);
    struct trial warm, trial;

    (void)state;
    for (int round = 0; round < 3; round++) {
        http_trial_run(&warm, "GET", "/ok", NULL, HTTP_ANSWERED);
        http_trial_run(&trial, "POST", round % 2 ? "/close" : "/reset", body, HTTP_NO_ANSWER);
        assert_true(trial.op.sent);
        http_trial_run(&trial, "PUT", round % 2 ? "/close" : "/reset", body,
                       HTTP_NO_ANSWER); /* on a connection of its own */
        assert_true(trial.op.sent);
    }
    assert_int_equal(http_puppet_count(puppet, NULL, "/ok"), 3);
    assert_int_equal(http_puppet_count(puppet, NULL, NULL), 9);
}

static void test_a_connection_that_the_server_closed_while_idle_costs_nothing(void **state)
{
    struct trial warm, trial;

    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(requests); index++) {
        http_trial_run(&warm, "GET", "/ok-then-close", NULL, HTTP_ANSWERED);
        http_trial_run(&trial, requests[index].method, "/ok", requests[index].body, HTTP_ANSWERED);
        /* The same where nothing ran between the close and the request. */
        http_trial_run(&warm, "GET", "/ok", NULL, HTTP_ANSWERED);
        puppet_end_all(http_puppet_peers(puppet));
        http_trial_run(&trial, requests[index].method, "/ok", requests[index].body, HTTP_ANSWERED);
        http_trial_run(&warm, "GET", "/ok", NULL, HTTP_ANSWERED);
        puppet_reset_all(http_puppet_peers(puppet));
        http_trial_run(&trial, requests[index].method, "/ok", requests[index].body, HTTP_ANSWERED);
    }
}

static void test_connections_are_reused(void **state)
{
    struct trial trial;

    (void)state;
    for (int count = 0; count < 20; count++)
        http_trial_run(&trial, count % 2 ? "POST" : "GET", "/ok", count % 2 ? "x" : NULL, HTTP_ANSWERED);
    assert_int_equal(puppet_accepted(http_puppet_peers(puppet)), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, http_trial_set_up, http_trial_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_reused_connection_that_closes_without_an_answer_is_no_reason_to_repeat),
        TEST(test_a_reused_connection_that_is_reset_is_no_reason_to_repeat),
        TEST(test_other_idle_connections_are_no_reason_to_repeat),
        TEST(test_a_large_body_cut_off_on_a_reused_connection_is_not_repeated),
        TEST(test_a_large_body_sent_whole_is_told_as_sent),
        TEST(test_a_connection_that_the_server_closed_while_idle_costs_nothing),
        TEST(test_connections_are_reused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
