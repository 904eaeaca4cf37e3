/* worker/management_judge.c: what is told of a broker that the integration tests cannot show: RabbitMQ 4, a
 * feature flag that is off, a node that is down, a queue without a majority. */
#include "worker/management.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static const char expected_text[] =
    "{\"exchanges\": [{\"name\": \"f.orders\", \"type\": \"topic\", \"arguments\": {}}],"
    " \"queues\": [{\"name\": \"f.orders\", \"arguments\": {\"x-queue-type\": \"quorum\"}},"
    "              {\"name\": \"f.retry.04\", \"arguments\": {\"x-queue-type\": \"quorum\", "
    "\"x-message-ttl\": 16000,"
    "               \"x-dead-letter-strategy\": \"at-least-once\", \"x-overflow\": \"reject-publish\"}}],"
    " \"bindings\": []}";

static const char overview[] = "{\"rabbitmq_version\": \"3.10.8\"}";
static const char overview_4[] = "{\"rabbitmq_version\": \"4.1.0\"}";
static const char exchanges[] =
    "[{\"name\": \"f.orders\", \"type\": \"topic\", \"durable\": true, \"arguments\": {}}]";

#define RETRY_ARGUMENTS                                                                                      \
    "\"x-queue-type\": \"quorum\", \"x-message-ttl\": 16000, \"x-dead-letter-strategy\": "                   \
    "\"at-least-once\", "                                                                                    \
    "\"x-overflow\": \"reject-publish\""
#define QUEUES(more, retry_policy)                                                                           \
    "[{\"name\": \"f.orders\", \"state\": \"running\", \"arguments\": {\"x-queue-type\": \"quorum\"" more    \
    "}},"                                                                                                    \
    " {\"name\": \"f.retry.04\", \"state\": \"running\", \"arguments\": {" RETRY_ARGUMENTS more "},"         \
    "  \"policy\": \"p\", \"effective_policy_definition\": " retry_policy "}]"

struct found {
    size_t count;
    char words[4096];
};

static void on_finding(void *context, const char *what, const char *remedy)
{
    struct found *found = context;
    size_t length = strlen(found->words);

    assert_true(remedy[0] != '\0');
    found->count++;
    snprintf(found->words + length, sizeof(found->words) - length, "%s\n", what);
}

static json_t *read_json(const char *text)
{
    json_t *json = text ? json_loads(text, 0, NULL) : NULL;

    assert_true(!text || json);
    return json;
}

static struct found judge(const char *version, const char *queues, const char *nodes, const char *flags)
{
    json_t *documents[MANAGEMENT_DOCUMENT_COUNT] = {
        [MANAGEMENT_OVERVIEW] = read_json(version), [MANAGEMENT_EXCHANGES] = read_json(exchanges),
        [MANAGEMENT_QUEUES] = read_json(queues),    [MANAGEMENT_BINDINGS] = read_json("[]"),
        [MANAGEMENT_NODES] = read_json(nodes),      [MANAGEMENT_FEATURE_FLAGS] = read_json(flags),
    };
    json_t *expected = read_json(expected_text);
    struct found found = {0};

    management_judge(expected, "f", documents, on_finding, &found);
    json_decref(expected);
    for (size_t i = 0; i < MANAGEMENT_DOCUMENT_COUNT; i++)
        json_decref(documents[i]);
    return found;
}

static void assert_one(struct found found, const char *words)
{
    assert_int_equal(found.count, 1);
    if (!strstr(found.words, words))
        fail_msg("'%s' is not in: %s", words, found.words);
}

static void test_a_broker_as_it_must_be_gives_no_finding(void **state)
{
    (void)state;
    assert_int_equal(judge(overview, QUEUES("", "{}"), NULL, NULL).count, 0);
    assert_int_equal(judge(overview, QUEUES("", "[]"),
                           "[{\"name\": \"a\", \"running\": true, \"mem_alarm\": false}]",
                           "[{\"name\": \"stream_queue\", \"state\": \"enabled\"}]")
                         .count,
                     0);
}

static void test_rabbitmq_4_limits_deliveries_unless_that_is_lifted(void **state)
{
    struct found found = judge(overview_4, QUEUES("", "{}"), NULL, NULL);

    (void)state;
    assert_int_equal(found.count, 2);
    assert_non_null(strstr(found.words, "delivery limit of 20"));
    assert_int_equal(judge(overview_4, QUEUES(", \"x-delivery-limit\": -1", "{}"), NULL, NULL).count, 0);
    assert_int_equal(judge(overview_4, QUEUES(", \"x-delivery-limit\": 5", "{}"), NULL, NULL).count, 2);
}

static void test_a_policy_counts_where_it_wins_over_the_argument(void **state)
{
    (void)state;
    assert_int_equal(judge(overview, QUEUES("", "{\"message-ttl\": 16000}"), NULL, NULL).count, 0);
    assert_int_equal(judge(overview, QUEUES("", "{\"message-ttl\": 20000}"), NULL, NULL).count, 0);
    assert_one(judge(overview, QUEUES("", "{\"message-ttl\": 15999}"), NULL, NULL),
               "f.retry.04: policy p sets");
    assert_int_equal(judge(overview, QUEUES("", "{\"overflow\": \"drop-head\"}"), NULL, NULL).count, 0);
    assert_one(judge(overview, QUEUES("", "{\"max-length\": 1000000}"), NULL, NULL), "max-length = 1000000");
    assert_int_equal(judge(overview, QUEUES("", "{\"delivery-limit\": -1}"), NULL, NULL).count, 0);
}

static void test_what_at_least_once_needs_is_asked_of_the_broker(void **state)
{
    (void)state;
    assert_one(
        judge(overview, QUEUES("", "{}"), NULL, "[{\"name\": \"stream_queue\", \"state\": \"disabled\"}]"),
        "stream_queue is disabled");
    assert_one(judge("{\"rabbitmq_version\": \"3.9.29\"}", QUEUES("", "{}"), NULL, NULL), "3.9.29");
}

static void test_nodes_and_queues_in_trouble_are_named(void **state)
{
    (void)state;
    assert_one(judge(overview, QUEUES("", "{}"), "[{\"name\": \"b\", \"running\": false}]", NULL),
               "node b is down");
    assert_one(judge(overview, QUEUES("", "{}"), "[{\"name\": \"b\", \"disk_free_alarm\": true}]", NULL),
               "disk alarm");
    assert_one(judge(overview,
                     "[{\"name\": \"f.orders\", \"state\": \"minority\", \"arguments\": {\"x-queue-type\": "
                     "\"quorum\"}},"
                     " {\"name\": \"f.retry.04\", \"arguments\": {" RETRY_ARGUMENTS "}}]",
                     NULL, NULL),
               "queue f.orders is in state minority");
}

/* The API is the broker's, but an answer may come from anywhere. */
static void test_documents_of_another_shape_only_miss_everything(void **state)
{
    static const char *const shapes[] = {"{}", "[]", "7", "[7, null, \"x\"]",
                                         "[{\"name\": 7, \"arguments\": 7}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        json_t *any = json_loads(shapes[i], JSON_DECODE_ANY, NULL);
        json_t *expected = read_json(expected_text);
        json_t *documents[MANAGEMENT_DOCUMENT_COUNT];
        struct found found = {0};

        for (size_t k = 0; k < MANAGEMENT_DOCUMENT_COUNT; k++)
            documents[k] = any;
        management_judge(expected, "f", documents, on_finding, &found);
        assert_string_equal(found.words,
                            "exchange f.orders is missing\nqueue f.orders and 1 more are missing\n");
        json_decref(expected);
        json_decref(any);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_broker_as_it_must_be_gives_no_finding),
        cmocka_unit_test(test_rabbitmq_4_limits_deliveries_unless_that_is_lifted),
        cmocka_unit_test(test_a_policy_counts_where_it_wins_over_the_argument),
        cmocka_unit_test(test_what_at_least_once_needs_is_asked_of_the_broker),
        cmocka_unit_test(test_nodes_and_queues_in_trouble_are_named),
        cmocka_unit_test(test_documents_of_another_shape_only_miss_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
