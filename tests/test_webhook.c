/* Webhooks: what is sent, how it is signed, and what the statuses of the section change. */
#include "common/digest.h"
#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "support/line_kit.h"
#include "support/unit.h"
#include "worker/modules/options.h"

#include <stdio.h>

#define VENDOR "[upstream vendor]\nbase_url = https://vendor.example.com/api/\n"
#define HOOK                                                                                                 \
    "[modules]\nLicence = licence\n[module licence]\ntype = webhook\nupstream = vendor\npath = /licences\n"

static struct line_kit kit;

static const char licence[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"E-1\","
    "\"date_placed\":\"2026-01-02T03:04:05Z\",\"user\":{\"username\":\"honor\",\"email\":\"h@example.com\"},"
    "\"lines\":[{\"id\":7,\"product_class\":\"Licence\",\"sku\":\"L-1\",\"attributes\":{\"seats\":3}}]}";

static void open_kit(const char *more)
{
    char text[2048];

    snprintf(text, sizeof(text), "%s%s%s%s", LINE_KIT_LMS, VENDOR, HOOK, more);
    line_kit_open(&kit, text, NULL);
    line_kit_message(&kit, licence);
}

static int close_kit(void **state)
{
    (void)state;
    line_kit_close(&kit);
    return 0;
}

static void test_the_line_is_posted_as_json_with_a_key_that_stays(void **state)
{
    char key[64];

    (void)state;
    open_kit("header.X-Shop = edx\nheader_file.X-Token = %DIR%/api_key\n");
    fake_http_respond("POST", "/api/licences", 503, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_FAILED);
    fake_http_respond("POST", "/api/licences", 201, "{\"result\":{\"licence\":\"K-1\"}}");
    kit.run.attempt = 2;
    const struct line_outcome *outcome = line_kit_run(&kit);

    assert_int_equal(outcome->state, LINE_COMPLETE);
    assert_string_equal(outcome->module, "licence");
    assert_string_equal(outcome->result_json, "{\"licence\":\"K-1\"}");
    snprintf(key, sizeof(key), "%s", fake_http_request_header(0, "Idempotency-Key"));
    assert_int_equal(strlen(key), 36);
    assert_string_equal(fake_http_request_header(1, "Idempotency-Key"), key);
    assert_string_equal(fake_http_request_header(0, "X-Shop"), "edx");
    assert_string_equal(fake_http_request_header(0, "X-Token"), "key-secret-1");
    assert_null(fake_http_request_header(0, "X-Edx-Api-Key")); /* that is the LMS's */
    assert_null(fake_http_request_header(0, "X-Fulfillment-Signature"));

    json_t *body = json_loads(fake_http_request(0)->body, 0, NULL);
    assert_non_null(body);
    assert_string_equal(json_string_value(json_object_get(body, "action")), "fulfill");
    assert_string_equal(json_string_value(json_object_get(body, "order_number")), "E-1");
    assert_string_equal(json_string_value(json_object_get(body, "idempotency_key")), key);
    assert_string_equal(json_string_value(json_object_get(json_object_get(body, "user"), "username")),
                        "honor");
    const json_t *line = json_object_get(body, "line");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "attributes"), "seats")), 3);
    json_decref(body);
}

static void test_the_key_differs_by_line_refund_and_generation(void **state)
{
    (void)state;
    open_kit("");
    for (int i = 0; i < 3; i++)
        fake_http_respond("POST", "/api/licences", 200, "");
    line_kit_run(&kit);
    kit.outcome.key_generation = 2;
    line_kit_run(&kit);
    char refund[512];
    snprintf(refund, sizeof(refund),
             "{\"schema\":\"fulfillment.order/"
             "1\",\"action\":\"refund\",\"refund_number\":\"R-1\",\"total\":\"1.00\","
             "\"order_number\":\"E-1\",\"lines\":[{\"id\":7,\"product_class\":\"Licence\",\"result\":{"
             "\"licence\":\"K\"}}]}");
    line_kit_message(&kit, refund);
    line_kit_run(&kit);
    for (size_t i = 0; i < 3; i++)
        assert_string_not_equal(fake_http_request_header(i, "Idempotency-Key"),
                                fake_http_request_header((i + 1) % 3, "Idempotency-Key"));
    assert_non_null(strstr(fake_http_request(2)->body, "\"action\":\"refund\""));
    assert_non_null(strstr(fake_http_request(2)->body, "\"result\":{\"licence\":\"K\"}"));
}

static void test_the_body_is_signed(void **state)
{
    char stamp[32], expected[DIGEST_HEX_BYTES], text[4096];

    (void)state;
    open_kit("secret_file = %DIR%/webhook_secret\n");
    fake_http_respond("POST", "/api/licences", 200, "");
    line_kit_run(&kit);
    const char *signature = fake_http_request_header(0, "X-Fulfillment-Signature");
    assert_non_null(signature);
    assert_int_equal(sscanf(signature, "t=%31[0-9]", stamp), 1);
    int length = snprintf(text, sizeof(text), "%s.%s", stamp, fake_http_request(0)->body);
    assert_int_equal(digest_hmac_sha256("hook-secret-1", 13, text, (size_t)length, expected), OK);
    assert_string_equal(strstr(signature, ",v1=") + 4, expected);
}

static void test_hmac_agrees_with_the_rfc(void **state)
{
    char hex[DIGEST_HEX_BYTES];

    (void)state; /* RFC 4231, test case 2 */
    assert_int_equal(digest_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, hex), OK);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void test_the_sections_lists_come_first(void **state)
{
    static const struct {
        int status;
        enum line_state state;
        const char *reason;
    } rows[] = {
        {200, LINE_COMPLETE, ""},           {204, LINE_FAILED, "server_error"},
        {208, LINE_FAILED, "server_error"}, {209, LINE_FINAL, "bad_request"},
        {302, LINE_FINAL, "redirect"},      {404, LINE_FINAL, "bad_request"},
        {409, LINE_COMPLETE, ""},           {410, LINE_FINAL, "bad_request"},
        {422, LINE_FAILED, "server_error"}, {503, LINE_FAILED, "server_error"},
    };
    (void)state;
    open_kit("done_statuses = 200, 409\nretry_statuses = 204-208,422\nfinal_statuses = 410\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake_http_respond("POST", "/api/licences", rows[i].status, "");
        const struct line_outcome *outcome = line_kit_run(&kit);
        assert_int_equal(outcome->state, rows[i].state);
        assert_string_equal(outcome->reason, rows[i].reason);
    }
}

static void test_method_and_path_of_refunds_may_differ(void **state)
{
    (void)state;
    open_kit("method = PUT\nrefund_method = DELETE\nrefund_path = /licences/gone\n");
    fake_http_respond("PUT", "/api/licences", 200, "");
    line_kit_run(&kit);
    line_kit_message(
        &kit,
        "{\"schema\":\"fulfillment.order/1\",\"action\":\"refund\",\"refund_number\":\"R-1\","
        "\"total\":\"1.00\",\"order_number\":\"E-1\",\"lines\":[{\"id\":7,\"product_class\":\"Licence\"}]}");
    fake_http_respond("DELETE", "/api/licences/gone", 200, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_a_202_is_asked_again_until_it_has_finished(void **state)
{
    (void)state;
    open_kit("poll = yes\n");
    fake_http_respond("POST", "/api/licences", 202, "{\"poll_url\":\"/jobs/1\"}");
    fake_http_respond("GET", "/api/jobs/1", 202, "{}");
    fake_http_respond("GET", "/api/jobs/1", 200, "{\"result\":{\"licence\":\"K-2\"}}");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
    assert_string_equal(kit.outcome.result_json, "{\"licence\":\"K-2\"}");
}

static void test_a_202_that_never_finishes_is_tried_again(void **state)
{
    (void)state;
    open_kit("poll = yes\n");
    fake_http_respond("POST", "/api/licences", 202, "{\"poll_url\":\"/jobs/1\"}");
    for (int i = 0; i < 7; i++)
        fake_http_respond("GET", "/api/jobs/1", 202, "");
    const struct line_outcome *outcome = line_kit_run(&kit);
    assert_int_equal(outcome->state, LINE_FAILED);
    assert_string_equal(outcome->reason, "timeout");
    assert_true(outcome->look_first);
}

static void test_a_202_that_says_not_where_to_ask_is_a_bad_response(void **state)
{
    static const char *const bodies[] = {"", "{}", "{\"poll_url\":\"http://169.254.169.254/\"}",
                                         "{\"poll_url\":7}"};
    (void)state;
    open_kit("poll = yes\n");
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        fake_http_respond("POST", "/api/licences", 202, bodies[i]);
        assert_string_equal(line_kit_run(&kit)->reason, "bad_response");
    }
}

static void test_what_an_accepted_job_answers_at_last(void **state)
{
    static const struct {
        int status;
        enum line_state state;
        bool look_first;
    } rows[] = {
        {500, LINE_FAILED, true}, {404, LINE_FINAL, true}, {302, LINE_FINAL, true}, {422, LINE_FINAL, false}};
    (void)state;
    open_kit("poll = yes\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake_http_respond("POST", "/api/licences", 202, "{\"poll_url\":\"/jobs/1\"}");
        fake_http_respond("GET", "/api/jobs/1", rows[i].status, "");
        assert_int_equal(line_kit_run(&kit)->state, rows[i].state);
        assert_int_equal(kit.outcome.look_first, rows[i].look_first);
    }
}

static void test_a_job_that_is_given_up_while_it_is_asked_for_stays_in_doubt(void **state)
{
    (void)state;
    open_kit("poll = yes\n");
    fake_http_respond("POST", "/api/licences", 202, "{\"poll_url\":\"/jobs/1\"}");
    line_kit_start(&kit);
    line_run_cancel(&kit.run);
    fake_loop_settle(kit.loop);
    assert_int_equal(kit.outcome.state, LINE_OPEN);
    assert_true(kit.outcome.look_first);
}

static void test_a_5xx_leaves_in_doubt_what_a_4xx_does_not(void **state)
{
    (void)state;
    open_kit("final_statuses = 501\n");
    for (int status = 500; status < 505; status++) {
        kit.outcome.look_first = false;
        fake_http_respond("POST", "/api/licences", status, "");
        assert_int_equal(line_kit_run(&kit)->look_first, status != 501);
    }
    fake_http_respond("POST", "/api/licences", 422, "");
    assert_false(line_kit_run(&kit)->look_first);
}

static void test_a_place_to_ask_may_be_a_url_below_the_base_url(void **state)
{
    (void)state;
    open_kit("poll = yes\n");
    fake_http_respond("POST", "/api/licences", 202,
                      "{\"poll_url\":\"https://vendor.example.com/api/jobs/2\"}");
    fake_http_respond("GET", "/api/jobs/2", 200, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

static void test_keys_of_its_section_are_checked(void **state)
{
    static const struct {
        const char *key, *value;
        bool good;
    } rows[] = {
        {"path", "/x", true},
        {"path", "x", false},
        {"method", "PUT", true},
        {"method", "P UT", false},
        {"poll", "yes", true},
        {"poll", "maybe", false},
        {"done_statuses", "200", true},
        {"done_statuses", "2xx", false},
        {"done_statuses", "", false},
        {"done_statuses", "200-299 , 409", true},
        {"retry_statuses", "299-200", false},
        {"final_statuses", "99", false},
        {"final_statuses", "600", false},
        {"final_statuses", "404 410", false},
        {"header.X-Shop", "a b", true},
        {"header.", "a", false},
        {"header.X Shop", "a", false},
        {"header_file.X-Shop", "/f", true},
        {"header_file.X(", "/f", false},
        {"secret_file", "", false},
        {"pth", "/x", false},
        {"send_sku", "no", false},
    };
    (void)state;
    open_kit("");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((options_check_webhook(rows[i].key, rows[i].value) == NULL) != rows[i].good)
            fail_msg("%s = %s", rows[i].key, rows[i].value);
    assert_non_null(options_check_none("path", "/x"));
}

static void test_one_upstreams_breaker_does_not_hold_up_another(void **state)
{
    (void)state;
    open_kit("");
    fake_http_respond("POST", "/api/licences", 401, "");
    line_kit_run(&kit);
    assert_int_equal(kit.outcome.state, LINE_OPEN);
    line_kit_message(&kit, line_kit_seat);
    fake_http_respond("POST", "/api/enrollment/v1/enrollment", 200, "");
    assert_int_equal(line_kit_run(&kit)->state, LINE_COMPLETE);
}

#define TEST(name) cmocka_unit_test_teardown(name, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_line_is_posted_as_json_with_a_key_that_stays),
        TEST(test_the_key_differs_by_line_refund_and_generation),
        TEST(test_the_body_is_signed),
        cmocka_unit_test(test_hmac_agrees_with_the_rfc),
        TEST(test_the_sections_lists_come_first),
        TEST(test_method_and_path_of_refunds_may_differ),
        TEST(test_a_202_is_asked_again_until_it_has_finished),
        TEST(test_a_202_that_never_finishes_is_tried_again),
        TEST(test_a_202_that_says_not_where_to_ask_is_a_bad_response),
        TEST(test_what_an_accepted_job_answers_at_last),
        TEST(test_a_job_that_is_given_up_while_it_is_asked_for_stays_in_doubt),
        TEST(test_a_5xx_leaves_in_doubt_what_a_4xx_does_not),
        TEST(test_a_place_to_ask_may_be_a_url_below_the_base_url),
        TEST(test_keys_of_its_section_are_checked),
        TEST(test_one_upstreams_breaker_does_not_hold_up_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
