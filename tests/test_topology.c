/*
 * The topology: every delay's way through the retry chain, walked on the bindings that are declared, lasts
 * that delay and ends in the right queue; what is declared is what the contract names.
 */
#include "worker/topology.h"

#include "common/jsonx.h"

#include "fakes/fake_broker.h"
#include "fakes/fake_loop.h"
#include "support/unit.h"

#include <stdio.h>

static json_t *definitions(const char *prefix)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    json_t *json;

    assert_non_null(file);
    assert_int_equal(topology_print_json(file, prefix, "/"), OK);
    assert_int_equal(fclose(file), 0);
    json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_t *find(const json_t *definitions_json, const char *list, const char *name)
{
    size_t i;
    json_t *object;

    json_array_foreach(json_object_get(definitions_json, list), i, object)
    {
        if (strcmp(text_of(object, "name"), name) == 0)
            return object;
    }
    return NULL;
}

/* Topic matching: `*` is one word, `#` any number. */
static bool matches(const char *pattern, const char *key)
{
    size_t pattern_word = strcspn(pattern, "."), key_word = strcspn(key, ".");
    const char *pattern_rest = pattern + pattern_word + (pattern[pattern_word] == '.');

    if (*pattern == '\0')
        return *key == '\0';
    if (pattern_word == 1 && *pattern == '#') {
        for (; *key; key += strcspn(key, "."), key += *key == '.') {
            if (matches(pattern_rest, key))
                return true;
        }
        return matches(pattern_rest, key);
    }
    if (*key == '\0' || (!(pattern_word == 1 && *pattern == '*') &&
                         (pattern_word != key_word || strncmp(pattern, key, key_word) != 0)))
        return false;
    return matches(pattern_rest, key + key_word + (key[key_word] == '.'));
}

/* The one queue a message reaches from an exchange; fails the test when there are more or none. */
static const char *route(const json_t *json, const char *exchange, const char *key)
{
    for (int hops = 0; hops <= TOPOLOGY_LEVELS + 1; hops++) {
        const json_t *found = NULL;
        size_t i;
        json_t *binding;

        json_array_foreach(json_object_get(json, "bindings"), i, binding)
        {
            if (strcmp(text_of(binding, "source"), exchange) != 0 ||
                !matches(text_of(binding, "routing_key"), key))
                continue;
            assert_null(found);
            found = binding;
        }
        assert_non_null(found);
        if (strcmp(text_of(found, "destination_type"), "queue") == 0)
            return text_of(found, "destination");
        exchange = text_of(found, "destination");
    }
    fail_msg("the route from %s has no end", exchange);
    return NULL;
}

/* Seconds until a message with this delay arrives, by the queues' own arguments; the target in ret_queue. */
static int64_t walk(const json_t *json, int64_t delay_s, bool solo, const char **ret_queue)
{
    char exchange[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];
    const char *from = exchange;
    int64_t waited_ms = 0;

    topology_retry_route("p", delay_s, solo, exchange, key);
    for (;;) {
        const char *queue = route(json, from, key);
        const json_t *arguments = json_object_get(find(json, "queues", queue), "arguments");
        const json_t *ttl = json_object_get(arguments, "x-message-ttl");

        *ret_queue = queue;
        if (!ttl)
            return waited_ms / 1000;
        waited_ms += json_integer_value(ttl);
        assert_string_equal(text_of(arguments, "x-dead-letter-strategy"), "at-least-once");
        assert_string_equal(text_of(arguments, "x-overflow"), "reject-publish");
        from = text_of(arguments, "x-dead-letter-exchange");
        assert_non_null(find(json, "exchanges", from));
    }
}

static void every_delay_is_waited_out_exactly_and_ends_in_its_queue(void **state)
{
    json_t *json = definitions("p");
    const char *queue;

    (void)state;
    for (int64_t delay_s = 1; delay_s <= 600; delay_s++) {
        assert_int_equal(walk(json, delay_s, false, &queue), delay_s);
        assert_string_equal(queue, "p.orders");
    }
    for (int64_t delay_s = 601; delay_s <= TOPOLOGY_DELAY_MAX_S; delay_s += 1009) {
        assert_int_equal(walk(json, delay_s, true, &queue), delay_s);
        assert_string_equal(queue, "p.solo");
    }
    for (int level = 0; level < TOPOLOGY_LEVELS; level++)
        assert_int_equal(walk(json, INT64_C(1) << level, false, &queue), INT64_C(1) << level);
    json_decref(json);
}

static void the_digits_of_every_delays_key_sum_up_to_it(void **state)
{
    char exchange[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE], expected[TOPOLOGY_NAME_SIZE];

    (void)state;
    for (int64_t delay_s = 1; delay_s <= TOPOLOGY_DELAY_MAX_S; delay_s++) {
        int64_t sum = 0;
        int highest = -1;

        topology_retry_route("p", delay_s, false, exchange, key);
        for (int level = 0; level < TOPOLOGY_LEVELS; level++) {
            if (key[2 * (TOPOLOGY_LEVELS - 1 - level)] != '1')
                continue;
            sum += INT64_C(1) << level;
            highest = level;
        }
        assert_int_equal(sum, delay_s);
        snprintf(expected, sizeof(expected), "p.retry.%02d", highest);
        assert_string_equal(exchange, expected);
        assert_string_equal(key + 2 * TOPOLOGY_LEVELS, "orders");
    }
}

static void delays_beyond_the_chain_are_clamped(void **state)
{
    json_t *json = definitions("p");
    const char *queue;

    (void)state;
    assert_int_equal(walk(json, 0, false, &queue), 1);
    assert_int_equal(walk(json, INT64_MIN, false, &queue), 1);
    assert_int_equal(walk(json, TOPOLOGY_DELAY_MAX_S + 1, false, &queue), TOPOLOGY_DELAY_MAX_S);
    assert_int_equal(walk(json, INT64_MAX, false, &queue), TOPOLOGY_DELAY_MAX_S);
    json_decref(json);
}

static void all_is_durable_and_every_queue_a_quorum_queue(void **state)
{
    json_t *json = definitions("shop");
    json_t *object;
    size_t i;

    (void)state;
    assert_int_equal(json_array_size(json_object_get(json, "queues")), 5 + TOPOLOGY_LEVELS);
    json_array_foreach(json_object_get(json, "queues"), i, object)
    {
        assert_true(json_is_true(json_object_get(object, "durable")));
        assert_string_equal(text_of(json_object_get(object, "arguments"), "x-queue-type"), "quorum");
    }
    json_array_foreach(json_object_get(json, "exchanges"), i, object)
        assert_true(json_is_true(json_object_get(object, "durable")));
    object = json_object_get(find(json, "queues", "shop.solo"), "arguments");
    assert_true(json_is_true(json_object_get(object, "x-single-active-consumer")));
    object = json_object_get(find(json, "exchanges", "shop.orders"), "arguments");
    assert_string_equal(text_of(object, "alternate-exchange"), "shop.unrouted");
    assert_string_equal(route(json, "shop.orders", "order.fulfill"), "shop.orders");
    assert_string_equal(route(json, "shop.orders", "order"), "shop.orders");
    assert_string_equal(route(json, "shop.unrouted", ""), "shop.unrouted");
    assert_string_equal(route(json, "shop.events", "order.fulfill.complete"), "shop.events");
    assert_string_equal(route(json, "shop.dead", ""), "shop.dead");
    assert_string_equal(route(json, "shop.solo", ""), "shop.solo");
    json_decref(json);
}

/* ---- declaring ---- */

struct declared {
    struct topology_op op;
    struct fault fault;
    int count;
};

static void on_declared(struct topology_op *op, const struct fault *fault)
{
    struct declared *declared = container_of(op, struct declared, op);

    declared->fault = *fault;
    declared->count++;
}

static void on_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    (void)context;
    (void)link;
    (void)up;
    (void)fault;
}

static struct fault declare(const char *prefix, bool passive)
{
    const struct broker_options options = {.uris = "amqp://fake", .publishes = true};
    const struct broker_events events = {.on_link = on_link};
    struct loop *loop = loop_new();
    struct declared declared = {.count = 0};
    struct fault fault;
    struct broker *broker = broker_open(loop, &options, &events, NULL, &fault);

    topology_declare_start(broker, prefix, passive, &declared.op, on_declared);
    assert_int_equal(declared.count, 0);
    fake_loop_advance(loop, 1000);
    assert_int_equal(declared.count, 1);
    broker_close(broker);
    fake_loop_advance(loop, 1000);
    loop_free(loop);
    return declared.fault;
}

static int forget(void **state)
{
    (void)state;
    fake_broker_reset();
    return 0;
}

static void exchanges_come_before_queues_and_queues_before_bindings(void **state)
{
    size_t count = 0;

    (void)state;
    assert_int_equal(declare("p", false).code, OK);
    while (fake_broker_declared(count))
        count++;
    assert_int_equal(count, (6 + TOPOLOGY_LEVELS) + (5 + TOPOLOGY_LEVELS) + (7 + 2 * TOPOLOGY_LEVELS));
    assert_string_equal(fake_broker_declared(0), "p.unrouted");
    assert_true(fake_broker_was_declared("p.retry.00"));
    assert_true(fake_broker_was_declared("p.retry.17"));
    assert_true(fake_broker_was_declared("p.retry.out"));
}

static void a_refusal_names_the_object_and_ends_it(void **state)
{
    struct fault fault;
    size_t count = 0;

    (void)state;
    fake_broker_refuse_declare("p.retry.03", "406 PRECONDITION_FAILED - inequivalent arg 'type'");
    fault = declare("p", false);
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "exchange p.retry.03"));
    assert_non_null(strstr(fault.detail, "inequivalent arg 'type'"));
    while (fake_broker_declared(count))
        count++;
    assert_int_equal(count, 6);
}

static void a_passive_check_looks_at_exchanges_and_queues_only(void **state)
{
    size_t count = 0;

    (void)state;
    assert_int_equal(declare("p", false).code, OK);
    while (fake_broker_declared(count))
        count++;
    assert_int_equal(declare("p", true).code, OK);
    assert_null(fake_broker_declared(count + 11 + 2 * TOPOLOGY_LEVELS));
    assert_non_null(fake_broker_declared(count + 11 + 2 * TOPOLOGY_LEVELS - 1));
}

static void a_missing_queue_fails_the_passive_check(void **state)
{
    struct fault fault = declare("elsewhere", true);

    (void)state;
    assert_int_equal(fault.code, ERR_CONFIG);
    assert_non_null(strstr(fault.detail, "queue elsewhere.unrouted"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_delay_is_waited_out_exactly_and_ends_in_its_queue),
        cmocka_unit_test(the_digits_of_every_delays_key_sum_up_to_it),
        cmocka_unit_test(delays_beyond_the_chain_are_clamped),
        cmocka_unit_test(all_is_durable_and_every_queue_a_quorum_queue),
        cmocka_unit_test_teardown(exchanges_come_before_queues_and_queues_before_bindings, forget),
        cmocka_unit_test_teardown(a_refusal_names_the_object_and_ends_it, forget),
        cmocka_unit_test_teardown(a_passive_check_looks_at_exchanges_and_queues_only, forget),
        cmocka_unit_test_teardown(a_missing_queue_fails_the_passive_check, forget),
    };

    return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
