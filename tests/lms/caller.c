/*
 * Authentication and throttling as the LMS does them, in its order: the token first (a bad one is
 * refused even beside a good API key), then key or token, then the throttle, which the key bypasses.
 * What a caller may do with a learner or a mode is decided in enrollment.c and entitlement.c.
 */
#include "caller.h"

#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool refuse_token(struct reply *reply, const char *detail)
{
    reply_text(reply, 401, "detail", "%s", detail);
    reply_header(reply, "WWW-Authenticate", "JWT realm=\"api\"");
    return false;
}

static bool refuse_bearer(struct reply *reply, const char *code, const char *message)
{
    reply->status = 401;
    buf_reset(&reply->body);
    buf_printf(&reply->body, "{\"error_code\": \"%s\", \"developer_message\": \"%s\"}", code, message);
    reply_header(reply, "WWW-Authenticate", "JWT realm=\"api\"");
    return false;
}

const char *caller_authorization_kind(const struct request *request)
{
    const char *value = request_header(request, "Authorization");

    if (!value)
        return NULL;
    if (strncasecmp(value, "JWT ", 4) == 0)
        return "jwt";
    return strncasecmp(value, "Bearer", 6) == 0 ? "bearer" : "other";
}

static bool check_jwt(const struct gate *gate, const char *text, struct caller *caller, struct reply *reply)
{
    const struct token *token = tokens_find(&gate->tokens, text);

    if (!token || !token->is_jwt)
        return refuse_token(reply, "Error decoding token.");
    if (token->expires_ms <= world_now_ms())
        return refuse_token(reply, "Token has expired.");
    caller->has_token = true;
    caller->staff = token->staff;
    caller->user = token->user;
    return true;
}

static bool check_bearer(const struct gate *gate, const char *text, struct caller *caller,
                         struct reply *reply)
{
    const struct token *token;

    if (*text == '\0' || strcspn(text, " ") == 0)
        return refuse_bearer(reply, "token_not_provided", "Invalid token header.");
    if (strchr(text, ' '))
        return refuse_bearer(reply, "token_malformed", "Token string should not contain spaces.");
    token = tokens_find(&gate->tokens, text);
    if (!token || token->is_jwt)
        return refuse_bearer(reply, "token_nonexistent", "The provided access token does not exist.");
    if (token->expires_ms <= world_now_ms())
        return refuse_bearer(reply, "token_expired", "The provided access token has expired.");
    caller->has_token = true;
    caller->staff = token->staff;
    caller->user = token->user;
    return true;
}

bool caller_identify(struct gate *gate, const struct request *request, bool key_counts,
                     struct caller *ret_caller, struct reply *reply)
{
    const char *kind = caller_authorization_kind(request);
    const char *value = request_header(request, "Authorization");
    const char *key = request_header(request, "X-Edx-Api-Key");

    *ret_caller = (struct caller){.user = ""};
    if (kind && strcmp(kind, "jwt") == 0 && !check_jwt(gate, value + 4, ret_caller, reply))
        return false;
    if (kind && strcmp(kind, "bearer") == 0 &&
        !check_bearer(gate, value + 6 + (value[6] == ' '), ret_caller, reply))
        return false;
    ret_caller->has_key = key_counts && key && gate->api_key && strcmp(key, gate->api_key) == 0;
    if (!ret_caller->has_key && !ret_caller->has_token)
        return refuse_token(reply, "Authentication credentials were not provided.");
    return true;
}

bool caller_admit(struct gate *gate, const struct caller *caller, struct reply *reply)
{
    int64_t wait_ms;
    int64_t wait_s;
    char seconds[32];

    if (caller->has_key)
        return true;
    wait_ms = throttle_take(caller->staff ? &gate->staff_window : &gate->user_window, world_now_ms());
    if (!wait_ms)
        return true;
    wait_s = (wait_ms + 999) / 1000;
    reply_text(reply, 429, "detail", "Request was throttled. Expected available in %" PRId64 " second%s.",
               wait_s, wait_s == 1 ? "" : "s");
    (void)snprintf(seconds, sizeof(seconds), "%" PRId64, wait_s);
    reply_header(reply, "Retry-After", seconds);
    return false;
}

bool caller_is_privileged(const struct caller *caller)
{
    return caller->has_key || caller->staff;
}
