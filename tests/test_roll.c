/* Workers replaced one by one: the next is stopped when the new one is ready, or has had its time. */
#include "fakes/fake_loop.h"
#include "support/unit.h"

#include "worker/readiness.h"
#include "worker/roll.h"

#include <signal.h>

enum { SLOTS = 3, LOOK_MS = 100 /* more than there is between two looks */ };

static struct loop *loop;
static struct slot slots[SLOTS];
static struct roll roll;
static bool ready[SLOTS];
static int done;
static int last_signal;
static pid_t last_killed;

/* In place of libc's: the pids of the fake loop are nobody's. */
int kill(pid_t pid, int signum)
{
    last_killed = pid;
    last_signal = signum;
    return 0;
}

/* In place of the shared memory, which each worker writes for itself. */
bool readiness_of(const struct slot *slot)
{
    return slot->state == SLOT_RUNNING && ready[slot->index];
}

/* As the supervisor does. */
static void on_stopped(void *context, struct slot *slot)
{
    (void)context;
    if (!slot->restart)
        return;
    slot->restart = false;
    slot_handle(slot, SLOT_EVENT_START);
    roll_restarted(&roll, slot);
}

static void on_done(void *context)
{
    assert_ptr_equal(context, &done);
    done++;
}

static int open_roll(void **state)
{
    static const int fds[2] = {10, 11};

    (void)state;
    loop = loop_new();
    assert_non_null(loop);
    done = last_signal = 0;
    last_killed = 0;
    for (int i = 0; i < SLOTS; i++) {
        slot_init(&slots[i], loop, i, i == SLOTS - 1, fds, on_stopped, NULL);
        slot_handle(&slots[i], SLOT_EVENT_START);
        ready[i] = true;
    }
    roll_init(&roll, loop, slots, SLOTS, on_done, &done);
    return 0;
}

static int close_roll(void **state)
{
    (void)state;
    roll_cancel(&roll);
    for (int i = 0; i < SLOTS; i++) {
        loop_timer_stop(&slots[i].timer);
        loop_child_free(slots[i].child);
    }
    assert_int_equal(fake_loop_leftovers(loop), 0);
    loop_free(loop);
    return 0;
}

static void assert_only_stopping(int index)
{
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(slots[i].state == SLOT_STOPPING, i == index);
}

static const int NONE = -1;

/* The process ends; the next one runs at once, and is not ready yet. */
static void end(int index)
{
    ready[index] = false;
    assert_true(fake_loop_child_end(loop, loop_child_pid(slots[index].child), 0, 0));
}

static void get_ready(int index)
{
    ready[index] = true;
    fake_loop_advance(loop, LOOK_MS);
}

static void test_the_next_is_stopped_when_the_new_one_is_ready(void **state)
{
    (void)state;
    roll_begin(&roll);
    for (int i = 0; i < SLOTS; i++) {
        assert_only_stopping(i);
        assert_int_equal(last_signal, SIGTERM);
        assert_int_equal(last_killed, loop_child_pid(slots[i].child));
        fake_loop_advance(loop, 60000); /* it may drain for as long as it is allowed to */
        assert_only_stopping(i);
        end(i);
        fake_loop_advance(loop, ROLL_PATIENCE_MS / 2);
        assert_only_stopping(NONE);
        assert_int_equal(done, 0);
        get_ready(i);
    }
    assert_only_stopping(NONE);
    assert_int_equal(done, 1);
}

static void test_one_that_does_not_become_ready_does_not_hold_up_the_others(void **state)
{
    (void)state;
    roll_begin(&roll);
    for (int i = 0; i < SLOTS; i++) {
        end(i);
        fake_loop_advance(loop, ROLL_PATIENCE_MS - 1);
        assert_only_stopping(NONE);
        assert_int_equal(done, 0);
        fake_loop_advance(loop, LOOK_MS);
        assert_only_stopping(i + 1 < SLOTS ? i + 1 : NONE);
    }
    assert_int_equal(done, 1);
}

static void test_a_new_one_that_crashes_is_waited_for_until_its_time_is_over(void **state)
{
    (void)state;
    roll_begin(&roll);
    end(0);
    end(0);
    assert_int_equal(slots[0].state, SLOT_BACKOFF);
    fake_loop_advance(loop, 250);
    assert_int_equal(slots[0].state, SLOT_RUNNING);
    assert_only_stopping(NONE);
    get_ready(0);
    assert_only_stopping(1);

    fake_loop_fail_children(loop, true); /* it cannot even be started again */
    end(1);
    assert_int_equal(slots[1].state, SLOT_BACKOFF);
    fake_loop_advance(loop, ROLL_PATIENCE_MS - 1);
    assert_only_stopping(NONE);
    fake_loop_advance(loop, LOOK_MS);
    assert_only_stopping(2);
    fake_loop_fail_children(loop, false);
}

static void test_one_that_waits_to_restart_is_replaced_at_once(void **state)
{
    (void)state;
    end(0);
    assert_int_equal(slots[0].state, SLOT_BACKOFF);
    roll_begin(&roll);
    assert_int_equal(slots[0].state, SLOT_RUNNING);
    assert_only_stopping(NONE);
    get_ready(0);
    assert_only_stopping(1);
}

static void test_a_newer_roll_begins_again(void **state)
{
    (void)state;
    roll_begin(&roll);
    end(0);
    get_ready(0);
    end(1);
    roll_begin(&roll); /* while the new one of the second slot is waited for */
    assert_only_stopping(0);
    get_ready(1);
    assert_only_stopping(0);
    end(0);
    get_ready(0);
    assert_only_stopping(1);
}

/* Two old ones at once, and the pool would have lost both. */
static void test_one_that_stops_already_is_waited_for_and_not_killed(void **state)
{
    (void)state;
    roll_begin(&roll);
    assert_only_stopping(0);
    roll_begin(&roll);
    assert_only_stopping(0);
    assert_int_equal(last_signal, SIGTERM);
    end(0);
    fake_loop_advance(loop, LOOK_MS);
    assert_only_stopping(NONE);
    get_ready(0);
    assert_only_stopping(1);
}

static void test_a_slot_that_is_restarted_beside_the_roll_does_not_move_it(void **state)
{
    (void)state;
    roll_begin(&roll);
    slots[2].restart = true; /* it had grown */
    slot_handle(&slots[2], SLOT_EVENT_STOP);
    end(2);
    get_ready(2);
    fake_loop_advance(loop, 2 * ROLL_PATIENCE_MS);
    assert_only_stopping(0);
    assert_int_equal(done, 0);
}

static void test_nothing_is_stopped_after_a_cancel(void **state)
{
    (void)state;
    roll_begin(&roll);
    end(0);
    roll_cancel(&roll);
    get_ready(0);
    fake_loop_advance(loop, 2 * ROLL_PATIENCE_MS);
    assert_only_stopping(NONE);
    assert_int_equal(done, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_roll, close_roll)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_next_is_stopped_when_the_new_one_is_ready),
        TEST(test_one_that_does_not_become_ready_does_not_hold_up_the_others),
        TEST(test_a_new_one_that_crashes_is_waited_for_until_its_time_is_over),
        TEST(test_one_that_waits_to_restart_is_replaced_at_once),
        TEST(test_a_newer_roll_begins_again),
        TEST(test_one_that_stops_already_is_waited_for_and_not_killed),
        TEST(test_a_slot_that_is_restarted_beside_the_roll_does_not_move_it),
        TEST(test_nothing_is_stopped_after_a_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
