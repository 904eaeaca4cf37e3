/* common/broker_properties.c: what of a message's properties is read, carried through and written again. */
#include "common/broker_properties.h"

#include "support/unit.h"

#include <string.h>

/* Content type and encoding, a table with a true "h", delivery mode, priority, correlation id, reply to;
 * message id, timestamp, type; app id. */
#define FIRST "\x04json\x04gzip\x00\x00\x00\x04\x01ht\x01"
#define SECOND                                                                                               \
    "\x07\x02"                                                                                               \
    "c1\x02r1"
#define THIRD "\x02m1\x00\x00\x00\x00\x00\x00\x00\x09\x02t1"
#define FOURTH                                                                                               \
    "\x02"                                                                                                   \
    "a1"
/* And what a copy must not have: expiration, user id, cluster id. */
#define RECEIVED                                                                                             \
    "\xff\xfc" FIRST "\x02" SECOND "\x02"                                                                    \
    "60" THIRD "\x02u1" FOURTH "\x02l1"
#define SENT "\xfe\xe8" FIRST "\x02" SECOND THIRD FOURTH

static void test_a_copy_has_the_publishers_properties_but_those_that_must_not_be_repeated(void **state)
{
    struct message message = {0};
    struct publication copy = {0};
    uint8_t out[200];
    size_t headers_bytes, length;

    (void)state;
    broker_properties_read((const uint8_t *)RECEIVED, sizeof(RECEIVED) - 1, &message);
    assert_string_equal(message.content_type, "json");
    assert_string_equal(message.message_id, "m1");
    assert_true(headers_has(message.headers, "h"));
    copy = (struct publication){.content_type = message.content_type,
                                .message_id = message.message_id,
                                .headers = message.headers,
                                .carried = message.carried};
    headers_bytes = headers_encoded_bytes(copy.headers, false);
    length = broker_properties_bytes(&copy, headers_bytes);
    assert_int_equal(length, sizeof(SENT) - 1);
    assert_ptr_equal(broker_properties_write(out, &copy, headers_bytes), out + length);
    assert_memory_equal(out, SENT, length);
    message_fini(&message);
}

static void test_what_has_nothing_to_carry_is_written_without(void **state)
{
    const struct publication publication = {.message_id = "m1"};
    uint8_t out[20];

    (void)state;
    assert_int_equal(broker_properties_bytes(&publication, 0), 10);
    assert_ptr_equal(broker_properties_write(out, &publication, 0), out + 10);
    assert_memory_equal(out, "\x30\x80\x00\x00\x00\x00\x02\x02m1", 10);
}

static void test_a_list_that_is_cut_off_anywhere_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(RECEIVED) - 1; length++) {
        uint8_t *exact = malloc(length + 1); /* so that a sanitizer sees a byte too many */
        struct message message = {0};

        memcpy(exact, RECEIVED, length);
        exact = realloc(exact, length ? length : 1);
        broker_properties_read(exact, length, &message);
        message_fini(&message);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_has_the_publishers_properties_but_those_that_must_not_be_repeated),
        cmocka_unit_test(test_what_has_nothing_to_carry_is_written_without),
        cmocka_unit_test(test_a_list_that_is_cut_off_anywhere_is_read_as_far_as_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
