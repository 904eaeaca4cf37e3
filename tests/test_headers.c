/* Headers: what is set is read, foreign kinds pass through untouched, limits hold, hostile bytes do no harm.
 */
#include "common/headers.h"

#include "support/unit.h"

#include <stdio.h>

static struct headers *decoded(const char *bytes, size_t length, enum err expected)
{
    struct headers *headers = NULL;

    assert_int_equal(headers_decode((const uint8_t *)bytes, length, &headers), expected);
    assert_non_null(headers);
    return headers;
}

static void what_is_set_is_read_and_replaced(void **state)
{
    struct headers *headers = headers_new();

    (void)state;
    assert_int_equal(headers_set_str(headers, "a", "one"), OK);
    assert_int_equal(headers_set_int(headers, "n", -5), OK);
    assert_int_equal(headers_set_int(headers, "big", INT64_MAX), OK);
    assert_int_equal(headers_set_bool(headers, "flag", true), OK);
    assert_string_equal(headers_str(headers, "a"), "one");
    assert_int_equal(headers_int(headers, "n", 0), -5);
    assert_int_equal(headers_int(headers, "big", 0), INT64_MAX);
    assert_true(headers_has(headers, "flag"));
    assert_null(headers_str(headers, "n"));
    assert_int_equal(headers_int(headers, "a", 7), 7);
    assert_int_equal(headers_set_str(headers, "a", "two"), OK);
    assert_string_equal(headers_str(headers, "a"), "two");
    headers_remove(headers, "a");
    headers_remove(headers, "a");
    assert_false(headers_has(headers, "a"));
    headers_free(headers);
}

static void no_headers_are_an_empty_set(void **state)
{
    bool copied = false;

    (void)state;
    assert_null(headers_str(NULL, "a"));
    assert_int_equal(headers_int(NULL, "a", 3), 3);
    assert_false(headers_has(NULL, "a"));
    assert_null(headers_copy(NULL, &copied));
    assert_true(copied);
    assert_int_equal(headers_encoded_bytes(NULL, true), 0);
    headers_free(NULL);
}

static void every_integer_kind_and_a_number_as_text_are_read(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        int64_t expected;
    } cases[] = {
        {"\1nb\xff", 4, -1},
        {"\1nB\xff", 4, 255},
        {"\1ns\xff\xfe", 5, -2},
        {"\1nu\xff\xfe", 5, 65534},
        {"\1nI\xff\xff\xff\xfd", 7, -3},
        {"\1ni\xff\xff\xff\xfd", 7, INT64_C(4294967293)},
        {"\1nl\xff\xff\xff\xff\xff\xff\xff\xfc", 11, -4},
        {"\1nL\0\0\0\0\0\0\1\0", 11, 256},
        {"\1nL\xff\0\0\0\0\0\0\0", 11, 99}, /* over the range of what we return */
        {"\1nS\0\0\0\2"
         "42",
         9, 42},
        {"\1nS\0\0\0\3-42", 10, -42},
        {"\1nS\0\0\0\2"
         "4x",
         9, 99},
        {"\1nS\0\0\0\1-", 8, 99},
        {"\1nS\0\0\0\0", 7, 99},
        {"\1nS\0\0\0\24"
         "99999999999999999999",
         27, 99},
        {"\1nt\1", 4, 99},
        {"\1nd\0\0\0\0\0\0\0\0", 11, 99},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct headers *headers = decoded(cases[i].bytes, cases[i].length, OK);

        assert_int_equal(headers_int(headers, "n", 99), cases[i].expected);
        headers_free(headers);
    }
}

static void foreign_kinds_pass_through_unchanged(void **state)
{
    /* A table with an array in it, a timestamp, a decimal, a void, bytes and a float. */
    static const char bytes[] = "\1tF\0\0\0\x0b\1aA\0\0\0\4bxby"
                                "\1TT\0\0\0\0\x12\x34\x56\x78"
                                "\1DD\2\0\0\0\7"
                                "\1VV"
                                "\1xx\0\0\0\3\1\0\2"
                                "\1ff\0\0\0\0";
    struct headers *headers = decoded(bytes, sizeof(bytes) - 1, OK);
    bool copied;
    struct headers *copy = headers_copy(headers, &copied);
    uint8_t out[sizeof(bytes)];

    (void)state;
    assert_true(copied);
    assert_int_equal(headers_encoded_bytes(copy, true), sizeof(bytes) - 1);
    headers_encode(copy, true, out);
    assert_memory_equal(out, bytes, sizeof(bytes) - 1);
    headers_free(copy);
    headers_free(headers);
}

static void the_brokers_own_headers_are_left_out_when_asked(void **state)
{
    static const char *const own[] = {"x-death",          "x-first-death-queue", "x-last-death-reason",
                                      "x-delivery-count", "x-opt-anything",      "x-acquired-count"};
    static const char *const ours[] = {"x-fulfillment-attempts", "traceparent", "x-deathly"};
    struct headers *headers = headers_new(), *again;
    uint8_t out[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        assert_int_equal(headers_set_str(headers, own[i], "v"), OK);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        assert_int_equal(headers_set_str(headers, ours[i], "v"), OK);
    headers_encode(headers, false, out);
    again = decoded((const char *)out, headers_encoded_bytes(headers, false), OK);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        assert_false(headers_has(again, own[i]));
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        assert_true(headers_has(again, ours[i]));
    headers_free(again);
    headers_free(headers);
}

static void limits_refuse_and_what_does_not_fit_hides_nothing_else(void **state)
{
    struct headers *headers = headers_new(), *read;
    char name[16], *huge = malloc(HEADERS_MAX_BYTES + 100);
    char *bytes = malloc(HEADERS_MAX_BYTES + 200);
    size_t length = HEADERS_MAX_BYTES;

    (void)state;
    memset(huge, 'h', HEADERS_MAX_BYTES + 99);
    huge[HEADERS_MAX_BYTES + 99] = '\0';
    assert_int_equal(headers_set_str(headers, "huge", huge), ERR_TOO_BIG);
    huge[256] = '\0';
    assert_int_equal(headers_set_str(headers, huge, "long name"), ERR_TOO_BIG);
    for (int i = 0; i < HEADERS_MAX_COUNT; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(headers_set_int(headers, name, i), OK);
    }
    assert_int_equal(headers_set_int(headers, "one more", 1), ERR_TOO_BIG);
    assert_int_equal(headers_set_int(headers, "n7", 77), OK);
    headers_free(headers);

    /* A foreign value that fills the whole limit, then one of ours. */
    memcpy(bytes, "\4bulkx", 6);
    bytes[6] = (char)(length >> 24);
    bytes[7] = (char)(length >> 16);
    bytes[8] = (char)(length >> 8);
    bytes[9] = (char)length;
    memset(bytes + 10, 0, length);
    memcpy(bytes + 10 + length, "\1nb\5", 4);
    read = decoded(bytes, 10 + length + 4, OK);
    assert_false(headers_has(read, "bulk"));
    assert_int_equal(headers_int(read, "n", 0), 5);
    headers_free(read);
    free(bytes);
    free(huge);
}

static void bytes_that_are_cut_off_give_what_was_whole(void **state)
{
    static const char bytes[] = "\1nb\5\1sS\0\0\0\3abc";
    struct headers *headers;

    (void)state;
    for (size_t length = 0; length < sizeof(bytes) - 1; length++) {
        char *exact = malloc(length + 1); /* of its own, so that a read past the end is noticed */

        memcpy(exact, bytes, length);
        headers = decoded(exact, length, length == 0 || length == 4 ? OK : ERR_MALFORMED);
        assert_int_equal(headers_int(headers, "n", 0), length >= 4 ? 5 : 0);
        assert_false(headers_has(headers, "s"));
        headers_free(headers);
        free(exact);
    }
    headers = decoded("\1n?", 3, ERR_MALFORMED);
    headers_free(headers);
    headers = decoded("\1nS\xff\xff\xff\xff", 7, ERR_MALFORMED);
    headers_free(headers);
}

static void text_with_a_nul_inside_is_carried_and_not_read(void **state)
{
    struct headers *headers = decoded("\1sS\0\0\0\3a\0b"
                                      "\3a\0bb\1",
                                      16, OK);

    (void)state;
    assert_true(headers_has(headers, "s"));
    assert_null(headers_str(headers, "s"));
    assert_false(headers_has(headers, "a"));
    headers_free(headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_is_read_and_replaced),
        cmocka_unit_test(no_headers_are_an_empty_set),
        cmocka_unit_test(every_integer_kind_and_a_number_as_text_are_read),
        cmocka_unit_test(foreign_kinds_pass_through_unchanged),
        cmocka_unit_test(the_brokers_own_headers_are_left_out_when_asked),
        cmocka_unit_test(limits_refuse_and_what_does_not_fit_hides_nothing_else),
        cmocka_unit_test(bytes_that_are_cut_off_give_what_was_whole),
        cmocka_unit_test(text_with_a_nul_inside_is_carried_and_not_read),
    };

    return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
