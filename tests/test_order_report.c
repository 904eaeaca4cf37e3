/* The report of an order: rows of stored fields in, document and text out. */
#include "tests/support/unit.h"
#include "worker/order_report.h"

#include "common/jsonx.h"

#include <stdio.h>

#define NOW_MS INT64_C(1767323049000) /* 2026-01-02T03:04:09Z */

#define WAITING                                                                                              \
    "{'item:aa': 'fulfill', 'line:11': 'C[{\"id\":11,\"state\":\"complete\",\"module\":\"entitlement\","     \
    "\"result\":{\"uuid\":\"u\"}}]', 'line:12': '', 'lease_until': '0'}"
#define WAITING_ITEM                                                                                         \
    "{'aa': {'state': 'wait', 'gen': '2', 'att': '3', 'waits': '1', 'due': '1767323061000', 'first': "       \
    "'1767323000000',"                                                                                       \
    " 'mid': 'm1', 'lines': '[{\"id\":11,\"state\":\"failed\",\"reason\":\"timeout\"},"                      \
    "{\"id\":12,\"state\":\"failed\",\"status\":\"server\",\"reason\":\"server_error\",\"message\":\"Oops!"  \
    "\","                                                                                                    \
    "\"http_status\":500,\"module\":\"enrollment\"}]'}}"

/* Rows are written with ' for outer strings: it becomes " and inner " become \". */
static json_t *fields(const char *text)
{
    char out[2048];
    size_t length = 0;
    json_t *json;

    for (; *text; text++) {
        if (*text == '"')
            out[length++] = '\\';
        out[length++] = *text == '\'' ? '"' : *text;
        assert_true(length + 2 < sizeof(out));
    }
    json = json_loadb(out, length, 0, NULL);
    assert_non_null(json);
    return json;
}

static json_t *report(const char *order, const char *items)
{
    AUTO_JSON json_t *order_fields = fields(order);
    AUTO_JSON json_t *item_fields = fields(items);
    json_t *document = order_report("EDX-1", order_fields, item_fields, NOW_MS);

    assert_non_null(document);
    return document;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void test_a_waiting_order_says_until_when_and_why(void **state)
{
    AUTO_JSON json_t *document = report(WAITING, WAITING_ITEM);
    const json_t *lines = json_object_get(document, "lines");

    (void)state;
    assert_string_equal(text_of(document, "status"), "Fulfillment Error");
    assert_string_equal(text_of(document, "state"), "waiting");
    assert_int_equal(json_integer_value(json_object_get(document, "generation")), 2);
    assert_int_equal(json_integer_value(json_object_get(document, "attempts")), 3);
    assert_string_equal(text_of(document, "next_attempt_at"), "2026-01-02T03:04:21Z");
    assert_string_equal(text_of(json_object_get(document, "last_reason"), "code"), "server_error");
    assert_int_equal(json_array_size(lines), 2);
    assert_string_equal(text_of(json_array_get(lines, 0), "status"), "Complete");
    assert_string_equal(text_of(json_object_get(json_array_get(lines, 0), "result"), "uuid"), "u");
    assert_string_equal(text_of(json_array_get(lines, 1), "status"), "Fulfillment Server Error");
}

static void test_the_text_tells_the_same(void **state)
{
    AUTO_JSON json_t *document = report(WAITING, WAITING_ITEM);
    AUTO_FREE char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    assert_non_null(out);
    order_report_print(document, NOW_MS, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "Order EDX-1: Fulfillment Error (waiting)"));
    assert_non_null(strstr(text, "next attempt 2026-01-02T03:04:21Z (in 12 s)"));
    assert_non_null(
        strstr(text, "line 12  Fulfillment Server Error  [enrollment]  server_error (HTTP 500): Oops!"));
    assert_non_null(strstr(text, "{\"uuid\":\"u\"}"));
    assert_non_null(strstr(text, "1 waits that cost none"));
}

static const struct {
    const char *order, *items, *status, *state;
} rows[] = {
    {"{'line:1': ''}", "{}", "Open", "unknown"},
    {"{'line:1': 'C[]', 'item:a': 'fulfill'}", "{'a': {'state': 'done'}}", "Complete", "done"},
    {"{'line:1': 'R[]', 'line:2': '', 'item:a': 'fulfill'}", "{'a': {'state': 'dead'}}", "Open", "dead"},
    {"{'line:1': '', 'item:a': 'fulfill', 'lease_item': 'a', 'lease_until': '1767323050000'}",
     "{'a': {'state': 'run'}}", "Open", "running"},
    {"{'line:1': '', 'item:a': 'fulfill', 'lease_item': 'a', 'lease_until': '1'}", "{'a': {'state': 'run'}}",
     "Open", "interrupted"},
    {"{'item:a': 'refund R1', 'rline:R1:1': 'C[]'}", "{'a': {'state': 'done'}}", "Complete", "done"},
    {"{'item:a': 'refund R1', 'rline:R1:1': ''}",
     "{'a': {'state': 'dead', 'lines': '[{\"id\":1,\"state\":\"final\",\"reason\":\"timeout\"}]'}}",
     "Revocation Error", "dead"},
    {"{'item:a': 'fulfill', 'item:b': 'fulfill', 'line:1': ''}",
     "{'a': {'state': 'wait'}, 'b': {'state': 'dead'}}", "Open", "dead"},
    {"{'item:a': 'fulfill', 'line:x': '', 'fence': '?'}", "{'a': {'state': 'nonsense', 'lines': 'no json'}}",
     "Open", "unknown"},
    {"{'item:a': 'fulfill'}", "{}", "Open", "unknown"},
};

static void test_states_and_statuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_JSON json_t *document = report(rows[i].order, rows[i].items);

        assert_string_equal(text_of(document, "status"), rows[i].status);
        assert_string_equal(text_of(document, "state"), rows[i].state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_waiting_order_says_until_when_and_why),
        cmocka_unit_test(test_the_text_tells_the_same),
        cmocka_unit_test(test_states_and_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
