/* How a job moves: held and woken, void, handed back, never started twice, never acked before it is safe. */
#include "support/unit.h"
#include "support/worker_kit.h"

#include "worker/pipeline.h"

#include <signal.h>

enum { MINUTE_MS = 60 * 1000 };

static struct worker_kit kit;

static int open_kit(void **state)
{
    (void)state;
    worker_kit_open(&kit);
    return 0;
}

static int close_kit(void **state)
{
    (void)state;
    worker_kit_close(&kit);
    return 0;
}

static void deliver(const char *body)
{
    worker_kit_deliver(body);
    fake_loop_settle(kit.worker.loop);
}

static void test_an_order_is_acked_after_its_event_is_confirmed(void **state)
{
    (void)state;
    fake_broker_hold_confirms(true);
    deliver(worker_kit_donation);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    fake_broker_hold_confirms(false);
    fake_loop_settle(kit.worker.loop);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_int_equal(fake_broker_confirmed_before_ack(0), 1);
    assert_string_equal(fake_broker_publication(0)->routing_key, "order.fulfill.complete");
}

static void test_a_held_job_that_goes_on_is_not_started_a_second_time(void **state)
{
    (void)state;
    fake_store_fail("claim", ERR_UNAVAILABLE, "busy");
    fake_store_ignore("claim"); /* the second try takes its time: two seconds, four ticks */
    deliver(worker_kit_donation);
    worker_kit_advance(&kit, 1000);
    assert_int_equal(fake_store_call_count("claim"), 2);
    worker_kit_advance(&kit, 1400);
    assert_int_equal(fake_store_call_count("claim"), 2);
    worker_kit_advance(&kit, 2000);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

static void test_a_publication_that_is_refused_for_good_is_never_acked(void **state)
{
    (void)state;
    fake_broker_fail_publish(0, ERR_TOO_BIG);
    deliver(worker_kit_donation);
    worker_kit_advance(&kit, 1000);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    worker_kit_advance(&kit, 15000); /* tried again, later than after a lost link */
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_int_equal(fake_store_call_count("record"), 1);
}

static void test_a_claim_that_is_refused_for_good_waits_and_is_tried_again(void **state)
{
    (void)state;
    fake_store_fail("claim", ERR_REFUSED, "WRONGTYPE");
    deliver(worker_kit_donation);
    worker_kit_advance(&kit, 5000);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    assert_int_equal(fake_store_call_count("claim"), 1);
    worker_kit_advance(&kit, 15000);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

static void test_what_is_held_too_long_goes_back_to_its_queue(void **state)
{
    (void)state;
    kit.away = "claim";
    deliver(worker_kit_donation);
    worker_kit_advance(&kit, 8 * MINUTE_MS);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    assert_int_equal(kit.worker.job_count, 1);
    worker_kit_advance(&kit, 2 * MINUTE_MS);
    assert_int_equal(fake_broker_fate(0), FAKE_REQUEUED);
    assert_int_equal(fake_broker_count_fate(FAKE_ACKED), 0);
    kit.away = NULL;
}

static void test_each_stage_has_its_own_time_to_be_held(void **state)
{
    (void)state;
    kit.away = "record";
    deliver(worker_kit_donation);
    worker_kit_advance(&kit, 8 * MINUTE_MS);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    pipeline_hand_back_held(&kit.worker, 8 * MINUTE_MS);
    fake_loop_settle(kit.worker.loop);
    assert_int_equal(fake_broker_fate(0), FAKE_REQUEUED);
    assert_int_equal(fake_broker_publish_count(), 0);
    kit.away = NULL;
}

static void test_an_unclaimed_job_is_forgotten_with_its_link(void **state)
{
    (void)state;
    kit.away = "claim";
    deliver(worker_kit_donation);
    assert_int_equal(kit.worker.job_count, 1);
    fake_broker_set_up(BROKER_CONSUMING, false);
    fake_loop_settle(kit.worker.loop);
    assert_int_equal(kit.worker.job_count, 0);
    assert_int_equal(fake_broker_fate(0), FAKE_VOID);
    kit.away = NULL;
}

static void test_a_claimed_job_finishes_without_its_link_and_its_event_is_told(void **state)
{
    (void)state;
    fake_http_answer("POST", WORKER_KIT_PATH,
                     &(struct fake_http_answer){.status = 200, .body = "{}", .delay_ms = 500});
    deliver(worker_kit_seat);
    fake_broker_set_up(BROKER_CONSUMING, false);
    worker_kit_advance(&kit, 1000);
    assert_int_equal(fake_broker_fate(0), FAKE_VOID);
    assert_int_equal(fake_store_call_count("record"), 1);
    assert_non_null(fake_broker_last_to("fulfillment.events"));
    assert_int_equal(kit.worker.job_count, 0);
}

static void test_a_job_claimed_for_a_lost_delivery_is_given_back_unrun(void **state)
{
    (void)state;
    fake_store_ignore("claim");
    deliver(worker_kit_seat);
    fake_broker_set_up(BROKER_CONSUMING, false);
    fake_loop_settle(kit.worker.loop);
    worker_kit_advance(&kit, 3000);
    assert_int_equal(fake_http_request_count(), 0);
    assert_int_equal(kit.worker.job_count, 0);
}

static void test_no_work_is_taken_while_a_link_is_away_or_publishers_are_blocked(void **state)
{
    (void)state;
    fake_store_set_up(false);
    worker_kit_advance(&kit, 1000);
    assert_false(fake_broker_is_consuming("fulfillment.orders"));
    fake_store_set_up(true);
    worker_kit_advance(&kit, 1000);
    assert_true(fake_broker_is_consuming("fulfillment.orders"));
    fake_broker_set_blocked(true);
    worker_kit_advance(&kit, 1000);
    assert_false(fake_broker_is_consuming("fulfillment.orders"));
    fake_broker_set_blocked(false);
    worker_kit_advance(&kit, 1000);
    assert_true(fake_broker_is_consuming("fulfillment.orders"));
    fake_broker_set_up(BROKER_PUBLISHING, false);
    worker_kit_advance(&kit, 1000);
    assert_false(fake_broker_is_consuming("fulfillment.orders"));
    fake_broker_set_up(BROKER_PUBLISHING, true);
    worker_kit_advance(&kit, 1000);
    assert_true(fake_broker_is_consuming("fulfillment.orders"));
}

static void test_what_runs_while_publishers_are_blocked_is_told_afterwards(void **state)
{
    (void)state;
    fake_http_answer("POST", WORKER_KIT_PATH,
                     &(struct fake_http_answer){.status = 200, .body = "{}", .delay_ms = 500});
    deliver(worker_kit_seat);
    fake_broker_set_blocked(true);
    worker_kit_advance(&kit, 2000);
    assert_int_equal(fake_store_call_count("record"), 1);
    assert_int_equal(fake_broker_publish_count(), 0);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    fake_broker_set_blocked(false);
    worker_kit_advance(&kit, 1000);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

static void test_a_busy_order_waits_in_the_retry_queues(void **state)
{
    (void)state;
    kit.verdict = "BUSY";
    deliver(worker_kit_donation);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_int_equal(fake_broker_confirmed_before_ack(0), 1);
    assert_int_equal(fake_broker_publish_count(), 1);
    assert_string_equal(fake_broker_publication(0)->message_id, "m-1");
    assert_string_equal(fake_broker_publication(0)->body, worker_kit_donation);
}

static void test_a_stale_copy_is_acked_without_a_word(void **state)
{
    (void)state;
    kit.verdict = "STALE";
    deliver(worker_kit_donation);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_int_equal(fake_broker_publish_count(), 0);
}

static void test_a_stored_step_that_cannot_be_read_goes_to_a_person(void **state)
{
    (void)state;
    kit.verdict = "REPEAT";
    kit.decision = "of another version";
    deliver(worker_kit_donation);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_non_null(fake_broker_last_to("fulfillment.dead"));
}

static void test_that_a_word_was_accepted_is_told_before_the_run(void **state)
{
    (void)state;
    kit.started = true;
    fake_http_answer("POST", WORKER_KIT_PATH,
                     &(struct fake_http_answer){.status = 200, .body = "{}", .delay_ms = 500});
    deliver(worker_kit_seat);
    assert_int_equal(fake_broker_publish_count(), 1);
    assert_string_equal(fake_broker_publication(0)->routing_key, "order.fulfill.requeued");
    assert_int_equal(fake_store_call_count("record"), 0);
    worker_kit_advance(&kit, 1000);
    assert_int_equal(fake_broker_publish_count(), 2);
    assert_string_equal(fake_broker_publication(1)->routing_key, "order.fulfill.complete");
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

static void test_a_word_runs_also_while_nobody_can_be_told(void **state)
{
    (void)state;
    kit.started = true;
    fake_store_ignore("claim");
    deliver(worker_kit_seat);
    fake_broker_set_blocked(true);
    fake_http_answer("POST", WORKER_KIT_PATH, &(struct fake_http_answer){.status = 200, .body = "{}"});
    worker_kit_advance(&kit, 5000);
    assert_int_equal(fake_store_call_count("record"), 1);
    assert_int_equal(fake_broker_publish_count(), 0);
    fake_broker_set_blocked(false);
    worker_kit_advance(&kit, 1000);
    assert_int_equal(fake_broker_publish_count(), 2);
    assert_string_equal(fake_broker_publication(0)->routing_key, "order.fulfill.requeued");
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

static void test_a_claim_that_is_lost_while_its_word_is_told_is_not_run(void **state)
{
    (void)state;
    kit.started = true;
    fake_broker_hold_confirms(true);
    deliver(worker_kit_seat);
    fake_store_answer("renew", fake_reply_str("FENCED"));
    worker_kit_advance(&kit, 1500); /* a third of the lease of 3 s, and more */
    kit.verdict = "STALE";
    fake_broker_hold_confirms(false);
    worker_kit_advance(&kit, 500);
    assert_int_equal(fake_store_call_count("claim"), 2);
    assert_int_equal(fake_http_request_count(), 0);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

static void test_an_outcome_comes_after_all_that_was_told_while_it_ran(void **state)
{
    json_t *event;

    (void)state;
    fake_http_answer("POST", WORKER_KIT_PATH,
                     &(struct fake_http_answer){.status = 200, .body = "{}", .delay_ms = 500});
    deliver(worker_kit_seat);
    worker_kit_advance(&kit, 1000);
    event = json_loads(fake_broker_last_to("fulfillment.events")->body, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(event, "data"), "sequence")),
                     kit.fence + 501 * 1000);
    json_decref(event);
}

static void test_an_outcome_that_is_refused_leads_back_to_the_claim(void **state)
{
    (void)state;
    fake_store_answer("record", fake_reply_str("FENCED"));
    kit.verdict = "RUN";
    fake_store_answer("claim", worker_kit_claim_reply("RUN", 1, false, NULL));
    fake_store_answer("claim", worker_kit_claim_reply("BUSY", 2, false, NULL));
    deliver(worker_kit_donation);
    assert_int_equal(fake_store_call_count("claim"), 2);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_int_equal(fake_broker_publish_count(), 1);
    assert_null(fake_broker_last_to("fulfillment.events"));
}

static void test_a_drain_hands_back_what_nobody_has_claimed(void **state)
{
    (void)state;
    fake_store_fail("claim", ERR_UNAVAILABLE, "busy");
    deliver(worker_kit_donation);
    assert_int_equal(kit.worker.job_count, 1);
    assert_true(fake_loop_signal(kit.worker.loop, SIGTERM));
    assert_int_equal(fake_broker_fate(0), FAKE_REQUEUED);
    assert_true(kit.worker.stopped);
}

static void test_a_claim_that_a_drain_overtakes_is_released_before_it_is_handed_back(void **state)
{
    (void)state;
    kit.drains = true;
    fake_store_ignore("release"); /* no answer for two seconds */
    deliver(worker_kit_seat);
    assert_int_equal(fake_store_call_count("release"), 1);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    worker_kit_advance(&kit, 3000);
    assert_int_equal(fake_broker_fate(0), FAKE_REQUEUED);
    assert_int_equal(fake_http_request_count(), 0);
    assert_int_equal(fake_broker_publish_count(), 0);
}

static void test_lines_that_a_drain_cancels_wait_in_the_retry_queues(void **state)
{
    (void)state;
    fake_http_ignore("POST", WORKER_KIT_PATH);
    deliver(worker_kit_seat);
    assert_true(fake_loop_signal(kit.worker.loop, SIGTERM));
    worker_kit_advance(&kit, 4000);
    assert_int_equal(fake_broker_fate(0), FAKE_UNSETTLED);
    worker_kit_advance(&kit, 2000);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
    assert_int_equal(fake_broker_publish_count(), 1); /* a copy, and no event: no attempt has ended */
    assert_true(kit.worker.stopped);
}

static void test_a_lease_is_renewed_while_a_line_runs(void **state)
{
    (void)state;
    fake_http_answer("POST", WORKER_KIT_PATH,
                     &(struct fake_http_answer){.status = 200, .body = "{}", .delay_ms = 5500});
    deliver(worker_kit_seat);
    worker_kit_advance(&kit, 5000);
    assert_int_equal(fake_store_call_count("renew"), 5); /* a third of the lease of 3 s */
    worker_kit_advance(&kit, 5000);
    assert_int_equal(fake_store_call_count("renew"), 5);
    assert_int_equal(fake_broker_fate(0), FAKE_ACKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_order_is_acked_after_its_event_is_confirmed),
        TEST(test_a_held_job_that_goes_on_is_not_started_a_second_time),
        TEST(test_a_publication_that_is_refused_for_good_is_never_acked),
        TEST(test_a_claim_that_is_refused_for_good_waits_and_is_tried_again),
        TEST(test_what_is_held_too_long_goes_back_to_its_queue),
        TEST(test_each_stage_has_its_own_time_to_be_held),
        TEST(test_an_unclaimed_job_is_forgotten_with_its_link),
        TEST(test_a_claimed_job_finishes_without_its_link_and_its_event_is_told),
        TEST(test_a_job_claimed_for_a_lost_delivery_is_given_back_unrun),
        TEST(test_no_work_is_taken_while_a_link_is_away_or_publishers_are_blocked),
        TEST(test_what_runs_while_publishers_are_blocked_is_told_afterwards),
        TEST(test_a_busy_order_waits_in_the_retry_queues),
        TEST(test_a_stale_copy_is_acked_without_a_word),
        TEST(test_a_stored_step_that_cannot_be_read_goes_to_a_person),
        TEST(test_that_a_word_was_accepted_is_told_before_the_run),
        TEST(test_a_word_runs_also_while_nobody_can_be_told),
        TEST(test_a_claim_that_is_lost_while_its_word_is_told_is_not_run),
        TEST(test_an_outcome_comes_after_all_that_was_told_while_it_ran),
        TEST(test_an_outcome_that_is_refused_leads_back_to_the_claim),
        TEST(test_a_drain_hands_back_what_nobody_has_claimed),
        TEST(test_a_claim_that_a_drain_overtakes_is_released_before_it_is_handed_back),
        TEST(test_lines_that_a_drain_cancels_wait_in_the_retry_queues),
        TEST(test_a_lease_is_renewed_while_a_line_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
