/*
 * The token of an upstream (OAuth 2 client credentials): fetched once for all calls that wait for it, kept
 * until 5 s before it ends. Decides which failures of the token endpoint are the client's fault; what that
 * means to a line is decided by outcomes.def. Called by upstream_call.c.
 */
#include "common/text.h"
#include "worker/upstream_parts.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    TOKEN_EARLY_MS = 5000,
    TOKEN_MAX_BYTES = 16384,
    TOKEN_MAX_SECONDS = 30 * 86400,
    TOKEN_UNSAID_SECONDS = 300 /* expires_in is optional (RFC 6749, section 5.1) */
};

static void on_token(struct http_op *op);

bool token_valid(const struct upstream *upstream)
{
    return upstream->token.value && loop_now_ms(upstream->loop) < upstream->token.expires_ms;
}

void token_forget(struct upstream *upstream, int64_t serial)
{
    struct token *token = &upstream->token;

    if (!token->value || token->serial != serial)
        return;
    if (token->last)
        explicit_bzero(token->last, strlen(token->last));
    free(token->last);
    token->last = TAKE(token->value);
}

static void put_form(struct text *body, const char *key, const char *value)
{
    text_printf(body, "%s%s=", body->length > 0 ? "&" : "", key);
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++) {
        if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
            strchr("-._~", *c))
            text_putc(body, (char)*c);
        else
            text_printf(body, "%%%02X", *c);
    }
}

/* Starts the one fetch. False when memory is out. */
static bool fetch(struct upstream *upstream)
{
    static const struct http_header headers[] = {{"Content-Type", "application/x-www-form-urlencoded"},
                                                 {"Accept", "application/json"}};
    struct token *token = &upstream->token;
    AUTO_TEXT struct text body = TEXT_EMPTY(3 * SETTINGS_SECRET_MAX_BYTES + 4096);

    put_form(&body, "grant_type", "client_credentials");
    put_form(&body, "client_id", upstream->client_id ? upstream->client_id : "");
    put_form(&body, "client_secret", upstream->client_secret ? upstream->client_secret : "");
    if (upstream->is_lms)
        put_form(&body, "token_type", "jwt");
    if (body.failed != OK)
        return false;
    struct http_request request = {
        .method = "POST",
        .url = upstream->token_url,
        .headers = headers,
        .header_count = ARRAY_LEN(headers),
        .body = text_peek(&body),
        .body_length = body.length,
        .connect_timeout_ms = upstream->connect_timeout_ms,
        .timeout_ms = upstream->timeout_ms,
    };
    token->fetching = true;
    upstream_hold(upstream);
    http_start(upstream->http, &token->http, &request, on_token);
    return true;
}

void token_wait(struct upstream *upstream, struct upstream_call *call)
{
    struct token *token = &upstream->token;

    if (!token->fetching && !fetch(upstream)) {
        call_end_unsent(call, FULFILL_HOST_FAILED, 0, -1, "out of memory");
        return;
    }
    call->stage = CALL_WAITS_TOKEN;
    call_list_add(&token->waiting, call, false);
}

/* Takes access_token, expires_in and token_type of a 200; false when they cannot be used. */
static bool keep(struct upstream *upstream, const struct http_op *op)
{
    struct token *token = &upstream->token;
    json_t *document = json_loadb(op->body, op->body_length, 0, NULL);
    const char *value = json_string_value(json_object_get(document, "access_token"));
    const json_t *expires_in = json_object_get(document, "expires_in");
    const char *type = json_string_value(json_object_get(document, "token_type"));
    const char *scheme = upstream->is_lms || (type && strcasecmp(type, "jwt") == 0) ? "JWT" : "Bearer";
    double seconds = expires_in ? json_number_value(expires_in) : TOKEN_UNSAID_SECONDS;
    bool kept = false;

    if (value && value[0] != '\0' && strlen(value) <= TOKEN_MAX_BYTES && seconds > 0 &&
        strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") ==
            strlen(value)) {
        char *text = NULL;
        if (asprintf(&text, "%s %s", scheme, value) > 0) {
            token_forget(upstream, token->serial);
            token->value = text;
            token->serial++;
            if (seconds > TOKEN_MAX_SECONDS)
                seconds = TOKEN_MAX_SECONDS;
            /* A token that lives 5 s or less is used for the calls that wait for it, and no longer. */
            int64_t lifetime_ms = (int64_t)(seconds * 1000) - TOKEN_EARLY_MS;
            token->expires_ms = loop_now_ms(upstream->loop) + (lifetime_ms > 100 ? lifetime_ms : 100);
            kept = true;
        }
    }
    json_decref(document);
    return kept;
}

/* Who is to blame for a token that did not come. Only a clear word of the endpoint blames the client. */
static enum fulfill_transport blame(const struct http_op *op)
{
    if (op->outcome != HTTP_ANSWERED)
        return FULFILL_TOKEN_FAILED;
    if (op->status == 400 || op->status == 401 || (op->status >= 200 && op->status <= 299))
        return FULFILL_TOKEN_REFUSED;
    return FULFILL_TOKEN_FAILED;
}

static void words_of(const struct http_op *op, char *words, size_t size)
{
    json_t *document = op->outcome == HTTP_ANSWERED ? json_loadb(op->body, op->body_length, 0, NULL) : NULL;
    const char *error = json_string_value(json_object_get(document, "error"));

    if (error)
        snprintf(words, size, "token endpoint: %.100s", error);
    else if (op->outcome == HTTP_ANSWERED && op->status >= 200 && op->status <= 299)
        snprintf(words, size, "token endpoint: no usable token in the answer");
    else if (op->outcome == HTTP_ANSWERED)
        snprintf(words, size, "token endpoint: it answered %d", op->status);
    else
        snprintf(words, size, "token endpoint: %s", http_outcome_text(op->outcome));
    json_decref(document);
}

static void on_token(struct http_op *op)
{
    struct token *token = container_of(op, struct token, http);
    struct upstream *upstream = container_of(token, struct upstream, token);
    bool kept = op->outcome == HTTP_ANSWERED && op->status == 200 && keep(upstream, op);
    struct call_list waiting = token->waiting;
    char words[160];

    upstream_exchanged(upstream, op);
    token->fetching = false;
    token->waiting = (struct call_list){0};
    if (!kept)
        words_of(op, words, sizeof(words));
    while (waiting.first) {
        struct upstream_call *call = waiting.first;
        call_list_remove(&waiting, call);
        if (kept)
            limit_enqueue(upstream, call, call->repeated);
        else
            call_end_unsent(call, blame(op), op->outcome == HTTP_ANSWERED ? op->status : 0,
                            op->outcome == HTTP_ANSWERED ? op->retry_after_s : -1, words);
    }
    upstream_release(upstream);
}

void token_stop(struct upstream *upstream)
{
    if (upstream->token.fetching)
        http_cancel(&upstream->token.http);
}
