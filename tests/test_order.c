/* worker/order*.c: what a message may be, and what is said of one that is not valid. */
#include "worker/order.h"

#include "common/text.h"

#include "support/unit.h"

#include <stdio.h>

#define LINE                   "{\"id\":11,\"product_class\":\"Seat\"}"
#define HEAD                   "\"schema\":\"fulfillment.order/1\",\"order_number\":\"EDX-1\""
#define FULFILL(fields, lines) "{" HEAD ",\"action\":\"fulfill\"" fields ",\"lines\":[" lines "]}"
#define REFUND(fields)         "{" HEAD ",\"action\":\"refund\"" fields ",\"lines\":[" LINE "]}"
#define SEAT(fields)           FULFILL("", "{\"id\":11,\"product_class\":\"Seat\"" fields "}")

static const char full_message[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-100001\","
    "\"date_placed\":\"2026-01-02T05:04:05.678+02:00\","
    "\"user\":{\"username\":\"honor\",\"email\":\"honor@example.com\"},"
    "\"tracking\":{\"ga_client_id\":\"G1\",\"lms_ip\":\"127.0.0.1\"},"
    "\"enterprise_customer_uuid\":\"e-1\",\"email_opt_in\":true,\"later\":{\"x\":[1]},"
    "\"lines\":[{\"id\":12,\"product_class\":\"Seat\",\"sku\":\"8CF08E5\",\"quantity\":2,\"title\":\"Seat\","
    "\"user\":null,"
    "\"attributes\":{\"course_key\":\"course-v1:edX+DemoX+2026\",\"certificate_type\":\"verified\","
    "\"id_verification_required\":true,\"credit_provider\":null,\"own\":[]}},"
    "{\"id\":11,\"product_class\":\"Course "
    "Entitlement\",\"user\":{\"username\":\"friend\",\"email\":\"a@b\\r\\nc\"},"
    "\"attributes\":null}]}";

static struct order *parse_bytes(const char *body, size_t length)
{
    char number[ORDER_MAX_NUMBER + 1];
    struct order *order = NULL;
    struct fault fault;
    enum err err = order_parse(body, length, &order, number, &fault);

    if (err != OK)
        print_error("refused: %s\n", fault.detail);
    assert_int_equal(err, OK);
    return order;
}

static struct order *parse(const char *body)
{
    return parse_bytes(body, strlen(body));
}

/* Parses what must be refused; returns the fault's words and the number that could be read. */
static const char *refusal_of(const char *body, size_t length, char *ret_number)
{
    static struct fault fault;
    struct order *order = NULL;
    enum err err = order_parse(body, length, &order, ret_number, &fault);

    if (err != ERR_MALFORMED)
        print_error("accepted: %.*s\n", (int)(length < 200 ? length : 200), body);
    assert_int_equal(err, ERR_MALFORMED);
    assert_int_equal(fault.code, ERR_MALFORMED);
    assert_null(order);
    assert_true(text_utf8_valid(fault.detail, strlen(fault.detail)));
    return fault.detail;
}

static void test_a_whole_message_is_read(void **state)
{
    struct order *order = parse(full_message);

    (void)state;
    assert_string_equal(order->number, "EDX-100001");
    assert_int_equal(order->action, ORDER_FULFILL);
    assert_false(order->resubmit || order->by_number || order->zero_total);
    assert_null(order->refund_number);
    assert_string_equal(order->date_placed, "2026-01-02T03:04:05Z");
    assert_string_equal(order->ga_client_id, "G1");
    assert_string_equal(order->lms_ip, "127.0.0.1");
    assert_string_equal(order->enterprise_customer_uuid, "e-1");
    assert_true(order->email_opt_in);
    assert_int_equal(order->line_count, 2);
    assert_int_equal(order->lines[0].id, 12);
    assert_string_equal(order->lines[0].product_class, "Seat");
    assert_string_equal(order->lines[0].sku, "8CF08E5");
    assert_string_equal(order->lines[0].title, "Seat");
    assert_int_equal(order->lines[0].quantity, 2);
    assert_string_equal(order->lines[0].username, "honor");
    assert_string_equal(order->lines[0].email, "honor@example.com");
    assert_non_null(order->lines[0].attributes);
    assert_int_equal(order->lines[1].quantity, 1);
    assert_null(order->lines[1].sku);
    assert_null(order->lines[1].attributes);
    assert_string_equal(order->lines[1].username, "friend");
    assert_string_equal(order->lines[1].email, "a@b\r\nc");
    order_free(order);
    order_free(NULL);
}

static void test_what_is_missing_or_null_is_not_given(void **state)
{
    static const char *const bodies[] = {
        FULFILL("", LINE),
        FULFILL(",\"user\":null,\"tracking\":null,\"date_placed\":null,\"enterprise_customer_uuid\":null,"
                "\"email_opt_in\":null,\"refund_number\":null,\"total\":null",
                "{\"id\":11,\"product_class\":\"Seat\",\"sku\":null,\"title\":null,\"user\":null,"
                "\"attributes\":null,\"result\":null}"),
        FULFILL(",\"user\":{\"username\":null,\"email\":null},\"tracking\":{\"ga_client_id\":null,\"lms_ip\":"
                "null}",
                LINE),
        FULFILL(",\"user\":{\"username\":\"\"},\"tracking\":{}", LINE),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct order *order = parse(bodies[i]);

        assert_string_equal(order->date_placed, "");
        assert_null(order->ga_client_id);
        assert_null(order->lms_ip);
        assert_null(order->enterprise_customer_uuid);
        assert_false(order->email_opt_in);
        assert_null(order->refund_number);
        assert_null(order->lines[0].username);
        assert_null(order->lines[0].email);
        assert_null(order->lines[0].sku);
        assert_null(order->lines[0].title);
        assert_null(order->lines[0].result);
        assert_int_equal(order->lines[0].quantity, 1);
        order_free(order);
    }
}

static void test_a_line_with_a_user_of_its_own_never_falls_back_to_the_buyer(void **state)
{
    struct order *order =
        parse(FULFILL(",\"user\":{\"username\":\"buyer\",\"email\":\"b@c\"}",
                      "{\"id\":1,\"product_class\":\"Seat\",\"user\":{\"email\":\"f@g\"}}"));

    (void)state;
    assert_null(order->lines[0].username);
    assert_string_equal(order->lines[0].email, "f@g");
    order_free(order);
}

static void test_a_fault_names_the_field(void **state)
{
    static const struct {
        const char *body, *words;
    } rows[] = {
        {"[]", "expected an object"},
        {"\"EDX-1\"", "expected an object"},
        {"{}", "schema: expected a string"},
        {"{\"schema\":1}", "schema: expected a string"},
        {"{\"schema\":\"fulfillment.order/2\",\"order_number\":\"EDX-1\"}",
         "schema: expected \"fulfillment.order/1\""},
        {"{" HEAD "}", "action: expected a string"},
        {"{" HEAD ",\"action\":\"cancel\"}", "action: expected \"fulfill\", \"refund\" or \"resubmit\""},
        {"{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"lines\":[" LINE "]}",
         "order_number: expected a string"},
        {"{" HEAD ",\"action\":\"fulfill\"}", "lines: expected an array"},
        {"{" HEAD ",\"action\":\"fulfill\",\"lines\":{}}", "lines: expected an array"},
        {"{" HEAD ",\"action\":\"resubmit\",\"lines\":null}", "lines: expected an array"},
        {"{" HEAD ",\"action\":\"resubmit\",\"lines\":[]}", "lines: expected 1 to 1000 lines"},
        {FULFILL("", ""), "lines: expected 1 to 1000 lines"},
        {FULFILL("", "7"), "lines[0]: expected an object"},
        {FULFILL("", LINE ",null"), "lines[1]: expected an object"},
        {FULFILL("", LINE "," LINE), "lines[1].id: expected an id that no other line has"},
        {FULFILL("", "{\"product_class\":\"Seat\"}"), "lines[0].id: expected an integer"},
        {FULFILL("", "{\"id\":\"11\",\"product_class\":\"Seat\"}"), "lines[0].id: expected an integer"},
        {FULFILL("", "{\"id\":1.5,\"product_class\":\"Seat\"}"), "lines[0].id: expected an integer"},
        {FULFILL("", "{\"id\":true,\"product_class\":\"Seat\"}"), "lines[0].id: expected an integer"},
        {FULFILL("", "{\"id\":-1,\"product_class\":\"Seat\"}"), "lines[0].id: expected an integer"},
        {FULFILL("", "{\"id\":11}"), "lines[0].product_class: expected a string"},
        {FULFILL("", "{\"id\":11,\"product_class\":null}"), "lines[0].product_class: expected a string"},
        {FULFILL("", "{\"id\":11,\"product_class\":\"\"}"), "lines[0].product_class: expected a string"},
        {SEAT(",\"sku\":8"), "lines[0].sku: expected a string"},
        {SEAT(",\"title\":[]"), "lines[0].title: expected a string"},
        {SEAT(",\"quantity\":\"1\""), "lines[0].quantity: expected an integer"},
        {SEAT(",\"quantity\":-1"), "lines[0].quantity: expected an integer"},
        {SEAT(",\"user\":\"honor\""), "lines[0].user: expected an object"},
        {SEAT(",\"user\":{\"username\":5}"), "lines[0].user.username: expected a string"},
        {SEAT(",\"user\":{\"email\":false}"), "lines[0].user.email: expected a string"},
        {SEAT(",\"attributes\":[]"), "lines[0].attributes: expected an object"},
        {SEAT(",\"attributes\":{\"course_key\":7}"), "lines[0].attributes.course_key: expected a string"},
        {SEAT(",\"attributes\":{\"certificate_type\":{}}"),
         "lines[0].attributes.certificate_type: expected a string"},
        {SEAT(",\"attributes\":{\"seat_type\":1}"), "lines[0].attributes.seat_type: expected a string"},
        {SEAT(",\"attributes\":{\"UUID\":1}"), "lines[0].attributes.UUID: expected a string"},
        {SEAT(",\"attributes\":{\"credit_provider\":1}"),
         "lines[0].attributes.credit_provider: expected a string"},
        {SEAT(",\"attributes\":{\"id_verification_required\":\"no\"}"),
         "lines[0].attributes.id_verification_required: expected"},
        {SEAT(",\"result\":\"uuid\""), "lines[0].result: expected an object"},
        {FULFILL(",\"user\":[]", LINE), "user: expected an object"},
        {FULFILL(",\"user\":{\"username\":[]}", LINE), "user.username: expected a string"},
        {FULFILL(",\"user\":{\"username\":\"a\",\"email\":1}", LINE), "user.email: expected a string"},
        {FULFILL(",\"tracking\":\"G1\"", LINE), "tracking: expected an object"},
        {FULFILL(",\"tracking\":{\"ga_client_id\":1}", LINE), "tracking.ga_client_id: expected a string"},
        {FULFILL(",\"tracking\":{\"lms_ip\":1}", LINE), "tracking.lms_ip: expected a string"},
        {FULFILL(",\"enterprise_customer_uuid\":1", LINE), "enterprise_customer_uuid: expected a string"},
        {FULFILL(",\"email_opt_in\":\"yes\"", LINE), "email_opt_in: expected"},
        {FULFILL(",\"date_placed\":1767323045", LINE), "date_placed: expected a string"},
        {FULFILL(",\"date_placed\":\"2026-01-02\"", LINE), "date_placed: expected a time"},
        {FULFILL(",\"refund_number\":1", LINE), "refund_number: expected a string"},
        {REFUND(""), "refund_number: expected a string"},
        {REFUND(",\"refund_number\":\"\",\"total\":\"1\""), "refund_number: expected a string"},
        {REFUND(",\"refund_number\":\"R-1\""), "total: expected a string"},
        {REFUND(",\"refund_number\":\"R-1\",\"total\":0"), "total: expected a string"},
        {REFUND(",\"refund_number\":\"R-1\",\"total\":\"-1\""), "total: expected a decimal number"},
        {REFUND(",\"refund_number\":\"R-1\",\"total\":\"\""), "total: expected a decimal number"},
        {REFUND(",\"refund_number\":\"R-1\",\"total\":\"1.\""), "total: expected a decimal number"},
        {REFUND(",\"refund_number\":\"R-1\",\"total\":\"1.2.3\""), "total: expected a decimal number"},
        {REFUND(",\"refund_number\":\"R-1\",\"total\":\"1,20\""), "total: expected a decimal number"},
    };
    char number[ORDER_MAX_NUMBER + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *words = refusal_of(rows[i].body, strlen(rows[i].body), number);

        if (strncmp(words, rows[i].words, strlen(rows[i].words)) != 0)
            fail_msg("%s: said \"%s\"", rows[i].body, words);
        assert_string_equal(
            number, strstr(rows[i].body, "\"EDX-1\",") || strstr(rows[i].body, "\"EDX-1\"}") ? "EDX-1" : "");
    }
}

static void test_a_wrong_order_number_is_refused_and_not_told(void **state)
{
    static const char *const numbers[] = {"5", "null", "\"\"", "\"a\\nb\"", "\"a\\u007f\"", "\"a\\u0000\"",
                                          "[]"};
    char body[600], number[ORDER_MAX_NUMBER + 1], longest[ORDER_MAX_NUMBER + 4];
    int length;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        length = snprintf(
            body, sizeof(body),
            "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":%s,\"lines\":[" LINE
            "]}",
            numbers[i]);
        (void)refusal_of(body, (size_t)length, number);
        assert_string_equal(number, "");
    }
    memset(longest, 'x', sizeof(longest));
    for (int size = ORDER_MAX_NUMBER; size <= ORDER_MAX_NUMBER + 1; size++) {
        length = snprintf(body, sizeof(body),
                          "{\"schema\":\"fulfillment.order/"
                          "1\",\"action\":\"fulfill\",\"order_number\":\"%.*s\",\"lines\":[" LINE "]}",
                          size, longest);
        if (size == ORDER_MAX_NUMBER)
            order_free(parse_bytes(body, (size_t)length));
        else
            assert_non_null(strstr(refusal_of(body, (size_t)length, number), "order_number: expected"));
    }
}

static void test_a_body_that_is_no_json_is_refused_and_its_number_is_read_where_possible(void **state)
{
    static const struct {
        const char *body;
        size_t length; /* 0 = strlen */
        const char *number;
    } rows[] = {
        {"", 0, ""},
        {"{", 0, ""},
        {"not json", 0, ""},
        {"\xff\xfe{\"order_number\":\"EDX-1\"}", 0, "EDX-1"},
        {"{\"order_number\":\"EDX-1\",", 0, "EDX-1"},
        {"{\"order_number\":\"EDX-1\"} trailing", 0, "EDX-1"},
        {"{\"order_number\" : \"caf\xc3\xa9\", }", 0, "caf\xc3\xa9"},
        {"{\"order_number\":\"caf\xff\"}", 0, ""},
        {"{\"order_number\":\"\\ud800\"}", 0, ""},
        {"{\"order_number\":\"A-\\u0031\",\"action\":\"x\",\"action\":\"y\"}", 0, "A-1"},
        {"{\"order_number\":\"A\",\"order_number\":\"B\"}", 0, ""},
        {"{\"x\":{\"order_number\":\"EDX-1\"},", 0, ""},
        {"{\"x\":\"\\\"order_number\\\":\\\"EDX-1\\\"\",", 0, ""},
        {"{\"x\":\"order_number\",\"y\":\"EDX-1\",", 0, ""},
        {"}{\"order_number\":\"EDX-1\"", 0, ""},
        {"{\"order_number\":\"EDX-1", 0, ""},
        {"{\"order_number\":\"EDX-1\\", 0, ""},
        {"{\"order_number\"", 0, ""},
        {"{\"order_number\":", 0, ""},
        {"{\"a\":1\0}", 8, ""},
        {"{\"title\":\"a\0b\",\"order_number\":\"EDX-1\"}", 38, "EDX-1"},
        {"{\"order_number\":\"EDX-1\",\"n\":1e999}", 0, "EDX-1"},
        {"{\"order_number\":\"EDX-1\",\"n\":99999999999999999999}", 0, "EDX-1"},
    };
    char number[ORDER_MAX_NUMBER + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t length = rows[i].length ? rows[i].length : strlen(rows[i].body);

        (void)refusal_of(rows[i].body, length, number);
        if (strcmp(number, rows[i].number) != 0)
            fail_msg("%s: number \"%s\"", rows[i].body, number);
    }
}

static void test_no_data_of_a_learner_stands_in_a_fault(void **state)
{
    static const char *const bodies[] = {
        FULFILL(",\"user\":{\"username\":\"secretname\" \"x\"}", LINE),
        FULFILL(",\"user\":{\"username\":\"a\",\"email\":[\"secretname\"]}", LINE),
        FULFILL(",\"date_placed\":\"secretname\"", LINE),
    };
    char number[ORDER_MAX_NUMBER + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        assert_null(strstr(refusal_of(bodies[i], strlen(bodies[i]), number), "secretname"));
}

/* A message with `filler` as the value of an unknown field. */
static char *with_filler(const char *prefix, char fill, size_t count, const char *suffix, size_t *ret_length)
{
    static const char head[] = "{" HEAD ",\"action\":\"fulfill\",\"lines\":[" LINE "],\"x\":";
    size_t head_length = strlen(head), prefix_length = strlen(prefix);
    char *body = malloc(head_length + prefix_length + count + strlen(suffix) + 1);

    assert_non_null(body);
    memcpy(body, head, head_length);
    memcpy(body + head_length, prefix, prefix_length);
    memset(body + head_length + prefix_length, fill, count);
    strcpy(body + head_length + prefix_length + count, suffix);
    *ret_length = strlen(body);
    return body;
}

static void test_a_body_of_one_mebibyte_is_read_and_one_byte_more_is_not(void **state)
{
    char number[ORDER_MAX_NUMBER + 1];
    size_t length;
    AUTO_FREE char *small = with_filler("\"", 'x', 10, "\"}", &length);
    size_t fill = 10 + ORDER_MAX_BYTES - length;
    AUTO_FREE char *exact = with_filler("\"", 'x', fill, "\"}", &length);
    AUTO_FREE char *over = NULL;

    (void)state;
    assert_int_equal(length, ORDER_MAX_BYTES);
    order_free(parse_bytes(exact, length));
    over = with_filler("\"", 'x', fill + 1, "\"}", &length);
    assert_non_null(strstr(refusal_of(over, length, number), "1048577 bytes"));
    assert_string_equal(number, "EDX-1");
}

static void test_nesting_ends_at_32_levels(void **state)
{
    char number[ORDER_MAX_NUMBER + 1];
    char closing[40];
    size_t length;
    AUTO_FREE char *deepest = NULL;
    AUTO_FREE char *too_deep = NULL;
    AUTO_FREE char *abyss = NULL;

    (void)state;
    memset(closing, ']', sizeof(closing));
    strcpy(closing + 31, "}");
    deepest = with_filler("", '[', 31, closing, &length);
    order_free(parse_bytes(deepest, length));
    strcpy(closing + 31, "]}");
    too_deep = with_filler("", '[', 32, closing, &length);
    assert_non_null(strstr(refusal_of(too_deep, length, number), "nested"));
    assert_string_equal(number, "EDX-1");
    abyss = with_filler("", '[', 500000, "", &length);
    (void)refusal_of(abyss, length, number);
    assert_string_equal(number, "EDX-1");
}

static void test_a_body_of_nothing_but_small_arrays_is_refused_before_it_is_parsed(void **state)
{
    char number[ORDER_MAX_NUMBER + 1];
    AUTO_FREE char *body = malloc(ORDER_MAX_BYTES);
    size_t length = 0;

    (void)state;
    assert_non_null(body);
    length = (size_t)sprintf(body, "{\"order_number\":\"EDX-1\",\"x\":[");
    while (length + 10 < ORDER_MAX_BYTES)
        length += (size_t)sprintf(body + length, "[],");
    length += (size_t)sprintf(body + length, "1]}");
    assert_non_null(strstr(refusal_of(body, length, number), "fewer"));
    assert_string_equal(number, "EDX-1");
}

static void test_brackets_within_a_text_are_no_arrays(void **state)
{
    size_t length;
    AUTO_FREE char *body = with_filler("\"\\\"", '[', 100000, "\"}", &length);

    (void)state;
    order_free(parse_bytes(body, length));
}

static void test_a_thousand_lines_are_read_and_one_more_is_not(void **state)
{
    char number[ORDER_MAX_NUMBER + 1];
    AUTO_FREE char *body = malloc(100000);
    struct order *order;

    (void)state;
    assert_non_null(body);
    for (int count = ORDER_MAX_LINES; count <= ORDER_MAX_LINES + 1; count++) {
        size_t length = (size_t)sprintf(body, "{" HEAD ",\"action\":\"fulfill\",\"lines\":[");

        for (int i = 0; i < count; i++)
            length += (size_t)sprintf(body + length, "%s{\"id\":%d,\"product_class\":\"Seat\"}", i ? "," : "",
                                      5000 - i);
        length += (size_t)sprintf(body + length, "]}");
        if (count > ORDER_MAX_LINES) {
            assert_non_null(
                strstr(refusal_of(body, length, number), "lines: expected 1 to 1000 lines, there are 1001"));
            continue;
        }
        order = parse_bytes(body, length);
        assert_int_equal(order->line_count, ORDER_MAX_LINES);
        assert_int_equal(order->lines[999].id, 4001);
        order_free(order);
    }
}

static void test_a_refund_has_a_number_and_may_be_of_nothing(void **state)
{
    static const struct {
        const char *total;
        bool zero;
    } rows[] = {{"0.00", true},  {"0", true},      {"000", true},
                {"0.01", false}, {"49.00", false}, {"100", false}};
    char body[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int length = snprintf(body, sizeof(body), REFUND(",\"refund_number\":\"R-1\",\"total\":\"%s\""),
                              rows[i].total);
        struct order *order = parse_bytes(body, (size_t)length);

        assert_int_equal(order->action, ORDER_REFUND);
        assert_string_equal(order->refund_number, "R-1");
        assert_int_equal(order->zero_total, rows[i].zero);
        order_free(order);
    }
}

static void test_a_refund_line_brings_what_fulfilment_returned(void **state)
{
    struct order *order =
        parse("{" HEAD ",\"action\":\"refund\",\"refund_number\":\"R-1\",\"total\":\"5\",\"lines\":"
              "[{\"id\":1,\"product_class\":\"Course Entitlement\",\"result\":{\"uuid\":\"u-1\"}}]}");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(order->lines[0].result, "uuid")), "u-1");
    order_free(order);
}

static void test_a_resubmit_is_of_its_item_or_by_number(void **state)
{
    struct order *fulfill = parse("{" HEAD ",\"action\":\"resubmit\",\"lines\":[" LINE "]}");
    struct order *refund =
        parse("{" HEAD
              ",\"action\":\"resubmit\",\"refund_number\":\"R-1\",\"total\":\"0.00\",\"lines\":[" LINE "]}");
    struct order *part =
        parse("{" HEAD ",\"action\":\"resubmit\",\"refund_number\":\"R-1\",\"lines\":[" LINE "]}");
    struct order *bare = parse("{" HEAD ",\"action\":\"resubmit\"}");

    (void)state;
    assert_true(fulfill->resubmit && !fulfill->by_number);
    assert_int_equal(fulfill->action, ORDER_FULFILL);
    assert_true(refund->resubmit && !refund->by_number && refund->zero_total);
    assert_int_equal(refund->action, ORDER_REFUND);
    assert_string_equal(refund->refund_number, "R-1");
    assert_int_equal(part->action, ORDER_REFUND);
    assert_false(part->zero_total);
    assert_true(bare->resubmit && bare->by_number);
    assert_int_equal(bare->line_count, 0);
    order_free(fulfill);
    order_free(refund);
    order_free(part);
    order_free(bare);
}

static void item_id_of(const char *body, char *ret_id)
{
    struct order *order = parse(body);

    memcpy(ret_id, order->item_id, ORDER_ITEM_ID_SIZE);
    assert_int_equal(strspn(ret_id, "0123456789abcdef"), ORDER_ITEM_ID_SIZE - 1);
    order_free(order);
}

#define LINES(first, second)                                                                                 \
    "\"lines\":[{\"id\":" first ",\"product_class\":\"A\"},{\"id\":" second ",\"product_class\":\"B\"}]}"

static void test_an_item_is_an_action_a_refund_and_a_set_of_lines(void **state)
{
    static const char *const same[] = {
        "{" HEAD ",\"action\":\"fulfill\"," LINES("1", "2"),
        "{" HEAD ",\"action\":\"fulfill\",\"user\":null," LINES("2", "1"),
        "{" HEAD ",\"action\":\"resubmit\"," LINES("1", "2"),
    };
    static const char *const others[] = {
        "{" HEAD ",\"action\":\"fulfill\"," LINES("1", "2"),
        "{" HEAD ",\"action\":\"fulfill\"," LINES("1", "3"),
        "{" HEAD ",\"action\":\"fulfill\"," LINES("12", "0"),
        "{" HEAD ",\"action\":\"fulfill\",\"lines\":[{\"id\":1,\"product_class\":\"A\"}]}",
        "{" HEAD ",\"action\":\"refund\",\"refund_number\":\"R-1\",\"total\":\"1\"," LINES("1", "2"),
        "{" HEAD ",\"action\":\"refund\",\"refund_number\":\"R-2\",\"total\":\"1\"," LINES("1", "2"),
    };
    char ids[ARRAY_LEN(others)][ORDER_ITEM_ID_SIZE], id[ORDER_ITEM_ID_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        item_id_of(others[i], ids[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[i], ids[k]);
    }
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        item_id_of(same[i], id);
        assert_string_equal(id, ids[0]);
    }
    /* Stored in Redis and told in events: it may never change between versions. */
    assert_string_equal(ids[0], "81b5565441e058d2");
}

static void test_a_refused_body_tells_whether_it_is_of_a_refund(void **state)
{
    static const struct {
        const char *body;
        bool refund;
    } rows[] = {
        {"{\"action\": \"refund\", \"lines\": 5}", true},
        {"{\"lines\": [{\"action\": \"fulfill\"}], \"action\":\"refund\"", true},
        {"{\"action\": \"resubmit\", \"refund_number\": \"R-1\"}", true},
        {"{\"action\": \"resubmit\", \"refund_number\": null}", false},
        {"{\"action\": \"fulfill\"}", false},
        {"{\"x\": {\"action\": \"refund\"}}", false},
        {"{\"action\": \"refund\", \"action\": \"refund\"}", false},
        {"{\"action\": \"refun", false},
        {"{\"action\":", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(order_peek_is_refund(rows[i].body, strlen(rows[i].body)), rows[i].refund);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_message_is_read),
        cmocka_unit_test(test_what_is_missing_or_null_is_not_given),
        cmocka_unit_test(test_a_line_with_a_user_of_its_own_never_falls_back_to_the_buyer),
        cmocka_unit_test(test_a_fault_names_the_field),
        cmocka_unit_test(test_a_wrong_order_number_is_refused_and_not_told),
        cmocka_unit_test(test_a_body_that_is_no_json_is_refused_and_its_number_is_read_where_possible),
        cmocka_unit_test(test_a_refused_body_tells_whether_it_is_of_a_refund),
        cmocka_unit_test(test_no_data_of_a_learner_stands_in_a_fault),
        cmocka_unit_test(test_a_body_of_one_mebibyte_is_read_and_one_byte_more_is_not),
        cmocka_unit_test(test_nesting_ends_at_32_levels),
        cmocka_unit_test(test_a_body_of_nothing_but_small_arrays_is_refused_before_it_is_parsed),
        cmocka_unit_test(test_brackets_within_a_text_are_no_arrays),
        cmocka_unit_test(test_a_thousand_lines_are_read_and_one_more_is_not),
        cmocka_unit_test(test_a_refund_has_a_number_and_may_be_of_nothing),
        cmocka_unit_test(test_a_refund_line_brings_what_fulfilment_returned),
        cmocka_unit_test(test_a_resubmit_is_of_its_item_or_by_number),
        cmocka_unit_test(test_an_item_is_an_action_a_refund_and_a_set_of_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
