/* A configuration as it was at one moment, for workers that start later. */
#include "support/unit.h"

#include "worker/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char path[] = "/tmp/snapshot-XXXXXX";

static int make_file(void **state)
{
    int fd;

    (void)state;
    strcpy(path, "/tmp/snapshot-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

static void write_file(const char *text, size_t length)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    for (size_t done = 0; done < length;) {
        ssize_t count = write(fd, text + done, length - done);

        assert_true(count > 0);
        done += (size_t)count;
    }
    assert_int_equal(close(fd), 0);
}

static void test_a_snapshot_stays_as_it_was_when_the_file_changes(void **state)
{
    struct snapshot snapshot = SNAPSHOT_NONE;
    struct fault fault;

    (void)state;
    write_file("[worker]\n", 9);
    assert_int_equal(snapshot_take(path, &snapshot, &fault), OK);
    write_file("rubbish", 7);
    assert_string_equal(snapshot.text, "[worker]\n");
    for (int i = 0; i < 2; i++) { /* each worker reads from the beginning */
        AUTO_FREE char *read = snapshot_read(snapshot.fd);

        assert_non_null(read);
        assert_string_equal(read, "[worker]\n");
    }
    snapshot_close(&snapshot);
    assert_null(snapshot.text);
    assert_int_equal(snapshot.fd, -1);
    snapshot_close(&snapshot);
}

static void test_an_empty_file_is_an_empty_configuration(void **state)
{
    struct snapshot snapshot = SNAPSHOT_NONE;
    struct fault fault;

    (void)state;
    assert_int_equal(snapshot_take(path, &snapshot, &fault), OK);
    assert_string_equal(snapshot.text, "");
    snapshot_close(&snapshot);
}

static void test_a_file_that_is_not_there_is_named(void **state)
{
    struct snapshot snapshot = SNAPSHOT_NONE;
    struct fault fault;

    (void)state;
    unlink(path);
    assert_int_equal(snapshot_take(path, &snapshot, &fault), ERR_CONFIG);
    assert_non_null(strstr(fault.detail, path));
    assert_int_equal(snapshot.fd, -1);
}

static void test_what_is_no_text_file_is_refused(void **state)
{
    struct snapshot snapshot = SNAPSHOT_NONE;
    struct fault fault;

    (void)state;
    write_file("[worker]\0[amqp]", 15);
    assert_int_equal(snapshot_take(path, &snapshot, &fault), ERR_CONFIG);
    assert_int_equal(snapshot_take("/tmp", &snapshot, &fault), ERR_CONFIG);
    assert_int_equal(snapshot.fd, -1);
}

static void test_one_mebibyte_is_the_limit(void **state)
{
    AUTO_FREE char *text = malloc(SNAPSHOT_MAX_BYTES + 1);
    struct snapshot snapshot = SNAPSHOT_NONE;
    struct fault fault;

    (void)state;
    assert_non_null(text);
    memset(text, '\n', SNAPSHOT_MAX_BYTES + 1);
    write_file(text, SNAPSHOT_MAX_BYTES);
    assert_int_equal(snapshot_take(path, &snapshot, &fault), OK);
    assert_int_equal(strlen(snapshot.text), SNAPSHOT_MAX_BYTES);
    snapshot_close(&snapshot);
    write_file(text, SNAPSHOT_MAX_BYTES + 1);
    assert_int_equal(snapshot_take(path, &snapshot, &fault), ERR_CONFIG);
}

static void test_a_descriptor_that_cannot_be_read_gives_nothing(void **state)
{
    (void)state;
    assert_null(snapshot_read(-1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_snapshot_stays_as_it_was_when_the_file_changes),
        TEST(test_an_empty_file_is_an_empty_configuration),
        TEST(test_a_file_that_is_not_there_is_named),
        TEST(test_what_is_no_text_file_is_refused),
        TEST(test_one_mebibyte_is_the_limit),
        TEST(test_a_descriptor_that_cannot_be_read_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
