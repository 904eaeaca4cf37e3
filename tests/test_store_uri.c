/* common/store_uri.c and common/store_words.c: what is read from outside without a connection. */
#include "common/store_uri.h"
#include "common/store_words.h"

#include "support/unit.h"

#include <stdio.h>

struct good_row {
    const char *text;
    struct store_uri uri;
};

static const struct good_row good_rows[] = {
    {"redis://localhost", {.host = "localhost", .port = "6379"}},
    {"redis://localhost/", {.host = "localhost", .port = "6379"}},
    {"REDIS://h:1/0", {.host = "h", .port = "1"}},
    {"redis://127.0.0.1:6379/15", {.host = "127.0.0.1", .port = "6379", .database = 15}},
    {"redis://[::1]:7000/2", {.host = "::1", .port = "7000", .database = 2}},
    {"redis://[fe80::1]", {.host = "fe80::1", .port = "6379"}},
    {"redis://:secret@h", {.host = "h", .port = "6379", .password = "secret"}},
    {"redis://u:p@h:65535/1",
     {.host = "h", .port = "65535", .username = "u", .password = "p", .database = 1}},
    {"redis://u:p%40%2f%3a:@h", {.host = "h", .port = "6379", .username = "u", .password = "p@/::"}},
    {"redis://u:a@b@h", {.host = "h", .port = "6379", .username = "u", .password = "a@b"}},
    {"redis+unix:///run/redis.sock", {.path = "/run/redis.sock"}},
    {"redis+unix:///run/r%20s?db=3", {.path = "/run/r s", .database = 3}},
    {"redis+unix://:pw@/s?db=0", {.path = "/s", .password = "pw"}},
};

static void assert_text(const char *found, const char *expected)
{
    if (expected)
        assert_string_equal(found, expected);
    else
        assert_null(found);
}

static void test_every_allowed_form_is_read(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(good_rows); index++) {
        const struct store_uri *expected = &good_rows[index].uri;
        struct store_uri uri;
        struct fault fault = fault_of(OK);
        if (store_uri_parse(good_rows[index].text, &uri, &fault) != OK)
            fail_msg("%s: %s", good_rows[index].text, fault.detail);
        assert_text(uri.host, expected->host);
        assert_text(uri.port, expected->port);
        assert_text(uri.path, expected->path);
        assert_text(uri.username, expected->username);
        assert_text(uri.password, expected->password);
        assert_int_equal(uri.database, expected->database);
        store_uri_fini(&uri);
    }
}

#define LONG_NAME "0123456789012345678901234567890123456789"

static const char *const bad_uris[] = {
    "",
    "localhost:6379",
    "http://h/",
    "rediss://:sesame@h/0",
    "redis://",
    "redis://:6379",
    "redis:///0",
    "redis://h:",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:port",
    "redis://h:6379/x",
    "redis://h:6379/-1",
    "redis://h:6379/99999999999999999999",
    "redis://h/0?db=1",
    "redis://h?sesame",
    "redis://u@h",
    "redis://[::1",
    "redis://[::1]7",
    "redis://u:sesame%@h",
    "redis://u:sesame%zz@h",
    "redis://u:sesame%00@h",
    "redis://u:ses/ame@h",
    "redis+unix://run/redis.sock",
    "redis+unix://",
    "redis+unix:///s?database=1",
    "redis+unix:///s?db=",
    "redis+unix:///s?db=1&password=sesame",
    "redis+unix:///" LONG_NAME LONG_NAME LONG_NAME,
};

static void test_every_other_form_is_refused_saying_what_is_allowed_and_never_the_password(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(bad_uris); index++) {
        struct store_uri uri = {.host = NULL};
        struct fault fault = fault_of(OK);
        if (store_uri_parse(bad_uris[index], &uri, &fault) != ERR_CONFIG)
            fail_msg("accepted: %s", bad_uris[index]);
        assert_int_equal(fault.code, ERR_CONFIG);
        assert_non_null(strstr(fault.detail, "redis+unix:///path"));
        assert_null(strstr(fault.detail, "sesame"));
        assert_null(uri.host);
    }
}

struct error_row {
    const char *words;
    enum err code;
    bool wants_reconnect;
};

static const struct error_row error_rows[] = {
    {"READONLY You can't write against a read only replica.", ERR_UNAVAILABLE, true},
    {"READONLY You can't write against a read only replica. script: abc, on @user_script:1.", ERR_UNAVAILABLE,
     true},
    {"LOADING Redis is loading the dataset in memory", ERR_UNAVAILABLE, false},
    {"OOM command not allowed when used memory > 'maxmemory'.", ERR_UNAVAILABLE, false},
    {"MISCONF Redis is configured to save RDB snapshots", ERR_UNAVAILABLE, false},
    {"NOAUTH Authentication required.", ERR_UNAVAILABLE, true},
    {"WRONGPASS invalid username-password pair or user is disabled.", ERR_UNAVAILABLE, false},
    {"NOPERM this user has no permissions to run the 'evalsha' command", ERR_UNAVAILABLE, false},
    {"BUSY Redis is busy running a script.", ERR_UNAVAILABLE, false},
    {"MASTERDOWN Link with MASTER is down", ERR_UNAVAILABLE, true},
    {"NOREPLICAS Not enough good replicas to write.", ERR_UNAVAILABLE, false},
    {"ERR max number of clients reached", ERR_UNAVAILABLE, false},
    {"ERR Error running script (call to f_ab): @user_script:1: @user_script: 1: -OOM command not allowed "
     "when used",
     ERR_UNAVAILABLE, false},
    {"ERR Error running script (call to f_ab): @user_script:1: @user_script: 1: -READONLY You can't write",
     ERR_UNAVAILABLE, true},
    {"ERR Error running script (call to f_ab): @user_script:1: user_script:1: attempt to index a nil value",
     ERR_REFUSED, false},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", ERR_REFUSED, false},
    {"READONLYISH", ERR_REFUSED, false},
    {"OOMPH", ERR_REFUSED, false},
    {"", ERR_REFUSED, false},
};

static void test_error_answers_mean_not_now_or_never(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(error_rows); index++) {
        struct fault fault = store_error_read(error_rows[index].words);
        if (fault.code != error_rows[index].code ||
            store_error_wants_reconnect(error_rows[index].words) != error_rows[index].wants_reconnect)
            fail_msg("%s: %s", error_rows[index].words, err_name(fault.code));
    }
}

static void test_arguments_that_redis_quotes_stay_out_of_the_fault(void **state)
{
    (void)state;
    struct fault fault = store_error_read("ERR unknown command 'AUTH', with args beginning with: 'sesame' ");

    assert_null(strstr(fault.detail, "sesame"));
    assert_non_null(strstr(fault.detail, "unknown command"));
}

static void test_a_command_is_encoded_with_any_bytes(void **state)
{
    (void)state;
    struct store_arg head[] = {STORE_ARG("SET"), STORE_ARG("")};
    struct store_arg tail[] = {{"a\0\r\nb", 5}};
    struct store_part parts[] = {{head, 2}, {NULL, 0}, {tail, 1}};
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\0\r\nb\r\n";
    size_t length = 0;
    AUTO_FREE char *command = store_command_encode(parts, ARRAY_LEN(parts), &length);

    assert_int_equal(length, sizeof expected - 1);
    assert_memory_equal(command, expected, length);
}

static void test_the_tail_of_a_script_command_is_what_follows_its_digest(void **state)
{
    (void)state;
    struct store_arg args[12] = {STORE_ARG("EVALSHA"), STORE_ARG("0123456789012345678901234567890123456789"),
                                 STORE_ARG("1"), STORE_ARG("key")};
    for (size_t index = 4; index < ARRAY_LEN(args); index++)
        args[index] = STORE_ARG("x");
    struct store_part part = {args, ARRAY_LEN(args)};
    size_t length = 0, first_line = 0;
    AUTO_FREE char *command = store_command_encode(&part, 1, &length);

    const char *rest = store_command_tail(command, &first_line);
    assert_int_equal(first_line, strlen("*12\r\n"));
    assert_memory_equal(rest, "$1\r\n1\r\n$3\r\nkey\r\n", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allowed_form_is_read),
        cmocka_unit_test(test_every_other_form_is_refused_saying_what_is_allowed_and_never_the_password),
        cmocka_unit_test(test_error_answers_mean_not_now_or_never),
        cmocka_unit_test(test_arguments_that_redis_quotes_stay_out_of_the_fault),
        cmocka_unit_test(test_a_command_is_encoded_with_any_bytes),
        cmocka_unit_test(test_the_tail_of_a_script_command_is_what_follows_its_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
