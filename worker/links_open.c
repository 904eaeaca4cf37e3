/*
 * Opens RabbitMQ and Redis as the settings name them. See links_open.h.
 */
#include "worker/links_open.h"

#include "worker/scripts.h"

#include <string.h>

enum { MAX_OUTPUT_BYTES = 64 * 1024 * 1024 };

static void forget_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

enum err links_open_broker(struct loop *loop, const struct settings *settings, const char *name,
                           const struct broker_events *events, void *context, struct broker **ret_broker,
                           struct fault *ret_fault)
{
    char *password = NULL;
    enum err err = settings_read_secret(settings->amqp_password_file, &password, ret_fault);
    struct broker_options options = {
        .uris = settings->amqp_uris,
        .username = settings->amqp_username,
        .password = password,
        .connection_name = name,
        .tls_ca_file = settings->amqp_tls_ca_file,
        .tls_cert_file = settings->amqp_tls_cert_file,
        .tls_key_file = settings->amqp_tls_key_file,
        .tls_verify = settings->amqp_tls_verify,
        .heartbeat_s = settings->amqp_heartbeat_ms / 1000,
        .consumes = true,
        .publishes = true,
        .max_output_bytes = MAX_OUTPUT_BYTES,
    };
    struct broker *broker = err == OK ? broker_open(loop, &options, events, context, ret_fault) : NULL;

    forget_secret(password);
    if (!broker)
        return ret_fault->code;
    *ret_broker = broker;
    return OK;
}

enum err links_open_store(struct loop *loop, const struct settings *settings, store_state_fn *on_state,
                          void *context, struct store **ret_store, struct fault *ret_fault)
{
    char *password = NULL;
    enum err err = settings_read_secret(settings->redis_password_file, &password, ret_fault);
    struct store_options options = {
        .uri = settings->redis_uri,
        .username = settings->redis_username,
        .password = password,
        .timeout_ms = settings->redis_timeout_ms,
        .scripts = scripts_table,
        .script_count = scripts_count,
    };
    struct store *store = err == OK ? store_open(loop, &options, on_state, context, ret_fault) : NULL;

    forget_secret(password);
    if (!store)
        return ret_fault->code;
    *ret_store = store;
    return OK;
}
