/* The memory that master and workers share: laid out by one, mapped by all, notes and metrics by slot. */
#include "support/unit.h"

#include "common/metrics.h"
#include "worker/metric_rows.h"
#include "worker/shared.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOTS = 3, MASTER = 2 };

static int fd;

static int create(void **state)
{
    struct fault fault;

    (void)state;
    fd = shared_create(SLOTS, &fault);
    return fd < 0 ? -1 : 0;
}

static int destroy(void **state)
{
    (void)state;
    return close(fd);
}

static void attach(size_t slot)
{
    struct fault fault;

    assert_int_equal(shared_attach(fd, slot, &fault), OK);
}

/* A worker: another process that takes a slot, leaves a note and a count, and is gone. */
static void run_worker(size_t slot, const char *note, int64_t count)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct fault fault;

        if (shared_attach(fd, slot, &fault) != OK)
            _exit(1);
        shared_note(note);
        metrics_beat(1234);
        metrics_set(METRIC_jobs_in_flight, 0, count);
        metrics_add(METRIC_attempts_total, 0, count);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void assert_note(size_t slot, const char *expected)
{
    char note[SHARED_NOTE_BYTES];

    shared_note_of(slot, note);
    assert_string_equal(note, expected);
}

static void test_what_a_worker_leaves_the_master_reads(void **state)
{
    (void)state;
    attach(MASTER);
    run_worker(0, "lms: closed\n", 3);
    run_worker(1, "lms: open\n", 4);
    assert_note(0, "lms: closed\n");
    assert_note(1, "lms: open\n");
    assert_int_equal(metrics_slot_value(0, METRIC_jobs_in_flight, 0), 3);
    assert_int_equal(metrics_slot_value(1, METRIC_jobs_in_flight, 0), 4);
    assert_int_equal(metrics_slot_beat_ms(1), 1234);
}

static void test_after_a_worker_its_counters_stay_and_the_rest_is_cleared(void **state)
{
    (void)state;
    attach(MASTER);
    run_worker(0, "lms: closed\n", 3);
    shared_reset(0);
    assert_note(0, "");
    assert_int_equal(metrics_slot_value(0, METRIC_jobs_in_flight, 0), 0);
    assert_int_equal(metrics_slot_beat_ms(0), 0);
    assert_int_equal(metrics_slot_value(0, METRIC_attempts_total, 0), 3);
    run_worker(0, "again", 2);
    assert_int_equal(metrics_slot_value(0, METRIC_attempts_total, 0), 5);
}

static void test_a_note_that_is_too_long_is_cut(void **state)
{
    char text[SHARED_NOTE_BYTES * 2] = {0};
    char note[SHARED_NOTE_BYTES];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    attach(1);
    shared_note(text);
    shared_note_of(1, note);
    assert_int_equal(strlen(note), SHARED_NOTE_BYTES - 1);
    shared_note("short");
    assert_note(1, "short");
}

static void test_a_slot_that_is_not_there_is_refused(void **state)
{
    struct fault fault;

    (void)state;
    assert_int_equal(shared_attach(fd, SLOTS, &fault), ERR_MALFORMED);
    attach(MASTER);
    assert_note(SLOTS, "");
    shared_reset(SLOTS);
}

static void test_what_is_not_the_shared_memory_is_refused(void **state)
{
    struct fault fault;
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    assert_int_equal(shared_attach(fileno(file), 0, &fault), ERR_MALFORMED);
    assert_int_equal(ftruncate(fileno(file), 4096), 0);
    assert_int_equal(shared_attach(fileno(file), 0, &fault), ERR_MALFORMED);
    assert_int_equal(shared_attach(-1, 0, &fault), ERR_MALFORMED);
    fclose(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_worker_leaves_the_master_reads),
        TEST(test_after_a_worker_its_counters_stay_and_the_rest_is_cleared),
        TEST(test_a_note_that_is_too_long_is_cut),
        TEST(test_a_slot_that_is_not_there_is_refused),
        TEST(test_what_is_not_the_shared_memory_is_refused),
    };

    metrics_table(metric_rows, METRIC_ROW_COUNT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
