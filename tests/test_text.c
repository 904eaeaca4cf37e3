/* common/text.c and text_utf8.c: bounds, JSON strings, UTF-8. */
#include "common/text.h"

#include "support/unit.h"

#include <jansson.h>

static void test_a_buffer_grows_up_to_its_bound_and_then_says_so(void **state)
{
    AUTO_TEXT struct text text = TEXT_EMPTY(1000);
    char *taken = NULL;

    (void)state;
    for (int i = 0; i < 100; i++)
        text_printf(&text, "%010d", i);
    assert_int_equal(text.failed, OK);
    assert_int_equal(text.length, 1000);
    text_putc(&text, 'x');
    assert_int_equal(text.failed, ERR_TOO_BIG);
    text_puts(&text, ""); /* the first failure sticks */
    assert_int_equal(text_take(&text, &taken, NULL), ERR_TOO_BIG);
    assert_null(taken);
    text_clear(&text);
    text_puts(&text, "again");
    assert_string_equal(text_peek(&text), "again");
}

static void test_taking_an_empty_buffer_gives_an_empty_string(void **state)
{
    struct text text = TEXT_EMPTY(10);
    size_t length = 99;
    char *taken = NULL;

    (void)state;
    assert_string_equal(text_peek(&text), "");
    assert_int_equal(text_take(&text, &taken, &length), OK);
    assert_string_equal(taken, "");
    assert_int_equal(length, 0);
    free(taken);
}

static void test_integers_of_every_size_are_written(void **state)
{
    AUTO_TEXT struct text text = TEXT_EMPTY(100);

    (void)state;
    text_integer(&text, INT64_MIN);
    text_putc(&text, ' ');
    text_integer(&text, 0);
    text_putc(&text, ' ');
    text_integer(&text, INT64_MAX);
    assert_string_equal(text_peek(&text), "-9223372036854775808 0 9223372036854775807");
}

static void test_json_strings_read_back_as_they_were(void **state)
{
    char bytes[300];
    size_t length = 0;
    AUTO_TEXT struct text text = TEXT_EMPTY(10000);
    json_t *json;

    (void)state;
    for (int i = 1; i < 128; i++)
        bytes[length++] = (char)i;
    bytes[length++] = '\0';
    memcpy(bytes + length, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9);
    length += 9;
    text_json_string(&text, bytes, length);
    json = json_loads(text_peek(&text), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    assert_int_equal(json_string_length(json), length);
    assert_memory_equal(json_string_value(json), bytes, length);
    json_decref(json);
}

static void test_json_strings_are_always_valid_utf8(void **state)
{
    AUTO_TEXT struct text text = TEXT_EMPTY(100);

    (void)state;
    text_json(&text, "a\xff\xe2\x82z\xc3");
    assert_string_equal(text_peek(&text), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\"");
    text_clear(&text);
    text_json(&text, NULL);
    assert_string_equal(text_peek(&text), "null");
}

static void test_utf8_is_checked_strictly(void **state)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xfe",
                                      "\xff"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(text_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(text_utf8_valid(bad[i], strlen(bad[i])));
}

static void test_cuts_fall_between_characters(void **state)
{
    const char *text = "a\xc3\xa9\xe2\x82\xac!";

    (void)state;
    assert_int_equal(text_utf8_cut(text, 7, 7), 7);
    assert_int_equal(text_utf8_cut(text, 7, 5), 3);
    assert_int_equal(text_utf8_cut(text, 7, 2), 1);
    assert_int_equal(text_utf8_cut(text, 7, 0), 0);
    assert_int_equal(text_utf8_prefix(text, 7, 3), 6);
    assert_int_equal(text_utf8_prefix(text, 7, 9), 7);
}

static void test_copies_show_only_what_is_safe(void **state)
{
    char out[32], small[5];
    const char *text = "a\x1b[1m\xc2\x85\xe2\x80\xae\xe2\x80\xa9\xf0\x9f\x98\x80";

    (void)state;
    assert_int_equal(text_utf8_copy(out, sizeof(out), text, strlen(text)), 12);
    assert_string_equal(out, "a [1m   \xf0\x9f\x98\x80");
    assert_int_equal(text_utf8_copy(small, sizeof(small), "ab\xe2\x82\xac", 5), 2);
    assert_string_equal(small, "ab");
    assert_int_equal(text_utf8_copy(small, 1, "ab", 2), 0);
    assert_string_equal(small, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_grows_up_to_its_bound_and_then_says_so),
        cmocka_unit_test(test_taking_an_empty_buffer_gives_an_empty_string),
        cmocka_unit_test(test_integers_of_every_size_are_written),
        cmocka_unit_test(test_json_strings_read_back_as_they_were),
        cmocka_unit_test(test_json_strings_are_always_valid_utf8),
        cmocka_unit_test(test_utf8_is_checked_strictly),
        cmocka_unit_test(test_cuts_fall_between_characters),
        cmocka_unit_test(test_copies_show_only_what_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
