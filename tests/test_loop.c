/* common/loop*.c on the real libuv: order of a turn, life of timers, descriptors, names, signals, children.
 */
#include "common/loop.h"

#include "support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char order[256];
static struct loop *loop;

static void note(const char *what)
{
    assert_true(strlen(order) + strlen(what) + 1 < sizeof(order));
    strcat(order, what);
}

static int set_up(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = loop_new();
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop); /* asserts that nothing is left */
    return 0;
}

/* ---- timers ---- */

static struct loop_timer timers[6];

static void on_timer(struct loop_timer *timer)
{
    char name[2] = {(char)('0' + (timer - timers)), '\0'};

    assert_false(loop_timer_active(timer));
    assert_true(loop_now_ms(loop) >= timer->due_ms);
    note(name);
}

static void test_timers_run_in_order_of_their_time_then_of_their_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        loop_timer_init(&timers[i], loop, on_timer);
    loop_timer_start(&timers[0], 5);
    loop_timer_start(&timers[1], 1);
    loop_timer_start(&timers[2], 5);
    loop_timer_start(&timers[3], 0);
    loop_timer_start(&timers[4], 60000);
    loop_timer_start(&timers[5], 3);
    loop_timer_start(&timers[4], 2); /* moved */
    loop_timer_stop(&timers[5]);
    loop_timer_stop(&timers[5]);
    loop_run(loop);
    assert_string_equal(order, "31402");
}

static void on_repeat(struct loop_timer *timer)
{
    note("r");
    if (strlen(order) < 4)
        loop_timer_start(timer, 0);
    loop_timer_stop(&timers[1]);
}

static void test_a_timer_may_start_itself_and_stop_others(void **state)
{
    (void)state;
    loop_timer_init(&timers[0], loop, on_repeat);
    loop_timer_init(&timers[1], loop, on_timer);
    loop_timer_start(&timers[0], 0);
    loop_timer_start(&timers[1], 0);
    loop_run(loop);
    assert_string_equal(order, "rrrr");
}

static struct loop_timer many[2000];
static int64_t last_due_ms;
static size_t ran_count;

static void on_one_of_many(struct loop_timer *timer)
{
    assert_true(timer->due_ms >= last_due_ms);
    last_due_ms = timer->due_ms;
    ran_count++;
}

static void test_thousands_of_timers_keep_their_order(void **state)
{
    size_t stopped = 0;

    (void)state;
    last_due_ms = 0;
    ran_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        loop_timer_init(&many[i], loop, on_one_of_many);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        loop_timer_start(&many[i], (int64_t)((i * 7919) % 23));
    for (size_t i = 0; i < ARRAY_LEN(many); i += 3, stopped++)
        loop_timer_stop(&many[i]);
    for (size_t i = 1; i < ARRAY_LEN(many); i += 3)
        loop_timer_start(&many[i], (int64_t)(i % 11));
    loop_run(loop);
    assert_int_equal(ran_count, ARRAY_LEN(many) - stopped);
}

/* ---- tasks and hooks ---- */

static struct loop_task tasks[3];
static struct loop_hook hooks[2];

static void on_task(struct loop_task *task)
{
    char name[2] = {(char)('a' + (task - tasks)), '\0'};

    note(name);
    if (task == &tasks[0])
        loop_task_start(&tasks[2]);
}

static void on_hook(struct loop_hook *hook)
{
    note("h");
    if (strlen(order) < 6)
        loop_task_start(&tasks[1]);
    else
        loop_hook_remove(hook);
}

static void test_hooks_run_after_tasks_and_their_tasks_keep_the_loop_awake(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        loop_task_init(&tasks[i], loop, on_task);
    loop_hook_add(&hooks[0], loop, on_hook);
    loop_task_start(&tasks[0]);
    loop_task_start(&tasks[1]);
    loop_task_start(&tasks[1]); /* queued already */
    loop_run(loop);
    assert_string_equal(order, "abchbh");
}

static void on_plain_hook(struct loop_hook *hook)
{
    note(hook == &hooks[0] ? "0" : "1");
    loop_hook_remove(hook);
}

static void test_every_hook_runs_each_turn(void **state)
{
    (void)state;
    loop_hook_add(&hooks[0], loop, on_plain_hook);
    loop_hook_add(&hooks[1], loop, on_plain_hook);
    loop_task_init(&tasks[1], loop, on_task);
    loop_task_start(&tasks[1]);
    loop_run(loop);
    assert_string_equal(order, "b10");
}

static void on_removing_hook(struct loop_hook *hook)
{
    note("x");
    loop_hook_remove(&hooks[0]);
    loop_hook_remove(&hooks[1]);
    loop_hook_remove(hook); /* removed already */
}

static void test_hooks_may_remove_each_other(void **state)
{
    (void)state;
    loop_hook_add(&hooks[0], loop, on_removing_hook);
    loop_hook_add(&hooks[1], loop, on_removing_hook);
    loop_task_init(&tasks[1], loop, on_task);
    loop_task_start(&tasks[1]);
    loop_run(loop);
    assert_string_equal(order, "bx");
}

static void test_a_cancelled_task_does_not_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
        loop_task_init(&tasks[i], loop, on_task);
        loop_task_start(&tasks[i]);
    }
    loop_task_cancel(&tasks[2]);
    loop_task_cancel(&tasks[1]);
    loop_task_cancel(&tasks[0]);
    loop_task_cancel(&tasks[0]);
    loop_task_start(&tasks[1]);
    loop_run(loop);
    assert_string_equal(order, "b");
}

static void on_endless(struct loop_task *task)
{
    loop_task_start(task);
}

static void on_stop(struct loop_timer *timer)
{
    note("s");
    loop_stop(timer->loop);
}

static void test_tasks_that_start_themselves_do_not_starve_timers(void **state)
{
    (void)state;
    loop_task_init(&tasks[0], loop, on_endless);
    loop_task_start(&tasks[0]);
    loop_timer_init(&timers[0], loop, on_stop);
    loop_timer_start(&timers[0], 1);
    loop_run(loop);
    loop_task_cancel(&tasks[0]);
    assert_string_equal(order, "s");
}

/* ---- descriptors ---- */

static int ends[2];
static struct loop_poll *poll_of_end;
static int seen_events;

static void on_readable(void *context, int events)
{
    char byte;

    (void)context;
    seen_events |= events;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    note("p");
    loop_task_start(&tasks[1]);
    loop_poll_free(poll_of_end);
    close(ends[0]); /* right after, as promised */
}

static void open_ends(void)
{
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    seen_events = 0;
}

static void test_a_readable_descriptor_is_told_and_may_be_freed_inside(void **state)
{
    (void)state;
    open_ends();
    loop_task_init(&tasks[1], loop, on_task);
    loop_hook_add(&hooks[0], loop, on_hook);
    poll_of_end = loop_poll_new(loop, ends[0], on_readable, NULL);
    assert_non_null(poll_of_end);
    loop_poll_set(poll_of_end, LOOP_READABLE);
    assert_null(loop_poll_new(loop, ends[0], on_readable, NULL)); /* one watch per descriptor */
    assert_int_equal(write(ends[1], "x", 1), 1);
    strcpy(order, "hhhhh"); /* so that the hook removes itself */
    loop_run(loop);
    assert_int_equal(seen_events, LOOP_READABLE);
    assert_string_equal(order, "hhhhhh" /* the turn before the wait */ "pb");
    close(ends[1]);
}

static void on_restless(struct loop_timer *timer)
{
    loop_timer_start(timer, 0);
}

static void on_at_last(void *context, int events)
{
    (void)events;
    loop_timer_stop(context);
    loop_poll_free(poll_of_end);
}

static void test_a_timer_that_starts_itself_does_not_starve_descriptors(void **state)
{
    (void)state;
    open_ends();
    loop_timer_init(&timers[0], loop, on_restless);
    loop_timer_start(&timers[0], 0);
    poll_of_end = loop_poll_new(loop, ends[1], on_at_last, &timers[0]);
    loop_poll_set(poll_of_end, LOOP_WRITABLE);
    loop_run(loop);
    assert_false(loop_timer_active(&timers[0]));
    close(ends[0]);
    close(ends[1]);
}

static void on_fresh(void *context, int events)
{
    (void)events;
    note(context);
    loop_poll_set(poll_of_end, 0);
}

static void test_a_descriptor_number_can_be_used_again_at_once(void **state)
{
    int old;

    (void)state;
    open_ends();
    old = ends[0];
    poll_of_end = loop_poll_new(loop, ends[0], on_fresh, "old");
    loop_poll_set(poll_of_end, LOOP_READABLE);
    assert_int_equal(write(ends[1], "x", 1), 1);
    loop_poll_free(poll_of_end);
    close(ends[0]);
    close(ends[1]);
    open_ends();
    assert_int_equal(ends[0], old);
    poll_of_end = loop_poll_new(loop, ends[0], on_fresh, "new");
    assert_non_null(poll_of_end);
    loop_poll_set(poll_of_end, LOOP_READABLE);
    assert_int_equal(write(ends[1], "x", 1), 1);
    loop_run(loop);
    assert_string_equal(order, "new");
    loop_poll_free(poll_of_end);
    close(ends[0]);
    close(ends[1]);
}

static void on_broken(void *context, int events)
{
    int error = 0;
    socklen_t length = sizeof(error);

    (void)context;
    seen_events = events;
    assert_int_equal(getsockopt(ends[0], SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, ECONNREFUSED);
    note("e");
}

static void test_a_refused_connection_is_told_once_and_does_not_spin(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    /* A port that is bound and never listens refuses. */
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(ends[0], (struct sockaddr *)&address, sizeof(address));
    poll_of_end = loop_poll_new(loop, ends[0], on_broken, NULL);
    loop_poll_set(poll_of_end, LOOP_WRITABLE);
    loop_run(loop);
    assert_int_equal(seen_events, LOOP_BROKEN | LOOP_WRITABLE);
    assert_string_equal(order, "e");
    loop_poll_free(poll_of_end);
    close(ends[0]);
    close(listener);
}

/* ---- names ---- */

static struct loop_resolve *resolve;
static size_t seen_count;
static struct fault seen_fault;

static void on_address(void *context, const struct loop_address *addresses, size_t count,
                       const struct fault *fault)
{
    (void)context;
    seen_count = count;
    seen_fault = *fault;
    if (count > 0) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addresses[0].storage;

        assert_int_equal(in->sin_family, AF_INET);
        assert_int_equal(ntohs(in->sin_port), 5672);
    }
    loop_resolve_free(resolve);
    note("n");
}

static void test_an_address_is_looked_up(void **state)
{
    (void)state;
    resolve = loop_resolve_new(loop, "127.0.0.1", "5672", on_address, NULL);
    assert_non_null(resolve);
    loop_run(loop);
    assert_string_equal(order, "n");
    assert_int_equal(seen_count, 1);
    assert_int_equal(seen_fault.code, OK);
}

static void test_a_name_that_cannot_exist_is_a_fault_told_later(void **state)
{
    char name[400];

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    resolve = loop_resolve_new(loop, name, "5672", on_address, NULL);
    assert_non_null(resolve);
    assert_string_equal(order, "");
    loop_run(loop);
    assert_string_equal(order, "n");
    assert_int_equal(seen_count, 0);
    assert_int_equal(seen_fault.code, ERR_NETWORK);
    assert_non_null(strstr(seen_fault.detail, "cannot look up aaaa"));
}

static void test_a_freed_look_up_tells_nothing_and_does_not_hold_the_loop(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        loop_resolve_free(loop_resolve_new(loop, "127.0.0.1", "1", on_address, NULL));
    loop_run(loop);
    assert_string_equal(order, "");
}

/* ---- signals and children ---- */

static struct loop_signal *seen_signal;

static void on_signal(void *context, int signum)
{
    (void)context;
    assert_int_equal(signum, SIGUSR1);
    note("S");
    loop_signal_free(seen_signal);
}

static void test_a_signal_is_told_on_the_loop(void **state)
{
    (void)state;
    seen_signal = loop_signal_new(loop, SIGUSR1, on_signal, NULL);
    assert_non_null(seen_signal);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    loop_run(loop);
    assert_string_equal(order, "S");
}

static struct loop_child *child;

static void on_child(void *context, int exit_status, int term_signal)
{
    char words[32];

    (void)context;
    (void)snprintf(words, sizeof(words), "%d/%d", exit_status, term_signal);
    note(words);
    loop_child_free(child);
}

static void run_shell(const char *script, const int *fds, size_t fd_count)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    struct fault fault;

    child = loop_child_new(loop, "/bin/sh", argv, fds, fd_count, on_child, NULL, &fault);
    assert_non_null(child);
    assert_true(loop_child_pid(child) > 0);
}

static void test_a_childs_exit_status_is_told(void **state)
{
    (void)state;
    run_shell("exit 7", NULL, 0);
    loop_run(loop);
    assert_string_equal(order, "7/0");
}

static void test_a_killed_child_tells_its_signal(void **state)
{
    (void)state;
    run_shell("kill -9 $$", NULL, 0);
    loop_run(loop);
    assert_string_equal(order, "-1/9");
}

static void test_a_child_gets_the_given_descriptors_and_no_others(void **state)
{
    int leaked = fcntl(STDERR_FILENO, F_DUPFD, 50);
    char got[64] = "";

    (void)state;
    assert_int_equal(leaked, 50);
    open_ends();
    run_shell("test -e /proc/$$/fd/50 && echo leaked >&3 || echo closed >&3", &ends[1], 1);
    loop_run(loop);
    assert_true(read(ends[0], got, sizeof(got) - 1) > 0);
    assert_string_equal(got, "closed\n");
    close(ends[0]);
    close(ends[1]);
    close(leaked);
}

static void test_a_program_that_is_not_there_is_a_fault(void **state)
{
    char *argv[] = {"nothing", NULL};
    struct fault fault;

    (void)state;
    assert_null(loop_child_new(loop, "/nonexistent/program", argv, NULL, 0, on_child, NULL, &fault));
    assert_int_equal(fault.code, ERR_UNAVAILABLE);
    assert_string_equal(fault.detail, "cannot start /nonexistent/program: no such file or directory");
    loop_run(loop);
    assert_string_equal(order, "");
}

static void test_a_forgotten_child_does_not_hold_the_loop(void **state)
{
    pid_t pid;

    (void)state;
    run_shell("exec sleep 1000", NULL, 0);
    pid = loop_child_pid(child);
    loop_child_free(child);
    loop_run(loop);
    assert_string_equal(order, "");
    assert_int_equal(kill(pid, SIGKILL), 0);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timers_run_in_order_of_their_time_then_of_their_start),
        LOOP_TEST(test_a_timer_may_start_itself_and_stop_others),
        LOOP_TEST(test_thousands_of_timers_keep_their_order),
        LOOP_TEST(test_hooks_run_after_tasks_and_their_tasks_keep_the_loop_awake),
        LOOP_TEST(test_every_hook_runs_each_turn),
        LOOP_TEST(test_hooks_may_remove_each_other),
        LOOP_TEST(test_a_cancelled_task_does_not_run),
        LOOP_TEST(test_tasks_that_start_themselves_do_not_starve_timers),
        LOOP_TEST(test_a_readable_descriptor_is_told_and_may_be_freed_inside),
        LOOP_TEST(test_a_timer_that_starts_itself_does_not_starve_descriptors),
        LOOP_TEST(test_a_descriptor_number_can_be_used_again_at_once),
        LOOP_TEST(test_a_refused_connection_is_told_once_and_does_not_spin),
        LOOP_TEST(test_an_address_is_looked_up),
        LOOP_TEST(test_a_name_that_cannot_exist_is_a_fault_told_later),
        LOOP_TEST(test_a_freed_look_up_tells_nothing_and_does_not_hold_the_loop),
        LOOP_TEST(test_a_signal_is_told_on_the_loop),
        LOOP_TEST(test_a_childs_exit_status_is_told),
        LOOP_TEST(test_a_killed_child_tells_its_signal),
        LOOP_TEST(test_a_child_gets_the_given_descriptors_and_no_others),
        LOOP_TEST(test_a_program_that_is_not_there_is_a_fault),
        LOOP_TEST(test_a_forgotten_child_does_not_hold_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
