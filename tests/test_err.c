/* common/err.c: the table of errors, and faults. */
#include "common/err.h"
#include "common/text.h"

#include "support/unit.h"

static void test_every_code_has_a_name_a_sentence_and_a_class(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_TIMEOUT), "ERR_TIMEOUT");
    assert_string_equal(err_text(ERR_TIMEOUT), "no answer before the deadline");
    assert_int_equal(err_class(OK), ERR_CLASS_NONE);
    assert_int_equal(err_class(ERR_NETWORK), ERR_CLASS_HOLD);
    assert_int_equal(err_class(ERR_MALFORMED), ERR_CLASS_REJECT);
    assert_int_equal(err_class(ERR_FENCED), ERR_CLASS_VOID);
}

static void test_a_code_outside_the_table_is_shown_as_unknown(void **state)
{
    enum err code = (enum err)9999;

    (void)state;
    assert_string_equal(err_name(code), "ERR_UNKNOWN");
    assert_int_equal(err_class(code), ERR_CLASS_HOLD);
}

static void test_a_fault_without_words_says_the_sentence_of_its_code(void **state)
{
    struct fault fault = fault_of(ERR_NETWORK);

    (void)state;
    assert_int_equal(fault.code, ERR_NETWORK);
    assert_string_equal(fault.detail, "the link is down or was lost");
    assert_string_equal(fault_of(OK).detail, "");
}

static void test_long_words_are_cut_between_characters(void **state)
{
    char words[600];
    struct fault fault;

    (void)state;
    for (size_t i = 0; i + 3 < sizeof(words); i += 2)
        memcpy(words + i, "\xc3\xa9", 3);
    fault = fault_make(ERR_REFUSED, "x%s", words);
    assert_int_equal(strlen(fault.detail), sizeof(fault.detail) - 1);
    assert_true(text_utf8_valid(fault.detail, strlen(fault.detail)));
}

static void test_words_from_outside_cannot_break_the_line(void **state)
{
    (void)state;
    assert_string_equal(fault_make(ERR_REFUSED, "%s", "no\r\nsuch\x1b[31m").detail, "no  such [31m");
    assert_string_equal(fault_make(ERR_REFUSED, "%s", "a\xff").detail, "a\xef\xbf\xbd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_name_a_sentence_and_a_class),
        cmocka_unit_test(test_a_code_outside_the_table_is_shown_as_unknown),
        cmocka_unit_test(test_a_fault_without_words_says_the_sentence_of_its_code),
        cmocka_unit_test(test_long_words_are_cut_between_characters),
        cmocka_unit_test(test_words_from_outside_cannot_break_the_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
