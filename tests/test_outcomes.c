/* The table of outcomes: every row is reached by some answer, every answer meets a row, and docs/failures.md
 * says the same (tests/outcomes_page.c). */
#include "support/unit.h"
#include "worker/outcome.h"

#include "common/scope.h"

#include <stdio.h>

/* An answer that meets a row, made from the row's own columns. */
static struct fulfill_answer answer_for(const struct outcome_row *row)
{
    const char *body = row->match == OUTCOME_SAYS ? row->text : "";

    return (struct fulfill_answer){
        .size = sizeof(struct fulfill_answer),
        .transport = row->transport,
        .status = row->from,
        .body = body,
        .body_length = strlen(body),
        .retry_after_s = row->match == OUTCOME_AFTER ? 5 : -1,
    };
}

static enum fulfill_operation operation_of(const struct outcome_row *row)
{
    if (row->operations & OUTCOME_OP_FULFILL)
        return FULFILL_OPERATION_FULFILL;
    return row->operations & OUTCOME_OP_REFUND ? FULFILL_OPERATION_REFUND : FULFILL_OPERATION_LOOKUP;
}

/* A status of the row's range that no earlier row takes away. */
static const struct outcome_row *reach(const struct outcome_row *row)
{
    const char *finding = row->match == OUTCOME_FINDS ? row->text : NULL;

    for (int status = row->from; status <= row->to; status++) {
        struct fulfill_answer answer = answer_for(row);
        answer.status = status;
        const struct outcome_row *met = outcome_find(
            row->module, operation_of(row), row->where == OUTCOME_SENT_NOTHING ? NULL : &answer, finding);
        if (met == row)
            return met;
    }
    return NULL;
}

static void test_every_row_is_reached(void **state)
{
    (void)state;
    for (size_t i = 0; i < outcome_row_count; i++)
        if (!reach(&outcome_rows[i]))
            fail_msg("no answer meets row %s", outcome_rows[i].id);
}

static void test_every_answer_of_every_module_meets_a_row_that_makes_sense(void **state)
{
    static const char *const modules[] = {"enrollment", "entitlement", "webhook", "licence"};
    static const char *const bodies[] = {"", "{}", "{\"message\":\"x\"}", "<html>"};
    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(modules); m++)
        for (int operation = FULFILL_OPERATION_FULFILL; operation <= FULFILL_OPERATION_LOOKUP; operation++)
            for (int transport = FULFILL_ANSWERED; transport <= FULFILL_HOST_FAILED; transport++)
                for (int status = 0; status <= 999; status++)
                    for (size_t b = 0; b < ARRAY_LEN(bodies); b++) {
                        char words[OUTCOME_WORDS_BYTES];
                        struct fulfill_result result;
                        const struct fulfill_answer answer = {.size = sizeof(answer),
                                                              .transport = (enum fulfill_transport)transport,
                                                              .status = status,
                                                              .body = bodies[b],
                                                              .body_length = strlen(bodies[b]),
                                                              .retry_after_s = -1};
                        const struct outcome_row *row =
                            outcome_find(modules[m], (enum fulfill_operation)operation, &answer, NULL);
                        outcome_fill(row, &answer, words, &result);
                        assert_string_not_equal(row->id, "MODULE_NONSENSE");
                        assert_true(result.decision == FULFILL_DONE || result.reason != NULL);
                        assert_true((result.decision == FULFILL_DONE) ==
                                    (result.status == FULFILL_STATUS_COMPLETE));
                        if (result.decision == FULFILL_DONE)
                            assert_true(transport == FULFILL_ANSWERED && status >= 200);
                    }
}

static void test_only_what_may_have_had_its_effect_asks_for_a_look(void **state)
{
    static const enum fulfill_transport ambiguous[] = {FULFILL_NO_ANSWER, FULFILL_TIMED_OUT,
                                                       FULFILL_TRUNCATED, FULFILL_TOO_BIG, FULFILL_INVALID};
    (void)state;
    for (int transport = FULFILL_NO_NAME; transport <= FULFILL_HOST_FAILED; transport++) {
        bool expected = false;
        for (size_t i = 0; i < ARRAY_LEN(ambiguous); i++)
            expected = expected || ambiguous[i] == (enum fulfill_transport)transport;
        const struct fulfill_answer answer = {
            .transport = (enum fulfill_transport)transport, .body = "", .retry_after_s = -1};
        assert_int_equal(outcome_find("enrollment", FULFILL_OPERATION_FULFILL, &answer, NULL)->look,
                         expected ? FULFILL_LOOK_NEXT : FULFILL_LOOK_NO);
    }
}

static void test_the_upstreams_words_are_found_in_its_answer(void **state)
{
    static const struct {
        const char *body, *words;
    } rows[] = {
        {"Oops!", "Oops!"},
        {" plain\n", "plain"},
        {"{\"message\":\"m\",\"detail\":\"d\"}", "m"},
        {"{\"detail\":\"d\"}", "d"},
        {"{\"error_code\":\"token_expired\",\"developer_message\":\"dm\"}", "dm"},
        {"{\"error\":\"invalid_client\"}", "invalid_client"},
        {"{\"error\":{\"message\":\"deep\"}}", "deep"},
        {"{\"user\":[\"Object with username=x does not exist.\"]}",
         "user: Object with username=x does not exist."},
        {"[\"first\",\"second\"]", "first"},
        {"\"text\"", "text"},
        {"<html><body>502</body></html>", ""},
        {"{\"n\":1}", ""},
        {"{broken", "{broken"},
        {"", ""},
        {"bell\x07 and \xff", "bell  and \xef\xbf\xbd"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char words[OUTCOME_WORDS_BYTES];
        const struct fulfill_answer answer = {.body = rows[i].body, .body_length = strlen(rows[i].body)};
        outcome_words(&answer, words);
        assert_string_equal(words, rows[i].words);
    }
}

static void test_an_upstream_that_says_nothing_is_described_for_staff(void **state)
{
    (void)state;
    for (size_t i = 0; i < outcome_row_count; i++) {
        char words[OUTCOME_WORDS_BYTES];
        struct fulfill_answer answer = answer_for(&outcome_rows[i]);
        struct fulfill_result result;
        answer.body = "";
        answer.body_length = 0;
        outcome_fill(&outcome_rows[i], &answer, words, &result);
        if (result.decision == FULFILL_DONE)
            continue;
        assert_true(strlen(result.message) > 0);
        assert_false(result.message[0] == 'E' && result.message[1] >= '0' && result.message[1] <= '9');
    }
}

static void test_words_are_cut_to_500_bytes(void **state)
{
    char body[2000], words[OUTCOME_WORDS_BYTES];

    (void)state;
    memset(body, 'a', sizeof(body));
    const struct fulfill_answer answer = {.body = body, .body_length = sizeof(body) - 1};
    body[sizeof(body) - 1] = '\0';
    outcome_words(&answer, words);
    assert_int_equal(strlen(words), 500);
}

static void test_ids_are_unique_and_reasons_are_the_contracts(void **state)
{
    (void)state;
    for (size_t i = 0; i < outcome_row_count; i++)
        for (size_t j = i + 1; j < outcome_row_count; j++)
            assert_string_not_equal(outcome_rows[i].id, outcome_rows[j].id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_reached),
        cmocka_unit_test(test_every_answer_of_every_module_meets_a_row_that_makes_sense),
        cmocka_unit_test(test_only_what_may_have_had_its_effect_asks_for_a_look),
        cmocka_unit_test(test_the_upstreams_words_are_found_in_its_answer),
        cmocka_unit_test(test_an_upstream_that_says_nothing_is_described_for_staff),
        cmocka_unit_test(test_words_are_cut_to_500_bytes),
        cmocka_unit_test(test_ids_are_unique_and_reasons_are_the_contracts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
