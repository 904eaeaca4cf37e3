/*
 * A connection that is closed before it is up: it has to end in every state, or the loop of whoever closed it
 * runs for ever. Nobody listens at the address. Closing what is up is tested on RabbitMQ
 * (test_broker_rabbitmq.c).
 */
#include "common/broker_wire.h"
#include "support/run_until.h"

#include "support/unit.h"

enum { PATIENCE_MS = 20000 };

struct trial {
    struct loop *loop;
    struct broker_uri *uris;
    size_t uri_count;
    struct broker_wire *wire;
    struct loop_hook hook; /* runs after the wire's own */
    size_t close_in_turn;  /* 0 = first */
    size_t turns;
    size_t downs;
    bool closed;
};

static void on_down(void *context, const struct fault *fault)
{
    struct trial *trial = context;

    (void)fault;
    assert_true(trial->turns <= trial->close_in_turn);
    trial->downs++;
}

static void on_closed(void *context)
{
    struct trial *trial = context;

    broker_wire_free(trial->wire);
    trial->closed = true;
}

static void on_turn_end(struct loop_hook *hook)
{
    struct trial *trial = container_of(hook, struct trial, hook);

    if (trial->turns++ == trial->close_in_turn)
        broker_wire_close(trial->wire);
}

static bool is_closed(void *context)
{
    return ((struct trial *)context)->closed;
}

static void close_in_turn(size_t turn)
{
    static const struct broker_wire_events events = {.on_down = on_down, .on_closed = on_closed};
    struct trial trial = {.close_in_turn = turn};
    struct broker_wire_options options = {.connection_name = "test"};
    struct fault fault;

    trial.loop = loop_new();
    assert_non_null(trial.loop);
    assert_int_equal(
        broker_uri_list_new("amqp://guest:guest@127.0.0.1:1/%2F", &trial.uris, &trial.uri_count, &fault), OK);
    options.uris = trial.uris;
    options.uri_count = trial.uri_count;
    trial.wire = broker_wire_new(trial.loop, &options, &events, &trial);
    assert_non_null(trial.wire);
    loop_hook_add(&trial.hook, trial.loop, on_turn_end); /* hooks run in the reverse order */
    broker_wire_start(trial.wire);
    assert_true(run_until(trial.loop, is_closed, &trial, PATIENCE_MS));
    loop_hook_remove(&trial.hook);
    loop_free(trial.loop);
    broker_uri_list_free(trial.uris, trial.uri_count);
}

/* The answer of the look-up comes in the turn after: the wire's own hook has not seen yet that it is closed.
 */
static void a_wire_that_is_closed_while_its_name_is_looked_up_ends(void **state)
{
    (void)state;
    close_in_turn(0);
}

static void a_wire_that_is_closed_in_any_turn_of_connecting_ends(void **state)
{
    (void)state;
    for (size_t turn = 1; turn < 12; turn++)
        close_in_turn(turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wire_that_is_closed_while_its_name_is_looked_up_ends),
        cmocka_unit_test(a_wire_that_is_closed_in_any_turn_of_connecting_ends),
    };

    return cmocka_run_group_tests_name("broker close", tests, NULL, NULL);
}
