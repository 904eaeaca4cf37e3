/*
 * One exchange with an upstream: copies the request, adds the credentials, waits for token, rate and slot,
 * sends, and says how it ended; repeats once after a 401 with a fresh token. What an answer means to a line
 * is decided by outcomes.def; when a request may go by upstream_limit.c and upstream_breaker.c. Called by
 * module_call.c.
 */
#include "worker/upstream_parts.h"

#include <stdio.h>
#include <string.h>

static void on_task(struct loop_task *task);
static void on_http(struct http_op *op);

/* ---- lists ---- */

void call_list_add(struct call_list *list, struct upstream_call *call, bool first)
{
    call->prev = first ? NULL : list->last;
    call->next = first ? list->first : NULL;
    if (call->prev)
        call->prev->next = call;
    else
        list->first = call;
    if (call->next)
        call->next->prev = call;
    else
        list->last = call;
    list->count++;
}

void call_list_remove(struct call_list *list, struct upstream_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        list->first = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        list->last = call->prev;
    call->prev = call->next = NULL;
    list->count--;
}

/* ---- the copy of a request ---- */

static bool usable_text(const char *text, const char *also_not)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f || strchr(also_not, *text))
            return false;
    return true;
}

static bool usable_method(const char *method)
{
    size_t length = method ? strlen(method) : 0;

    return length > 0 && length <= 16 && strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}

static bool usable_header(const struct fulfill_header *header)
{
    return header->name && header->name[0] != '\0' && usable_text(header->name, " :\"(),/;<=>?@[\\]{}") &&
           usable_text(header->value, "");
}

/* What follows the base URL: the path, or the rest of a URL below the base URL. */
static const char *path_below(const struct upstream *upstream, const char *path)
{
    size_t length = strlen(upstream->base_url);

    return path && strncmp(path, upstream->base_url, length) == 0 ? path + length : path;
}

/* Bytes of all texts; 0 when the request cannot be used. */
static size_t measure(const struct upstream *upstream, const struct fulfill_request *request,
                      const struct http_header *extra, size_t extra_count, size_t *ret_headers)
{
    const char *path = path_below(upstream, request->path);
    size_t bytes, headers = extra_count;

    if (!usable_method(request->method) || !path || path[0] != '/' || !usable_text(path, " ") ||
        (request->header_count > 0 && !request->headers) || (request->body_length > 0 && !request->body))
        return 0;
    bytes = strlen(request->method) + strlen(upstream->base_url) + strlen(path) + request->body_length + 3;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct fulfill_header *header = &request->headers[i];
        if (!header->value)
            continue;
        if (!usable_header(header))
            return 0;
        bytes += strlen(header->name) + strlen(header->value) + 2;
        headers++;
    }
    for (size_t i = 0; i < extra_count; i++)
        bytes += strlen(extra[i].name) + strlen(extra[i].value) + 2;
    *ret_headers = headers;
    return bytes;
}

static const char *put(char **to, const char *bytes, size_t length)
{
    char *start = *to;

    if (length > 0)
        memcpy(start, bytes, length);
    start[length] = '\0';
    *to = start + length + 1;
    return start;
}

static void put_header(struct upstream_call *call, char **to, const char *name, const char *value)
{
    struct http_header *header = &call->headers[call->header_count++];

    header->name = put(to, name, strlen(name));
    header->value = put(to, value, strlen(value));
}

enum err upstream_call_init(struct upstream *upstream, struct upstream_call *call,
                            const struct fulfill_request *request, const struct http_header *extra,
                            size_t extra_count)
{
    size_t headers = 0;
    size_t bytes = measure(upstream, request, extra, extra_count, &headers);

    if (bytes == 0)
        return ERR_MALFORMED;
    size_t table_bytes = (headers + 2) * sizeof(struct http_header);
    char *block = malloc(table_bytes + bytes);
    if (!block)
        return ERR_NOMEM;
    *call = (struct upstream_call){
        .upstream = upstream,
        .block = block,
        .headers = (struct http_header *)(void *)block,
        .body_length = request->body_length,
        .credentials = request->credentials,
        .failed_retry_after_s = -1,
    };
    loop_task_init(&call->task, upstream->loop, on_task);
    char *to = block + table_bytes;
    call->method = put(&to, request->method, strlen(request->method));
    call->url = to;
    put(&to, upstream->base_url, strlen(upstream->base_url));
    to--; /* the path goes on where the base URL ends */
    const char *path = path_below(upstream, request->path);
    put(&to, path, strlen(path));
    call->body = request->body ? put(&to, request->body, request->body_length) : NULL;
    for (size_t i = 0; i < request->header_count; i++)
        if (request->headers[i].value)
            put_header(call, &to, request->headers[i].name, request->headers[i].value);
    for (size_t i = 0; i < extra_count; i++)
        put_header(call, &to, extra[i].name, extra[i].value);
    return OK;
}

void upstream_call_drop(struct upstream_call *call)
{
    free(TAKE(call->block));
}

/* ---- the way of a call ---- */

static bool wants_api_key(const struct upstream_call *call)
{
    return call->upstream->api_key && (call->credentials == 0 || (call->credentials & FULFILL_WITH_API_KEY));
}

static bool wants_token(const struct upstream_call *call)
{
    return call->upstream->token_url && (call->credentials == 0 || (call->credentials & FULFILL_WITH_TOKEN));
}

/* First credentials, then the queue. */
static void proceed(struct upstream_call *call, bool first)
{
    struct upstream *upstream = call->upstream;

    if (wants_token(call) && !token_valid(upstream))
        token_wait(upstream, call);
    else
        limit_enqueue(upstream, call, first);
}

void upstream_call_start(struct upstream_call *call, bool probe, upstream_call_fn *done)
{
    struct upstream *upstream = call->upstream;

    call->done = done;
    call->probe = probe;
    upstream_hold(upstream);
    if (upstream->closing)
        call_end_unsent(call, FULFILL_HOST_FAILED, 0, -1, "shutting down");
    else if (call->credentials != 0 && !wants_api_key(call) && !wants_token(call))
        call_end_unsent(call, FULFILL_NO_CREDENTIALS, 0, -1, "");
    else
        proceed(call, false);
}

bool upstream_call_waits(const struct upstream_call *call)
{
    return call->stage == CALL_WAITS_TOKEN || call->stage == CALL_QUEUED;
}

void upstream_call_cancel(struct upstream_call *call)
{
    struct upstream *upstream = call->upstream;

    call->canceled = true;
    switch (call->stage) {
    case CALL_WAITS_TOKEN:
        call_list_remove(&upstream->token.waiting, call);
        call_end_unsent(call, FULFILL_HOST_FAILED, 0, -1, "cancelled");
        break;
    case CALL_QUEUED:
        limit_remove(upstream, call);
        call_end_unsent(call, FULFILL_HOST_FAILED, 0, -1, "cancelled");
        break;
    case CALL_SENT:
        http_cancel(&call->http);
        break;
    case CALL_IDLE:
    case CALL_ENDING:
        break;
    }
}

void call_send(struct upstream_call *call)
{
    struct upstream *upstream = call->upstream;
    size_t count = call->header_count;

    /* A token that ended while the call waited its turn. */
    if (wants_token(call) && !token_valid(upstream)) {
        token_wait(upstream, call);
        return;
    }
    if (wants_api_key(call))
        call->headers[count++] = (struct http_header){upstream->api_key_header, upstream->api_key};
    call->token_serial = 0;
    if (wants_token(call)) {
        call->headers[count++] = (struct http_header){"Authorization", upstream->token.value};
        call->token_serial = upstream->token.serial;
    }
    struct http_request request = {
        .method = call->method,
        .url = call->url,
        .headers = call->headers,
        .header_count = count,
        .body = call->body,
        .body_length = call->body_length,
        .connect_timeout_ms = upstream->connect_timeout_ms,
        .timeout_ms = upstream->timeout_ms,
    };
    call->stage = CALL_SENT;
    call->sent_ms = loop_now_ms(upstream->loop);
    upstream->slots.in_flight++;
    http_start(upstream->http, &call->http, &request, on_http);
}

static enum fulfill_transport transport_of(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_ANSWERED:
        return FULFILL_ANSWERED;
    case HTTP_NO_NAME:
        return FULFILL_NO_NAME;
    case HTTP_NO_CONNECTION:
        return FULFILL_NO_CONNECTION;
    case HTTP_NO_TLS:
        return FULFILL_NO_TLS;
    case HTTP_SEND_FAILED:
        return FULFILL_NOT_SENT;
    case HTTP_NO_ANSWER:
        return FULFILL_NO_ANSWER;
    case HTTP_TIMED_OUT:
        return FULFILL_TIMED_OUT;
    case HTTP_TRUNCATED:
        return FULFILL_TRUNCATED;
    case HTTP_TOO_BIG:
        return FULFILL_TOO_BIG;
    case HTTP_INVALID:
        return FULFILL_INVALID;
    case HTTP_FORBIDDEN:
        return FULFILL_FORBIDDEN_ADDRESS;
    case HTTP_CANCELED:
    case HTTP_FAILED:
        break;
    }
    return FULFILL_HOST_FAILED;
}

/* Ends the call; it is the caller's again. The upstream may be gone afterwards, unless it is held. */
static void end(struct upstream_call *call, const struct fulfill_answer *answer)
{
    struct upstream *upstream = call->upstream;

    call->stage = CALL_IDLE;
    free(TAKE(call->block));
    call->done(call, answer);
    upstream_release(upstream);
}

/* A 401 with a token: once more with a fresh one. */
static bool repeats(struct upstream_call *call)
{
    if (call->http.outcome != HTTP_ANSWERED || call->http.status != 401 || call->token_serial == 0)
        return false;
    token_forget(call->upstream, call->token_serial);
    if (call->repeated || call->canceled || call->upstream->closing)
        return false;
    call->repeated = true;
    proceed(call, true);
    return true;
}

static void on_http(struct http_op *op)
{
    struct upstream_call *call = container_of(op, struct upstream_call, http);
    struct upstream *upstream = call->upstream;

    upstream_hold(upstream); /* over the callbacks below */
    upstream->slots.in_flight--;
    upstream_exchanged(upstream, op);
    limit_learn(upstream, op->outcome, loop_now_ms(upstream->loop) - call->sent_ms);
    call->sent = call->sent || op->sent;
    if (!repeats(call)) {
        struct fulfill_answer answer = {
            .size = sizeof(answer),
            .transport = transport_of(op->outcome),
            .status = op->outcome == HTTP_ANSWERED ? op->status : 0,
            .body = op->body ? op->body : "",
            .body_length = op->body ? op->body_length : 0,
            .retry_after_s = op->outcome == HTTP_ANSWERED ? op->retry_after_s : -1,
        };
        end(call, &answer);
    }
    limit_pump(upstream);
    upstream_release(upstream);
}

/* ---- ends without an exchange ---- */

void call_end_unsent(struct upstream_call *call, enum fulfill_transport transport, int status,
                     int64_t retry_after_s, const char *words)
{
    call->stage = CALL_ENDING;
    call->failed = transport;
    call->failed_status = status;
    call->failed_retry_after_s = retry_after_s;
    snprintf(call->failed_words, sizeof(call->failed_words), "%s", words);
    loop_task_start(&call->task);
}

void call_postpone(struct upstream_call *call, int64_t until_ms)
{
    call->postponed_until_ms = until_ms;
    call_end_unsent(call, FULFILL_HOST_FAILED, 0, -1, "postponed");
}

static void on_task(struct loop_task *task)
{
    struct upstream_call *call = container_of(task, struct upstream_call, task);
    char words[sizeof(call->failed_words)];
    struct fulfill_answer answer = {
        .size = sizeof(answer),
        .transport = call->failed,
        .status = call->failed_status,
        .body = words,
        .retry_after_s = call->failed_retry_after_s,
    };

    memcpy(words, call->failed_words, sizeof(words));
    answer.body_length = strlen(words);
    end(call, &answer);
}
