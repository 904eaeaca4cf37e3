/* common/store.c and a private redis-server in every bad state it knows. */
#include "common/store.h"

#include "support/await.h"
#include "support/redis_server.h"
#include "support/store_trial.h"
#include "support/unit.h"

#include <stdio.h>
#include <time.h>

enum { PIPELINE = 10000 };

static struct redis_server *server;

static int set_up_group(void **state)
{
    (void)state;
    server = redis_server_start();
    return server ? 0 : -1;
}

static int tear_down_group(void **state)
{
    (void)state;
    redis_server_stop(server);
    return 0;
}

static void tell_server(const char *command, const char *expected)
{
    char answer[512];

    redis_server_do(server, command, answer, sizeof answer);
    if (expected)
        assert_string_equal(answer, expected);
}

static int set_up(void **state)
{
    (void)state;
    return store_trial_init();
}

static int tear_down(void **state)
{
    (void)state;
    store_trial_fini();
    tell_server("CONFIG SET maxmemory 0", "+OK");
    tell_server("REPLICAOF NO ONE", "+OK");
    tell_server("FLUSHALL", "+OK");
    return 0;
}

static void open_real(void)
{
    store_trial_open(redis_server_uri(server), NULL, SCRIPT_COUNT);
    assert_true(await_flag(loop, &is_up));
}

static void test_ten_thousand_pipelined_scripts_end_each_with_its_own_answer(void **state)
{
    AUTO_FREE struct trial *trials = calloc(PIPELINE, sizeof *trials);
    char text[16];

    (void)state;
    open_real();
    for (size_t index = 0; index < PIPELINE; index++) {
        snprintf(text, sizeof text, "%zu", index);
        store_trial_script(&trials[index], SCRIPT_GIVE, text);
    }
    for (size_t index = 0; index < PIPELINE; index += 3)
        store_op_cancel(&trials[index].op);
    for (size_t index = 0; index < PIPELINE; index++) {
        snprintf(text, sizeof text, "%zu", index);
        store_trial_finish(&trials[index], index % 3 == 0 ? ERR_CANCELED : OK);
        assert_string_equal(trials[index].text, index % 3 == 0 ? "" : text);
    }
}

static void test_a_pause_of_this_process_is_not_held_against_the_server(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    open_real();
    store_trial_script(&trial, SCRIPT_GIVE, "x");
    /* The operation's bytes leave at the end of the turn; until then time flies. */
    const struct timespec pause = {.tv_sec = 1};
    nanosleep(&pause, NULL);
    store_trial_finish(&trial, OK);
    assert_int_equal(down_count, 0);
}

static void test_scripts_that_the_server_forgot_run_all_the_same(void **state)
{
    static struct trial trials[200];
    struct trial flush = {.ended = false}, after = {.ended = false};
    char text[16];

    (void)state;
    memset(trials, 0, sizeof trials);
    open_real();
    for (size_t index = 0; index < ARRAY_LEN(trials); index++) {
        if (index == 100)
            store_trial_command(&flush, "SCRIPT", "FLUSH", NULL);
        snprintf(text, sizeof text, "%zu", index);
        store_trial_script(&trials[index], SCRIPT_GIVE, text);
    }
    for (size_t index = 0; index < ARRAY_LEN(trials); index++) {
        snprintf(text, sizeof text, "%zu", index);
        store_trial_finish(&trials[index], OK);
        assert_string_equal(trials[index].text, text);
    }
    store_trial_finish(&flush, OK);
    store_trial_script(&after, SCRIPT_WRITE, "x");
    store_trial_finish(&after, OK);
    assert_int_equal(up_count, 1);
}

static void test_an_emptied_server_changes_nothing(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    open_real();
    tell_server("FLUSHALL", "+OK");
    store_trial_script(&trial, SCRIPT_WRITE, "x");
    store_trial_finish(&trial, OK);
}

static void test_a_server_that_sleeps_past_the_deadline_is_dropped_and_found_again(void **state)
{
    struct trial sleeper = {.ended = false}, behind = {.ended = false}, after = {.ended = false};

    (void)state;
    open_real();
    store_trial_command(&sleeper, "DEBUG", "SLEEP", "2");
    store_trial_script(&behind, SCRIPT_GIVE, "x");
    store_trial_finish(&sleeper, ERR_TIMEOUT);
    store_trial_finish(&behind, ERR_TIMEOUT);
    assert_false(store_up(store));
    assert_int_equal(down_count, 1);
    assert_true(await_flag(loop, &is_up));
    assert_int_equal(down_count, 1);
    store_trial_script(&after, SCRIPT_GIVE, "x");
    store_trial_finish(&after, OK);
}

static void test_a_full_server_is_away_for_writes_only(void **state)
{
    struct trial write = {.ended = false}, read = {.ended = false}, after = {.ended = false};

    (void)state;
    open_real();
    tell_server("CONFIG SET maxmemory 1", "+OK");
    store_trial_script(&write, SCRIPT_FILL, "");
    store_trial_finish(&write, ERR_UNAVAILABLE);
    assert_non_null(strstr(write.fault.detail, "OOM"));
    store_trial_command(&read, "PING", NULL, NULL);
    store_trial_finish(&read, OK);
    assert_true(store_up(store));
    tell_server("CONFIG SET maxmemory 0", "+OK");
    store_trial_script(&after, SCRIPT_FILL, "");
    store_trial_finish(&after, OK);
}

static void test_a_master_that_became_a_replica_is_left_until_it_is_master_again(void **state)
{
    struct trial write = {.ended = false}, after = {.ended = false};

    (void)state;
    open_real();
    tell_server("REPLICAOF 127.0.0.1 1", "+OK");
    store_trial_script(&write, SCRIPT_WRITE, "x");
    store_trial_finish(&write, ERR_UNAVAILABLE);
    assert_non_null(strstr(write.fault.detail, "READONLY"));
    assert_false(store_up(store));
    await_nothing(loop, 500); /* several tries; the outage is told once */
    assert_int_equal(down_count, 1);
    assert_false(store_up(store));
    tell_server("REPLICAOF NO ONE", "+OK");
    assert_true(await_flag(loop, &is_up));
    store_trial_script(&after, SCRIPT_WRITE, "x");
    store_trial_finish(&after, OK);
}

static void test_a_replica_is_not_up(void **state)
{
    (void)state;
    tell_server("REPLICAOF 127.0.0.1 1", "+OK");
    store_trial_open(redis_server_uri(server), NULL, SCRIPT_COUNT);
    assert_true(await_count(loop, &down_count, 1));
    assert_int_equal(last_fault.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(last_fault.detail, "READONLY"));
}

static void test_a_wrong_login_is_told_once_without_the_password(void **state)
{
    struct trial trial = {.ended = false};
    char uri[160];

    (void)state;
    tell_server("ACL SETUSER tester on >sesame ~* &* +@all", "+OK");
    snprintf(uri, sizeof uri, "redis://tester:x@%s", redis_server_tcp_uri(server) + strlen("redis://"));
    store_trial_open(uri, "wrong-sesame", SCRIPT_COUNT);
    assert_true(await_count(loop, &down_count, 1));
    await_nothing(loop, 300);
    assert_int_equal(down_count, 1);
    assert_int_equal(last_fault.code, ERR_UNAVAILABLE);
    assert_null(strstr(last_fault.detail, "sesame"));
    assert_non_null(strstr(last_fault.detail, "WRONGPASS"));
    store_trial_script(&trial, SCRIPT_GIVE, "x");
    store_trial_finish(&trial, ERR_NETWORK);
}

static void test_a_user_of_the_access_list_logs_in(void **state)
{
    struct trial trial = {.ended = false};
    char uri[160];

    (void)state;
    tell_server("ACL SETUSER tester on >sesame ~* &* +@all", "+OK");
    snprintf(uri, sizeof uri, "redis://tester:sesame@%s/3",
             redis_server_tcp_uri(server) + strlen("redis://"));
    store_trial_open(uri, NULL, SCRIPT_COUNT);
    assert_true(await_flag(loop, &is_up));
    store_trial_command(&trial, "ACL", "WHOAMI", NULL);
    store_trial_finish(&trial, OK);
    assert_string_equal(trial.text, "tester");
}

static void test_the_database_of_the_uri_is_used(void **state)
{
    struct trial trial = {.ended = false}, info = {.ended = false};
    char uri[160];

    (void)state;
    snprintf(uri, sizeof uri, "%s?db=3", redis_server_uri(server));
    store_trial_open(uri, NULL, SCRIPT_COUNT);
    assert_true(await_flag(loop, &is_up));
    store_trial_script(&trial, SCRIPT_WRITE, "x");
    store_trial_finish(&trial, OK);
    store_trial_command(&info, "MOVE", "key", "4"); /* possible only from where it is */
    store_trial_finish(&info, OK);
    assert_int_equal(info.number, 1);
}

static void test_a_database_that_does_not_exist_is_told(void **state)
{
    char uri[160];

    (void)state;
    snprintf(uri, sizeof uri, "%s?db=99", redis_server_uri(server));
    store_trial_open(uri, NULL, SCRIPT_COUNT);
    assert_true(await_count(loop, &down_count, 1));
    assert_int_equal(last_fault.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(last_fault.detail, "out of range"));
}

static void test_a_name_is_looked_up_and_each_address_is_tried(void **state)
{
    char uri[160];

    (void)state;
    /* localhost is ::1 first on most systems, and the server listens on 127.0.0.1 alone. */
    snprintf(uri, sizeof uri, "redis://localhost%s", strrchr(redis_server_tcp_uri(server), ':'));
    store_trial_open(uri, NULL, SCRIPT_COUNT);
    assert_true(await_flag(loop, &is_up));
}

static void test_a_name_that_does_not_exist_is_told(void **state)
{
    (void)state;
    store_trial_open("redis://no-such-host.invalid:6379", NULL, 0);
    assert_true(await_count(loop, &down_count, 1));
    assert_non_null(strstr(last_fault.detail, "no-such-host.invalid"));
}

static void test_a_script_that_does_not_compile_is_told_by_name(void **state)
{
    static const struct store_script broken[] = {{"broken", "this is no Lua", 14}};
    struct store_options options = {.uri = redis_server_uri(server),
                                    .timeout_ms = STORE_TRIAL_TIMEOUT_MS,
                                    .scripts = broken,
                                    .script_count = 1};
    struct fault fault;

    (void)state;
    store = store_open(loop, &options, store_trial_on_state, NULL, &fault);
    assert_true(await_count(loop, &down_count, 1));
    assert_non_null(strstr(last_fault.detail, "script broken"));
}

static void test_closing_at_any_moment_leaves_nothing(void **state)
{
    (void)state;
    for (int64_t delay_ms = 0; delay_ms < 12; delay_ms += 2) {
        struct trial trial = {.ended = false};
        store_trial_open(redis_server_tcp_uri(server), NULL, SCRIPT_COUNT);
        await_nothing(loop, delay_ms);
        store_trial_script(&trial, SCRIPT_GIVE, "x");
        store_close(store);
        store = NULL;
        loop_run(loop);
        assert_true(trial.ended);
    }
    store_trial_open("redis://localhost:1", NULL, 0); /* in the middle of the name look-up */
    store_close(store);
    store = NULL;
    loop_run(loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ten_thousand_pipelined_scripts_end_each_with_its_own_answer),
        TEST(test_a_pause_of_this_process_is_not_held_against_the_server),
        TEST(test_scripts_that_the_server_forgot_run_all_the_same),
        TEST(test_an_emptied_server_changes_nothing),
        TEST(test_a_server_that_sleeps_past_the_deadline_is_dropped_and_found_again),
        TEST(test_a_full_server_is_away_for_writes_only),
        TEST(test_a_master_that_became_a_replica_is_left_until_it_is_master_again),
        TEST(test_a_replica_is_not_up),
        TEST(test_a_wrong_login_is_told_once_without_the_password),
        TEST(test_a_user_of_the_access_list_logs_in),
        TEST(test_the_database_of_the_uri_is_used),
        TEST(test_a_database_that_does_not_exist_is_told),
        TEST(test_a_name_is_looked_up_and_each_address_is_tried),
        TEST(test_a_name_that_does_not_exist_is_told),
        TEST(test_a_script_that_does_not_compile_is_told_by_name),
        TEST(test_closing_at_any_moment_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
