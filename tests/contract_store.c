/* The promises of common/store.h, run against the fake and against a real Redis. */
#include "contract_store.h"

#include "support/unit.h"

#include <stdio.h>

#define SCRIPT(name, text)                                                                                   \
    {                                                                                                        \
        name, text, sizeof(text) - 1                                                                         \
    }
const struct store_script contract_scripts[] = {
    [SCRIPT_KINDS] = SCRIPT("kinds", "return {1, 'two', false, {'3'}, '42'}"),
    [SCRIPT_ECHO] = SCRIPT("echo", "return {KEYS[1], ARGV[1], ARGV[2]}"),
    [SCRIPT_FAILING] = SCRIPT("failing", "return redis.error_reply('ERR boom')"),
    [SCRIPT_FULL] = SCRIPT("full", "return redis.error_reply('OOM command not allowed')"),
};

/* An operation and what became of it. */
struct trial {
    struct store_op op;
    bool ended;
    size_t times;
    struct fault fault;
    void (*look)(const struct store_reply *reply);
};

static struct store *store;
static bool is_up, was_up, was_down;
static size_t change_count;

static void on_state(void *context, bool up, const struct fault *fault)
{
    (void)context;
    assert_true(up == (fault == NULL));
    assert_true(up == store_up(store));
    is_up = up;
    was_up = was_up || up;
    was_down = was_down || !up;
    change_count++;
}

static void on_done(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct trial *trial = container_of(op, struct trial, op);

    assert_false(store_op_active(op));
    assert_true((fault->code == OK) == (reply != NULL));
    trial->ended = true;
    trial->times++;
    trial->fault = *fault;
    if (trial->look && reply)
        trial->look(reply);
}

static int set_up(void **state)
{
    struct fault fault = fault_of(OK);

    (void)state;
    if (subject_set_up() < 0)
        return -1;
    is_up = was_up = was_down = false;
    change_count = 0;
    struct store_options options = {.uri = subject_uri(),
                                    .timeout_ms = SUBJECT_TIMEOUT_MS,
                                    .scripts = contract_scripts,
                                    .script_count = SCRIPT_COUNT};
    store = store_open(subject_loop(), &options, on_state, NULL, &fault);
    if (!store)
        return -1;
    assert_int_equal(change_count, 0); /* never inside store_open() */
    assert_true(subject_await(&is_up));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    subject_tear_down();
    return 0;
}

static void start(struct trial *trial, enum contract_script script)
{
    struct store_arg keys[] = {STORE_ARG("k")};
    struct store_arg args[] = {STORE_ARG("a b"), STORE_ARG("")};

    subject_expect(script);
    store_script_start(store, &trial->op, &contract_scripts[script], keys, 1, args, 2, on_done);
    assert_false(trial->ended); /* never inside start */
    assert_true(store_op_active(&trial->op));
}

static void start_silent(struct trial *trial)
{
    struct store_arg args[] = {STORE_ARG("BLPOP"), STORE_ARG("no-such-list"), STORE_ARG("0")};

    subject_expect_silence();
    store_command_start(store, &trial->op, args, ARRAY_LEN(args), on_done);
}

static void finish(struct trial *trial, enum err code)
{
    assert_true(subject_await(&trial->ended));
    assert_int_equal(trial->times, 1);
    assert_int_equal(trial->fault.code, code);
}

static void look_at_kinds(const struct store_reply *reply)
{
    size_t length = 99;

    assert_int_equal(store_reply_count(reply), 5);
    assert_int_equal(store_reply_int(store_reply_at(reply, 0)), 1);
    assert_string_equal(store_reply_str(store_reply_at(reply, 0), &length), "");
    assert_int_equal(length, 0);
    assert_string_equal(store_reply_str(store_reply_at(reply, 1), &length), "two");
    assert_int_equal(length, 3);
    assert_int_equal(store_reply_int(store_reply_at(reply, 1)), 0);
    assert_true(store_reply_nil(store_reply_at(reply, 2)));
    assert_false(store_reply_nil(store_reply_at(reply, 1)));
    assert_int_equal(store_reply_count(store_reply_at(reply, 3)), 1);
    assert_int_equal(store_reply_int(store_reply_at(store_reply_at(reply, 3), 0)), 3);
    assert_int_equal(store_reply_int(store_reply_at(reply, 4)), 42);
    assert_null(store_reply_at(reply, 5));
    assert_int_equal(store_reply_int(reply), 0);
    assert_int_equal(store_reply_count(NULL), 0);
    assert_true(store_reply_nil(NULL));
}

static void test_replies_of_every_kind_are_readable(void **state)
{
    struct trial trial = {.look = look_at_kinds};

    (void)state;
    start(&trial, SCRIPT_KINDS);
    finish(&trial, OK);
}

static void look_at_echo(const struct store_reply *reply)
{
    assert_string_equal(store_reply_str(store_reply_at(reply, 0), NULL), "k");
    assert_string_equal(store_reply_str(store_reply_at(reply, 1), NULL), "a b");
    assert_string_equal(store_reply_str(store_reply_at(reply, 2), NULL), "");
    assert_false(store_reply_nil(store_reply_at(reply, 2)));
}

static void test_keys_and_arguments_arrive_as_they_are(void **state)
{
    struct trial trial = {.look = look_at_echo};

    (void)state;
    start(&trial, SCRIPT_ECHO);
    finish(&trial, OK);
}

static void test_a_plain_command_is_answered(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    subject_expect_ping();
    store_command_start(store, &trial.op, &STORE_ARG("PING"), 1, on_done);
    assert_false(trial.ended);
    finish(&trial, OK);
}

static void test_a_script_error_is_a_refusal_with_its_words(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    start(&trial, SCRIPT_FAILING);
    finish(&trial, ERR_REFUSED);
    assert_non_null(strstr(trial.fault.detail, "boom"));
    assert_true(store_up(store));
}

static void test_a_full_memory_is_no_refusal(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    start(&trial, SCRIPT_FULL);
    finish(&trial, ERR_UNAVAILABLE);
    assert_true(store_up(store));
}

static void test_many_operations_end_each_with_its_own_answer(void **state)
{
    struct trial first = {.look = look_at_kinds}, second = {.look = look_at_echo}, third = {.ended = false};

    (void)state;
    start(&first, SCRIPT_KINDS);
    start(&second, SCRIPT_ECHO);
    start(&third, SCRIPT_FAILING);
    finish(&third, ERR_REFUSED);
    finish(&second, OK);
    finish(&first, OK);
}

static void test_a_canceled_operation_ends_once_and_its_answer_is_nobody_elses(void **state)
{
    struct trial first = {.ended = false}, second = {.look = look_at_echo};

    (void)state;
    start(&first, SCRIPT_KINDS);
    start(&second, SCRIPT_ECHO);
    store_op_cancel(&first.op);
    store_op_cancel(&first.op);
    assert_false(first.ended);
    finish(&first, ERR_CANCELED);
    finish(&second, OK);
    assert_int_equal(first.times, 1);
    store_op_cancel(&first.op); /* harmless after the end */
}

static void test_an_answer_that_never_comes_ends_at_the_deadline(void **state)
{
    struct trial trial = {.ended = false};

    (void)state;
    start_silent(&trial);
    finish(&trial, ERR_TIMEOUT);
}

static void test_a_lost_link_ends_what_is_pending_and_refuses_what_comes(void **state)
{
    struct trial pending = {.ended = false}, late = {.ended = false}, again = {.look = look_at_echo};

    (void)state;
    start_silent(&pending);
    subject_break_link();
    finish(&pending, ERR_NETWORK);
    if (!was_down)
        assert_true(subject_await(&was_down));
    if (!is_up) {
        store_command_start(store, &late.op, &STORE_ARG("PING"), 1, on_done);
        assert_false(late.ended);
        finish(&late, ERR_NETWORK);
    }
    subject_mend_link();
    assert_true(subject_await(&is_up));
    assert_int_equal(change_count, 3); /* up, down, up: each told once */
    start(&again, SCRIPT_ECHO);
    finish(&again, OK);
}

static void test_closing_ends_what_is_pending(void **state)
{
    struct trial first = {.ended = false}, second = {.ended = false}, late = {.ended = false};

    (void)state;
    start_silent(&first);
    start_silent(&second);
    store_close(store);
    assert_false(first.ended);
    store_command_start(store, &late.op, &STORE_ARG("PING"), 1, on_done);
    store = NULL;
    finish(&first, ERR_CANCELED);
    finish(&second, ERR_CANCELED);
    finish(&late, ERR_CANCELED);
    assert_int_equal(change_count, 1); /* the owner closed it: nothing to tell */
}

static struct trial reused;
static size_t starts_left;

static void on_done_start_again(struct store_op *op, const struct store_reply *reply,
                                const struct fault *fault)
{
    assert_int_equal(fault->code, OK);
    assert_non_null(reply);
    if (starts_left-- == 0) {
        reused.ended = true;
        return;
    }
    subject_expect_ping();
    store_command_start(store, op, &STORE_ARG("PING"), 1, on_done_start_again);
}

static void test_an_operation_may_be_started_again_from_its_own_end(void **state)
{
    (void)state;
    reused = (struct trial){.ended = false};
    starts_left = 3;
    subject_expect_ping();
    store_command_start(store, &reused.op, &STORE_ARG("PING"), 1, on_done_start_again);
    assert_true(subject_await(&reused.ended));
}

static void on_done_close(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    on_done(op, reply, fault);
    store_close(store);
    store = NULL;
}

static void test_the_store_may_be_closed_from_an_end(void **state)
{
    struct trial first = {.ended = false}, second = {.ended = false};

    (void)state;
    subject_expect_ping();
    store_command_start(store, &first.op, &STORE_ARG("PING"), 1, on_done_close);
    start_silent(&second);
    finish(&first, OK);
    finish(&second, ERR_CANCELED);
}

static void test_a_bad_uri_is_a_configuration_error(void **state)
{
    struct fault fault = fault_of(OK);
    struct store_options options = {.uri = "http://localhost", .timeout_ms = 1000};

    (void)state;
    store_close(store);
    store = NULL;
    subject_tear_down();
    assert_int_equal(subject_set_up(), 0);
    assert_null(store_open(subject_loop(), &options, on_state, NULL, &fault));
    assert_int_equal(fault.code, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replies_of_every_kind_are_readable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_and_arguments_arrive_as_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_plain_command_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_script_error_is_a_refusal_with_its_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_memory_is_no_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_operations_end_each_with_its_own_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_canceled_operation_ends_once_and_its_answer_is_nobody_elses,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_answer_that_never_comes_ends_at_the_deadline, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_link_ends_what_is_pending_and_refuses_what_comes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_closing_ends_what_is_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_operation_may_be_started_again_from_its_own_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_store_may_be_closed_from_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_bad_uri_is_a_configuration_error, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
