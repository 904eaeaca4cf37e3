/* A worker process kept alive: started, restarted ever more slowly, stopped, killed when it hangs. */
#include "fakes/fake_loop.h"
#include "support/unit.h"

#include "worker/slot.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static struct slot slot;
static const int fds[2] = {10, 11};
static int stopped;
static int last_signal;
static pid_t last_killed;

/* In place of libc's: the pids of the fake loop are nobody's. */
int kill(pid_t pid, int signum)
{
    last_killed = pid;
    last_signal = signum;
    return 0;
}

static void on_stopped(void *context, struct slot *which)
{
    assert_ptr_equal(context, &stopped);
    assert_ptr_equal(which, &slot);
    stopped++;
}

static void open_slot(int index, bool solo)
{
    loop = loop_new();
    assert_non_null(loop);
    stopped = last_signal = 0;
    last_killed = 0;
    slot_init(&slot, loop, index, solo, fds, on_stopped, &stopped);
}

static int open_plain(void **state)
{
    (void)state;
    open_slot(3, false);
    return 0;
}

static int close_slot(void **state)
{
    (void)state;
    loop_timer_stop(&slot.timer);
    loop_child_free(slot.child);
    assert_int_equal(fake_loop_leftovers(loop), 0);
    loop_free(loop);
    return 0;
}

static pid_t started(void)
{
    slot_handle(&slot, SLOT_EVENT_START);
    assert_int_equal(slot.state, SLOT_RUNNING);
    return fake_loop_last_child(loop);
}

static void end(pid_t pid)
{
    assert_true(fake_loop_child_end(loop, pid, 1, 0));
}

static void test_a_worker_is_told_its_slot_and_its_master(void **state)
{
    char master[16];
    pid_t pid = started();

    (void)state;
    snprintf(master, sizeof(master), "%d", (int)getpid());
    assert_string_equal(fake_loop_child_argument(loop, pid, 1), "worker");
    assert_string_equal(fake_loop_child_argument(loop, pid, 2), "--slot");
    assert_string_equal(fake_loop_child_argument(loop, pid, 3), "3");
    assert_string_equal(fake_loop_child_argument(loop, pid, 4), "--master");
    assert_string_equal(fake_loop_child_argument(loop, pid, 5), master);
    assert_null(fake_loop_child_argument(loop, pid, 6));
}

static void test_the_worker_for_suspects_is_told_so(void **state)
{
    (void)state;
    open_slot(1, true);
    assert_string_equal(fake_loop_child_argument(loop, started(), 6), "--solo");
    close_slot(NULL);
}

static void test_restarts_become_ever_rarer_up_to_30_s(void **state)
{
    static const int64_t pauses_ms[] = {250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    pid_t pid = started();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        end(pid);
        assert_int_equal(slot.state, SLOT_BACKOFF);
        fake_loop_advance(loop, pauses_ms[i] - 1);
        assert_int_equal(slot.state, SLOT_BACKOFF);
        fake_loop_advance(loop, 1);
        assert_int_equal(slot.state, SLOT_RUNNING);
        assert_int_not_equal(fake_loop_last_child(loop), pid);
        pid = fake_loop_last_child(loop);
    }
    assert_int_equal(stopped, 0);
}

static void test_a_worker_that_lived_for_a_minute_is_restarted_at_once(void **state)
{
    pid_t pid = started();

    (void)state;
    for (int i = 0; i < 5; i++) {
        end(pid);
        fake_loop_advance(loop, 30000);
        pid = fake_loop_last_child(loop);
    }
    fake_loop_advance(loop, 60000);
    end(pid);
    fake_loop_advance(loop, 250);
    assert_int_equal(slot.state, SLOT_RUNNING);
}

static void test_a_worker_that_cannot_be_started_is_tried_again(void **state)
{
    (void)state;
    fake_loop_fail_children(loop, true);
    slot_handle(&slot, SLOT_EVENT_START);
    assert_int_equal(slot.state, SLOT_BACKOFF);
    assert_false(slot_has_process(&slot));
    fake_loop_fail_children(loop, false);
    fake_loop_advance(loop, 250);
    assert_int_equal(slot.state, SLOT_RUNNING);
    assert_true(slot_has_process(&slot));
}

static void test_stop_is_a_word_and_a_second_one_is_an_end(void **state)
{
    pid_t pid = started();

    (void)state;
    slot_handle(&slot, SLOT_EVENT_STOP);
    assert_int_equal(last_signal, SIGTERM);
    assert_int_equal(last_killed, pid);
    assert_int_equal(stopped, 0);
    slot_handle(&slot, SLOT_EVENT_STOP);
    assert_int_equal(last_signal, SIGKILL);
    end(pid);
    assert_int_equal(slot.state, SLOT_STOPPED);
    assert_int_equal(stopped, 1);
    fake_loop_advance(loop, 60000);
    assert_false(slot_has_process(&slot));
}

static void test_a_slot_that_waits_to_restart_stops_at_once(void **state)
{
    (void)state;
    end(started());
    slot_handle(&slot, SLOT_EVENT_STOP);
    assert_int_equal(stopped, 1);
    fake_loop_advance(loop, 60000);
    assert_int_equal(slot.state, SLOT_STOPPED);
}

static void test_a_hanging_worker_is_killed_and_replaced(void **state)
{
    pid_t pid = started();

    (void)state;
    slot_handle(&slot, SLOT_EVENT_HUNG);
    assert_int_equal(last_signal, SIGKILL);
    assert_true(fake_loop_child_end(loop, pid, -1, SIGKILL));
    fake_loop_advance(loop, 250);
    assert_int_equal(slot.state, SLOT_RUNNING);
}

static void test_a_worker_that_hangs_while_stopping_is_killed_and_not_replaced(void **state)
{
    pid_t pid = started();

    (void)state;
    slot_handle(&slot, SLOT_EVENT_STOP);
    slot_handle(&slot, SLOT_EVENT_HUNG);
    assert_int_equal(last_signal, SIGKILL);
    assert_true(fake_loop_child_end(loop, pid, -1, SIGKILL));
    assert_int_equal(slot.state, SLOT_STOPPED);
    assert_int_equal(stopped, 1);
}

/* Whatever happens in whatever order, a process is there exactly in the states that have one. */
static void test_no_order_of_events_makes_two_processes_or_forgets_one(void **state)
{
    unsigned random = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245u + 12345u;
        switch (random >> 16 & 7) {
        case 0:
            slot_handle(&slot, SLOT_EVENT_START);
            break;
        case 1:
            slot_handle(&slot, SLOT_EVENT_STOP);
            break;
        case 2:
            slot_handle(&slot, SLOT_EVENT_HUNG);
            break;
        case 3:
            fake_loop_fail_children(loop, true);
            break;
        case 4:
            fake_loop_fail_children(loop, false);
            break;
        case 5:
            if (slot.child)
                end(loop_child_pid(slot.child));
            break;
        default:
            fake_loop_advance(loop, 500);
            break;
        }
        assert_int_equal(slot_has_process(&slot), slot.state == SLOT_RUNNING || slot.state == SLOT_STOPPING);
        assert_int_equal(loop_timer_active(&slot.timer), slot.state == SLOT_BACKOFF);
    }
    fake_loop_fail_children(loop, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_plain, close_slot)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_worker_is_told_its_slot_and_its_master),
        cmocka_unit_test(test_the_worker_for_suspects_is_told_so),
        TEST(test_restarts_become_ever_rarer_up_to_30_s),
        TEST(test_a_worker_that_lived_for_a_minute_is_restarted_at_once),
        TEST(test_a_worker_that_cannot_be_started_is_tried_again),
        TEST(test_stop_is_a_word_and_a_second_one_is_an_end),
        TEST(test_a_slot_that_waits_to_restart_stops_at_once),
        TEST(test_a_hanging_worker_is_killed_and_replaced),
        TEST(test_a_worker_that_hangs_while_stopping_is_killed_and_not_replaced),
        TEST(test_no_order_of_events_makes_two_processes_or_forgets_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
