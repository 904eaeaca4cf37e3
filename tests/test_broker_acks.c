/* Acks: every tag acked once, none that the broker does not hold any more, and few frames for many. */
#include "common/broker_acks.h"

#include "support/unit.h"

enum { TAGS = 20000 };

/* The broker's side: closes the channel (fails the test) at an ack for what is not outstanding. */
struct model {
    bool outstanding[TAGS + 1];
    size_t left;
    size_t frames;
};

static void on_ack(void *context, uint64_t tag, bool multiple)
{
    struct model *model = context;

    assert_in_range(tag, 1, TAGS);
    assert_true(model->outstanding[tag]);
    for (uint64_t each = multiple ? 1 : tag; each <= tag; each++) {
        model->left -= model->outstanding[each];
        model->outstanding[each] = false;
    }
    model->frames++;
}

static void deliver(struct broker_acks *acks, struct model *model, uint64_t tag)
{
    assert_int_equal(broker_acks_add(acks, tag, false), OK);
    model->outstanding[tag] = true;
    model->left++;
}

static void in_order_many_take_one_frame(void **state)
{
    static struct model model;
    struct broker_acks acks;

    (void)state;
    broker_acks_init(&acks);
    for (uint64_t tag = 1; tag <= 100; tag++)
        deliver(&acks, &model, tag);
    for (uint64_t tag = 1; tag <= 100; tag++)
        assert_true(broker_acks_mark_done(&acks, tag));
    broker_acks_flush(&acks, 10, on_ack, &model);
    assert_int_equal(model.frames, 1);
    assert_int_equal(model.left, 0);
    broker_acks_fini(&acks);
}

static void those_behind_a_slow_one_wait_until_they_are_many_or_one_is_urgent(void **state)
{
    static struct model model;
    struct broker_acks acks;

    (void)state;
    broker_acks_init(&acks);
    for (uint64_t tag = 1; tag <= 9; tag++)
        deliver(&acks, &model, tag);
    for (uint64_t tag = 2; tag <= 4; tag++)
        assert_true(broker_acks_mark_done(&acks, tag));
    broker_acks_flush(&acks, 3, on_ack, &model);
    assert_int_equal(model.frames, 0);
    assert_true(broker_acks_mark_done(&acks, 6));
    broker_acks_flush(&acks, 3, on_ack, &model);
    assert_int_equal(model.frames, 4);
    /* 6 was acked singly: the prefix 1..6 ends with it, and must be acked by another name. */
    assert_true(broker_acks_mark_done(&acks, 1));
    assert_true(broker_acks_mark_done(&acks, 5));
    broker_acks_flush(&acks, 3, on_ack, &model);
    assert_int_equal(model.left, 3);
    assert_int_equal(broker_acks_add(&acks, 10, true), OK);
    model.outstanding[10] = true;
    model.left++;
    assert_true(broker_acks_mark_done(&acks, 10));
    broker_acks_flush(&acks, 3, on_ack, &model);
    assert_int_equal(model.left, 3);
    broker_acks_fini(&acks);
}

static void what_is_settled_is_not_settled_again(void **state)
{
    static struct model model;
    struct broker_acks acks;

    (void)state;
    broker_acks_init(&acks);
    deliver(&acks, &model, 1);
    deliver(&acks, &model, 2);
    assert_false(broker_acks_mark_done(&acks, 0));
    assert_false(broker_acks_mark_done(&acks, 3));
    assert_true(broker_acks_mark_requeued(&acks, 1));
    model.outstanding[1] = false;
    model.left--;
    assert_false(broker_acks_mark_done(&acks, 1));
    assert_false(broker_acks_mark_requeued(&acks, 1));
    assert_true(broker_acks_mark_done(&acks, 2));
    assert_false(broker_acks_mark_done(&acks, 2));
    assert_false(broker_acks_mark_requeued(&acks, 2));
    broker_acks_flush(&acks, 10, on_ack, &model);
    assert_int_equal(model.left, 0);
    assert_int_equal(acks.unsettled, 0);
    broker_acks_fini(&acks);
}

static void tags_that_skip_or_repeat_are_malformed(void **state)
{
    struct broker_acks acks;

    (void)state;
    broker_acks_init(&acks);
    assert_int_equal(broker_acks_add(&acks, 2, false), ERR_MALFORMED);
    assert_int_equal(broker_acks_add(&acks, 1, false), OK);
    assert_int_equal(broker_acks_add(&acks, 1, false), ERR_MALFORMED);
    broker_acks_reset(&acks);
    assert_false(broker_acks_is_unsettled(&acks, 1));
    assert_int_equal(broker_acks_add(&acks, 1, false), OK);
    broker_acks_fini(&acks);
}

static void any_order_of_settling_satisfies_the_broker(void **state)
{
    static struct model model;
    static uint64_t held[TAGS];
    struct broker_acks acks;
    size_t held_count = 0;
    uint64_t next = 1;
    unsigned chance = 1;

    (void)state;
    broker_acks_init(&acks);
    while (next <= TAGS || held_count > 0) {
        chance = chance * 1103515245U + 12345U;
        if (next <= TAGS && (held_count < 64 || chance >> 16 & 1)) {
            deliver(&acks, &model, next);
            held[held_count++] = next++;
            continue;
        }
        /* Mostly the oldest ones, now and then any; the first of each thousand last of all. */
        size_t pick = (chance >> 20) % held_count;
        uint64_t tag = held[pick];

        if (tag % 1000 == 1 && next <= TAGS)
            continue;
        held[pick] = held[--held_count];
        if ((chance >> 18 & 15) == 0) {
            assert_true(broker_acks_mark_requeued(&acks, tag));
            model.outstanding[tag] = false;
            model.left--;
        } else {
            assert_true(broker_acks_mark_done(&acks, tag));
        }
        if ((chance >> 24 & 3) == 0)
            broker_acks_flush(&acks, 16, on_ack, &model);
    }
    broker_acks_flush(&acks, 0, on_ack, &model);
    assert_int_equal(model.left, 0);
    assert_int_equal(acks.unsettled + acks.done, 0);
    broker_acks_fini(&acks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_many_take_one_frame),
        cmocka_unit_test(those_behind_a_slow_one_wait_until_they_are_many_or_one_is_urgent),
        cmocka_unit_test(what_is_settled_is_not_settled_again),
        cmocka_unit_test(tags_that_skip_or_repeat_are_malformed),
        cmocka_unit_test(any_order_of_settling_satisfies_the_broker),
    };

    return cmocka_run_group_tests_name("broker acks", tests, NULL, NULL);
}
