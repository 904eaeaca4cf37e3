/*
 * Frames out and in, without a socket: what broker_frame.c writes is what broker_reader.c reads, however the
 * stream is cut, and what is not AMQP ends in a fault and nothing else. The connection itself is tested on
 * RabbitMQ (test_broker_rabbitmq.c).
 */
#include "common/broker_frame.h"
#include "common/broker_reader.h"

#include "support/unit.h"

#include <amqp.h>
#include <amqp_framing.h>

struct heard {
    size_t methods, contents;
    uint32_t last_method;
    uint16_t last_channel;
    struct broker_content content;
    size_t limit;
    bool stop;
};

static bool on_method(void *context, uint16_t channel, uint32_t method, void *decoded)
{
    struct heard *heard = context;

    (void)decoded;
    heard->methods++;
    heard->last_method = method;
    heard->last_channel = channel;
    return !heard->stop;
}

static bool on_content(void *context, struct broker_content *content)
{
    struct heard *heard = context;

    message_fini(&heard->content.message);
    heard->content = *content;
    content->message = (struct message){0};
    heard->contents++;
    return !heard->stop;
}

static size_t body_limit(void *context, const struct broker_content *content)
{
    (void)content;
    return ((struct heard *)context)->limit;
}

static const struct broker_reader_events events = {on_method, on_content, body_limit};

/* Feeds the bytes in pieces of `piece`; the error of the piece that ended it. */
static enum err feed(struct broker_reader *reader, const uint8_t *bytes, size_t length, size_t piece)
{
    enum err err = OK;

    for (size_t at = 0; at < length && err == OK;) {
        size_t space;
        uint8_t *into = broker_reader_space(reader, &space);
        size_t chunk = length - at < piece ? length - at : piece;
        struct fault fault = fault_of(OK);

        chunk = chunk < space ? chunk : space;
        memcpy(into, bytes + at, chunk);
        err = broker_reader_feed(reader, chunk, &fault);
        assert_int_equal(fault.code, err);
        at += chunk;
    }
    return err;
}

/* A delivery as a broker sends it: our own publication with the method exchanged. */
static void put_delivery(struct broker_buffer *out, const struct publication *publication)
{
    amqp_basic_deliver_t deliver = {.consumer_tag = amqp_cstring_bytes("tag"),
                                    .delivery_tag = 7,
                                    .redelivered = 1,
                                    .exchange = amqp_cstring_bytes("ex"),
                                    .routing_key = amqp_cstring_bytes("key")};
    struct broker_buffer published = {0};
    size_t skipped;

    assert_int_equal(broker_frame_method(out, 1, AMQP_BASIC_DELIVER_METHOD, &deliver), OK);
    assert_int_equal(broker_frame_publish(&published, 1, 4096, publication), OK);
    skipped = (size_t)broker_buffer_get_number(published.data + 3, 4) + BROKER_FRAME_OVERHEAD;
    memcpy(broker_buffer_reserve(out, published.end), published.data + skipped, published.end - skipped);
    out->end += published.end - skipped;
    broker_buffer_fini(&published);
}

static void a_message_survives_any_cutting_of_the_stream(void **state)
{
    static const size_t pieces[] = {1, 2, 3, 7, 8, 9, 100, 4096, 1 << 20};
    static char body[10000];
    struct headers *headers = headers_new();
    struct publication publication = {.exchange = "",
                                      .routing_key = "",
                                      .message_id = "id",
                                      .content_type = "text",
                                      .body = body,
                                      .body_length = sizeof(body)};
    struct broker_buffer stream = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 7);
    assert_int_equal(headers_set_str(headers, "h", "v"), OK);
    publication.headers = headers;
    put_delivery(&stream, &publication);
    assert_int_equal(broker_frame_heartbeat(&stream), OK);
    publication.body_length = 0;
    put_delivery(&stream, &publication);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct heard heard = {.limit = sizeof(body)};
        struct broker_reader *reader = broker_reader_new(&events, &heard);

        assert_int_equal(feed(reader, stream.data, stream.end, pieces[i]), OK);
        assert_int_equal(heard.contents, 2);
        assert_int_equal(heard.content.message.body_length, 0);
        assert_int_equal(heard.content.delivery_tag, 7);
        assert_true(heard.content.message.redelivered);
        assert_string_equal(heard.content.consumer_tag, "tag");
        assert_string_equal(heard.content.message.routing_key, "key");
        assert_string_equal(heard.content.message.message_id, "id");
        assert_string_equal(heard.content.message.content_type, "text");
        assert_string_equal(headers_str(heard.content.message.headers, "h"), "v");
        message_fini(&heard.content.message);
        broker_reader_free(reader);
    }
    headers_free(headers);
    broker_buffer_fini(&stream);
}

static void a_body_over_the_limit_is_swallowed_and_the_next_message_is_whole(void **state)
{
    static char body[9000];
    struct publication publication = {
        .exchange = "", .routing_key = "", .body = body, .body_length = sizeof(body)};
    struct heard heard = {.limit = 100};
    struct broker_reader *reader = broker_reader_new(&events, &heard);
    struct broker_buffer stream = {0};

    (void)state;
    put_delivery(&stream, &publication);
    assert_int_equal(feed(reader, stream.data, stream.end, 1000), OK);
    assert_true(heard.content.message.too_big);
    assert_int_equal(heard.content.message.body_length, 0);
    assert_string_equal(heard.content.message.body, "");
    broker_buffer_clear(&stream);
    publication.body_length = 100;
    put_delivery(&stream, &publication);
    assert_int_equal(feed(reader, stream.data, stream.end, 1000), OK);
    assert_int_equal(heard.contents, 2);
    assert_false(heard.content.message.too_big);
    assert_int_equal(heard.content.message.body_length, 100);
    message_fini(&heard.content.message);
    broker_reader_free(reader);
    broker_buffer_fini(&stream);
}

static void a_body_that_claims_to_be_endless_takes_no_memory(void **state)
{
    struct publication publication = {.exchange = "", .routing_key = "", .body = "x", .body_length = 1};
    struct heard heard = {.limit = 1000};
    struct broker_reader *reader = broker_reader_new(&events, &heard);
    struct broker_buffer stream = {0};
    size_t header;

    (void)state;
    put_delivery(&stream, &publication);
    header = (size_t)broker_buffer_get_number(stream.data + 3, 4) + BROKER_FRAME_OVERHEAD;
    memset(stream.data + header + 7 + 4, 0xff, 8); /* the announced size */
    assert_int_equal(feed(reader, stream.data, stream.end, 1000), OK);
    assert_int_equal(heard.contents, 0);
    broker_reader_free(reader);
    broker_buffer_fini(&stream);
}

static void a_publication_that_fits_no_frame_writes_nothing(void **state)
{
    char name[300];
    struct publication publication = {.exchange = "", .routing_key = name, .body = "", .body_length = 0};
    struct headers *headers = headers_new();
    struct broker_buffer out = {0};
    char value[4000];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_int_equal(broker_frame_publish(&out, 1, 4096, &publication), ERR_TOO_BIG);
    name[255] = '\0';
    assert_int_equal(broker_frame_publish(&out, 1, 4096, &publication), OK);
    broker_buffer_clear(&out);
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(headers_set_str(headers, "v", value), OK);
    publication.headers = headers;
    assert_int_equal(broker_frame_publish(&out, 1, 4096, &publication), ERR_TOO_BIG);
    assert_int_equal(broker_buffer_bytes(&out), 0);
    headers_free(headers);
    broker_buffer_fini(&out);
}

static void what_is_not_amqp_is_a_fault(void **state)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t length;
    } cases[] = {
        {"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", 28},
        {"a TLS alert", "\x15\3\1\0\2\2\x28\0\0\0\0", 11},
        {"another version", "AMQP\1\1\0\x0a", 8},
        {"no end mark", "\x08\0\0\0\0\0\0\x00", 8},
        {"an unknown type", "\x09\0\0\0\0\0\0\xce", 8},
        {"a channel never opened", "\x01\0\x09\0\0\0\4\0\x14\0\x0b\xce", 12},
        {"a method too short", "\x01\0\0\0\0\0\2\0\x0a\xce", 10},
        {"an unknown method", "\x01\0\0\0\0\0\4\0\x63\0\1\xce", 12},
        {"a header without a message", "\x02\0\1\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0\xce", 22},
        {"a body without a message", "\x03\0\1\0\0\0\1x\xce", 9},
        {"a frame too large", "\x01\0\0\x7f\xff\xff\xff\0", 8},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard heard = {.limit = 1000};
        struct broker_reader *reader = broker_reader_new(&events, &heard);

        if (feed(reader, (const uint8_t *)cases[i].bytes, cases[i].length, 1) != ERR_MALFORMED)
            fail_msg("%s was taken", cases[i].what);
        assert_int_equal(heard.methods + heard.contents, 0);
        broker_reader_free(reader);
    }
}

static void server_properties_nested_without_end_are_refused_before_they_are_decoded(void **state)
{
    enum { DEPTH = 20000 };
    static uint8_t frame[7 + 4 + 2 + 4 + 2 + DEPTH * 5 + 1];
    size_t at = sizeof(frame) - 1;
    struct heard heard = {0};
    struct broker_reader *reader = broker_reader_new(&events, &heard);
    uint32_t inside = 0;

    (void)state;
    frame[at] = BROKER_FRAME_END;
    for (int i = 0; i < DEPTH; i++) {
        at -= 5;
        frame[at] = 'A';
        broker_buffer_put_number(frame + at + 1, inside, 4);
        inside += 5;
    }
    frame[at - 1] = 'a';
    frame[at - 2] = 1;
    broker_buffer_put_number(frame + at - 6, inside + 2, 4);
    frame[0] = BROKER_FRAME_METHOD;
    broker_buffer_put_number(frame + 3, sizeof(frame) - 8, 4);
    broker_buffer_put_number(frame + 7, AMQP_CONNECTION_START_METHOD, 4);
    assert_int_equal(feed(reader, frame, sizeof(frame), sizeof(frame)), ERR_MALFORMED);
    assert_int_equal(heard.methods, 0);
    broker_reader_free(reader);
}

static void reading_stops_when_the_listener_says_so(void **state)
{
    struct broker_buffer stream = {0};
    amqp_channel_open_ok_t ok = {{0}};
    struct heard heard = {.stop = true};
    struct broker_reader *reader = broker_reader_new(&events, &heard);

    (void)state;
    assert_int_equal(broker_frame_method(&stream, 2, AMQP_CHANNEL_OPEN_OK_METHOD, &ok), OK);
    assert_int_equal(broker_frame_method(&stream, 1, AMQP_CHANNEL_OPEN_OK_METHOD, &ok), OK);
    assert_int_equal(feed(reader, stream.data, stream.end, stream.end), OK);
    assert_int_equal(heard.methods, 1);
    assert_int_equal(heard.last_channel, 2);
    assert_int_equal(heard.last_method, AMQP_CHANNEL_OPEN_OK_METHOD);
    broker_reader_free(reader);
    broker_buffer_fini(&stream);
}

static void the_output_keeps_its_order_while_it_grows_and_is_taken_from(void **state)
{
    struct broker_buffer buffer = {0};
    uint8_t next_in = 0, next_out = 0;

    (void)state;
    for (size_t round = 1; round < 400; round++) {
        uint8_t *at = broker_buffer_reserve(&buffer, round * 13);

        for (size_t i = 0; i < round * 13; i++)
            at[i] = next_in++;
        buffer.end += round * 13;
        for (size_t i = 0; i < round * 9; i++)
            assert_int_equal(buffer.data[buffer.start + i], next_out++);
        broker_buffer_take(&buffer, round * 9);
    }
    while (broker_buffer_bytes(&buffer) > 0) {
        assert_int_equal(buffer.data[buffer.start], next_out++);
        broker_buffer_take(&buffer, 1);
    }
    assert_int_equal(next_in, next_out);
    broker_buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_survives_any_cutting_of_the_stream),
        cmocka_unit_test(a_body_over_the_limit_is_swallowed_and_the_next_message_is_whole),
        cmocka_unit_test(a_body_that_claims_to_be_endless_takes_no_memory),
        cmocka_unit_test(a_publication_that_fits_no_frame_writes_nothing),
        cmocka_unit_test(what_is_not_amqp_is_a_fault),
        cmocka_unit_test(server_properties_nested_without_end_are_refused_before_they_are_decoded),
        cmocka_unit_test(reading_stops_when_the_listener_says_so),
        cmocka_unit_test(the_output_keeps_its_order_while_it_grows_and_is_taken_from),
    };

    return cmocka_run_group_tests_name("broker wire", tests, NULL, NULL);
}
