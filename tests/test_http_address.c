/* common/http_address.c: which addresses a webhook may reach when private ones are forbidden. */
#include "common/http_address.h"

#include "common/scope.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

struct row {
    const char *address;
    bool is_private;
};

static const struct row rows[] = {
    {"8.8.8.8", false},
    {"1.1.1.1", false},
    {"9.255.255.255", false},
    {"11.0.0.0", false},
    {"126.255.255.255", false},
    {"128.0.0.1", false},
    {"100.63.255.255", false},
    {"100.128.0.0", false},
    {"169.253.255.255", false},
    {"172.15.255.255", false},
    {"172.32.0.0", false},
    {"192.167.255.255", false},
    {"192.169.0.0", false},
    {"198.17.255.255", false},
    {"198.20.0.0", false},
    {"223.255.255.255", false},
    {"0.0.0.0", true},
    {"10.0.0.1", true},
    {"10.255.255.255", true},
    {"100.64.0.1", true},
    {"127.0.0.1", true},
    {"127.255.255.254", true},
    {"169.254.169.254", true},
    {"172.16.0.1", true},
    {"172.31.255.255", true},
    {"192.0.0.8", true},
    {"192.168.1.1", true},
    {"198.18.0.1", true},
    {"198.19.255.255", true},
    {"224.0.0.1", true},
    {"255.255.255.255", true},
    {"2606:4700::1111", false},
    {"2a00:1450::1", false},
    {"::", true},
    {"::1", true},
    {"fc00::1", true},
    {"fd12:3456::1", true},
    {"fe80::1", true},
    {"fec0::1", true},
    {"ff02::1", true},
    {"2001:db8::1", true},
    {"2001::1", true},
    {"::ffff:127.0.0.1", true},
    {"::ffff:8.8.8.8", false},
    {"::ffff:169.254.169.254", true},
    {"64:ff9b::10.0.0.1", true},
    {"64:ff9b::8.8.8.8", false},
    {"2002:7f00:1::", true},
    {"2002:808:808::", false},
    {"::127.0.0.1", true},
    {"100::1", true},
};

static void test_only_addresses_of_the_public_internet_are_public(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_LEN(rows); index++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        bool is_v4 = inet_pton(AF_INET, rows[index].address, &v4.sin_addr) == 1;
        if (!is_v4)
            assert_int_equal(inet_pton(AF_INET6, rows[index].address, &v6.sin6_addr), 1);
        const struct sockaddr *address = is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
        if (http_address_is_private(address) != rows[index].is_private)
            fail_msg("%s", rows[index].address);
    }
}

static void test_other_families_are_private(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)state;
    assert_true(http_address_is_private((const struct sockaddr *)&address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_addresses_of_the_public_internet_are_public),
        cmocka_unit_test(test_other_families_are_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
