/*
 * What common/broker.h promises, checked on the fake (unit) and on RabbitMQ (integration) alike: a fake that
 * behaves otherwise would make every test that uses it worthless.
 */
#include "contract_broker.h"

#include "support/run_until.h"
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { LIMIT_MS = 20000, TIMEOUT_MS = 10000, SEEN_MAX = 64 };

struct seen {
    struct delivery delivery;
    struct message message;
};

struct fixture {
    struct loop *loop;
    struct broker *broker;
    bool up[2];
    int downs[2];
    char queue[64];
    struct broker_declare_op declare;
    struct fault declare_fault;
    bool declared;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    size_t wanted;
    struct publish_op publish[SEEN_MAX];
    struct fault publish_fault[SEEN_MAX];
    size_t published;
    struct broker_get_op get;
    bool got;
    struct broker_consumer *consumer;
};

/* ---- what the broker tells ---- */

static void on_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    struct fixture *fixture = context;

    (void)fault;
    fixture->up[link] = up;
    fixture->downs[link] += !up;
}

static void on_declared(struct broker_declare_op *op, const struct fault *fault)
{
    struct fixture *fixture = container_of(op, struct fixture, declare);

    fixture->declare_fault = *fault;
    fixture->declared = true;
}

static void on_delivery(void *context, struct delivery delivery, struct message *take_message)
{
    struct fixture *fixture = context;

    assert_true(fixture->seen_count < SEEN_MAX);
    fixture->seen[fixture->seen_count++] = (struct seen){delivery, *take_message};
}

static void on_got(struct broker_get_op *op, struct delivery delivery, struct message *take_message,
                   const struct fault *fault)
{
    struct fixture *fixture = container_of(op, struct fixture, get);

    assert_int_equal(fault->code, OK);
    if (take_message)
        fixture->seen[fixture->seen_count++] = (struct seen){delivery, *take_message};
    fixture->got = true;
}

static struct fixture *published_by;

static void on_published(struct publish_op *op, const struct fault *fault)
{
    struct fixture *fixture = published_by;

    assert_false(publish_op_active(op));
    fixture->publish_fault[op - fixture->publish] = *fault;
    fixture->published++;
}

/* ---- conditions ---- */

static bool links_up(void *context)
{
    struct fixture *fixture = context;

    return fixture->up[0] && fixture->up[1];
}

static bool links_cut_and_up(void *context)
{
    struct fixture *fixture = context;

    return links_up(context) && fixture->downs[0] > 0 && fixture->downs[1] > 0;
}

static bool is_declared(void *context)
{
    return ((struct fixture *)context)->declared;
}

static bool has_seen(void *context)
{
    struct fixture *fixture = context;

    return fixture->seen_count >= fixture->wanted;
}

static bool has_published(void *context)
{
    struct fixture *fixture = context;

    return fixture->published >= fixture->wanted;
}

static bool has_got(void *context)
{
    return ((struct fixture *)context)->got;
}

static bool is_inactive(void *context)
{
    return !broker_consumer_active(((struct fixture *)context)->consumer);
}

static bool is_active(void *context)
{
    return broker_consumer_active(((struct fixture *)context)->consumer);
}

static void wait_for(struct fixture *fixture, run_until_fn *condition)
{
    assert_true(run_until(fixture->loop, condition, fixture, LIMIT_MS));
}

/* ---- steps ---- */

static void open_broker(struct fixture *fixture)
{
    const struct broker_options options = {.uris = contract_broker_uri(),
                                           .connection_name = "contract",
                                           .heartbeat_s = 10,
                                           .consumes = true,
                                           .publishes = true,
                                           .max_output_bytes = 8 << 20};
    const struct broker_events events = {.on_link = on_link};
    struct fault fault;

    fixture->broker = broker_open(fixture->loop, &options, &events, fixture, &fault);
    assert_non_null(fixture->broker);
    wait_for(fixture, links_up);
}

static void declare_queue(struct fixture *fixture)
{
    struct headers *arguments = headers_new();

    assert_int_equal(headers_set_str(arguments, "x-queue-type", "quorum"), OK);
    fixture->declared = false;
    broker_declare_queue(fixture->broker, &fixture->declare, fixture->queue, arguments, false, on_declared);
    headers_free(arguments);
    wait_for(fixture, is_declared);
    assert_int_equal(fixture->declare_fault.code, OK);
}

static void publish(struct fixture *fixture, size_t slot, const char *key, const char *id,
                    const struct headers *headers, const char *body)
{
    const struct publication publication = {.exchange = "",
                                            .routing_key = key,
                                            .message_id = id,
                                            .content_type = "application/json",
                                            .headers = headers,
                                            .body = body,
                                            .body_length = strlen(body)};

    published_by = fixture;
    broker_publish(fixture->broker, &fixture->publish[slot], &publication, TIMEOUT_MS, on_published);
}

static void publish_and_wait(struct fixture *fixture, const char *id, const char *body)
{
    fixture->published = 0;
    fixture->wanted = 1;
    publish(fixture, 0, fixture->queue, id, NULL, body);
    wait_for(fixture, has_published);
    assert_int_equal(fixture->publish_fault[0].code, OK);
}

static void consume(struct fixture *fixture, uint16_t prefetch)
{
    fixture->consumer = broker_consume(fixture->broker, fixture->queue, prefetch, 1000, on_delivery, fixture);
    assert_non_null(fixture->consumer);
    wait_for(fixture, is_active);
}

static void wait_seen(struct fixture *fixture, size_t count)
{
    fixture->wanted = count;
    wait_for(fixture, has_seen);
}

static size_t queue_length(struct fixture *fixture)
{
    fixture->declared = false;
    broker_declare_queue(fixture->broker, &fixture->declare, fixture->queue, NULL, true, on_declared);
    wait_for(fixture, is_declared);
    assert_int_equal(fixture->declare_fault.code, OK);
    return fixture->declare.message_count;
}

/* The links are two connections: a pause may still be on its way when a publish is there already. */
static void wait_for_no_consumer(struct fixture *fixture)
{
    do
        (void)queue_length(fixture);
    while (fixture->declare.consumer_count > 0);
}

static int set_up(void **state)
{
    static int number;
    struct fixture *fixture;

    if (!contract_broker_available())
        return 0;
    fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    snprintf(fixture->queue, sizeof(fixture->queue), "contract.%d.%d", (int)getpid(), ++number);
    fixture->loop = loop_new();
    assert_non_null(fixture->loop);
    *state = fixture;
    open_broker(fixture);
    declare_queue(fixture);
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
    for (size_t i = 0; i < fixture->seen_count; i++)
        message_fini(&fixture->seen[i].message);
    free(fixture);
    contract_broker_reset();
    return 0;
}

static struct fixture *need(void **state)
{
    if (!*state)
        skip();
    return *state;
}

/* ---- the contract ---- */

static void a_message_arrives_as_it_was_published(void **state)
{
    struct fixture *fixture = need(state);
    struct headers *headers = headers_new();
    const struct message *message = &fixture->seen[0].message;

    assert_int_equal(headers_set_str(headers, "x-fulfillment-reason", "timeout"), OK);
    assert_int_equal(headers_set_int(headers, "x-fulfillment-due", INT64_C(1767323049123)), OK);
    assert_int_equal(headers_set_str(headers, "x-death", "never"), OK);
    fixture->wanted = 1;
    publish(fixture, 0, fixture->queue, "id-1", headers, "{\"a\":1}");
    headers_free(headers);
    wait_for(fixture, has_published);
    assert_int_equal(fixture->publish_fault[0].code, OK);
    consume(fixture, 10);
    wait_seen(fixture, 1);
    assert_string_equal(message->message_id, "id-1");
    assert_string_equal(message->content_type, "application/json");
    assert_string_equal(message->body, "{\"a\":1}");
    assert_int_equal(message->body_length, 7);
    assert_string_equal(message->exchange, "");
    assert_string_equal(message->routing_key, fixture->queue);
    assert_string_equal(headers_str(message->headers, "x-fulfillment-reason"), "timeout");
    assert_int_equal(headers_int(message->headers, "x-fulfillment-due", 0), INT64_C(1767323049123));
    assert_false(headers_has(message->headers, "x-death"));
    assert_false(message->redelivered);
    assert_false(message->too_big);
}

static void a_message_without_a_queue_is_unroutable_and_its_neighbours_are_not(void **state)
{
    struct fixture *fixture = need(state);

    fixture->wanted = 3;
    publish(fixture, 0, fixture->queue, "same", NULL, "x");
    publish(fixture, 1, "contract.no.such.queue", "same", NULL, "x");
    publish(fixture, 2, fixture->queue, "same", NULL, "x");
    wait_for(fixture, has_published);
    assert_int_equal(fixture->publish_fault[0].code, OK);
    assert_int_equal(fixture->publish_fault[1].code, ERR_UNROUTABLE);
    assert_int_equal(fixture->publish_fault[2].code, OK);
}

static void an_acked_message_is_gone_and_one_not_acked_comes_again_after_the_link(void **state)
{
    struct fixture *fixture = need(state);
    uint32_t epoch;

    publish_and_wait(fixture, "1", "one");
    publish_and_wait(fixture, "2", "two");
    consume(fixture, 10);
    wait_seen(fixture, 2);
    assert_int_equal(broker_unsettled(fixture->broker), 2);
    broker_ack(fixture->broker, fixture->seen[0].delivery);
    assert_false(broker_delivery_valid(fixture->broker, fixture->seen[0].delivery));
    assert_true(broker_delivery_valid(fixture->broker, fixture->seen[1].delivery));
    (void)queue_length(fixture); /* the ack is on its way before the links are cut */
    epoch = fixture->seen[1].delivery.epoch;
    contract_broker_cut_links();
    wait_for(fixture, links_cut_and_up);
    assert_int_equal(fixture->downs[BROKER_CONSUMING], 1);
    assert_false(broker_delivery_valid(fixture->broker, fixture->seen[1].delivery));
    broker_ack(fixture->broker, fixture->seen[1].delivery); /* void: must not be heard */
    wait_seen(fixture, 3);
    assert_string_equal(fixture->seen[2].message.body, "two");
    assert_true(fixture->seen[2].message.redelivered);
    assert_true(fixture->seen[2].delivery.epoch != epoch);
    assert_int_equal(broker_unsettled(fixture->broker), 1);
}

static void a_requeued_message_comes_again(void **state)
{
    struct fixture *fixture = need(state);

    publish_and_wait(fixture, "1", "one");
    consume(fixture, 10);
    wait_seen(fixture, 1);
    broker_requeue(fixture->broker, fixture->seen[0].delivery);
    broker_ack(fixture->broker, fixture->seen[0].delivery); /* settled already: nothing */
    wait_seen(fixture, 2);
    assert_true(fixture->seen[1].message.redelivered);
    broker_ack(fixture->broker, fixture->seen[1].delivery);
    assert_int_equal(broker_unsettled(fixture->broker), 0);
}

static void prefetch_bounds_what_is_held(void **state)
{
    struct fixture *fixture = need(state);

    for (int i = 0; i < 5; i++)
        publish_and_wait(fixture, "id", "x");
    consume(fixture, 2);
    wait_seen(fixture, 2);
    assert_int_equal(queue_length(fixture), 3);
    assert_int_equal(fixture->seen_count, 2);
    broker_ack(fixture->broker, fixture->seen[1].delivery);
    wait_seen(fixture, 3);
    broker_ack(fixture->broker, fixture->seen[0].delivery);
    broker_ack(fixture->broker, fixture->seen[2].delivery);
    wait_seen(fixture, 5);
}

static void a_paused_consumer_gets_nothing_until_it_goes_on(void **state)
{
    struct fixture *fixture = need(state);

    consume(fixture, 10);
    wait_for(fixture, is_active);
    broker_consumer_pause(fixture->consumer, true);
    wait_for(fixture, is_inactive);
    wait_for_no_consumer(fixture);
    publish_and_wait(fixture, "1", "one");
    assert_int_equal(queue_length(fixture), 1);
    assert_int_equal(fixture->seen_count, 0);
    broker_consumer_pause(fixture->consumer, false);
    wait_seen(fixture, 1);
}

/* Messages come all the while: what is on its way when it is paused must not come back as redelivered. */
static void a_pause_takes_what_is_on_its_way(void **state)
{
    struct fixture *fixture = need(state);
    size_t acked = 0;

    consume(fixture, SEEN_MAX);
    wait_for(fixture, is_active);
    fixture->published = 0;
    for (size_t i = 0; i < SEEN_MAX; i++)
        publish(fixture, i, fixture->queue, "id", NULL, "x");
    wait_seen(fixture, 1);
    broker_consumer_pause(fixture->consumer, true);
    fixture->wanted = SEEN_MAX;
    wait_for(fixture, has_published);
    do { /* RabbitMQ counts a cancelled consumer until it has acked everything */
        for (; acked < fixture->seen_count; acked++)
            broker_ack(fixture->broker, fixture->seen[acked].delivery);
        (void)queue_length(fixture);
    } while (fixture->declare.consumer_count > 0);
    broker_consumer_pause(fixture->consumer, false);
    wait_seen(fixture, SEEN_MAX);
    for (size_t i = 0; i < SEEN_MAX; i++)
        assert_false(fixture->seen[i].message.redelivered);
}

static void a_body_over_the_limit_arrives_empty_and_the_next_one_whole(void **state)
{
    struct fixture *fixture = need(state);
    char large[5000];

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    publish_and_wait(fixture, "large", large);
    publish_and_wait(fixture, "small", "{}");
    consume(fixture, 10);
    wait_seen(fixture, 2);
    assert_true(fixture->seen[0].message.too_big);
    assert_int_equal(fixture->seen[0].message.body_length, 0);
    assert_string_equal(fixture->seen[0].message.message_id, "large");
    assert_false(fixture->seen[1].message.too_big);
    assert_string_equal(fixture->seen[1].message.body, "{}");
}

static void get_brings_one_message_or_none(void **state)
{
    struct fixture *fixture = need(state);

    publish_and_wait(fixture, "1", "one");
    broker_get(fixture->broker, &fixture->get, fixture->queue, on_got);
    wait_for(fixture, has_got);
    assert_int_equal(fixture->seen_count, 1);
    broker_ack(fixture->broker, fixture->seen[0].delivery);
    fixture->got = false;
    broker_get(fixture->broker, &fixture->get, fixture->queue, on_got);
    wait_for(fixture, has_got);
    assert_int_equal(fixture->seen_count, 1);
}

static void a_missing_queue_is_a_configuration_fault_and_the_link_stays_up(void **state)
{
    struct fixture *fixture = need(state);

    broker_declare_queue(fixture->broker, &fixture->declare, "contract.no.such.queue", NULL, true,
                         on_declared);
    fixture->declared = false;
    wait_for(fixture, is_declared);
    assert_int_equal(fixture->declare_fault.code, ERR_CONFIG);
    assert_non_null(strstr(fixture->declare_fault.detail, "contract.no.such.queue"));
    publish_and_wait(fixture, "1", "one");
    assert_int_equal(queue_length(fixture), 1);
    assert_int_equal(fixture->downs[BROKER_PUBLISHING], 0);
}

static void what_is_pending_when_the_broker_is_closed_ends_canceled(void **state)
{
    struct fixture *fixture = need(state);

    publish(fixture, 0, fixture->queue, "1", NULL, "one");
    fixture->declared = false;
    broker_declare_queue(fixture->broker, &fixture->declare, fixture->queue, NULL, true, on_declared);
    broker_close(fixture->broker);
    fixture->broker = NULL;
    assert_int_equal(fixture->published, 0); /* never inside the call */
    fixture->wanted = 1;
    wait_for(fixture, has_published);
    wait_for(fixture, is_declared);
    assert_int_equal(fixture->publish_fault[0].code, ERR_CANCELED);
    assert_int_equal(fixture->declare_fault.code, ERR_CANCELED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_message_arrives_as_it_was_published),
        CASE(a_message_without_a_queue_is_unroutable_and_its_neighbours_are_not),
        CASE(an_acked_message_is_gone_and_one_not_acked_comes_again_after_the_link),
        CASE(a_requeued_message_comes_again),
        CASE(prefetch_bounds_what_is_held),
        CASE(a_paused_consumer_gets_nothing_until_it_goes_on),
        CASE(a_pause_takes_what_is_on_its_way),
        CASE(a_body_over_the_limit_arrives_empty_and_the_next_one_whole),
        CASE(get_brings_one_message_or_none),
        CASE(a_missing_queue_is_a_configuration_fault_and_the_link_stays_up),
        CASE(what_is_pending_when_the_broker_is_closed_ends_canceled),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
