/* worker/verdict.c: the words for lines, and lines as JSON and back. */
#include "worker/verdict.h"

#include "common/scope.h"
#include "common/text.h"

#include "support/unit.h"

static struct line_outcome failed_line(int64_t id)
{
    struct line_outcome line = {.id = id,
                                .state = LINE_FAILED,
                                .status = FULFILL_STATUS_TIMEOUT,
                                .reason = "timeout",
                                .message = "no answer after 7 s",
                                .http_status = 504,
                                .module = "enrollment",
                                .look_first = true,
                                .doubtful = 2};

    return line;
}

static struct line_outcome complete_line(int64_t id, const char *result)
{
    struct line_outcome line = {.id = id, .state = LINE_COMPLETE, .module = "entitlement"};

    line.result_json = result ? strdup(result) : NULL;
    return line;
}

static void merge_text(struct line_outcome *lines, size_t count, const char *text, bool same_generation)
{
    json_t *array = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(array);
    line_outcomes_merge(lines, count, array, same_generation);
    json_decref(array);
}

static void test_each_state_has_the_word_of_the_contract(void **state)
{
    static const struct {
        enum line_state state;
        enum fulfill_status status;
        const char *reason, *fulfillment, *refund;
    } rows[] = {
        {LINE_OPEN, FULFILL_STATUS_COMPLETE, "", "Open", "Open"},
        {LINE_OPEN, FULFILL_STATUS_NETWORK, "network", "Fulfillment Network Error", "Revocation Error"},
        {LINE_COMPLETE, FULFILL_STATUS_COMPLETE, "", "Complete", "Complete"},
        {LINE_REFUNDED, FULFILL_STATUS_COMPLETE, "", "Refunded", "Complete"},
        {LINE_FAILED, FULFILL_STATUS_CONFIGURATION, "no_module", "Fulfillment Configuration Error",
         "Revocation Error"},
        {LINE_FAILED, FULFILL_STATUS_TIMEOUT, "timeout", "Fulfillment Timeout Error", "Revocation Error"},
        {LINE_FINAL, FULFILL_STATUS_SERVER, "bad_request", "Fulfillment Server Error", "Revocation Error"},
        {LINE_FINAL, FULFILL_STATUS_COMPLETE, "", "Fulfillment Server Error", "Revocation Error"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line_outcome line = {.state = rows[i].state, .status = rows[i].status};

        strcpy(line.reason, rows[i].reason);
        assert_string_equal(line_status_text(&line, false), rows[i].fulfillment);
        assert_string_equal(line_status_text(&line, true), rows[i].refund);
    }
}

/* What is written of the lines, read back. */
static json_t *written_lines(const struct line_outcome *lines, size_t count)
{
    AUTO_FREE char *text = line_outcomes_text(lines, count);
    json_t *array;

    assert_non_null(text);
    array = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(array);
    return array;
}

static void test_lines_come_back_as_they_were(void **state)
{
    struct line_outcome lines[] = {
        failed_line(11),
        complete_line(12, "{\"uuid\":\"u-1\"}"),
        {.id = 13},
        {.id = 14, .state = LINE_REFUNDED},
        {.id = 15, .state = LINE_FINAL, .status = FULFILL_STATUS_CONFIGURATION, .reason = "no_user"}};
    struct line_outcome back[] = {{.id = 15}, {.id = 11}, {.id = 12}, {.id = 13}, {.id = 14}};
    json_t *array = written_lines(lines, ARRAY_LEN(lines));

    (void)state;
    assert_int_equal(json_array_size(array), ARRAY_LEN(lines));
    line_outcomes_merge(back, ARRAY_LEN(back), array, true);
    json_decref(array);
    assert_int_equal(back[0].state, LINE_FINAL);
    assert_int_equal(back[0].status, FULFILL_STATUS_CONFIGURATION);
    assert_string_equal(back[0].reason, "no_user");
    assert_int_equal(back[1].state, LINE_FAILED);
    assert_int_equal(back[1].status, FULFILL_STATUS_TIMEOUT);
    assert_string_equal(back[1].reason, "timeout");
    assert_string_equal(back[1].message, "no answer after 7 s");
    assert_int_equal(back[1].http_status, 504);
    assert_string_equal(back[1].module, "enrollment");
    assert_true(back[1].look_first);
    assert_int_equal(back[1].doubtful, 2);
    assert_int_equal(back[2].state, LINE_COMPLETE);
    assert_string_equal(back[2].result_json, "{\"uuid\":\"u-1\"}");
    assert_int_equal(back[3].state, LINE_OPEN);
    assert_int_equal(back[4].state, LINE_REFUNDED);
    line_outcomes_free(lines, ARRAY_LEN(lines));
    line_outcomes_free(back, ARRAY_LEN(back));
}

static void test_a_header_has_finished_lines_and_what_a_line_in_doubt_needs(void **state)
{
    struct line_outcome lines[] = {failed_line(11), complete_line(12, NULL), {.id = 13, .key_generation = 4}};
    AUTO_FREE char *text = NULL;

    (void)state;
    lines[0].key_generation = 3;
    text = line_outcomes_header(lines, ARRAY_LEN(lines));
    assert_string_equal(text, "[{\"id\":11,\"state\":\"failed\",\"look_first\":true,\"key_generation\":3},"
                              "{\"id\":12,\"state\":\"complete\",\"module\":\"entitlement\"}]");
    line_outcomes_free(lines, ARRAY_LEN(lines));
}

static void test_a_new_generation_keeps_the_key_of_a_line_in_doubt_and_of_no_other(void **state)
{
    struct line_outcome lines[] = {failed_line(11), {.id = 12, .state = LINE_FINAL, .reason = "bad_request"}};
    struct line_outcome next[] = {{.id = 11}, {.id = 12}};
    struct line_outcome same[] = {{.id = 11}, {.id = 12}};
    json_t *array;

    (void)state;
    line_outcomes_choose_keys(lines, 2, 1);
    array = written_lines(lines, 2);
    line_outcomes_merge(next, 2, array, false);
    line_outcomes_choose_keys(next, 2, 2);
    assert_int_equal(next[0].key_generation, 1);
    assert_int_equal(next[1].key_generation, 2);
    line_outcomes_merge(same, 2, array, true);
    line_outcomes_choose_keys(same, 2, 9);
    assert_int_equal(same[0].key_generation, 1);
    assert_int_equal(same[1].key_generation, 1);
    json_decref(array);
    line_outcomes_free(lines, 2);
}

static void test_state_names_are_stored_and_do_not_change(void **state)
{
    static const char *const names[] = {"open", "complete", "refunded", "failed", "final"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct line_outcome line = {.id = 1, .state = (enum line_state)i};
        json_t *array = written_lines(&line, 1);
        json_t *row = json_array_get(array, 0);

        assert_string_equal(json_string_value(json_object_get(row, "state")), names[i]);
        json_decref(array);
    }
}

static void test_a_finished_line_is_never_undone(void **state)
{
    struct line_outcome line = {.id = 1};

    (void)state;
    merge_text(&line, 1, "[{\"id\":1,\"state\":\"complete\",\"result\":{\"uuid\":\"a\"}}]", false);
    merge_text(&line, 1,
               "[{\"id\":1,\"state\":\"failed\",\"reason\":\"timeout\",\"result\":{\"uuid\":\"b\"}}]", true);
    assert_int_equal(line.state, LINE_COMPLETE);
    assert_string_equal(line.reason, "");
    assert_string_equal(line.result_json, "{\"uuid\":\"a\"}");
    line_outcomes_free(&line, 1);
}

static void test_a_new_generation_opens_failed_lines_but_keeps_their_last_word(void **state)
{
    struct line_outcome before = failed_line(1), line = {.id = 1};
    json_t *array;

    (void)state;
    before.state = LINE_FINAL;
    array = written_lines(&before, 1);
    line_outcomes_merge(&line, 1, array, false);
    json_decref(array);
    assert_int_equal(line.state, LINE_OPEN);
    assert_string_equal(line_status_text(&line, false), "Fulfillment Timeout Error");
    assert_string_equal(line.reason, "timeout");
    assert_true(line.look_first);
    assert_int_equal(line.doubtful, 0);
}

static void test_the_larger_count_of_doubtful_answers_holds(void **state)
{
    struct line_outcome line = {.id = 1};

    (void)state;
    merge_text(&line, 1, "[{\"id\":1,\"state\":\"failed\",\"doubtful\":2}]", true);
    merge_text(&line, 1, "[{\"id\":1,\"state\":\"failed\",\"doubtful\":1}]", true);
    assert_int_equal(line.doubtful, 2);
}

static void test_a_line_stays_in_doubt_until_somebody_has_looked(void **state)
{
    struct line_outcome line = {.id = 1};

    (void)state;
    merge_text(&line, 1, "[{\"id\":1,\"state\":\"failed\",\"look_first\":true}]", true);
    merge_text(&line, 1, "[{\"id\":1,\"state\":\"failed\"}]", true);
    assert_true(line.look_first);
}

static void test_rows_that_make_no_sense_change_nothing(void **state)
{
    static const char *const rows[] = {
        "{}",
        "null",
        "7",
        "[]",
        "[null]",
        "[7]",
        "[[]]",
        "[{}]",
        "[{\"id\":1}]",
        "[{\"id\":\"1\",\"state\":\"complete\"}]",
        "[{\"id\":1,\"state\":\"done\"}]",
        "[{\"id\":1,\"state\":3}]",
        "[{\"id\":2,\"state\":\"complete\"}]",
        "[{\"state\":\"complete\"}]",
        "[{\"id\":1.0,\"state\":\"complete\"}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line_outcome line = {.id = 1};

        merge_text(&line, 1, rows[i], true);
        assert_int_equal(line.state, LINE_OPEN);
        assert_null(line.result_json);
        line_outcomes_free(&line, 1);
    }
    line_outcomes_merge(NULL, 0, NULL, true);
}

static void test_wild_values_in_a_row_are_tamed(void **state)
{
    struct line_outcome line = {.id = 1};

    (void)state;
    merge_text(&line, 1,
               "[{\"id\":1,\"state\":\"failed\",\"status\":\"great\",\"reason\":\"<script>\",\"message\":"
               "\"a\\r\\nb\","
               "\"http_status\":99999,\"doubtful\":-4,\"module\":7,\"result\":\"text\"}]",
               true);
    assert_int_equal(line.state, LINE_FAILED);
    assert_int_equal(line.status, FULFILL_STATUS_SERVER);
    assert_string_equal(line.reason, "");
    assert_string_equal(line.message, "a  b");
    assert_int_equal(line.http_status, 0);
    assert_int_equal(line.doubtful, 0);
    assert_string_equal(line.module, "");
    assert_null(line.result_json);
}

static void test_words_of_an_upstream_survive_as_utf8(void **state)
{
    struct line_outcome line = failed_line(1), back = {.id = 1};
    json_t *array;

    (void)state;
    strcpy(line.message, "caf\xc3\xa9 \xff\xfe \xed\xa0\x80");
    array = written_lines(&line, 1);
    assert_non_null(array);
    line_outcomes_merge(&back, 1, array, true);
    json_decref(array);
    assert_true(text_utf8_valid(back.message, strlen(back.message)));
    assert_memory_equal(back.message, "caf\xc3\xa9 ", 6);
}

static void test_a_message_of_500_bytes_is_kept_whole(void **state)
{
    struct line_outcome line = failed_line(1), back = {.id = 1};
    json_t *array;

    (void)state;
    for (size_t i = 0; i + 2 < sizeof(line.message); i += 2)
        memcpy(line.message + i, "\xc3\xa9", 3);
    array = written_lines(&line, 1);
    line_outcomes_merge(&back, 1, array, true);
    json_decref(array);
    assert_int_equal(strlen(back.message), 500);
    assert_string_equal(back.message, line.message);
}

static void test_a_result_that_is_no_object_is_left_out(void **state)
{
    struct line_outcome lines[] = {complete_line(1, "[1]"), complete_line(2, "{"),
                                   complete_line(3, "{\"a\":1}")};
    json_t *array = written_lines(lines, ARRAY_LEN(lines));

    (void)state;
    assert_int_equal(json_array_size(array), 3);
    assert_null(json_object_get(json_array_get(array, 0), "result"));
    assert_null(json_object_get(json_array_get(array, 1), "result"));
    assert_true(json_is_object(json_object_get(json_array_get(array, 2), "result")));
    json_decref(array);
    line_outcomes_free(lines, ARRAY_LEN(lines));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_state_has_the_word_of_the_contract),
        cmocka_unit_test(test_lines_come_back_as_they_were),
        cmocka_unit_test(test_a_header_has_finished_lines_and_what_a_line_in_doubt_needs),
        cmocka_unit_test(test_a_new_generation_keeps_the_key_of_a_line_in_doubt_and_of_no_other),
        cmocka_unit_test(test_state_names_are_stored_and_do_not_change),
        cmocka_unit_test(test_a_finished_line_is_never_undone),
        cmocka_unit_test(test_a_new_generation_opens_failed_lines_but_keeps_their_last_word),
        cmocka_unit_test(test_the_larger_count_of_doubtful_answers_holds),
        cmocka_unit_test(test_a_line_stays_in_doubt_until_somebody_has_looked),
        cmocka_unit_test(test_rows_that_make_no_sense_change_nothing),
        cmocka_unit_test(test_wild_values_in_a_row_are_tamed),
        cmocka_unit_test(test_words_of_an_upstream_survive_as_utf8),
        cmocka_unit_test(test_a_message_of_500_bytes_is_kept_whole),
        cmocka_unit_test(test_a_result_that_is_no_object_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
