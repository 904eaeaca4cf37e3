/* Broker addresses: defaults, escapes, lists, and what is said of a bad one. */
#include "common/broker_uri.h"

#include "support/unit.h"

static void check(const char *text, size_t index, bool tls, const char *host, const char *port,
                  const char *username, const char *password, const char *vhost)
{
    struct broker_uri *list = NULL;
    struct fault fault;
    size_t count = 0;

    assert_int_equal(broker_uri_list_new(text, &list, &count, &fault), OK);
    assert_true(index < count);
    assert_int_equal(list[index].tls, tls);
    assert_string_equal(list[index].host, host);
    assert_string_equal(list[index].port, port);
    assert_string_equal(list[index].username, username);
    assert_string_equal(list[index].password, password);
    assert_string_equal(list[index].vhost, vhost);
    broker_uri_list_free(list, count);
}

static void addresses_are_taken_apart_with_defaults_filled_in(void **state)
{
    (void)state;
    check("amqp://guest:guest@127.0.0.1:5672/%2F", 0, false, "127.0.0.1", "5672", "guest", "guest", "/");
    check("amqp://broker", 0, false, "broker", "5672", "guest", "guest", "/");
    check("amqps://broker/", 0, true, "broker", "5671", "guest", "guest", "/");
    check("amqp://u@h/oscar", 0, false, "h", "5672", "u", "", "oscar");
    check("amqp://u:p%40ss%3a%2f@h:1/a%20b", 0, false, "h", "1", "u", "p@ss:/", "a b");
    check("amqp://u:p@ss@h", 0, false, "h", "5672", "u", "p@ss", "/");
    check("amqp://u:p@[::1]:5673/v", 0, false, "::1", "5673", "u", "p", "v");
    check("amqp://a , amqps://b:2/v", 0, false, "a", "5672", "guest", "guest", "/");
    check("amqp://a , amqps://b:2/v", 1, true, "b", "2", "guest", "guest", "v");
}

static void bad_addresses_are_refused_without_their_password(void **state)
{
    static const char *const bad[] = {
        "",
        "http://h",
        "amqp://",
        "amqp://u:secret@",
        "amqp://u:secret@h:0",
        "amqp://u:secret@h:65536",
        "amqp://u:secret@h:x",
        "amqp://u:secret@h:",
        "amqp://u:secret@[::1",
        "amqp://u:secret@[::1]x",
        "amqp://u:secret@h?heartbeat=1",
        "amqp://u:sec%zzret@h",
        "amqp://u:secret%@h",
        "amqp://u:secret%4@h",
        "amqp://u:secret@h/%00",
        "amqp://h,",
        "amqp://h,,amqp://i",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct broker_uri *list = NULL;
        struct fault fault;
        size_t count = 0;

        assert_int_equal(broker_uri_list_new(bad[i], &list, &count, &fault), ERR_CONFIG);
        assert_null(list);
        assert_int_equal(fault.code, ERR_CONFIG);
        assert_non_null(strstr(fault.detail, "amqp[s]://"));
        assert_null(strstr(fault.detail, "sec"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart_with_defaults_filled_in),
        cmocka_unit_test(bad_addresses_are_refused_without_their_password),
    };

    return cmocka_run_group_tests_name("broker addresses", tests, NULL, NULL);
}
