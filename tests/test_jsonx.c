/* common/jsonx.c: limits of loading, and the words of faults. */
#include "common/jsonx.h"

#include "support/unit.h"

enum { MAX_BYTES = 1000 };

static void expect_bad(const char *text, enum err code, const char *words)
{
    json_t *json = NULL;
    struct fault fault;

    assert_int_equal(jsonx_load(text, strlen(text), MAX_BYTES, &json, &fault), code);
    assert_null(json);
    assert_int_equal(fault.code, code);
    assert_string_equal(fault.detail, words);
}

static json_t *load(const char *text)
{
    json_t *json = NULL;
    struct fault fault;

    assert_int_equal(jsonx_load(text, strlen(text), MAX_BYTES, &json, &fault), OK);
    return json;
}

static void test_bad_documents_are_refused_with_their_place_but_not_their_words(void **state)
{
    (void)state;
    expect_bad("", ERR_MALFORMED, "not JSON: unexpected token at line 1, column 0");
    expect_bad("{\"secret\":\"hunter2\" oops}", ERR_MALFORMED, "not JSON: '}' expected at line 1, column 24");
    expect_bad("{} {}", ERR_MALFORMED, "not JSON: end of file expected at line 1, column 4");
    expect_bad("[1e999]", ERR_MALFORMED, "not JSON: real number overflow at line 1, column 6");
    expect_bad("\"\\u0000\"", ERR_MALFORMED,
               "not JSON: \\u0000 is not allowed without JSON_ALLOW_NUL at line 1, column 8");
    expect_bad("\"\xff\"", ERR_MALFORMED, "not JSON: unable to decode byte 0xff at line 1, column 1");
}

static void test_a_key_given_twice_is_named(void **state)
{
#define TWICE "expected this key once, it is there twice"
    (void)state;
    expect_bad("{\"a\":1,\n\"a\":2}", ERR_MALFORMED, "a: " TWICE);
    expect_bad("{\"enterprise_customer_uuid\":null,\"a\":\"{[,\\\"\",\"enterprise_customer_uuid\":1}",
               ERR_MALFORMED, "enterprise_customer_uuid: " TWICE);
    expect_bad(
        "{\"x\":[{}],\"lines\":[{\"id\":1},[],{\"attributes\":{\"b\":{\"c\":[1,2]},\"k\":\"k\",\"k\":2}}]}",
        ERR_MALFORMED, "lines[2].attributes.k: " TWICE);
    /* A key that is no field's name may be data. */
    expect_bad("{\"user\":{\"jo@example.com\":1,\"jo@example.com\":2}}", ERR_MALFORMED, "user: " TWICE);
    expect_bad("{\"\":1,\"\":2}", ERR_MALFORMED, TWICE);
}

static void test_too_many_bytes_are_refused_unread(void **state)
{
    char text[MAX_BYTES + 2];

    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    expect_bad(text, ERR_TOO_BIG, "1001 bytes, more than the 1000 allowed");
}

static void test_nesting_is_checked_before_the_parser_recurses(void **state)
{
    char text[2 * (JSONX_MAX_DEPTH + 1) + 1];
    size_t depth = JSONX_MAX_DEPTH + 1;

    (void)state;
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    expect_bad(
        text, ERR_MALFORMED,
        "[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: "
        "nested deeper than 32 levels at byte 32");
    text[2 * depth - 1] = '\0';
    json_decref(load(text + 1));
    json_decref(load("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""));
}

static void test_a_wrong_type_is_named_by_its_path(void **state)
{
    AUTO_JSON json_t *json = load("{\"course_key\": 5, \"null\": null, \"object\": {}}");
    struct jsonx_path lines = JSONX_KEY(NULL, "lines"), line = JSONX_INDEX(&lines, 0);
    struct jsonx_path attributes = JSONX_KEY(&line, "attributes");
    const char *string = "untouched";
    const json_t *value = NULL;
    int64_t number = 7;
    bool truth = true;
    struct fault fault;

    (void)state;
    assert_int_equal(jsonx_string(json, "course_key", &attributes, JSONX_NULLABLE, &string, &fault),
                     ERR_MALFORMED);
    assert_string_equal(fault.detail, "lines[0].attributes.course_key: expected a string");
    assert_string_equal(string, "untouched");
    assert_int_equal(jsonx_string(json, "absent", NULL, JSONX_REQUIRED, &string, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "absent: expected a string, is missing");
    assert_int_equal(jsonx_array(json, "null", &line, JSONX_REQUIRED, &value, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "lines[0].null: expected an array, is null");
    assert_int_equal(jsonx_array(json, "object", NULL, JSONX_NULLABLE, &value, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "object: expected an array");
    assert_int_equal(jsonx_object(json, "course_key", NULL, JSONX_REQUIRED, &value, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "course_key: expected an object");
    assert_int_equal(jsonx_bool(json, "course_key", NULL, JSONX_REQUIRED, &truth, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "course_key: expected true or false");
    assert_int_equal(jsonx_int(json, "course_key", NULL, JSONX_REQUIRED, 0, 4, &number, &fault),
                     ERR_MALFORMED);
    assert_string_equal(fault.detail, "course_key: expected an integer from 0 to 4");
    assert_int_equal(jsonx_int(json, "object", NULL, JSONX_REQUIRED, 0, INT64_MAX, &number, &fault),
                     ERR_MALFORMED);
    assert_string_equal(fault.detail, "object: expected an integer, 0 or more");
    assert_int_equal(number, 7);
    assert_int_equal(jsonx_expect_object(json_object_get(json, "course_key"), &line, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "lines[0]: expected an object");
    assert_int_equal(jsonx_expect_object(NULL, NULL, &fault), ERR_MALFORMED);
    assert_string_equal(fault.detail, "expected an object");
}

static void test_absent_and_null_are_the_same_where_allowed(void **state)
{
    AUTO_JSON json_t *json = load("{\"null\": null}");
    const char *string = "x";
    const json_t *value = json;
    int64_t number = 7;
    bool truth = true;
    struct fault fault;

    (void)state;
    assert_int_equal(jsonx_string(json, "null", NULL, JSONX_NULLABLE, &string, &fault), OK);
    assert_null(string);
    assert_int_equal(jsonx_object(json, "absent", NULL, JSONX_NULLABLE, &value, &fault), OK);
    assert_null(value);
    assert_int_equal(jsonx_int(json, "null", NULL, JSONX_NULLABLE, 0, 9, &number, &fault), OK);
    assert_int_equal(jsonx_bool(json, "absent", NULL, JSONX_NULLABLE, &truth, &fault), OK);
    assert_int_equal(number, 7);
    assert_true(truth);
}

static void test_values_of_the_right_type_are_read(void **state)
{
    AUTO_JSON json_t *json = load("{\"s\":\"v\",\"i\":9,\"b\":false,\"a\":[1],\"o\":{}}");
    const char *string = NULL;
    const json_t *array = NULL, *object = NULL;
    int64_t number = 0;
    bool truth = true;
    struct fault fault;

    (void)state;
    assert_int_equal(jsonx_string(json, "s", NULL, JSONX_REQUIRED, &string, &fault), OK);
    assert_string_equal(string, "v");
    assert_int_equal(jsonx_int(json, "i", NULL, JSONX_REQUIRED, 0, 9, &number, &fault), OK);
    assert_int_equal(number, 9);
    assert_int_equal(jsonx_bool(json, "b", NULL, JSONX_REQUIRED, &truth, &fault), OK);
    assert_false(truth);
    assert_int_equal(jsonx_array(json, "a", NULL, JSONX_REQUIRED, &array, &fault), OK);
    assert_int_equal(json_array_size(array), 1);
    assert_int_equal(jsonx_object(json, "o", NULL, JSONX_REQUIRED, &object, &fault), OK);
    assert_non_null(object);
}

static void test_identifiers_have_bounds(void **state)
{
    AUTO_JSON json_t *json =
        load("{\"good\":\"EDX-1\",\"empty\":\"\",\"long\":\"123456789\",\"odd\":\"a\\nb\"}");
    const char *string = NULL;
    struct fault fault;

    (void)state;
    assert_int_equal(jsonx_identifier(json, "good", NULL, JSONX_REQUIRED, 8, &string, &fault), OK);
    assert_string_equal(string, "EDX-1");
    assert_int_equal(jsonx_identifier(json, "empty", NULL, JSONX_NULLABLE, 8, &string, &fault),
                     ERR_MALFORMED);
    assert_string_equal(fault.detail, "empty: expected a string of 1 to 8 bytes without control characters");
    assert_int_equal(jsonx_identifier(json, "long", NULL, JSONX_REQUIRED, 8, &string, &fault), ERR_MALFORMED);
    assert_int_equal(jsonx_identifier(json, "odd", NULL, JSONX_REQUIRED, 8, &string, &fault), ERR_MALFORMED);
    assert_int_equal(jsonx_identifier(json, "absent", NULL, JSONX_NULLABLE, 8, &string, &fault), OK);
    assert_null(string);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_documents_are_refused_with_their_place_but_not_their_words),
        cmocka_unit_test(test_a_key_given_twice_is_named),
        cmocka_unit_test(test_too_many_bytes_are_refused_unread),
        cmocka_unit_test(test_nesting_is_checked_before_the_parser_recurses),
        cmocka_unit_test(test_a_wrong_type_is_named_by_its_path),
        cmocka_unit_test(test_absent_and_null_are_the_same_where_allowed),
        cmocka_unit_test(test_values_of_the_right_type_are_read),
        cmocka_unit_test(test_identifiers_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
