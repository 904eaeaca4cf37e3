/* worker/modules/members.c: sees in an answer what jansson sees, in whole ones and in broken ones. */
#include "support/members_oracle.h"
#include "support/unit.h"
#include "worker/modules/members.h"

#include <stdio.h>

/* As the LMS answers an enrollment. */
#define ENROLLMENT                                                                                           \
    "{\"created\": \"2026-01-02T03:04:05.000006Z\", \"mode\": \"verified\", \"is_active\": true, "           \
    "\"user\": \"honor\", \"course_details\": {\"course_id\": \"course-v1:edX+DemoX+2026\", "                \
    "\"course_name\": \"D\\u00e9mo \\ud83d\\ude00 \xc3\xa9\", \"enrollment_end\": null, \"course_modes\": [" \
    "{\"slug\": \"audit\", \"mode\": \"no\", \"min_price\": 0, \"bulk_sku\": null}, "                        \
    "{\"slug\": \"verified\", \"min_price\": -1.5e2, \"suggested_prices\": \"\"}], \"invite_only\": false}}"

static void expect_agreement(const char *text, size_t length)
{
    /* Exactly as long as the text, so that a sanitizer sees a read beyond it. */
    char *exact = malloc(length > 0 ? length : 1);

    assert_non_null(exact);
    memcpy(exact, text, length);
    const char *differ = members_oracle(exact, length);
    if (differ)
        fail_msg("%s: %.*s", differ, (int)length, text);
    free(exact);
}

static void test_an_enrollment_tells_its_mode_and_whether_it_is_active(void **state)
{
    struct member wanted[] = {
        {.name = "mode"}, {.name = "is_active"}, {.name = "slug"}, {.name = "course_details"}};

    (void)state;
    assert_int_equal(members_read(ENROLLMENT, strlen(ENROLLMENT), wanted, 4), MEMBERS_OBJECT);
    assert_true(members_say(&wanted[0], "verified"));
    assert_false(members_say(&wanted[0], "verifie"));
    assert_false(members_say(&wanted[0], "verified2"));
    assert_int_equal(wanted[1].kind, MEMBER_TRUE);
    assert_int_equal(wanted[2].kind, MEMBER_MISSING);
    assert_int_equal(wanted[3].kind, MEMBER_OBJECT);
    assert_false(members_say(&wanted[3], ""));
}

static void test_an_enrollment_cut_anywhere_is_garbage(void **state)
{
    struct member wanted[] = {{.name = "mode"}};

    (void)state;
    for (size_t length = 0; length < strlen(ENROLLMENT); length++) {
        expect_agreement(ENROLLMENT, length);
        assert_int_equal(members_read(ENROLLMENT, length, wanted, 1), MEMBERS_GARBAGE);
        assert_int_equal(wanted[0].kind, MEMBER_MISSING);
    }
}

static void test_jansson_agrees_whatever_one_byte_is_replaced_by(void **state)
{
    static const char bytes[] = "\"\\{}[],:0-.eE+tn \x01\x7f\x80\xc3\xed\xf4\xff";
    char text[] = ENROLLMENT;

    (void)state;
    for (size_t at = 0; at < strlen(ENROLLMENT); at++) {
        for (size_t i = 0; i < sizeof(bytes); i++) { /* the NUL as well */
            text[at] = bytes[i];
            expect_agreement(text, sizeof(text) - 1);
        }
        text[at] = ENROLLMENT[at];
    }
}

static void test_jansson_agrees_on_odd_texts(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "null",
        " null ",
        "nul",
        "nulll",
        "{}",
        " { } ",
        "[]",
        "[ ]",
        "[{}]",
        "{}{}",
        "{} x",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "0",
        "-0",
        "-",
        "00",
        "01",
        "1.",
        ".5",
        "1.5",
        "1e",
        "1e+",
        "1E-05",
        "1e5",
        "-1.25e+10",
        "+1",
        "0x1",
        "9223372036854775807",
        "92233720368547758070",
        "1e400",
        "true",
        "True",
        "tru",
        "\"\"",
        "\"",
        "\"\\\"",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u00e9\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"\\u0000\":1}",
        "{\"a\":\"\\ud83d\\ude00\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{\"a\":\"\\ud83dx\"}",
        "{\"a\":\"\\uD83D\\uDE00\\b\\f\\n\\r\\t\\/\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\x7f\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}",
        "{\"a\":\"\xf0\x9f\x98\x80\"}",
        "{\"a\":\"\xe0\x80\x80\"}",
        "\xef\xbb\xbf{}",
        "{\"a\":1,\"a\":\"verified\"}",
        "{\"a\":\"verified\",\"a\":null}",
        "{\"\\u0061\":\"verified\"}",
        "{\"m\\u006fde\":\"veri\\u0066ied\"}",
        "{\"mode\":\"verifie\\u0064\"}",
        "{\"mode\":{\"mode\":\"verified\"}}",
        "[{\"mode\":\"verified\"}]",
        "{\"x\":[{\"a\":1}],\"a\":false}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_agreement(texts[i], strlen(texts[i]));
    expect_agreement("{}\0", 3);
    expect_agreement("2\0", 2);
    expect_agreement("\"a\0\"", 4);
}

/* `levels` objects inside each other. */
static enum members_text read_nested(int levels)
{
    char text[8 * 64 + 1] = "";
    struct member wanted[] = {{.name = "a"}};
    size_t length = 0;

    for (int i = 0; i < levels; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "{\"a\":");
    length += (size_t)snprintf(text + length, sizeof(text) - length, "1");
    for (int i = 0; i < levels; i++)
        text[length++] = '}';
    expect_agreement(text, length);
    return members_read(text, length, wanted, 1);
}

static void test_texts_nested_more_than_32_deep_are_garbage(void **state)
{
    (void)state;
    assert_int_equal(read_nested(32), MEMBERS_OBJECT);
    assert_int_equal(read_nested(33), MEMBERS_GARBAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_enrollment_tells_its_mode_and_whether_it_is_active),
        cmocka_unit_test(test_an_enrollment_cut_anywhere_is_garbage),
        cmocka_unit_test(test_jansson_agrees_whatever_one_byte_is_replaced_by),
        cmocka_unit_test(test_jansson_agrees_on_odd_texts),
        cmocka_unit_test(test_texts_nested_more_than_32_deep_are_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
