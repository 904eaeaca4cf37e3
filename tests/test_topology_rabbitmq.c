/*
 * The topology on a private RabbitMQ: it takes it, takes it again, takes its printed form as the same, and a
 * delayed message comes by itself. Run it by tests/support/with-rabbitmq.
 */
#include "worker/topology.h"

#include "support/rabbitmq.h"
#include "support/run_until.h"
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { LIMIT_MS = 60000 };

struct fixture {
    struct loop *loop;
    struct broker *broker;
    int up;
    struct topology_op op;
    struct fault fault;
    bool declared;
    struct publish_op publish;
    struct fault publish_fault;
    bool published;
    size_t delivered;
};

static void on_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    (void)link;
    (void)fault;
    ((struct fixture *)context)->up += up ? 1 : -1;
}

static void on_declared(struct topology_op *op, const struct fault *fault)
{
    struct fixture *fixture = container_of(op, struct fixture, op);

    fixture->fault = *fault;
    fixture->declared = true;
}

static void on_published(struct publish_op *op, const struct fault *fault)
{
    struct fixture *fixture = container_of(op, struct fixture, publish);

    fixture->publish_fault = *fault;
    fixture->published = true;
}

static void on_delivery(void *context, struct delivery delivery, struct message *take_message)
{
    struct fixture *fixture = context;

    broker_ack(fixture->broker, delivery);
    message_fini(take_message);
    fixture->delivered++;
}

static bool links_up(void *context)
{
    return ((struct fixture *)context)->up == 2;
}

static bool is_declared(void *context)
{
    return ((struct fixture *)context)->declared;
}

static bool is_published(void *context)
{
    return ((struct fixture *)context)->published;
}

static bool is_delivered(void *context)
{
    return ((struct fixture *)context)->delivered > 0;
}

static void wait_for(struct fixture *fixture, run_until_fn *condition)
{
    assert_true(run_until(fixture->loop, condition, fixture, LIMIT_MS));
}

static void declare(struct fixture *fixture, const char *prefix, bool passive)
{
    fixture->declared = false;
    topology_declare_start(fixture->broker, prefix, passive, &fixture->op, on_declared);
    wait_for(fixture, is_declared);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    const struct broker_events events = {.on_link = on_link};
    struct broker_options options = {.consumes = true, .publishes = true, .max_output_bytes = 1 << 20};
    struct fault fault;
    char uri[64];

    if (!rabbitmq_available())
        return 0;
    fixture = (struct fixture){.loop = loop_new()};
    snprintf(uri, sizeof(uri), "amqp://127.0.0.1:%d", rabbitmq_port());
    options.uris = uri;
    fixture.broker = broker_open(fixture.loop, &options, &events, &fixture, &fault);
    assert_non_null(fixture.broker);
    wait_for(&fixture, links_up);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (!fixture)
        return 0;
    broker_close(fixture->broker);
    loop_run(fixture->loop);
    loop_free(fixture->loop);
    return 0;
}

static struct fixture *need(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void it_is_declared_again_and_again_and_found(void **state)
{
    struct fixture *fixture = need(state);

    declare(fixture, "again", true);
    assert_int_equal(fixture->fault.code, ERR_CONFIG);
    assert_non_null(strstr(fixture->fault.detail, "exchange again.unrouted"));
    for (int i = 0; i < 2; i++) {
        declare(fixture, "again", false);
        assert_string_equal(fixture->fault.detail, "");
        assert_int_equal(fixture->fault.code, OK);
    }
    declare(fixture, "again", true);
    assert_int_equal(fixture->fault.code, OK);
    assert_int_equal(broker_server_major(fixture->broker), 3);
}

static void its_printed_form_makes_the_same(void **state)
{
    struct fixture *fixture = need(state);
    char path[] = "/tmp/fulfilld-definitions.XXXXXX", words[128];
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    assert_non_null(file);
    assert_int_equal(topology_print_json(file, "imported", "/"), OK);
    assert_int_equal(fclose(file), 0);
    snprintf(words, sizeof(words), "import_definitions %s", path);
    rabbitmq_ctl(words);
    assert_int_equal(unlink(path), 0);
    declare(fixture, "imported", true);
    assert_int_equal(fixture->fault.code, OK);
    declare(fixture, "imported", false);
    assert_string_equal(fixture->fault.detail, "");
}

static void a_delayed_message_comes_back_by_itself(void **state)
{
    struct fixture *fixture = need(state);
    char exchange[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];
    const struct publication publication = {
        .exchange = exchange, .routing_key = key, .body = "{}", .body_length = 2};

    declare(fixture, "delayed", false);
    topology_retry_route("delayed", 3, false, exchange, key);
    assert_non_null(broker_consume(fixture->broker, "delayed.orders", 10, 1000, on_delivery, fixture));
    broker_publish(fixture->broker, &fixture->publish, &publication, LIMIT_MS, on_published);
    wait_for(fixture, is_published);
    assert_int_equal(fixture->publish_fault.code, OK);
    assert_int_equal(fixture->delivered, 0);
    wait_for(fixture, is_delivered);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(it_is_declared_again_and_again_and_found),
        CASE(its_printed_form_makes_the_same),
        CASE(a_delayed_message_comes_back_by_itself),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("topology on RabbitMQ", tests, NULL, NULL);
}
