/* Seats: what is sent, and what becomes of each answer. The stand-in LMS says the same in tests/integration.
 */
#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "support/line_kit.h"
#include "support/unit.h"

#include <stdio.h>

#define POST_PATH "/api/enrollment/v1/enrollment"
#define GET_PATH  "/api/enrollment/v1/enrollment/honor,course-v1%3AedX%2BDemoX%2B2026"
#define E12                                                                                                  \
    "{\"message\":\"An error occurred while creating the new course enrollment for user 'honor' in course "  \
    "'c'\"}"
#define ENROLLED "{\"mode\":\"verified\",\"is_active\":true,\"user\":\"honor\"}"

static struct line_kit kit;

static int open_kit(void **state)
{
    (void)state;
    line_kit_open(&kit, LINE_KIT_LMS, NULL);
    line_kit_message(&kit, line_kit_seat);
    return 0;
}

static int close_kit(void **state)
{
    (void)state;
    line_kit_close(&kit);
    return 0;
}

static void test_a_seat_is_posted_as_the_api_wants_it(void **state)
{
    (void)state;
    fake_http_respond("POST", POST_PATH, 200, ENROLLED);
    kit.run.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const struct line_outcome *outcome = line_kit_run(&kit);

    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_string_equal(outcome->module, "enrollment");
    assert_true(outcome->ran);
    assert_int_equal(fake_http_request_count(), 1);
    assert_string_equal(fake_http_request(0)->url, "https://lms.example.org" POST_PATH);
    assert_string_equal(
        fake_http_request(0)->body,
        "{\"user\":\"honor\",\"is_active\":true,\"mode\":\"verified\","
        "\"course_details\":{\"course_id\":\"course-v1:edX+DemoX+2026\"},\"enrollment_attributes\":["
        "{\"namespace\":\"order\",\"name\":\"order_number\",\"value\":\"EDX-1\"},"
        "{\"namespace\":\"order\",\"name\":\"date_placed\",\"value\":\"2026-01-02T03:04:05Z\"},"
        "{\"namespace\":\"order\",\"name\":\"sku\",\"value\":\"8CF08E5\"}]}");
    assert_string_equal(fake_http_request_header(0, "Content-Type"), "application/json");
    assert_string_equal(fake_http_request_header(0, "X-Edx-Api-Key"), "key-secret-1");
    assert_string_equal(fake_http_request_header(0, "X-Edx-Ga-Client-Id"), "G1");
    assert_string_equal(fake_http_request_header(0, "X-Forwarded-For"), "127.0.0.1");
    assert_string_equal(fake_http_request_header(0, "traceparent"), kit.run.traceparent);
    assert_null(fake_http_request_header(0, "Authorization"));
}

static void run_with(const char *attributes, const char *rest)
{
    char message[2048];

    snprintf(message, sizeof(message),
             "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-1\","
             "\"user\":{\"username\":\"honor\"}%s,\"lines\":[{\"id\":11,\"product_class\":\"Seat\","
             "\"attributes\":%s}]}",
             rest, attributes);
    line_kit_message(&kit, message);
    fake_http_respond("POST", POST_PATH, 200, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_the_mode_follows_from_the_attributes(void **state)
{
    static const struct {
        const char *attributes, *sent;
    } rows[] = {
        {"{\"course_key\":\"c\"}", "\"mode\":\"audit\""},
        {"{\"course_key\":\"c\",\"seat_type\":\"honor\"}", "\"mode\":\"honor\""},
        {"{\"course_key\":\"c\",\"seat_type\":\"honor\",\"certificate_type\":\"verified\"}",
         "\"mode\":\"verified\""},
        {"{\"course_key\":\"c\",\"certificate_type\":\"professional\"}", "\"mode\":\"no-id-professional\""},
        {"{\"course_key\":\"c\",\"certificate_type\":\"professional\",\"id_verification_required\":false}",
         "\"mode\":\"no-id-professional\""},
        {"{\"course_key\":\"c\",\"certificate_type\":\"professional\",\"id_verification_required\":true}",
         "\"mode\":\"professional\""},
        {"{\"course_key\":\"c\",\"certificate_type\":\"credit\",\"credit_provider\":\"asu\"}",
         "{\"namespace\":\"credit\",\"name\":\"provider_id\",\"value\":\"asu\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run_with(rows[i].attributes, "");
        assert_non_null(strstr(fake_http_request(i)->body, rows[i].sent));
    }
}

static void test_no_provider_is_sent_for_a_seat_that_is_no_credit(void **state)
{
    (void)state;
    run_with("{\"course_key\":\"c\",\"certificate_type\":\"verified\",\"credit_provider\":\"asu\"}", "");
    assert_null(strstr(fake_http_request(0)->body, "provider_id"));
}

static void test_an_enterprise_customer_is_sent_when_the_order_has_one(void **state)
{
    (void)state;
    run_with("{\"course_key\":\"c\"}", ",\"enterprise_customer_uuid\":\"u-1\"");
    assert_non_null(strstr(fake_http_request(0)->body, "],\"linked_enterprise_customer\":\"u-1\"}"));
}

static void test_tracking_that_cannot_stand_in_a_header_is_left_out(void **state)
{
    (void)state;
    run_with("{\"course_key\":\"c\"}",
             ",\"tracking\":{\"ga_client_id\":\"a\\r\\nX-Evil: 1\",\"lms_ip\":\"1\\n2\"}");
    assert_null(fake_http_request_header(0, "X-Edx-Ga-Client-Id"));
    assert_null(fake_http_request_header(0, "X-Forwarded-For"));
    assert_null(fake_http_request_header(0, "X-Evil"));
}

static void test_send_sku_no_leaves_the_sku_out(void **state)
{
    (void)state;
    line_kit_close(&kit);
    line_kit_open(&kit, LINE_KIT_LMS "send_sku = no\n", NULL);
    line_kit_message(&kit, line_kit_seat);
    fake_http_respond("POST", POST_PATH, 200, "{}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    assert_null(strstr(fake_http_request(0)->body, "sku"));
}

/* ---- answers ---- */

static void test_a_200_is_done_unless_it_says_otherwise(void **state)
{
    static const struct {
        const char *body;
        enum line_state state;
        const char *reason;
    } rows[] = {
        {"", LINE_COMPLETE, ""},
        {"null", LINE_COMPLETE, ""},
        {"{}", LINE_COMPLETE, ""},
        {"{\"created\":\"x\"}", LINE_COMPLETE, ""},
        {ENROLLED, LINE_COMPLETE, ""},
        {"{\"mode\":\"audit\",\"is_active\":true}", LINE_FINAL, "bad_response"},
        {"{\"mode\":\"verified\",\"is_active\":false}", LINE_FINAL, "bad_response"},
        {"<html>log in</html>", LINE_FAILED, "bad_response"},
        {"[]", LINE_FAILED, "bad_response"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        kit.outcome.look_first = false;
        fake_http_respond("POST", POST_PATH, 200, rows[i].body);
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, rows[i].state);
        assert_string_equal(outcome->reason, rows[i].reason);
        assert_int_equal(outcome->look_first, rows[i].state == LINE_FAILED);
    }
}

static void test_a_catch_all_400_is_looked_into_in_the_same_attempt(void **state)
{
    (void)state;
    fake_http_respond("POST", POST_PATH, 400, E12);
    fake_http_respond("GET", GET_PATH, 200, ENROLLED);
    const struct line_outcome *outcome = line_kit_run(&kit);

    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_int_equal(fake_http_request_count(), 2);
}

static void test_a_catch_all_400_without_an_enrollment_is_doubtful(void **state)
{
    (void)state;
    fake_http_respond("POST", POST_PATH, 400, E12);
    fake_http_respond("GET", GET_PATH, 200, "");
    const struct line_outcome *outcome = line_kit_run(&kit);

    assert_int_equal(outcome->state, LINE_FAILED);
    assert_int_equal(outcome->decision, FULFILL_RETRY_FEW);
    assert_string_equal(outcome->reason, "enrollment_rejected");
    assert_int_equal(outcome->http_status, 400);
    assert_non_null(strstr(outcome->message, "An error occurred while creating"));
    assert_true(outcome->costs_attempt);
    assert_false(outcome->look_first);
}

static void test_a_look_up_that_fails_leaves_the_question_open(void **state)
{
    (void)state;
    fake_http_respond("POST", POST_PATH, 400, E12);
    fake_http_respond("GET", GET_PATH, 500, "");
    const struct line_outcome *outcome = line_kit_run(&kit);

    assert_int_equal(outcome->state, LINE_FAILED);
    assert_string_equal(outcome->reason, "server_error");
    assert_true(outcome->look_first);
}

static void test_a_missing_cohort_is_complete_when_the_learner_is_enrolled(void **state)
{
    (void)state;
    fake_http_respond("POST", POST_PATH, 400,
                      "{\"message\":\"An error occured while adding to cohort [c]\"}");
    fake_http_respond("GET", GET_PATH, 200, ENROLLED);
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);

    fake_http_respond("POST", POST_PATH, 400,
                      "{\"message\":\"An error occured while adding to cohort [c]\"}");
    fake_http_respond("GET", GET_PATH, 200, "null");
    assert_int_equal(line_kit_run(&kit)->state, LINE_FINAL);
}

static void test_after_a_lost_answer_the_next_attempt_looks_first(void **state)
{
    (void)state;
    fake_http_ignore("POST", POST_PATH);
    const struct line_outcome *outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_FAILED);
    assert_string_equal(outcome->reason, "timeout");
    assert_int_equal(outcome->status, FULFILL_STATUS_TIMEOUT);
    assert_true(outcome->look_first);

    fake_http_respond("GET", GET_PATH, 200, ENROLLED);
    outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_int_equal(fake_http_request_count(), 2);
    assert_false(outcome->look_first);
}

static void test_what_a_look_finds_different_is_written_again(void **state)
{
    static const char *const found[] = {"", "null", "{}", "{\"mode\":\"audit\",\"is_active\":true}",
                                        "{\"mode\":\"verified\",\"is_active\":false}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        kit.outcome.look_first = true;
        fake_http_respond("GET", GET_PATH, 200, found[i]);
        fake_http_respond("POST", POST_PATH, 200, ENROLLED);
        assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    }
    assert_int_equal(fake_http_request_count(), 2 * ARRAY_LEN(found));
}

/* ---- refunds ---- */

static void test_a_refund_deactivates_and_sends_no_attributes(void **state)
{
    (void)state;
    line_kit_message(&kit, line_kit_seat_refund);
    fake_http_respond("POST", POST_PATH, 200, "{\"mode\":\"verified\",\"is_active\":false}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    assert_string_equal(fake_http_request(0)->body,
                        "{\"user\":\"honor\",\"is_active\":false,\"mode\":\"verified\","
                        "\"course_details\":{\"course_id\":\"course-v1:edX+DemoX+2026\"}}");
}

static void test_a_mode_mismatch_is_a_revocation(void **state)
{
    (void)state;
    line_kit_message(&kit, line_kit_seat_refund);
    fake_http_respond("POST", POST_PATH, 400,
                      "{\"message\":\"Enrollment mode mismatch: active mode=audit, requested mode=verified. "
                      "Won't deactivate.\"}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_a_refund_of_what_is_unknown_looks_first(void **state)
{
    static const char *const gone[] = {"", "{\"mode\":\"verified\",\"is_active\":false}",
                                       "{\"mode\":\"audit\",\"is_active\":true}"};
    (void)state;
    line_kit_message(&kit, line_kit_seat_refund);
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        kit.outcome.look_first = true;
        fake_http_respond("GET", GET_PATH, 200, gone[i]);
        assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    }
    assert_int_equal(fake_http_request_count(), 3);
    kit.outcome.look_first = true;
    fake_http_respond("GET", GET_PATH, 200, ENROLLED);
    fake_http_respond("POST", POST_PATH, 200, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    assert_int_equal(fake_http_request_count(), 5);
}

static void test_a_refund_is_tried_again_whatever_the_refusal(void **state)
{
    static const int statuses[] = {302, 400, 403, 404, 406, 409, 422, 500};
    (void)state;
    line_kit_message(&kit, line_kit_seat_refund);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        fake_http_respond("POST", POST_PATH, statuses[i], "{\"message\":\"no\"}");
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, LINE_FAILED);
        assert_int_equal(outcome->decision, FULFILL_RETRY);
        assert_int_equal(outcome->http_status, statuses[i]);
    }
}

/* ---- lines that cannot be asked for ---- */

static void test_a_line_that_lacks_something_fails_without_a_request(void **state)
{
    static const struct {
        const char *message, *reason;
    } rows[] = {
        {"\"lines\":[{\"id\":1,\"product_class\":\"Seat\",\"attributes\":{\"course_key\":\"c\"}}]",
         "no_user"},
        {"\"user\":{\"username\":\"u\"},\"lines\":[{\"id\":1,\"product_class\":\"Seat\"}]",
         "missing_attribute"},
        {"\"user\":{\"username\":\"u\"},\"lines\":[{\"id\":1,\"product_class\":\"Seat\",\"quantity\":0,"
         "\"attributes\":{\"course_key\":\"c\"}}]",
         "missing_attribute"},
        {"\"user\":{\"username\":\"u\"},\"lines\":[{\"id\":1,\"product_class\":\"Boat\"}]", "no_module"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char message[512];
        snprintf(message, sizeof(message),
                 "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"E\",%s}",
                 rows[i].message);
        line_kit_message(&kit, message);
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, LINE_FINAL);
        assert_string_equal(outcome->reason, rows[i].reason);
        assert_int_equal(outcome->status, FULFILL_STATUS_CONFIGURATION);
        assert_true(outcome->ran);
    }
    assert_int_equal(fake_http_request_count(), 0);
}

static void test_no_credentials_fail_without_a_request(void **state)
{
    (void)state;
    line_kit_close(&kit);
    line_kit_open(&kit, "[lms]\nbase_url = http://lms.example.org\n", NULL);
    line_kit_message(&kit, line_kit_seat);
    const struct line_outcome *outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_FINAL);
    assert_string_equal(outcome->reason, "credentials");
    assert_int_equal(outcome->status, FULFILL_STATUS_CONFIGURATION);
    assert_int_equal(fake_http_request_count(), 0);
}

static void test_credentials_never_show_in_a_message(void **state)
{
    (void)state;
    fake_http_respond("POST", POST_PATH, 400, "{\"message\":\"bad key key-secret-1!\"}");
    assert_string_equal(line_kit_run(&kit)->message, "bad key ************!");
}

static void test_what_is_left_of_a_credential_that_was_cut_does_not_show_either(void **state)
{
    char body[600];

    (void)state;
    snprintf(body, sizeof(body), "{\"message\":\"%0493dkey-secret-1\"}", 7);
    fake_http_respond("POST", POST_PATH, 400, body);
    const char *message = line_kit_run(&kit)->message;
    assert_int_equal(strlen(message), 500);
    assert_string_equal(message + 492, "7*******");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_seat_is_posted_as_the_api_wants_it),
        TEST(test_the_mode_follows_from_the_attributes),
        TEST(test_no_provider_is_sent_for_a_seat_that_is_no_credit),
        TEST(test_an_enterprise_customer_is_sent_when_the_order_has_one),
        TEST(test_tracking_that_cannot_stand_in_a_header_is_left_out),
        TEST(test_send_sku_no_leaves_the_sku_out),
        TEST(test_a_200_is_done_unless_it_says_otherwise),
        TEST(test_a_catch_all_400_is_looked_into_in_the_same_attempt),
        TEST(test_a_catch_all_400_without_an_enrollment_is_doubtful),
        TEST(test_a_look_up_that_fails_leaves_the_question_open),
        TEST(test_a_missing_cohort_is_complete_when_the_learner_is_enrolled),
        TEST(test_after_a_lost_answer_the_next_attempt_looks_first),
        TEST(test_what_a_look_finds_different_is_written_again),
        TEST(test_a_refund_deactivates_and_sends_no_attributes),
        TEST(test_a_mode_mismatch_is_a_revocation),
        TEST(test_a_refund_of_what_is_unknown_looks_first),
        TEST(test_a_refund_is_tried_again_whatever_the_refusal),
        TEST(test_a_line_that_lacks_something_fails_without_a_request),
        TEST(test_no_credentials_fail_without_a_request),
        TEST(test_credentials_never_show_in_a_message),
        TEST(test_what_is_left_of_a_credential_that_was_cut_does_not_show_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
