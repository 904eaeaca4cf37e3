/* What a job has to publish: where each thing goes, under which id, with which body. */
#include "support/unit.h"
#include "support/worker_kit.h"

#include "worker/copy_headers.h"
#include "worker/publishing.h"

static struct worker_kit kit;
static struct job *job;

static int open_kit(void **state)
{
    struct message message = {.body = strdup("{}"), .body_length = 2};

    (void)state;
    worker_kit_open(&kit);
    job = job_new(&kit.worker, (struct delivery){0}, &message, false);
    job->message_id = strdup("m-1");
    return 0;
}

static int close_kit(void **state)
{
    (void)state;
    job_free(job);
    worker_kit_close(&kit);
    return 0;
}

static struct decision decide(enum copy_kind copy)
{
    return (struct decision){.event_id = (char *)(uintptr_t) "e-1",
                             .event_key = (char *)(uintptr_t) "order.fulfill.retrying",
                             .event_json = (char *)(uintptr_t) "{\"id\":\"e-1\"}",
                             .copy = copy,
                             .generation = 1,
                             .attempts = 1,
                             .due_ms = FAKE_LOOP_START_WALL_US / 1000 + 9000,
                             .reason = copy == COPY_DEAD ? (char *)(uintptr_t) "conflict" : NULL};
}

static void test_a_decision_is_an_event_and_a_copy(void **state)
{
    const struct decision decision = decide(COPY_DEAD);

    (void)state;
    assert_int_equal(publishing_add_decision(job, &decision), OK);
    assert_int_equal(job->publish_count, 2);
    assert_string_equal(job->publishes[0].exchange, "fulfillment.events");
    assert_string_equal(job->publishes[0].message_id, "e-1");
    assert_string_equal(job->publishes[0].body, "{\"id\":\"e-1\"}");
    assert_false(job->publishes[0].is_copy);
    assert_string_equal(job->publishes[1].exchange, "fulfillment.dead");
    assert_string_equal(job->publishes[1].message_id, "m-1");
    assert_null(job->publishes[1].body); /* the message's own */
    assert_true(job->publishes[1].is_copy);
    assert_string_equal(headers_str(job->publishes[1].headers, HEADER_REASON), "conflict");
}

static void test_a_retry_waits_for_what_is_left_until_it_is_due(void **state)
{
    const struct decision decision = decide(COPY_RETRY);
    char exchange[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];

    (void)state;
    worker_kit_advance(&kit, 3500); /* the kit itself has taken a second */
    assert_int_equal(publishing_add_decision(job, &decision), OK);
    topology_retry_route("fulfillment", 5, false, exchange, key); /* 4.5 s, rounded up */
    assert_string_equal(job->publishes[1].exchange, exchange);
    assert_string_equal(job->publishes[1].routing_key, key);
}

static void test_a_retry_that_is_overdue_waits_for_a_second(void **state)
{
    const struct decision decision = decide(COPY_RETRY);
    char exchange[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];

    (void)state;
    worker_kit_advance(&kit, 3600000);
    assert_int_equal(publishing_add_decision(job, &decision), OK);
    topology_retry_route("fulfillment", 1, false, exchange, key);
    assert_string_equal(job->publishes[1].routing_key, key);
}

static void test_a_suspect_comes_back_to_where_suspects_run(void **state)
{
    char exchange[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];

    (void)state;
    job->solo = true;
    assert_int_equal(publishing_add_wait(job, 1000), OK);
    topology_retry_route("fulfillment", 1, true, exchange, key);
    assert_string_equal(job->publishes[0].routing_key, key);
    assert_int_equal(publishing_add_solo(job), OK);
    assert_string_equal(job->publishes[1].exchange, "fulfillment.solo");
}

static void test_an_event_carries_the_trace_on(void **state)
{
    const struct decision decision = decide(COPY_NONE);

    (void)state;
    job->traceparent = "00-1";
    assert_int_equal(publishing_add_decision(job, &decision), OK);
    assert_int_equal(job->publish_count, 1);
    assert_string_equal(headers_str(job->publishes[0].headers, "traceparent"), "00-1");
}

static void test_what_was_added_since_can_be_taken_back(void **state)
{
    const struct decision decision = decide(COPY_DEAD);

    (void)state;
    assert_int_equal(publishing_add_wait(job, 1000), OK);
    assert_int_equal(publishing_add_decision(job, &decision), OK);
    publishing_keep(job, 1);
    assert_int_equal(job->publish_count, 1);
    publishing_keep(job, 5);
    assert_int_equal(job->publish_count, 1);
    publishing_reset(job);
    assert_int_equal(job->publish_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_decision_is_an_event_and_a_copy),
        TEST(test_a_retry_waits_for_what_is_left_until_it_is_due),
        TEST(test_a_retry_that_is_overdue_waits_for_a_second),
        TEST(test_a_suspect_comes_back_to_where_suspects_run),
        TEST(test_an_event_carries_the_trace_on),
        TEST(test_what_was_added_since_can_be_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
