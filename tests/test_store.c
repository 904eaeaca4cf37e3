/*
 * common/store.c where the other side misbehaves: a private redis-server in every bad state it knows, and a
 * puppet for those it does not.
 */
#include "common/store.h"

#include "support/await.h"
#include "support/puppet.h"
#include "support/redis_server.h"
#include "support/unit.h"

#include <stdio.h>
#include <time.h>

enum { TIMEOUT_MS = 600, PIPELINE = 10000 };

#define SCRIPT(name, text) {name, text, sizeof(text) - 1}
enum { SCRIPT_WRITE, SCRIPT_GIVE, SCRIPT_FILL };
static const struct store_script scripts[] = {
    [SCRIPT_WRITE] = SCRIPT("write", "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]"),
    [SCRIPT_GIVE] = SCRIPT("give", "return ARGV[1]"),
    [SCRIPT_FILL] = SCRIPT("fill", "redis.call('SET', KEYS[1], string.rep('x', 1000000)) return 1"),
};

struct trial {
    struct store_op op;
    bool ended;
    struct fault fault;
    char text[64];
    int64_t number;
};

static struct redis_server *server;
static struct loop *loop;
static struct store *store;
static struct puppet *puppet;
static char puppet_uri[64];
static bool is_up;
static size_t up_count, down_count;
static struct fault last_fault;

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
    loop = loop_new();
    is_up = false;
    up_count = down_count = 0;
    last_fault = fault_of(OK);
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    puppet_free(puppet);
    puppet = NULL;
    loop_run(loop);
    loop_free(loop);
    tell_server("CONFIG SET maxmemory 0", "+OK");
    tell_server("REPLICAOF NO ONE", "+OK");
    tell_server("FLUSHALL", "+OK");
    return 0;
}

static void on_state(void *context, bool up, const struct fault *fault)
{
    (void)context;
    is_up = up;
    *(up ? &up_count : &down_count) += 1;
    if (fault)
        last_fault = *fault;
}

static void on_done(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct trial *trial = container_of(op, struct trial, op);

    assert_false(trial->ended);
    trial->ended = true;
    trial->fault = *fault;
    snprintf(trial->text, sizeof trial->text, "%s", store_reply_str(reply, NULL));
    trial->number = store_reply_int(reply);
}

static void open_with(const char *uri, const char *password, size_t script_count)
{
    struct fault fault = fault_of(OK);
    struct store_options options = {.uri = uri,
                                    .password = password,
                                    .timeout_ms = TIMEOUT_MS,
                                    .scripts = scripts,
                                    .script_count = script_count};

    store = store_open(loop, &options, on_state, NULL, &fault);
    assert_non_null(store);
}

static void open_real(void)
{
    open_with(redis_server_uri(server), NULL, ARRAY_LEN(scripts));
    assert_true(await_flag(loop, &is_up));
}

static void run_script(struct trial *trial, size_t script, const char *argument)
{
    struct store_arg key = STORE_ARG("key"), arg = STORE_ARG(argument);

    store_script_start(store, &trial->op, &scripts[script], &key, 1, &arg, 1, on_done);
}

static void run_command(struct trial *trial, const char *first, const char *second, const char *third)
{
    struct store_arg args[3] = {STORE_ARG(first)};
    size_t count = 1;

    if (second)
        args[count++] = STORE_ARG(second);
    if (third)
        args[count++] = STORE_ARG(third);
    store_command_start(store, &trial->op, args, count, on_done);
}

static void finish(struct trial *trial, enum err code)
{
    assert_true(await_flag(loop, &trial->ended));
    if (trial->fault.code != code)
        fail_msg("%s: %s", err_name(trial->fault.code), trial->fault.detail);
}

/* ---- a real server in bad states ---- */

static void test_ten_thousand_pipelined_scripts_end_each_with_its_own_answer(void **state)
{
    AUTO_FREE struct trial *trials = calloc(PIPELINE, sizeof *trials);
    char text[16];

    (void)state;
    open_real();
    for (size_t index = 0; index < PIPELINE; index++) {
        snprintf(text, sizeof text, "%zu", index);
        run_script(&trials[index], SCRIPT_GIVE, text);
    }
    for (size_t index = 0; index < PIPELINE; index += 3)
        store_op_cancel(&trials[index].op);
    for (size_t index = 0; index < PIPELINE; index++) {
        snprintf(text, sizeof text, "%zu", index);
        finish(&trials[index], index % 3 == 0 ? ERR_CANCELED : OK);
        assert_string_equal(trials[index].text, index % 3 == 0 ? "" : text);
    }
}

static void test_a_pause_of_this_process_is_not_held_against_the_server(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    open_real();
    run_script(&trial, SCRIPT_GIVE, "x");
    /* The operation's bytes leave at the end of the turn; until then time flies. */
    const struct timespec pause = {.tv_sec = 1};
    nanosleep(&pause, NULL);
    finish(&trial, OK);
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
            run_command(&flush, "SCRIPT", "FLUSH", NULL);
        snprintf(text, sizeof text, "%zu", index);
        run_script(&trials[index], SCRIPT_GIVE, text);
    }
    for (size_t index = 0; index < ARRAY_LEN(trials); index++) {
        snprintf(text, sizeof text, "%zu", index);
        finish(&trials[index], OK);
        assert_string_equal(trials[index].text, text);
    }
    finish(&flush, OK);
    run_script(&after, SCRIPT_WRITE, "x");
    finish(&after, OK);
    assert_int_equal(up_count, 1);
}

static void test_an_emptied_server_changes_nothing(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    open_real();
    tell_server("FLUSHALL", "+OK");
    run_script(&trial, SCRIPT_WRITE, "x");
    finish(&trial, OK);
}

static void test_a_server_that_sleeps_past_the_deadline_is_dropped_and_found_again(void **state)
{
    struct trial sleeper = {.ended = false}, behind = {.ended = false}, after = {.ended = false};

    (void)state;
    open_real();
    run_command(&sleeper, "DEBUG", "SLEEP", "2");
    run_script(&behind, SCRIPT_GIVE, "x");
    finish(&sleeper, ERR_TIMEOUT);
    finish(&behind, ERR_TIMEOUT);
    assert_false(store_up(store));
    assert_int_equal(down_count, 1);
    assert_true(await_flag(loop, &is_up));
    assert_int_equal(down_count, 1);
    run_script(&after, SCRIPT_GIVE, "x");
    finish(&after, OK);
}

static void test_a_full_server_is_away_for_writes_only(void **state)
{
    struct trial write = {.ended = false}, read = {.ended = false}, after = {.ended = false};

    (void)state;
    open_real();
    tell_server("CONFIG SET maxmemory 1", "+OK");
    run_script(&write, SCRIPT_FILL, "");
    finish(&write, ERR_UNAVAILABLE);
    assert_non_null(strstr(write.fault.detail, "OOM"));
    run_command(&read, "PING", NULL, NULL);
    finish(&read, OK);
    assert_true(store_up(store));
    tell_server("CONFIG SET maxmemory 0", "+OK");
    run_script(&after, SCRIPT_FILL, "");
    finish(&after, OK);
}

static void test_a_master_that_became_a_replica_is_left_until_it_is_master_again(void **state)
{
    struct trial write = {.ended = false}, after = {.ended = false};

    (void)state;
    open_real();
    tell_server("REPLICAOF 127.0.0.1 1", "+OK");
    run_script(&write, SCRIPT_WRITE, "x");
    finish(&write, ERR_UNAVAILABLE);
    assert_non_null(strstr(write.fault.detail, "READONLY"));
    assert_false(store_up(store));
    await_nothing(loop, 500); /* several tries; the outage is told once */
    assert_int_equal(down_count, 1);
    assert_false(store_up(store));
    tell_server("REPLICAOF NO ONE", "+OK");
    assert_true(await_flag(loop, &is_up));
    run_script(&after, SCRIPT_WRITE, "x");
    finish(&after, OK);
}

static void test_a_replica_is_not_up(void **state)
{
    (void)state;
    tell_server("REPLICAOF 127.0.0.1 1", "+OK");
    open_with(redis_server_uri(server), NULL, ARRAY_LEN(scripts));
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
    open_with(uri, "wrong-sesame", ARRAY_LEN(scripts));
    assert_true(await_count(loop, &down_count, 1));
    await_nothing(loop, 300);
    assert_int_equal(down_count, 1);
    assert_int_equal(last_fault.code, ERR_UNAVAILABLE);
    assert_null(strstr(last_fault.detail, "sesame"));
    assert_non_null(strstr(last_fault.detail, "WRONGPASS"));
    run_script(&trial, SCRIPT_GIVE, "x");
    finish(&trial, ERR_NETWORK);
}

static void test_a_user_of_the_access_list_logs_in(void **state)
{
    struct trial trial = {.ended = false};
    char uri[160];

    (void)state;
    tell_server("ACL SETUSER tester on >sesame ~* &* +@all", "+OK");
    snprintf(uri, sizeof uri, "redis://tester:sesame@%s/3", redis_server_tcp_uri(server) + strlen("redis://"));
    open_with(uri, NULL, ARRAY_LEN(scripts));
    assert_true(await_flag(loop, &is_up));
    run_command(&trial, "ACL", "WHOAMI", NULL);
    finish(&trial, OK);
    assert_string_equal(trial.text, "tester");
}

static void test_the_database_of_the_uri_is_used(void **state)
{
    struct trial trial = {.ended = false}, info = {.ended = false};
    char uri[160];

    (void)state;
    snprintf(uri, sizeof uri, "%s?db=3", redis_server_uri(server));
    open_with(uri, NULL, ARRAY_LEN(scripts));
    assert_true(await_flag(loop, &is_up));
    run_script(&trial, SCRIPT_WRITE, "x");
    finish(&trial, OK);
    run_command(&info, "MOVE", "key", "4"); /* possible only from where it is */
    finish(&info, OK);
    assert_int_equal(info.number, 1);
}

static void test_a_database_that_does_not_exist_is_told(void **state)
{
    char uri[160];

    (void)state;
    snprintf(uri, sizeof uri, "%s?db=99", redis_server_uri(server));
    open_with(uri, NULL, ARRAY_LEN(scripts));
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
    open_with(uri, NULL, ARRAY_LEN(scripts));
    assert_true(await_flag(loop, &is_up));
}

static void test_a_name_that_does_not_exist_is_told(void **state)
{
    (void)state;
    open_with("redis://no-such-host.invalid:6379", NULL, 0);
    assert_true(await_count(loop, &down_count, 1));
    assert_non_null(strstr(last_fault.detail, "no-such-host.invalid"));
}

static void test_a_script_that_does_not_compile_is_told_by_name(void **state)
{
    static const struct store_script broken[] = {SCRIPT("broken", "this is no Lua")};
    struct store_options options = {
        .uri = redis_server_uri(server), .timeout_ms = TIMEOUT_MS, .scripts = broken, .script_count = 1};
    struct fault fault;

    (void)state;
    store = store_open(loop, &options, on_state, NULL, &fault);
    assert_true(await_count(loop, &down_count, 1));
    assert_non_null(strstr(last_fault.detail, "script broken"));
}

/* ---- a puppet ---- */

static const char *puppet_answer; /* to commands after the greeting; NULL = silence */

static void on_puppet_data(void *context, struct puppet_peer *peer, const char *data, size_t length)
{
    (void)context;
    (void)data;
    (void)length;
    const char *answer = puppet_turns(peer) == 0 ? "+OK\r\n+OK\r\n" : puppet_answer;
    puppet_forget(peer);
    if (answer)
        puppet_say(peer, answer);
}

static void on_silent_puppet_data(void *context, struct puppet_peer *peer, const char *data, size_t length)
{
    (void)context;
    (void)peer;
    (void)data;
    (void)length;
}

static void open_puppet(puppet_fn *fn, const char *answer)
{
    puppet = puppet_new(loop, fn, NULL);
    puppet_answer = answer;
    snprintf(puppet_uri, sizeof puppet_uri, "redis://127.0.0.1:%d", puppet_port(puppet));
    open_with(puppet_uri, NULL, 0);
}

static void test_a_server_that_is_silent_from_the_start_is_told(void **state)
{
    (void)state;
    open_puppet(on_silent_puppet_data, NULL);
    assert_true(await_count(loop, &down_count, 1));
    assert_int_equal(last_fault.code, ERR_TIMEOUT);
    assert_int_equal(up_count, 0);
}

static void test_a_server_that_falls_silent_is_dropped_at_the_first_deadline(void **state)
{
    struct trial first = {.ended = false}, second = {.ended = false};

    (void)state;
    open_puppet(on_puppet_data, NULL);
    assert_true(await_flag(loop, &is_up));
    run_command(&first, "PING", NULL, NULL);
    run_command(&second, "PING", NULL, NULL);
    finish(&first, ERR_TIMEOUT);
    finish(&second, ERR_TIMEOUT);
    assert_int_equal(down_count, 1);
    assert_true(await_count(loop, &up_count, 2));
}

static void test_a_reset_ends_pending_operations_and_the_link_comes_back(void **state)
{
    struct trial first = {.ended = false}, second = {.ended = false};

    (void)state;
    open_puppet(on_puppet_data, NULL);
    assert_true(await_flag(loop, &is_up));
    run_command(&first, "PING", NULL, NULL);
    run_command(&second, "PING", NULL, NULL);
    await_nothing(loop, 20);
    puppet_reset_all(puppet);
    finish(&first, ERR_NETWORK);
    finish(&second, ERR_NETWORK);
    assert_true(await_count(loop, &up_count, 2));
    assert_int_equal(down_count, 1);
}

static void test_a_server_that_refuses_is_found_when_it_comes_back(void **state)
{
    (void)state;
    puppet = puppet_new(loop, on_puppet_data, NULL);
    puppet_stop_listening(puppet);
    snprintf(puppet_uri, sizeof puppet_uri, "redis://127.0.0.1:%d", puppet_port(puppet));
    open_with(puppet_uri, NULL, 0);
    assert_true(await_count(loop, &down_count, 1));
    assert_int_equal(last_fault.code, ERR_NETWORK);
    assert_non_null(strstr(last_fault.detail, "refused"));
    await_nothing(loop, 300);
    puppet_listen_again(puppet);
    assert_true(await_flag(loop, &is_up));
    assert_int_equal(down_count, 1);
}

static void test_an_answer_that_nobody_asked_for_ends_the_link_and_no_more(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    open_puppet(on_puppet_data, "+PONG\r\n+EXTRA\r\n");
    assert_true(await_flag(loop, &is_up));
    run_command(&trial, "PING", NULL, NULL);
    finish(&trial, OK);
    assert_true(await_count(loop, &up_count, 2));
    assert_int_equal(down_count, 1);
}

static const char *const nonsense[] = {
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "*2147483647\r\n",
    "*1048577\r\n",
    "$99999999999999999999\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    ":12a\r\n",
    "\r\n\r\n",
};

static void test_what_is_no_answer_ends_the_link(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(nonsense); index++) {
        struct trial trial = {.ended = false};
        is_up = false;
        open_puppet(on_puppet_data, nonsense[index]);
        assert_true(await_flag(loop, &is_up));
        run_command(&trial, "PING", NULL, NULL);
        assert_true(await_flag(loop, &trial.ended));
        if (trial.fault.code != ERR_NETWORK)
            fail_msg("%s: %s", nonsense[index], err_name(trial.fault.code));
        store_close(store);
        puppet_free(puppet);
        store = NULL;
        puppet = NULL;
        loop_run(loop);
    }
}

static struct puppet_peer *slow_peer;
static struct loop_timer dribble;
static size_t dribbled; /* bytes; at most one a millisecond */

static void on_dribble(struct loop_timer *timer)
{
    puppet_say(slow_peer, "x");
    dribbled++;
    loop_timer_start(timer, TIMEOUT_MS / 10);
}

static void on_slow_puppet_data(void *context, struct puppet_peer *peer, const char *data, size_t length)
{
    on_puppet_data(context, peer, data, length);
    slow_peer = peer;
}

static void test_an_answer_that_is_late_on_a_living_link_costs_only_its_own_operation(void **state)
{
    struct trial slow = {.ended = false}, next = {.ended = false};

    (void)state;
    dribbled = 0;
    loop_timer_init(&dribble, loop, on_dribble);
    open_puppet(on_slow_puppet_data, "$100000\r\n");
    assert_true(await_flag(loop, &is_up));
    run_command(&slow, "PING", NULL, NULL);
    loop_timer_start(&dribble, 1);
    finish(&slow, ERR_TIMEOUT);
    loop_timer_stop(&dribble);
    assert_true(store_up(store));
    assert_int_equal(down_count, 0);

    /* The rest of the late answer belongs to nobody; the next operation gets its own. */
    puppet_answer = NULL;
    run_command(&next, "PING", NULL, NULL);
    await_nothing(loop, 20);
    static char rest[100000 - TIMEOUT_MS];
    memset(rest, 'y', sizeof rest);
    puppet_send(slow_peer, rest, sizeof rest);
    for (size_t sent = dribbled + sizeof rest; sent < 100000; sent++)
        puppet_say(slow_peer, "y");
    puppet_say(slow_peer, "\r\n+mine\r\n");
    finish(&next, OK);
    assert_string_equal(next.text, "mine");
}

static void test_a_silent_death_is_noticed_without_work(void **state)
{
    (void)state;
    open_puppet(on_puppet_data, NULL);
    assert_true(await_flag(loop, &is_up));
    assert_true(await_count(loop, &down_count, 1)); /* the idle ping had no answer */
    assert_int_equal(last_fault.code, ERR_TIMEOUT);
}

static void test_closing_at_any_moment_leaves_nothing(void **state)
{
    (void)state;
    for (int64_t delay_ms = 0; delay_ms < 12; delay_ms += 2) {
        struct trial trial = {.ended = false};
        open_with(redis_server_tcp_uri(server), NULL, ARRAY_LEN(scripts));
        await_nothing(loop, delay_ms);
        run_script(&trial, SCRIPT_GIVE, "x");
        store_close(store);
        store = NULL;
        loop_run(loop);
        assert_true(trial.ended);
    }
    open_with("redis://localhost:1", NULL, 0); /* in the middle of the name look-up */
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
        TEST(test_a_server_that_is_silent_from_the_start_is_told),
        TEST(test_a_server_that_falls_silent_is_dropped_at_the_first_deadline),
        TEST(test_a_reset_ends_pending_operations_and_the_link_comes_back),
        TEST(test_a_server_that_refuses_is_found_when_it_comes_back),
        TEST(test_an_answer_that_nobody_asked_for_ends_the_link_and_no_more),
        TEST(test_what_is_no_answer_ends_the_link),
        TEST(test_an_answer_that_is_late_on_a_living_link_costs_only_its_own_operation),
        TEST(test_a_silent_death_is_noticed_without_work),
        TEST(test_closing_at_any_moment_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
