/* tests/fakes/fake_loop.c: the virtual clock keeps the promises of common/loop.h. */
#include "fakes/fake_loop.h"

#include "support/unit.h"

#include <stdio.h>

static struct loop *loop;
static char order[64];
static struct loop_timer timers[3];
static struct loop_task task;

static void on_timer(struct loop_timer *timer)
{
    (void)snprintf(order + strlen(order), sizeof(order) - strlen(order), "%d@%lld ", (int)(timer - timers),
                   (long long)(loop_now_ms(loop) - FAKE_LOOP_START_MS));
    loop_task_start(&task);
}

static void on_task(struct loop_task *started)
{
    (void)started;
    strcat(order, "t ");
}

static int set_up(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = loop_new();
    loop_task_init(&task, loop, on_task);
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void test_advancing_stops_at_each_timer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        loop_timer_init(&timers[i], loop, on_timer);
    loop_timer_start(&timers[0], 20);
    loop_timer_start(&timers[1], 10);
    loop_timer_start(&timers[2], 31);
    fake_loop_advance(loop, 30);
    assert_string_equal(order, "1@10 t 0@20 t ");
    assert_int_equal(loop_now_ms(loop), FAKE_LOOP_START_MS + 30);
    assert_int_equal(loop_wall_us(loop), FAKE_LOOP_START_WALL_US + 30000);
    assert_int_equal(fake_loop_leftovers(loop), 1);
    fake_loop_advance(loop, 1);
    assert_string_equal(order, "1@10 t 0@20 t 2@31 t ");
}

static void on_poll(void *context, int events)
{
    (void)context;
    (void)snprintf(order + strlen(order), sizeof(order) - strlen(order), "p%d ", events);
    loop_task_start(&task);
}

static void test_polls_hear_only_what_they_wait_for(void **state)
{
    struct loop_poll *poll = loop_poll_new(loop, 7, on_poll, NULL);

    (void)state;
    assert_null(loop_poll_new(loop, 7, on_poll, NULL));
    assert_false(fake_loop_fire(loop, 7, LOOP_READABLE));
    loop_poll_set(poll, LOOP_READABLE);
    assert_int_equal(fake_loop_watched(loop, 7), LOOP_READABLE);
    assert_false(fake_loop_fire(loop, 7, LOOP_WRITABLE));
    assert_false(fake_loop_fire(loop, 8, LOOP_READABLE));
    assert_true(fake_loop_fire(loop, 7, LOOP_READABLE | LOOP_WRITABLE));
    assert_true(fake_loop_fire(loop, 7, LOOP_BROKEN));
    assert_false(fake_loop_fire(loop, 7, LOOP_READABLE)); /* the watch has stopped */
    assert_string_equal(order, "p1 t p5 t ");
    loop_poll_free(poll);
    assert_int_equal(fake_loop_watched(loop, 7), -1);
}

static void on_signal(void *context, int signum)
{
    (void)context;
    assert_int_equal(signum, 15);
    strcat(order, "s ");
}

static void test_signals_reach_their_listener(void **state)
{
    struct loop_signal *signal = loop_signal_new(loop, 15, on_signal, NULL);

    (void)state;
    assert_false(fake_loop_signal(loop, 1));
    assert_true(fake_loop_signal(loop, 15));
    assert_string_equal(order, "s ");
    loop_signal_free(signal);
}

static void on_name(void *context, const struct loop_address *addresses, size_t count,
                    const struct fault *fault)
{
    (void)context;
    (void)addresses;
    (void)snprintf(order + strlen(order), sizeof(order) - strlen(order), "%zu %s ", count,
                   err_name(fault->code));
}

static void test_names_are_found_unless_the_test_says_otherwise(void **state)
{
    struct loop_resolve *first = loop_resolve_new(loop, "mq.example", "5672", on_name, NULL), *second, *third;
    struct fault fault = fault_of(ERR_NETWORK);

    (void)state;
    assert_string_equal(order, "");
    fake_loop_settle(loop);
    fake_loop_fail_names(loop, &fault);
    second = loop_resolve_new(loop, "mq.example", "5672", on_name, NULL);
    fake_loop_settle(loop);
    third = loop_resolve_new(loop, "mq.example", "5672", on_name, NULL);
    loop_resolve_free(third);
    fake_loop_settle(loop);
    assert_string_equal(order, "1 OK 0 ERR_NETWORK ");
    loop_resolve_free(first);
    loop_resolve_free(second);
}

static void on_child(void *context, int exit_status, int term_signal)
{
    (void)context;
    (void)snprintf(order + strlen(order), sizeof(order) - strlen(order), "%d/%d ", exit_status, term_signal);
}

static void test_children_end_when_the_test_says_so(void **state)
{
    char *argv[] = {"fulfilld", "worker", NULL};
    struct fault fault;
    struct loop_child *child = loop_child_new(loop, "fulfilld", argv, NULL, 0, on_child, NULL, &fault);
    pid_t pid = fake_loop_last_child(loop);

    (void)state;
    assert_int_equal(loop_child_pid(child), pid);
    assert_string_equal(fake_loop_child_argument(loop, pid, 1), "worker");
    assert_null(fake_loop_child_argument(loop, pid, 2));
    assert_true(fake_loop_child_end(loop, pid, 0, 9));
    assert_false(fake_loop_child_end(loop, pid, 0, 9));
    assert_string_equal(order, "-1/9 ");
    loop_child_free(child);
    fake_loop_fail_children(loop, true);
    assert_null(loop_child_new(loop, "fulfilld", argv, NULL, 0, on_child, NULL, &fault));
}

#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE_TEST(test_advancing_stops_at_each_timer),
        FAKE_TEST(test_polls_hear_only_what_they_wait_for),
        FAKE_TEST(test_signals_reach_their_listener),
        FAKE_TEST(test_names_are_found_unless_the_test_says_otherwise),
        FAKE_TEST(test_children_end_when_the_test_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
