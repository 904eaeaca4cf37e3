/*
 * An upstream's identity and life: its settings, secrets and Redis keys, and the count of what still runs.
 * What its parts decide: upstream_parts.h. Made by the worker at start; used by module_host.
 */
#include "worker/upstream_parts.h"

#include "common/digest.h"
#include "common/log.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_RESPONSE_BYTES = 1024 * 1024,
    MIN_MAX_PAUSE_MS = 3600 * 1000,
    PROBE_SLACK_MS = 5000,
    DIGEST_SHOWN = 16 /* hex digits of the credentials' digest in keys */
};

/* ---- making one ---- */

static enum err copy_text(const char *text, char **ret_copy)
{
    if (!text)
        return OK;
    *ret_copy = strdup(text);
    return *ret_copy ? OK : ERR_NOMEM;
}

/* A base URL without its last slashes; http and https only, no query. */
static enum err copy_base_url(const struct upstream_settings *settings, char **ret_url,
                              struct fault *ret_fault)
{
    const char *url = settings->base_url ? settings->base_url : "";
    const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
                       : strncmp(url, "http://", 7) == 0 ? url + 7
                                                         : NULL;
    size_t length = strlen(url);

    if (!host || host[0] == '\0' || host[0] == '/' || strpbrk(url, "?# \t\r\n")) {
        *ret_fault = fault_make(
            ERR_CONFIG, "%s.base_url: expected http://HOST[:PORT][/PATH] or https://…, without a query",
            settings->name);
        return ERR_CONFIG;
    }
    while (length > 0 && url[length - 1] == '/')
        length--;
    *ret_url = strndup(url, length);
    return *ret_url ? OK : ERR_NOMEM;
}

static enum err take_settings(struct upstream *upstream, const struct upstream_settings *settings,
                              struct fault *ret_fault)
{
    enum err err = copy_text(settings->name, &upstream->name);

    if (err == OK)
        err = copy_base_url(settings, &upstream->base_url, ret_fault);
    if (err == OK)
        err = settings_read_secret(settings->api_key_file, &upstream->api_key, ret_fault);
    if (err == OK)
        err = copy_text("X-Edx-Api-Key", &upstream->api_key_header);
    if (err == OK)
        err = copy_text(settings->oauth_token_url, &upstream->token_url);
    if (err == OK)
        err = copy_text(settings->oauth_client_id, &upstream->client_id);
    if (err == OK)
        err = settings_read_secret(settings->oauth_client_secret_file, &upstream->client_secret, ret_fault);
    if (err != OK)
        return err;
    upstream->is_lms = strcmp(upstream->name, "lms") == 0;
    upstream->connect_timeout_ms = settings->connect_timeout_ms;
    upstream->timeout_ms = settings->timeout_ms;
    return OK;
}

/* Keys of their own for each set of credentials: what one may not do says nothing about another. */
static enum err make_keys(struct upstream *upstream, const char *prefix)
{
    const char *parts[] = {upstream->base_url, upstream->api_key, upstream->token_url, upstream->client_id,
                           upstream->client_secret};
    AUTO_TEXT struct text identity = TEXT_EMPTY(4 * SETTINGS_SECRET_MAX_BYTES);
    char digest[DIGEST_HEX_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        text_append(&identity, parts[i] ? parts[i] : "", parts[i] ? strlen(parts[i]) + 1 : 1);
    enum err err = identity.failed;
    if (err == OK)
        err = digest_sha256(text_peek(&identity), identity.length, digest);
    if (identity.data)
        explicit_bzero(identity.data, identity.length);
    if (err != OK)
        return err;
    if (asprintf(&upstream->breaker_key, "%supstream:{%s:%.*s}", prefix, upstream->name, DIGEST_SHOWN,
                 digest) < 0)
        upstream->breaker_key = NULL;
    if (asprintf(&upstream->rate_key, "%supstream:{%s:%.*s}:rate", prefix, upstream->name, DIGEST_SHOWN,
                 digest) < 0)
        upstream->rate_key = NULL;
    return upstream->breaker_key && upstream->rate_key ? OK : ERR_NOMEM;
}

static void set_breaker(struct upstream *upstream, const struct upstream_common *common,
                        const struct upstream_settings *settings)
{
    int64_t open_for_ms = settings->breaker_open_for_ms, max_open_for_ms = settings->breaker_max_open_for_ms;

    upstream->breaker = (struct breaker_limits){
        .failures = settings->breaker_failures,
        .open_for_ms = open_for_ms,
        .max_open_for_ms = max_open_for_ms > open_for_ms ? max_open_for_ms : open_for_ms,
        .max_pause_ms =
            common->retry_max_delay_ms > MIN_MAX_PAUSE_MS ? common->retry_max_delay_ms : MIN_MAX_PAUSE_MS,
        .probe_ms = upstream->timeout_ms + PROBE_SLACK_MS,
    };
}

static void destroy(struct upstream *upstream)
{
    char *secrets[] = {upstream->api_key, upstream->client_secret, upstream->token.value,
                       upstream->token.last};

    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        if (secrets[i])
            explicit_bzero(secrets[i], strlen(secrets[i]));
    free(upstream->name);
    free(upstream->base_url);
    free(upstream->api_key);
    free(upstream->api_key_header);
    free(upstream->token_url);
    free(upstream->client_id);
    free(upstream->client_secret);
    free(upstream->token.value);
    free(upstream->token.last);
    free(upstream->breaker_key);
    free(upstream->rate_key);
    free(upstream);
}

struct upstream *upstream_new(const struct upstream_common *common, const struct upstream_settings *settings,
                              struct fault *ret_fault)
{
    struct upstream *upstream = calloc(1, sizeof(*upstream));
    enum err err = upstream ? OK : ERR_NOMEM;
    struct fault fault = fault_of(ERR_NOMEM);

    if (err == OK) {
        upstream->loop = common->loop;
        upstream->store = common->store;
        upstream->on_state = common->on_state;
        upstream->context = common->context;
        upstream->crowd.most = common->max_waiting;
        err = take_settings(upstream, settings, &fault);
    }
    if (err == OK)
        err = make_keys(upstream, common->redis_prefix ? common->redis_prefix : "");
    if (err == OK) {
        struct http_options options = {
            .max_connections = (size_t)settings->max_in_flight + 1, /* one for the token */
            .ca_file = settings->ca_file,
            .max_response_bytes = MAX_RESPONSE_BYTES,
            .forbid_private = settings->forbid_private_addresses,
        };
        upstream->http = http_open(upstream->loop, &options, &fault);
        err = upstream->http ? OK : fault.code;
    }
    if (err != OK) {
        *ret_fault = fault;
        if (upstream)
            destroy(upstream);
        return NULL;
    }
    set_breaker(upstream, common, settings);
    breaker_start(upstream);
    limit_init(upstream, settings->max_in_flight, settings->max_requests_per_second);
    return upstream;
}

/* ---- its end ---- */

void upstream_hold(struct upstream *upstream)
{
    upstream->busy++;
}

void upstream_release(struct upstream *upstream)
{
    if (--upstream->busy == 0 && upstream->closing)
        destroy(upstream);
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    upstream_hold(upstream);
    upstream->closing = true;
    breaker_stop(upstream);
    limit_stop(upstream);
    token_stop(upstream);
    while (upstream->queue.first)
        upstream_call_cancel(upstream->queue.first);
    http_close(TAKE(upstream->http));
    upstream_release(upstream);
}

/* ---- what every exchange tells ---- */

void upstream_exchanged(struct upstream *upstream, const struct http_op *op)
{
    limit_count(op);
    if (op->outcome == HTTP_ANSWERED)
        upstream->tls_told = false;
    if (op->outcome != HTTP_NO_TLS || upstream->tls_told)
        return;
    upstream->tls_told = true;
    log_error("upstream.tls", "TLS to an upstream fails: its orders wait",
              LOG_STR("upstream", upstream->name), LOG_STR("why", op->detail),
              LOG_STR("look", "its certificate, ca_file, base_url"));
}

/* ---- small questions ---- */

bool upstream_has_store(const struct upstream *upstream)
{
    return upstream->store && store_up(upstream->store);
}

const char *upstream_name(const struct upstream *upstream)
{
    return upstream->name;
}

void upstream_load(const struct upstream *upstream, int64_t *ret_in_flight, int64_t *ret_waiting,
                   int64_t *ret_limit)
{
    *ret_in_flight = upstream->slots.in_flight;
    *ret_waiting = (int64_t)(upstream->queue.count + upstream->token.waiting.count);
    *ret_limit = (int64_t)upstream->slots.limit;
}

enum {
    SECRET_MIN_BYTES = 6, /* shorter ones would blot out ordinary words */
    SECRET_PART_BYTES = 3,
    CUT_SLACK_BYTES = 4 /* a text is cut between characters */
};

/* How many of a text's last bytes are the beginning of a secret. */
static size_t part_at_end(const char *text, size_t length, const char *secret, size_t secret_length)
{
    size_t part = secret_length - 1 < length ? secret_length - 1 : length;

    while (part >= SECRET_PART_BYTES && memcmp(text + length - part, secret, part) != 0)
        part--;
    return part >= SECRET_PART_BYTES ? part : 0;
}

static void blot(char *text, size_t size, const char *secret)
{
    size_t secret_length = secret ? strlen(secret) : 0, length = strlen(text);

    if (secret_length < SECRET_MIN_BYTES)
        return;
    for (char *at = strstr(text, secret); at; at = strstr(at, secret)) {
        memset(at, '*', secret_length);
        at += secret_length;
    }
    if (length + CUT_SLACK_BYTES >= size) {
        size_t part = part_at_end(text, length, secret, secret_length);
        memset(text + length - part, '*', part);
    }
}

/* The token alone, without its scheme. */
static const char *bare(const char *token)
{
    const char *space = token ? strchr(token, ' ') : NULL;

    return space ? space + 1 : NULL;
}

void upstream_redact(const struct upstream *upstream, char *text, size_t size)
{
    blot(text, size, upstream->api_key);
    blot(text, size, upstream->client_secret);
    blot(text, size, bare(upstream->token.value));
    blot(text, size, bare(upstream->token.last));
}
