/*
 * Any product by configuration alone: sends the line as JSON to a URL of its own. Decides what is sent and,
 * where its section lists statuses, which of them count as done, retry or final; every other answer means
 * what the host's table says. Its keys: docs/modules.md.
 *
 * A receiver may answer 202 with a place to ask (poll = yes): it is asked until it has finished.
 */
#include "fulfill/module.h"
#include "options.h"
#include "request_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_HEADERS = 40,
    MAX_PATH = 2048,
    FIRST_POLL_S = 2,
    LONGEST_POLL_S = 30,
    LAST_MOMENT_MS = 5000 /* asked no more when less is left */
};

struct state {
    const struct fulfill_host *host;
    int refund;
    int accepted; /* 202 and a place to ask: what was asked for is under way */
    int64_t poll_s;
    char path[MAX_PATH];
};

static void on_answer(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_polled(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_poll_due(struct fulfill_call *call, void *context);

static enum fulfill_operation operation(const struct state *state)
{
    return state->refund ? FULFILL_OPERATION_REFUND : FULFILL_OPERATION_FULFILL;
}

/* Whether an answer leaves open what became of the request: a 5xx may come from what stands before the
 * receiver, or from its last step; so may what the place to ask says of something that was accepted. */
static int leaves_doubt(const struct state *state, const struct fulfill_result *result)
{
    return (result->http_status >= 500 && result->decision != FULFILL_FINAL) ||
           (state->accepted && (result->decision != FULFILL_FINAL || result->http_status < 400 ||
                                result->http_status == 404 || result->http_status == 410));
}

static void finish_found(struct state *state, struct fulfill_call *call, const struct fulfill_answer *answer,
                         const char *finding)
{
    struct fulfill_result result;

    state->host->judge(call, operation(state), answer, finding, &result);
    if (leaves_doubt(state, &result))
        result.look_first = FULFILL_LOOK_NEXT;
    state->host->finish(call, &result);
}

static void finish_misconfigured(struct state *state, struct fulfill_call *call, const char *message)
{
    struct fulfill_result result;

    state->host->judge(call, operation(state), NULL, "misconfigured", &result);
    result.message = message;
    state->host->finish(call, &result);
}

static const char *option(const struct state *state, const struct fulfill_call *call, const char *key,
                          const char *otherwise)
{
    const char *value = state->host->option(call, key);

    return value && value[0] != '\0' ? value : otherwise;
}

/* ---- the body ---- */

/* A JSON value of the message as it stands, or null. */
static void add_raw(struct request_text *body, const char *key, const char *json)
{
    request_text_add(body, ",");
    request_text_json(body, key);
    request_text_add(body, ":");
    request_text_add(body, json ? json : "null");
}

static void build_body(const struct state *state, struct fulfill_call *call, struct request_text *body)
{
    const struct fulfill_host *host = state->host;

    request_text_add(body, "{");
    request_text_member(body, "action", state->refund ? "refund" : "fulfill");
    request_text_member(body, "order_number", host->text(call, FULFILL_ORDER_NUMBER));
    request_text_member(body, "refund_number", host->text(call, FULFILL_REFUND_NUMBER));
    request_text_member(body, "date_placed", host->text(call, FULFILL_DATE_PLACED));
    request_text_add(body, ",\"user\":{");
    request_text_member(body, "username", host->text(call, FULFILL_USERNAME));
    request_text_member(body, "email", host->text(call, FULFILL_EMAIL));
    request_text_add(body, "}");
    add_raw(body, "line", host->text(call, FULFILL_LINE_JSON));
    add_raw(body, "result", host->text(call, FULFILL_RESULT_JSON));
    request_text_member(body, "idempotency_key", host->text(call, FULFILL_IDEMPOTENCY_KEY));
    request_text_add(body,
                     host->number(call, FULFILL_LOOK_FIRST) ? ",\"repeated\":true}" : ",\"repeated\":false}");
}

/* t=SECONDS,v1=HMAC of "SECONDS.BODY": the receiver checks that the body is ours and fresh. */
static int sign(const struct state *state, struct fulfill_call *call, const struct request_text *body,
                char signature[128])
{
    const char *secret = state->host->secret(call, "secret_file");
    struct request_text signed_text = {0};
    char stamp[32], hex[65];

    signature[0] = '\0';
    if (!secret)
        return 0;
    snprintf(stamp, sizeof(stamp), "%lld", (long long)(state->host->now_us() / 1000000));
    request_text_add(&signed_text, stamp);
    request_text_add(&signed_text, ".");
    request_text_add(&signed_text, body->bytes);
    int failed = signed_text.failed || state->host->hmac_sha256(secret, strlen(secret), signed_text.bytes,
                                                                signed_text.length, hex) != 0;
    request_text_free(&signed_text);
    if (failed)
        return -1;
    snprintf(signature, 128, "t=%s,v1=%s", stamp, hex);
    return 0;
}

/* ---- sending ---- */

/* header.NAME = value, and header_file.NAME = path of a file with the value. */
static size_t add_own_headers(const struct state *state, struct fulfill_call *call,
                              struct fulfill_header *headers, size_t count)
{
    const char *key, *value;

    for (size_t i = 0; count < MAX_HEADERS && state->host->option_at(call, i, &key, &value); i++) {
        if (strncmp(key, "header.", 7) == 0)
            headers[count++] = (struct fulfill_header){key + 7, value};
        else if (strncmp(key, "header_file.", 12) == 0)
            headers[count++] = (struct fulfill_header){key + 12, state->host->secret(call, key)};
    }
    return count;
}

static int send(struct state *state, struct fulfill_call *call, const char *method, const char *path,
                const struct request_text *body, fulfill_answer_fn *done)
{
    struct fulfill_header headers[MAX_HEADERS] = {{"Accept", "application/json"}};
    char signature[128] = "";
    size_t count = 1;

    if (body) {
        if (sign(state, call, body, signature) != 0)
            return -1;
        headers[count++] = (struct fulfill_header){"Content-Type", "application/json"};
        headers[count++] =
            (struct fulfill_header){"Idempotency-Key", state->host->text(call, FULFILL_IDEMPOTENCY_KEY)};
        headers[count++] =
            (struct fulfill_header){"X-Fulfillment-Signature", signature[0] ? signature : NULL};
    }
    count = add_own_headers(state, call, headers, count);
    const struct fulfill_request request = {
        .size = sizeof(request),
        .method = method,
        .path = path,
        .headers = headers,
        .header_count = count,
        .body = body ? body->bytes : NULL,
        .body_length = body ? body->length : 0,
    };
    return state->host->http(call, &request, done, state);
}

static void start(const struct fulfill_host *host, struct fulfill_call *call, int refund)
{
    struct state *state = host->state(call, sizeof(*state));
    struct fulfill_result result;
    struct request_text body = {0};

    if (!state) {
        host->judge(call, FULFILL_OPERATION_FULFILL, NULL, "nonsense", &result);
        host->finish(call, &result);
        return;
    }
    state->host = host;
    state->refund = refund;
    state->poll_s = FIRST_POLL_S;
    const char *path = option(state, call, "path", "/");
    const char *method = option(state, call, "method", "POST");
    if (refund) {
        path = option(state, call, "refund_path", path);
        method = option(state, call, "refund_method", method);
    }
    build_body(state, call, &body);
    if (body.failed || send(state, call, method, path, &body, on_answer) != 0)
        finish_misconfigured(state, call,
                             "the request cannot be built: see method, path and headers of its section");
    request_text_free(&body);
}

/* ---- answers ---- */

/* What the receiver wants to be kept and sent back with a refund: the member `result` of its answer. */
static char *result_of(const struct fulfill_answer *answer)
{
    json_t *document = json_loadb(answer->body, answer->body_length, 0, NULL);
    json_t *result = json_object_get(document, "result");
    char *text = json_is_object(result) ? json_dumps(result, JSON_COMPACT) : NULL;

    json_decref(document);
    return text;
}

static void finish_done(struct state *state, struct fulfill_call *call, const struct fulfill_answer *answer)
{
    struct fulfill_result result;
    char *json = state->refund ? NULL : result_of(answer);

    state->host->judge(call, operation(state), answer, "done", &result);
    result.result_json = json;
    state->host->finish(call, &result);
    free(json);
}

/* Done, retry or final, as the section's lists say; else as the host's table says. */
static void finish_by_status(struct state *state, struct fulfill_call *call,
                             const struct fulfill_answer *answer)
{
    if (answer->transport != FULFILL_ANSWERED)
        finish_found(state, call, answer, NULL);
    else if (options_status_listed(option(state, call, "final_statuses", ""), answer->status))
        finish_found(state, call, answer, "final");
    else if (options_status_listed(option(state, call, "retry_statuses", ""), answer->status))
        finish_found(state, call, answer, "retry");
    else if (options_status_listed(option(state, call, "done_statuses", "200-299"), answer->status))
        finish_done(state, call, answer);
    else if (answer->status >= 200 && answer->status <= 299)
        finish_found(state, call, answer, "final");
    else
        finish_found(state, call, answer, NULL);
}

/* ---- 202: asking later ---- */

/* The member poll_url or status_url: a path below the upstream's base URL, or a URL below it. */
static int take_poll_path(struct state *state, const struct fulfill_answer *answer)
{
    json_t *document = json_loadb(answer->body, answer->body_length, 0, NULL);
    const char *url = json_string_value(json_object_get(document, "poll_url"));

    if (!url)
        url = json_string_value(json_object_get(document, "status_url"));
    if (url && strlen(url) < sizeof(state->path))
        snprintf(state->path, sizeof(state->path), "%s", url);
    else
        url = NULL;
    json_decref(document);
    return url != NULL;
}

static void poll_later(struct state *state, struct fulfill_call *call, const struct fulfill_answer *answer)
{
    int64_t delay_s = answer->retry_after_s > 0 ? answer->retry_after_s : state->poll_s;

    if (delay_s > LONGEST_POLL_S)
        delay_s = LONGEST_POLL_S;
    state->poll_s = state->poll_s * 2 > LONGEST_POLL_S ? LONGEST_POLL_S : state->poll_s * 2;
    if (state->host->number(call, FULFILL_DEADLINE_MS) < delay_s * 1000 + LAST_MOMENT_MS ||
        state->host->wait(call, delay_s * 1000, on_poll_due, state) != 0)
        finish_found(state, call, answer, "pending");
}

static void on_poll_due(struct fulfill_call *call, void *context)
{
    struct state *state = context;

    if (send(state, call, "GET", state->path, NULL, on_polled) != 0) {
        const struct fulfill_answer accepted = {.size = sizeof(accepted),
                                                .transport = FULFILL_ANSWERED,
                                                .status = 202,
                                                .body = "",
                                                .retry_after_s = -1};
        finish_found(state, call, &accepted, "unusable");
    }
}

static void on_polled(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;

    if (answer->transport == FULFILL_ANSWERED && answer->status == 202)
        poll_later(state, call, answer);
    else
        finish_by_status(state, call, answer);
}

static void on_answer(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;
    int polls = strcmp(option(state, call, "poll", "no"), "yes") == 0;

    if (!polls || answer->transport != FULFILL_ANSWERED || answer->status != 202)
        finish_by_status(state, call, answer);
    else if ((state->accepted = take_poll_path(state, answer)) != 0)
        poll_later(state, call, answer);
    else
        finish_found(state, call, answer, "unusable");
}

/* ---- the module ---- */

static void fulfill_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    start(host, call, 0);
}

static void refund_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    start(host, call, 1);
}

extern const struct fulfill_module module_webhook;
const struct fulfill_module module_webhook = {
    .abi = FULFILL_ABI,
    .size = sizeof(struct fulfill_module),
    .name = "webhook",
    .fulfill_product = fulfill_product,
    .refund_product = refund_product,
    .check_option = options_check_webhook,
};
