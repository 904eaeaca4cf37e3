/*
 * Answers the handshake. Decides what we announce: without consumer_cancel_notify a consumer whose queue is
 * deleted waits for ever, without connection.blocked an alarm looks like a stall. The password goes into the
 * PLAIN response and nowhere else. When to expect which step is broker_wire.c's.
 */
#include "common/broker_login.h"

#include "common/broker_frame.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

enum { POOL_PAGE_BYTES = 4096, FRAME_MIN_BYTES = 4096, LOGIN_MAX_BYTES = 1024 };

static amqp_bytes_t text_bytes_of(const char *text)
{
    return (amqp_bytes_t){.len = strlen(text), .bytes = (void *)(uintptr_t)text};
}

static bool lists_word(amqp_bytes_t list, const char *word)
{
    const char *at = list.bytes;
    const char *end = at + list.len;

    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        size_t length = (size_t)((space ? space : end) - at);

        if (length == strlen(word) && memcmp(at, word, length) == 0)
            return true;
        at += length + 1;
    }
    return false;
}

static int major_of(const amqp_table_t *properties)
{
    for (int i = 0; i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        char text[8] = "";

        if (entry->key.len != 7 || memcmp(entry->key.bytes, "version", 7) != 0 ||
            entry->value.kind != AMQP_FIELD_KIND_UTF8)
            continue;
        memcpy(text, entry->value.value.bytes.bytes,
               entry->value.value.bytes.len < sizeof(text) ? entry->value.value.bytes.len : sizeof(text) - 1);
        return atoi(text);
    }
    return 0;
}

static enum err set_capabilities(struct headers *properties)
{
    static const char *const capabilities[] = {
        "publisher_confirms",         "basic.nack",
        "consumer_cancel_notify",     "connection.blocked",
        "exchange_exchange_bindings", "authentication_failure_close",
    };
    struct headers *table = headers_new();
    enum err err = table ? OK : ERR_NOMEM;

    for (size_t i = 0; err == OK && i < ARRAY_LEN(capabilities); i++)
        err = headers_set_bool(table, capabilities[i], true);
    if (err == OK)
        err = headers_set_table(properties, "capabilities", table);
    headers_free(table);
    return err;
}

/* The client properties in wire form, owned by the caller; NULL when out of memory. */
static uint8_t *new_client_properties(const char *connection_name, size_t *ret_bytes)
{
    struct headers *properties = headers_new();
    uint8_t *encoded = NULL;

    if (properties && headers_set_str(properties, "product", "fulfilld") == OK &&
        headers_set_str(properties, "platform", "C") == OK &&
        (!connection_name || headers_set_str(properties, "connection_name", connection_name) == OK) &&
        set_capabilities(properties) == OK) {
        *ret_bytes = headers_encoded_bytes(properties, true) + 4;
        encoded = malloc(*ret_bytes);
        if (encoded) {
            broker_buffer_put_number(encoded, *ret_bytes - 4, 4);
            headers_encode(properties, true, encoded + 4);
        }
    }
    headers_free(properties);
    return encoded;
}

static enum err send_start_ok(struct broker_buffer *out, const struct broker_login *login)
{
    char response[LOGIN_MAX_BYTES];
    size_t username_bytes = strlen(login->username);
    size_t password_bytes = strlen(login->password);
    amqp_connection_start_ok_t ok = {.mechanism = text_bytes_of("PLAIN"), .locale = text_bytes_of("en_US")};
    size_t properties_bytes = 0, offset = 0;
    AUTO_FREE uint8_t *properties = new_client_properties(login->connection_name, &properties_bytes);
    amqp_pool_t pool;
    enum err err = ERR_NOMEM;

    if (username_bytes + password_bytes + 2 > sizeof(response))
        return ERR_CONFIG;
    response[0] = '\0';
    memcpy(response + 1, login->username, username_bytes);
    response[1 + username_bytes] = '\0';
    memcpy(response + 2 + username_bytes, login->password, password_bytes);
    ok.response = (amqp_bytes_t){.len = username_bytes + password_bytes + 2, .bytes = response};
    init_amqp_pool(&pool, POOL_PAGE_BYTES);
    if (properties && amqp_decode_table((amqp_bytes_t){.len = properties_bytes, .bytes = properties}, &pool,
                                        &ok.client_properties, &offset) >= 0)
        err = broker_frame_method(out, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
    empty_amqp_pool(&pool);
    explicit_bzero(response, sizeof(response));
    return err;
}

enum err broker_login_answer_start(struct broker_buffer *out, const struct broker_login *login, void *decoded,
                                   int *ret_server_major, struct fault *ret_fault)
{
    amqp_connection_start_t *start = decoded;
    enum err err;

    if (!lists_word(start->mechanisms, "PLAIN")) {
        *ret_fault = fault_make(ERR_CONFIG, "the broker does not offer PLAIN login");
        return ERR_CONFIG;
    }
    err = send_start_ok(out, login);
    if (err == ERR_CONFIG)
        *ret_fault =
            fault_make(ERR_CONFIG, "user name and password are longer than %d bytes", LOGIN_MAX_BYTES);
    else
        *ret_fault = fault_of(err);
    if (err == OK)
        *ret_server_major = major_of(&start->server_properties);
    return err;
}

enum err broker_login_answer_tune(struct broker_buffer *out, const struct broker_login *login, void *decoded,
                                  int64_t *ret_heartbeat_s, size_t *ret_frame_max)
{
    amqp_connection_tune_t *tune = decoded;
    amqp_connection_tune_ok_t ok = {.channel_max = 8, .frame_max = BROKER_FRAME_MAX_BYTES};
    amqp_connection_open_t open = {.virtual_host = text_bytes_of(login->vhost)};
    int64_t heartbeat_s = login->heartbeat_s;
    enum err err;

    if (tune->heartbeat > 0 && (heartbeat_s == 0 || tune->heartbeat < heartbeat_s))
        heartbeat_s = tune->heartbeat;
    ok.heartbeat = (uint16_t)heartbeat_s;
    if (tune->frame_max > 0 && tune->frame_max < ok.frame_max)
        ok.frame_max = tune->frame_max > FRAME_MIN_BYTES ? tune->frame_max : FRAME_MIN_BYTES;
    if (tune->channel_max > 0 && tune->channel_max < ok.channel_max)
        ok.channel_max = tune->channel_max;
    if (open.virtual_host.len > BROKER_FRAME_SHORT_STRING_MAX)
        return ERR_CONFIG;
    err = broker_frame_method(out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    if (err == OK)
        err = broker_frame_method(out, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
    *ret_heartbeat_s = heartbeat_s;
    *ret_frame_max = ok.frame_max;
    return err;
}

enum err broker_login_open_channel(struct broker_buffer *out, uint16_t channel)
{
    amqp_channel_open_t open = {.out_of_band = {0}};

    return broker_frame_method(out, channel, AMQP_CHANNEL_OPEN_METHOD, &open);
}

struct fault broker_login_fault_of_close(uint16_t reply_code, const void *text, size_t text_bytes)
{
    /* What a person must change: refused, not there, locked, other arguments, not allowed. The rest may pass.
     */
    const bool lasting = (reply_code >= 403 && reply_code <= 406) || reply_code == 530;

    return fault_make(lasting ? ERR_CONFIG : ERR_NETWORK, "%u %.*s", (unsigned)reply_code, (int)text_bytes,
                      text_bytes > 0 ? (const char *)text : "");
}
