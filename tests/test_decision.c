/* A decision survives the way through Redis word for word, and nothing else passes for one. */
#include "worker/decision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_a_decision_comes_back_as_it_was(void **state)
{
    struct decision decision = {
        .event_id = "EDX-1/fulfill/5f0c/1/2/dead",
        .event_key = "order.fulfill.dead",
        .event_json = "{\"a\":\"line\\nbreak\"}",
        .copy = COPY_DEAD,
        .generation = 3,
        .attempts = 2,
        .waits = 7,
        .first_ms = 1767323049123,
        .due_ms = 1767323059123,
        .finished = "[{\"id\":11}]",
        .reason = "server_error",
        .detail = "line 11: \"quoted\"",
    };
    struct decision back;
    AUTO_FREE char *text = decision_encode(&decision);

    (void)state;
    assert_non_null(text);
    assert_int_equal(decision_decode(text, &back), OK);
    assert_string_equal(back.event_id, decision.event_id);
    assert_string_equal(back.event_key, decision.event_key);
    assert_string_equal(back.event_json, decision.event_json);
    assert_int_equal(back.copy, COPY_DEAD);
    assert_int_equal(back.generation, 3);
    assert_int_equal(back.attempts, 2);
    assert_int_equal(back.waits, 7);
    assert_true(back.first_ms == decision.first_ms && back.due_ms == decision.due_ms);
    assert_string_equal(back.finished, decision.finished);
    assert_string_equal(back.reason, decision.reason);
    assert_string_equal(back.detail, decision.detail);
    decision_fini(&back);
}

static void test_a_decision_without_an_event_comes_back_without_one(void **state)
{
    struct decision decision = {.copy = COPY_RETRY, .generation = 1};
    struct decision back;
    AUTO_FREE char *text = decision_encode(&decision);

    (void)state;
    assert_int_equal(decision_decode(text, &back), OK);
    assert_null(back.event_id);
    assert_null(back.event_json);
    assert_int_equal(back.copy, COPY_RETRY);
    decision_fini(&back);
}

static void test_other_texts_are_malformed(void **state)
{
    static const char *const texts[] = {
        "", "x", "[]", "[]\n", "{}\n{}", "[1,2,9]\n", "[null,null,9,1,1,1,1,1,null,null,null]\n"};
    struct decision back;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(decision_decode(texts[i], &back), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_decision_comes_back_as_it_was),
        cmocka_unit_test(test_a_decision_without_an_event_comes_back_without_one),
        cmocka_unit_test(test_other_texts_are_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
