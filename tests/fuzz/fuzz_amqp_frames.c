/*
 * Any bytes as what a broker sends: methods, messages and headers come out or a fault does, and nothing is
 * read or kept beyond them. One input is one stream; its first byte says in what pieces it arrives.
 */
#include "common/broker_reader.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_MAX_BYTES = 64 * 1024 };

static bool on_method(void *context, uint16_t channel, uint32_t method, void *decoded)
{
    (void)context;
    (void)channel;
    (void)method;
    if (!decoded)
        abort();
    return true;
}

static bool on_content(void *context, struct broker_content *content)
{
    const struct message *message = &content->message;
    const size_t bytes = headers_encoded_bytes(message->headers, true);
    uint8_t *encoded = malloc(bytes + 1);
    struct headers *again = NULL;

    (void)context;
    if (!message->exchange || !message->routing_key || !message->body ||
        message->body_length > BODY_MAX_BYTES)
        abort();
    if (!encoded)
        return false;
    /* What was believed of the headers is read back as the same. */
    headers_encode(message->headers, true, encoded);
    if (headers_decode(encoded, bytes, &again) != OK || headers_encoded_bytes(again, true) != bytes)
        abort();
    headers_free(again);
    free(encoded);
    return true;
}

static size_t body_limit(void *context, const struct broker_content *content)
{
    (void)context;
    (void)content;
    return BODY_MAX_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const struct broker_reader_events events = {on_method, on_content, body_limit};
    struct broker_reader *reader = broker_reader_new(&events, NULL);
    const size_t piece = length > 0 && bytes[0] > 0 ? bytes[0] : length + 1;
    struct fault fault;

    for (size_t at = 1; reader && at < length;) {
        size_t space;
        uint8_t *into = broker_reader_space(reader, &space);
        size_t chunk = length - at < piece ? length - at : piece;

        chunk = chunk < space ? chunk : space;
        memcpy(into, bytes + at, chunk);
        if (broker_reader_feed(reader, chunk, &fault) != OK)
            break;
        at += chunk;
    }
    broker_reader_free(reader);
    return 0;
}
