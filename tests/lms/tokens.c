/*
 * The token endpoint: client credentials in, access token out. Decides who gets a token and how
 * long it lives; what a token permits is decided in caller.c.
 */
#include "tokens.h"

#include "mem.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char service_user[] = "fulfillment_service";

void tokens_init(struct tokens *tokens, const char *client_id, const char *client_secret)
{
    *tokens = (struct tokens){.client_id = client_id,
                              .client_secret = client_secret,
                              .staff = true,
                              .ttl_s = 3600,
                              .reported_ttl_s = -1};
}

static void free_token(void *freed)
{
    struct token *token = freed;

    free(token->user);
    free(token);
}

void tokens_fini(struct tokens *tokens)
{
    map_clear(&tokens->issued, free_token);
}

const struct token *tokens_find(const struct tokens *tokens, const char *text)
{
    return map_get(&tokens->issued, text);
}

static void expire(const char *key, void *value, void *arg)
{
    struct token *token = value;

    (void)key;
    (void)arg;
    token->expires_ms = 0;
}

void tokens_expire_all(struct tokens *tokens)
{
    map_each(&tokens->issued, expire, NULL);
}

static void refuse(struct reply *reply, int status, const char *error)
{
    reply_text(reply, status, "error", "%s", error);
    if (status == 401)
        reply_header(reply, "WWW-Authenticate", "Bearer realm=\"OAuth\"");
}

/* Shaped like a JWT, so that a client which looks for two dots is content; the signature is not
 * checked by anybody, tokens are known by their whole text. */
static void issue(struct tokens *tokens, bool is_jwt, struct reply *reply)
{
    struct token *token = mem_new(sizeof(*token));
    uint64_t number = ++tokens->count;
    char text[160];

    (void)snprintf(text, sizeof(text),
                   is_jwt ? "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.c3RhbmQtaW4%016" PRIx64
                            ".bm90LXNpZ25lZA%08" PRIx64
                          : "opaque%016" PRIx64 "%08" PRIx64,
                   number, number * 2654435761u);
    token->user = mem_copy(service_user);
    token->staff = tokens->staff;
    token->is_jwt = is_jwt;
    token->expires_ms = world_now_ms() + tokens->ttl_s * 1000;
    (void)map_put(&tokens->issued, text, token);
    reply->status = 200;
    buf_printf(&reply->body,
               "{\"access_token\": \"%s\", \"token_type\": \"%s\", \"expires_in\": %" PRId64
               ", \"scope\": \"read write profile email\"}",
               text, is_jwt ? "JWT" : "Bearer",
               tokens->reported_ttl_s >= 0 ? tokens->reported_ttl_s : tokens->ttl_s);
    reply_header(reply, "Cache-Control", "no-store");
    reply->applied = true;
}

void tokens_answer(struct tokens *tokens, const struct request *request, struct reply *reply)
{
    const char *form = buf_str(&request->body);
    const char *type = request_header(request, "Content-Type");
    char *grant, *id, *secret, *token_type;

    if (strcmp(request->method, "POST") != 0) {
        reply_text(reply, 405, "detail", "Method \"%s\" not allowed.", request->method);
        return;
    }
    if (tokens->rate_limited) {
        reply_page(reply, 403, "Forbidden");
        return;
    }
    if (!type || strncmp(type, "application/x-www-form-urlencoded", 33) != 0)
        form = "";
    grant = request_parameter(form, "grant_type");
    id = request_parameter(form, "client_id");
    secret = request_parameter(form, "client_secret");
    token_type = request_parameter(form, "token_type");
    if (!grant || strcmp(grant, "client_credentials") != 0)
        refuse(reply, 400, "unsupported_grant_type");
    else if (!id || !secret || strcmp(id, tokens->client_id) != 0 ||
             strcmp(secret, tokens->client_secret) != 0)
        refuse(reply, 401, "invalid_client");
    else
        issue(tokens, token_type && strcasecmp(token_type, "jwt") == 0, reply);
    free(grant);
    free(id);
    free(secret);
    free(token_type);
}
