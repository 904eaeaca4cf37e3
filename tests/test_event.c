/*
 * worker/event.c: the status event, byte by byte and as JSON.
 * With a folder as its argument it also writes a sample of each kind there (checked against the schema).
 */
#include "worker/event.h"

#include "common/text.h"

#include "support/unit.h"

#include <stdio.h>

static struct order_line order_lines[] = {{.id = 11, .sku = "8CF08E5"}, {.id = 12}};
static struct order order = {.number = "EDX-100001", .lines = order_lines, .line_count = 2};

static struct line_outcome server_error(int64_t id)
{
    return (struct line_outcome){.id = id,
                                 .state = LINE_FAILED,
                                 .status = FULFILL_STATUS_SERVER,
                                 .reason = "server_error",
                                 .message = "Oops!",
                                 .http_status = 500,
                                 .module = "enrollment"};
}

static struct line_outcome lines[2];

static struct event_facts retrying(void)
{
    lines[0] = server_error(11);
    lines[1] = (struct line_outcome){
        .id = 12, .state = LINE_COMPLETE, .module = "entitlement", .result_json = "{\"uuid\":\"u-1\"}"};
    return (struct event_facts){
        .outcome = EVENT_RETRYING,
        .order_number = "EDX-100001",
        .item_id = "5f0c0a0b0c0d0e0f",
        .sequence = INT64_C(1767323049123000),
        .generation = 1,
        .attempt = 2,
        .time_us = INT64_C(1767323049123999),
        .next_attempt_ms = INT64_C(1767323059999),
        .order = &order,
        .lines = lines,
    };
}

static json_t *build(const struct event_facts *facts, struct event *ret_event)
{
    json_t *json;

    assert_int_equal(event_build(facts, ret_event), OK);
    assert_int_equal(strlen(ret_event->json), ret_event->length);
    json = json_loads(ret_event->json, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        print_error("no JSON: %s\n", ret_event->json);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "id")), ret_event->id);
    assert_true(strlen(ret_event->id) <= 255);
    return json;
}

static json_t *field(const json_t *json, const char *key)
{
    return json_object_get(json_object_get(json, "data"), key);
}

static void test_a_retrying_event_is_written_as_the_contract_shows_it(void **state)
{
    struct event_facts facts = retrying();
    struct event event;
    json_t *json = build(&facts, &event);

    (void)state;
    assert_string_equal(event.routing_key, "order.fulfill.retrying");
    assert_string_equal(event.id, "EDX-100001/fulfill/5f0c0a0b0c0d0e0f/1/2/retrying/1767323049123000");
    assert_string_equal(
        event.json,
        "{\"specversion\":\"1.0\",\"id\":\"EDX-100001/fulfill/5f0c0a0b0c0d0e0f/1/2/retrying/"
        "1767323049123000\","
        "\"source\":\"fulfilld/fulfillment\",\"type\":\"fulfillment.order.status_changed.v1\","
        "\"subject\":\"EDX-100001\",\"time\":\"2026-01-02T03:04:09.123Z\",\"datacontenttype\":\"application/"
        "json\","
        "\"data\":{\"order_number\":\"EDX-100001\",\"action\":\"fulfill\",\"refund_number\":null,"
        "\"sequence\":1767323049123000,\"generation\":1,\"attempt\":2,\"status\":\"Fulfillment "
        "Error\",\"final\":false,"
        "\"next_attempt_at\":\"2026-01-02T03:04:19Z\",\"lines\":["
        "{\"id\":11,\"sku\":\"8CF08E5\",\"status\":\"Fulfillment Server Error\",\"module\":\"enrollment\","
        "\"reason\":{\"code\":\"server_error\",\"message\":\"Oops!\",\"http_status\":500},\"result\":null},"
        "{\"id\":12,\"sku\":null,\"status\":\"Complete\",\"module\":\"entitlement\",\"reason\":null,"
        "\"result\":{\"uuid\":\"u-1\"}}]}}");
    json_decref(json);
    event_fini(&event);
    event_fini(&event);
}

static void test_a_finished_line_has_no_reason_whatever_went_before(void **state)
{
    struct event_facts facts = retrying();
    struct event event;
    json_t *json;

    (void)state;
    lines[0].state = LINE_COMPLETE;
    json = build(&facts, &event);
    assert_true(json_is_null(json_object_get(json_array_get(field(json, "lines"), 0), "reason")));
    json_decref(json);
    event_fini(&event);
}

static void test_the_id_is_printable_whatever_tells_it_apart(void **state)
{
    static const char *const wild[] = {"a b", "a/b", "a\r\nb", "\xff", "caf\xc3\xa9", "\x7f"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
        struct event_facts facts = retrying();
        struct event event;
        json_t *json;

        facts.distinguish = wild[i];
        json = build(&facts, &event);
        assert_int_equal(strlen(strstr(event.id, "/retrying/~")), strlen("/retrying/~") + 16);
        json_decref(json);
        event_fini(&event);
    }
}

static void test_only_complete_and_dead_are_final(void **state)
{
    static const bool final[] = {[EVENT_COMPLETE] = true, [EVENT_DEAD] = true, [EVENT_INVALID] = false};

    (void)state;
    for (int outcome = EVENT_COMPLETE; outcome <= EVENT_INVALID; outcome++) {
        struct event_facts facts = retrying();
        struct event event;
        json_t *json;

        facts.outcome = (enum event_outcome)outcome;
        json = build(&facts, &event);
        assert_int_equal(json_is_true(field(json, "final")), final[outcome]);
        json_decref(json);
        event_fini(&event);
    }
}

static void test_the_status_is_that_of_the_order_or_of_the_refund(void **state)
{
    static const struct {
        enum order_action action;
        bool complete;
        const char *status, *line;
    } rows[] = {{ORDER_FULFILL, true, "Complete", "Fulfillment Server Error"},
                {ORDER_FULFILL, false, "Fulfillment Error", "Fulfillment Server Error"},
                {ORDER_REFUND, true, "Complete", "Revocation Error"},
                {ORDER_REFUND, false, "Revocation Error", "Revocation Error"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event_facts facts = retrying();
        struct event event;
        json_t *json;

        facts.action = rows[i].action;
        facts.order_complete = rows[i].complete;
        json = build(&facts, &event);
        assert_string_equal(json_string_value(field(json, "status")), rows[i].status);
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(field(json, "lines"), 0), "status")),
            rows[i].line);
        json_decref(json);
        event_fini(&event);
    }
}

static void test_a_refund_names_its_number_and_its_key(void **state)
{
    struct event_facts facts = retrying();
    struct event event;
    json_t *json;

    (void)state;
    facts.action = ORDER_REFUND;
    facts.refund_number = "R-7";
    facts.outcome = EVENT_COMPLETE;
    json = build(&facts, &event);
    assert_string_equal(event.routing_key, "order.refund.complete");
    assert_string_equal(json_string_value(field(json, "refund_number")), "R-7");
    assert_string_equal(json_string_value(field(json, "action")), "refund");
    json_decref(json);
    event_fini(&event);
}

static void test_a_requeued_event_tells_what_is_known_so_far(void **state)
{
    struct event_facts facts = retrying();
    struct event event;
    json_t *json, *written;

    (void)state;
    facts.outcome = EVENT_REQUEUED;
    facts.next_attempt_ms = 0;
    lines[0].state = LINE_OPEN;
    lines[1] = (struct line_outcome){.id = 12};
    json = build(&facts, &event);
    written = field(json, "lines");
    assert_string_equal(json_string_value(json_object_get(json_array_get(written, 0), "status")),
                        "Fulfillment Server Error");
    assert_true(json_is_object(json_object_get(json_array_get(written, 0), "reason")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(written, 1), "status")), "Open");
    assert_true(json_is_null(json_object_get(json_array_get(written, 1), "module")));
    assert_true(json_is_null(field(json, "next_attempt_at")));
    json_decref(json);
    event_fini(&event);
}

static struct event_facts invalid(void)
{
    return (struct event_facts){.outcome = EVENT_INVALID,
                                .order_number = "EDX-100001",
                                .item_id = "",
                                .distinguish = "m-1",
                                .sequence = 5,
                                .no_status = true,
                                .time_us = INT64_C(1767323049123000),
                                .detail = "lines[0].attributes.course_key: expected a string"};
}

static void test_an_invalid_message_has_no_status_and_no_lines(void **state)
{
    struct event_facts facts = invalid();
    struct event event;
    json_t *json = build(&facts, &event);

    (void)state;
    assert_string_equal(event.routing_key, "order.fulfill.invalid");
    assert_true(json_is_null(field(json, "status")));
    assert_int_equal(json_array_size(field(json, "lines")), 0);
    assert_string_equal(json_string_value(json_object_get(field(json, "reason"), "code")), "invalid_message");
    assert_string_equal(json_string_value(json_object_get(field(json, "reason"), "message")), facts.detail);
    json_decref(json);
    event_fini(&event);
}

static void test_traceparent_is_an_extension_attribute(void **state)
{
    struct event_facts facts = retrying();
    struct event event;
    json_t *json;

    (void)state;
    facts.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    json = build(&facts, &event);
    assert_string_equal(json_string_value(json_object_get(json, "traceparent")), facts.traceparent);
    json_decref(json);
    event_fini(&event);
}

static void id_of(const struct event_facts *facts, char *ret_id)
{
    struct event event;
    json_t *json = build(facts, &event);

    memcpy(ret_id, event.id, EVENT_ID_BYTES);
    json_decref(json);
    event_fini(&event);
}

static void test_the_id_differs_with_item_generation_attempt_outcome_sequence_and_distinction(void **state)
{
    struct event_facts all[13];
    char ids[ARRAY_LEN(all)][EVENT_ID_BYTES], again[EVENT_ID_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        all[i] = retrying();
    all[1].order_number = "EDX-100002";
    all[2].action = ORDER_REFUND;
    all[3].item_id = "5f0c0a0b0c0d0e10";
    all[4].generation = 2;
    all[5].attempt = 3;
    all[6].outcome = EVENT_DEAD;
    all[7].distinguish = "1";
    all[8].distinguish = "2";
    all[9].distinguish = "a/b";
    all[10].distinguish = "caf\xc3\xa9 \xff";
    all[11].distinguish = "a message id of more than forty-eight bytes is told by its digest";
    all[12].sequence++;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        id_of(&all[i], ids[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[i], ids[k]);
    }
    all[0].time_us += 5000000;
    lines[0] = (struct line_outcome){.id = 11, .state = LINE_COMPLETE};
    id_of(&all[0], again);
    assert_string_equal(again, ids[0]);
    all[7].sequence++; /* of an invalid message it is not kept */
    id_of(&all[7], again);
    assert_string_equal(again, ids[7]);
}

static void test_the_id_of_a_long_number_fits_a_short_string_and_still_differs(void **state)
{
    struct event_facts facts = retrying();
    char number[ORDER_MAX_NUMBER + 1], first[EVENT_ID_BYTES], second[EVENT_ID_BYTES];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(number); i += 2)
        memcpy(number + i, "\xc3\xa9", 3);
    facts.order_number = number;
    facts.generation = facts.attempt = INT64_MAX;
    facts.distinguish = "forty-eight-bytes-of-plain-text-that-tell-it-all";
    id_of(&facts, first);
    assert_true(text_utf8_valid(first, strlen(first)));
    assert_non_null(strstr(first, "/retrying/forty-eight-bytes-of-plain-text-that-tell-it-all"));
    number[sizeof(number) - 2] = (char)0xa8;
    id_of(&facts, second);
    assert_string_not_equal(first, second);
}

static void test_hostile_texts_leave_valid_json(void **state)
{
    struct event_facts facts = retrying();
    struct event event;
    json_t *json, *line;

    (void)state;
    order_lines[1].sku = "\"}],\\\xff\n";
    facts.order_number = "A\"\\\xf0\x9f\x92\xa9";
    strcpy(lines[0].message, "\xff\x01\"<\xed\xa0\x80");
    lines[0].http_status = 0;
    json = build(&facts, &event);
    line = json_array_get(field(json, "lines"), 1);
    assert_string_equal(json_string_value(json_object_get(line, "sku")), "\"}],\\\xef\xbf\xbd\n");
    assert_string_equal(json_string_value(json_object_get(json, "subject")), facts.order_number);
    line = json_object_get(json_array_get(field(json, "lines"), 0), "reason");
    assert_true(json_is_null(json_object_get(line, "http_status")));
    order_lines[1].sku = NULL;
    json_decref(json);
    event_fini(&event);
}

static void test_outcomes_have_the_words_of_the_contract(void **state)
{
    static const char *const names[] = {"complete", "retrying", "dead", "requeued", "ignored", "invalid"};

    (void)state;
    for (int i = 0; i < (int)ARRAY_LEN(names); i++)
        assert_string_equal(event_outcome_name((enum event_outcome)i), names[i]);
}

/* One file for each outcome, for the schema check. */
static int write_samples(const char *folder)
{
    for (int outcome = EVENT_COMPLETE; outcome <= EVENT_INVALID; outcome++) {
        struct event_facts facts = outcome == EVENT_INVALID ? invalid() : retrying();
        struct event event;
        char path[4096];
        FILE *file;

        facts.outcome = (enum event_outcome)outcome;
        facts.action = outcome == EVENT_DEAD ? ORDER_REFUND : ORDER_FULFILL;
        facts.refund_number = outcome == EVENT_DEAD ? "R-1" : NULL;
        if (outcome == EVENT_REQUEUED)
            lines[0] = (struct line_outcome){.id = 11};
        if (event_build(&facts, &event) != OK)
            return 1;
        snprintf(path, sizeof(path), "%s/%s.json", folder, event_outcome_name(facts.outcome));
        file = fopen(path, "w");
        if (!file || fputs(event.json, file) < 0 || fclose(file) != 0) {
            perror(path);
            return 1;
        }
        event_fini(&event);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_retrying_event_is_written_as_the_contract_shows_it),
        cmocka_unit_test(test_a_finished_line_has_no_reason_whatever_went_before),
        cmocka_unit_test(test_the_id_is_printable_whatever_tells_it_apart),
        cmocka_unit_test(test_only_complete_and_dead_are_final),
        cmocka_unit_test(test_the_status_is_that_of_the_order_or_of_the_refund),
        cmocka_unit_test(test_a_refund_names_its_number_and_its_key),
        cmocka_unit_test(test_a_requeued_event_tells_what_is_known_so_far),
        cmocka_unit_test(test_an_invalid_message_has_no_status_and_no_lines),
        cmocka_unit_test(test_traceparent_is_an_extension_attribute),
        cmocka_unit_test(test_the_id_differs_with_item_generation_attempt_outcome_sequence_and_distinction),
        cmocka_unit_test(test_the_id_of_a_long_number_fits_a_short_string_and_still_differs),
        cmocka_unit_test(test_hostile_texts_leave_valid_json),
        cmocka_unit_test(test_outcomes_have_the_words_of_the_contract),
    };

    if (argc > 1)
        return write_samples(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
