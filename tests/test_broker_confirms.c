/* Confirms: who is told what when the broker answers one, many, out of order, twice, or returns a message. */
#include "common/broker_confirms.h"

#include "support/unit.h"

enum { OPS = 1000 };

static struct publish_op ops[OPS];
static int told[OPS];
static size_t told_count;

static void on_told(void *context, struct publish_op *op)
{
    (void)context;
    told[op - ops]++;
    told_count++;
}

static void publish(struct broker_confirms *confirms, size_t index, int64_t deadline_ms)
{
    assert_int_equal(broker_confirms_reserve(confirms), OK);
    ops[index] = (struct publish_op){.deadline_ms = deadline_ms};
    broker_confirms_add(confirms, &ops[index], 100 + index);
}

static int fresh(void **state)
{
    static struct broker_confirms confirms;

    memset(told, 0, sizeof(told));
    told_count = 0;
    broker_confirms_init(&confirms);
    *state = &confirms;
    return 0;
}

static int drop(void **state)
{
    broker_confirms_fini(*state);
    return 0;
}

static void each_is_told_once_whatever_the_order(void **state)
{
    struct broker_confirms *confirms = *state;

    for (size_t i = 0; i < OPS; i++)
        publish(confirms, i, 0);
    assert_int_equal(broker_confirms_settle(confirms, 3, false, on_told, NULL), OK);
    assert_int_equal(broker_confirms_settle(confirms, 3, false, on_told, NULL), OK);
    assert_int_equal(broker_confirms_settle(confirms, 10, true, on_told, NULL), OK);
    assert_int_equal(told_count, 10);
    assert_int_equal(broker_confirms_settle(confirms, 5, true, on_told, NULL), OK);
    assert_int_equal(broker_confirms_settle(confirms, OPS, false, on_told, NULL), OK);
    assert_int_equal(told_count, 11);
    assert_int_equal(broker_confirms_settle(confirms, 0, true, on_told, NULL), OK);
    assert_int_equal(told_count, OPS);
    for (size_t i = 0; i < OPS; i++)
        assert_int_equal(told[i], 1);
}

static void an_answer_to_what_was_never_sent_is_malformed(void **state)
{
    struct broker_confirms *confirms = *state;

    publish(confirms, 0, 0);
    assert_int_equal(broker_confirms_settle(confirms, 2, false, on_told, NULL), ERR_MALFORMED);
    assert_int_equal(broker_confirms_settle(confirms, UINT64_MAX, true, on_told, NULL), ERR_MALFORMED);
    assert_int_equal(broker_confirms_settle(confirms, 0, false, on_told, NULL), ERR_MALFORMED);
    assert_int_equal(told_count, 0);
}

static void a_returned_one_is_found_by_what_it_is(void **state)
{
    struct broker_confirms *confirms = *state;

    for (size_t i = 0; i < 3; i++)
        publish(confirms, i, 0);
    assert_int_equal(broker_confirms_mark_returned(confirms, 101), OK);
    assert_false(ops[0].returned);
    assert_true(ops[1].returned);
    assert_false(ops[2].returned);
    assert_int_equal(broker_confirms_mark_returned(confirms, 101), ERR_MALFORMED);
    assert_int_equal(broker_confirms_mark_returned(confirms, 7), ERR_MALFORMED);
}

static void one_out_of_time_is_told_and_its_late_answer_is_nobodys(void **state)
{
    struct broker_confirms *confirms = *state;

    publish(confirms, 0, 50);
    publish(confirms, 1, 10);
    publish(confirms, 2, 30);
    assert_int_equal(broker_confirms_expire(confirms, 9, on_told, NULL), 10);
    assert_int_equal(told_count, 0);
    assert_int_equal(broker_confirms_expire(confirms, 10, on_told, NULL), 30);
    assert_int_equal(told[1], 1);
    assert_int_equal(broker_confirms_mark_returned(confirms, 101), OK);
    assert_int_equal(broker_confirms_settle(confirms, 2, false, on_told, NULL), OK);
    assert_int_equal(told_count, 1);
    assert_int_equal(broker_confirms_expire(confirms, 60, on_told, NULL), -1);
    assert_int_equal(told_count, 3);
}

static void a_lost_link_tells_all_that_is_open_and_counts_anew(void **state)
{
    struct broker_confirms *confirms = *state;

    publish(confirms, 0, 0);
    publish(confirms, 1, 0);
    assert_int_equal(broker_confirms_settle(confirms, 1, false, on_told, NULL), OK);
    broker_confirms_reset(confirms, on_told, NULL);
    assert_int_equal(told_count, 2);
    publish(confirms, 2, 0);
    assert_int_equal(ops[2].sequence, 1);
}

static void fingerprints_differ_where_messages_do(void **state)
{
    const uint64_t one = broker_confirms_fingerprint("e", "k", "id", "body", 4);

    (void)state;
    assert_true(one == broker_confirms_fingerprint("e", "k", "id", "body", 4));
    assert_true(one != broker_confirms_fingerprint("ek", "", "id", "body", 4));
    assert_true(one != broker_confirms_fingerprint("e", "k2", "id", "body", 4));
    assert_true(one != broker_confirms_fingerprint("e", "k", "id2", "body", 4));
    assert_true(one != broker_confirms_fingerprint("e", "k", "id", "bodz", 4));
    assert_true(one != broker_confirms_fingerprint("e", "k", NULL, "", 0));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fresh, drop)
    const struct CMUnitTest tests[] = {
        CASE(each_is_told_once_whatever_the_order),
        CASE(an_answer_to_what_was_never_sent_is_malformed),
        CASE(a_returned_one_is_found_by_what_it_is),
        CASE(one_out_of_time_is_told_and_its_late_answer_is_nobodys),
        CASE(a_lost_link_tells_all_that_is_open_and_counts_anew),
        CASE(fingerprints_differ_where_messages_do),
    };

    return cmocka_run_group_tests_name("broker confirms", tests, NULL, NULL);
}
