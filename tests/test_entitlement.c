/* Entitlements: creating, ending, and finding what a lost answer made. */
#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "support/line_kit.h"
#include "support/unit.h"

#include <stdio.h>

#define TOKEN_PATH "/oauth2/access_token"
#define COLLECTION "/api/entitlements/v1/entitlements/"
#define LIST_PATH  COLLECTION "?user=honor"
#define CREATED    "{\"user\":\"honor\",\"uuid\":\"e-1\",\"expired_at\":null}"
#define ROW(course, order, uuid)                                                                             \
    "{\"course_uuid\":\"" course "\",\"order_number\":\"" order "\",\"uuid\":\"" uuid                        \
    "\",\"expired_at\":null}"
#define ENDED                                                                                                \
    "{\"course_uuid\":\"c0ffee00-0000-4000-8000-000000000001\",\"order_number\":\"EDX-1\",\"uuid\":\"e-1\"," \
    "\"expired_at\":\"2026-01-01T00:00:00Z\"}"
#define OURS   ROW("C0FFEE00-0000-4000-8000-000000000001", "EDX-1", "e-1")
#define OTHERS ROW("c0ffee00-0000-4000-8000-000000000001", "EDX-2", "e-2") "," ROW("x", "EDX-1", "e-3")
#define UNIQUE "{\"non_field_errors\":[\"The fields course_uuid, order_number must make a unique set.\"]}"

static struct line_kit kit;

static int open_kit(void **state)
{
    (void)state;
    line_kit_open(&kit, LINE_KIT_LMS_TOKEN, NULL);
    line_kit_message(&kit, line_kit_entitlement);
    fake_http_respond("POST", TOKEN_PATH, 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
    return 0;
}

static int close_kit(void **state)
{
    (void)state;
    line_kit_close(&kit);
    return 0;
}

static void test_an_entitlement_is_created_with_the_token_and_its_uuid_kept(void **state)
{
    (void)state;
    fake_http_respond("POST", COLLECTION, 201, CREATED);
    const struct line_outcome *outcome = line_kit_run(&kit);

    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_string_equal(outcome->result_json, "{\"uuid\":\"e-1\"}");
    assert_string_equal(fake_http_request(1)->body,
                        "{\"user\":\"honor\",\"course_uuid\":\"c0ffee00-0000-4000-8000-000000000001\","
                        "\"mode\":\"verified\",\"order_number\":\"EDX-1\",\"email_opt_in\":true}");
    assert_string_equal(fake_http_request_header(1, "Authorization"), "JWT t1");
    assert_null(fake_http_request_header(1, "X-Edx-Api-Key"));
}

static void test_a_2xx_without_a_uuid_is_looked_into_next_time(void **state)
{
    static const struct {
        int status;
        const char *body;
    } rows[] = {{201, "{}"}, {201, "<html>"}, {200, ""}, {204, ""}, {202, CREATED}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        kit.outcome.look_first = false;
        fake_http_respond("POST", COLLECTION, rows[i].status, rows[i].body);
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, LINE_FAILED);
        assert_string_equal(outcome->reason, "bad_response");
        assert_true(outcome->look_first);
    }
}

static void test_what_is_there_already_is_found_by_course_and_order(void **state)
{
    (void)state;
    fake_http_respond("POST", COLLECTION, 400, UNIQUE);
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[" OTHERS "," OURS "]}");
    const struct line_outcome *outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_string_equal(outcome->result_json, "{\"uuid\":\"e-1\"}");

    fake_http_respond("POST", COLLECTION, 400, UNIQUE);
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[" OTHERS "]}");
    outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_FINAL);
    assert_string_equal(outcome->reason, "conflict");
    assert_non_null(strstr(outcome->message, "must make a unique set"));
}

static void test_after_a_lost_answer_it_is_looked_for_page_by_page(void **state)
{
    (void)state;
    kit.outcome.look_first = true;
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":\"http://x/?page=2\",\"results\":[" OTHERS "]}");
    fake_http_respond("GET", LIST_PATH "&page=2", 200, "{\"next\":null,\"results\":[" OURS "]}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);

    kit.outcome.look_first = true;
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[]}");
    fake_http_respond("POST", COLLECTION, 201, CREATED);
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_a_list_without_end_is_given_up(void **state)
{
    (void)state;
    kit.outcome.look_first = true;
    for (int i = 0; i < 40; i++)
        fake_http_respond("GET", NULL, 200, "{\"next\":\"x\",\"results\":[]}");
    const struct line_outcome *outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_FAILED);
    assert_string_equal(outcome->reason, "bad_response");
    assert_true(outcome->look_first);
}

static void test_what_is_bought_is_not_guessed(void **state)
{
    static const struct {
        const char *attributes, *message;
    } rows[] = {
        {"{\"certificate_type\":\"verified\"}", "attributes.UUID is missing"},
        {"{\"UUID\":\"c0ffee00-0000-4000-8000-000000000001\"}", "attributes.certificate_type is missing"},
        {"{\"UUID\":\"c0ffee00-0000-4000-8000-000000000001\",\"certificate_type\":null}",
         "attributes.certificate_type is missing"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char message[400];
        snprintf(
            message, sizeof(message),
            "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-1\",\"user\":"
            "{\"username\":\"honor\"},\"lines\":[{\"id\":1,\"product_class\":\"Course Entitlement\","
            "\"attributes\":%s}]}",
            rows[i].attributes);
        line_kit_message(&kit, message);
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, LINE_FINAL);
        assert_int_equal(outcome->status, FULFILL_STATUS_CONFIGURATION);
        assert_string_equal(outcome->reason, "missing_attribute");
        assert_string_equal(outcome->message, rows[i].message);
    }
    assert_int_equal(fake_http_request_count(), 0);
    line_kit_message(&kit, line_kit_entitlement);
    fake_http_respond("POST", COLLECTION, 201, CREATED);
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_refusals_of_creating(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum line_state state;
        enum fulfill_status line_status;
        const char *reason;
    } rows[] = {
        {400, "{\"course_uuid\":[\"Must be a valid UUID.\"]}", LINE_FINAL, FULFILL_STATUS_SERVER,
         "bad_request"},
        {400, "{\"user\":[\"Object with username=honor does not exist.\"]}", LINE_FAILED,
         FULFILL_STATUS_SERVER, "user_unknown"},
        {403, "{\"detail\":\"no\"}", LINE_FINAL, FULFILL_STATUS_CONFIGURATION, "credentials"},
        {408, "", LINE_FAILED, FULFILL_STATUS_SERVER, "timeout"},
        {500, "", LINE_FAILED, FULFILL_STATUS_SERVER, "server_error"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        kit.outcome.look_first = false;
        fake_http_respond("POST", COLLECTION, rows[i].status, rows[i].body);
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, rows[i].state);
        assert_int_equal(outcome->status, rows[i].line_status);
        assert_string_equal(outcome->reason, rows[i].reason);
    }
}

static void test_a_refund_ends_the_entitlement_that_fulfilment_returned(void **state)
{
    static const int statuses[] = {204, 200, 404};
    (void)state;
    line_kit_message(&kit, line_kit_entitlement_refund);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        fake_http_respond("DELETE", COLLECTION "e-1/", statuses[i], "");
        assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    }
    assert_string_equal(kit.outcome.result_json, "{\"uuid\":\"e-1\",\"already_gone\":true}");
}

static void test_after_a_lost_answer_to_a_refund_it_is_looked_for(void **state)
{
    (void)state;
    line_kit_message(&kit, line_kit_entitlement_refund);
    kit.outcome.look_first = true;
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[" ENDED "]}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);

    kit.outcome.look_first = true;
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[]}"); /* the uuid is known */
    fake_http_respond("DELETE", COLLECTION "e-1/", 204, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_a_refund_without_a_uuid_looks_for_it(void **state)
{
    static const char message[] =
        "{\"schema\":\"fulfillment.order/"
        "1\",\"action\":\"refund\",\"refund_number\":\"R-1\",\"total\":\"1.00\","
        "\"order_number\":\"EDX-1\",\"user\":{\"username\":\"honor\"},\"lines\":[{\"id\":12,\"product_"
        "class\":"
        "\"Course Entitlement\",\"attributes\":{\"UUID\":\"c0ffee00-0000-4000-8000-000000000001\"}}]}";
    (void)state;
    line_kit_message(&kit, message);
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[" OURS "]}");
    fake_http_respond("DELETE", COLLECTION "e-1/", 204, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);

    free(TAKE(kit.outcome.result_json));
    fake_http_respond("GET", LIST_PATH, 200, "{\"next\":null,\"results\":[]}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE); /* it was never there */
}

static void test_a_refund_is_tried_again_whatever_the_refusal(void **state)
{
    static const int statuses[] = {302, 400, 403, 409, 500};
    (void)state;
    line_kit_message(&kit, line_kit_entitlement_refund);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        fake_http_respond("DELETE", COLLECTION "e-1/", statuses[i], "");
        assert_int_equal(line_kit_run(&kit)->state, LINE_FAILED);
        assert_int_equal(kit.outcome.decision, FULFILL_RETRY);
    }
}

static void test_the_api_key_is_not_enough(void **state)
{
    (void)state;
    fake_http_respond("POST", COLLECTION, 201, CREATED);
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE); /* uses up what open_kit scripted */
    line_kit_close(&kit);
    line_kit_open(&kit, LINE_KIT_LMS, NULL);
    line_kit_message(&kit, line_kit_entitlement);
    assert_int_equal(line_kit_run(&kit)->state, LINE_FINAL);
    assert_string_equal(kit.outcome.reason, "credentials");
    assert_int_equal(fake_http_request_count(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_entitlement_is_created_with_the_token_and_its_uuid_kept),
        TEST(test_a_2xx_without_a_uuid_is_looked_into_next_time),
        TEST(test_what_is_there_already_is_found_by_course_and_order),
        TEST(test_after_a_lost_answer_it_is_looked_for_page_by_page),
        TEST(test_a_list_without_end_is_given_up),
        TEST(test_what_is_bought_is_not_guessed),
        TEST(test_refusals_of_creating),
        TEST(test_a_refund_ends_the_entitlement_that_fulfilment_returned),
        TEST(test_after_a_lost_answer_to_a_refund_it_is_looked_for),
        TEST(test_a_refund_without_a_uuid_looks_for_it),
        TEST(test_a_refund_is_tried_again_whatever_the_refusal),
        TEST(test_the_api_key_is_not_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
