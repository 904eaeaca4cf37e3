/* common/store.c and a server that does what no real one does: silent, resetting, refusing, talking nonsense.
 */
#include "common/store.h"

#include "support/await.h"
#include "support/puppet.h"
#include "support/store_trial.h"
#include "support/unit.h"

#include <stdio.h>

static struct puppet *puppet;
static char puppet_uri[64];

static int set_up(void **state)
{
    (void)state;
    return store_trial_init();
}

static int tear_down(void **state)
{
    (void)state;
    puppet_free(puppet);
    puppet = NULL;
    store_trial_fini();
    return 0;
}

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
    store_trial_open(puppet_uri, NULL, 0);
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
    store_trial_command(&first, "PING", NULL, NULL);
    store_trial_command(&second, "PING", NULL, NULL);
    store_trial_finish(&first, ERR_TIMEOUT);
    store_trial_finish(&second, ERR_TIMEOUT);
    assert_int_equal(down_count, 1);
    assert_true(await_count(loop, &up_count, 2));
}

static void test_a_reset_ends_pending_operations_and_the_link_comes_back(void **state)
{
    struct trial first = {.ended = false}, second = {.ended = false};

    (void)state;
    open_puppet(on_puppet_data, NULL);
    assert_true(await_flag(loop, &is_up));
    store_trial_command(&first, "PING", NULL, NULL);
    store_trial_command(&second, "PING", NULL, NULL);
    await_nothing(loop, 20);
    puppet_reset_all(puppet);
    store_trial_finish(&first, ERR_NETWORK);
    store_trial_finish(&second, ERR_NETWORK);
    assert_true(await_count(loop, &up_count, 2));
    assert_int_equal(down_count, 1);
}

static void test_a_server_that_refuses_is_found_when_it_comes_back(void **state)
{
    (void)state;
    puppet = puppet_new(loop, on_puppet_data, NULL);
    puppet_stop_listening(puppet);
    snprintf(puppet_uri, sizeof puppet_uri, "redis://127.0.0.1:%d", puppet_port(puppet));
    store_trial_open(puppet_uri, NULL, 0);
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
    store_trial_command(&trial, "PING", NULL, NULL);
    store_trial_finish(&trial, OK);
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
        store_trial_command(&trial, "PING", NULL, NULL);
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
    loop_timer_start(timer, STORE_TRIAL_TIMEOUT_MS / 10);
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
    store_trial_command(&slow, "PING", NULL, NULL);
    loop_timer_start(&dribble, 1);
    store_trial_finish(&slow, ERR_TIMEOUT);
    loop_timer_stop(&dribble);
    assert_true(store_up(store));
    assert_int_equal(down_count, 0);

    /* The rest of the late answer belongs to nobody; the next operation gets its own. */
    puppet_answer = NULL;
    store_trial_command(&next, "PING", NULL, NULL);
    await_nothing(loop, 20);
    static char rest[100000 - STORE_TRIAL_TIMEOUT_MS];
    memset(rest, 'y', sizeof rest);
    puppet_send(slow_peer, rest, sizeof rest);
    for (size_t sent = dribbled + sizeof rest; sent < 100000; sent++)
        puppet_say(slow_peer, "y");
    puppet_say(slow_peer, "\r\n+mine\r\n");
    store_trial_finish(&next, OK);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_server_that_is_silent_from_the_start_is_told),
        TEST(test_a_server_that_falls_silent_is_dropped_at_the_first_deadline),
        TEST(test_a_reset_ends_pending_operations_and_the_link_comes_back),
        TEST(test_a_server_that_refuses_is_found_when_it_comes_back),
        TEST(test_an_answer_that_nobody_asked_for_ends_the_link_and_no_more),
        TEST(test_what_is_no_answer_ends_the_link),
        TEST(test_an_answer_that_is_late_on_a_living_link_costs_only_its_own_operation),
        TEST(test_a_silent_death_is_noticed_without_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
