/* An HTTP client that answers from a script. See fake_http.h. */
#include "fakes/fake_http.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct rule {
    struct rule *next;
    char *method, *path;
    struct fake_http_answer answer; /* its strings are owned */
};

struct kept {
    struct kept *next;
    struct fake_http_request shown;
};

/* Behind op->transfer. */
struct pending {
    struct http_op *op;
    struct loop_timer timer;
    struct fake_http_answer answer;
    bool scripted;
};

struct http {
    struct loop *loop;
    size_t max_response_bytes;
    struct http_op *first, *last; /* in flight */
    struct loop_task task;        /* frees a closed client */
    bool closed;
};

static struct rule *rules;
static struct kept *requests;
static size_t open_count;

const char *http_outcome_text(enum http_outcome outcome)
{
    static const char *const texts[] = {
        [HTTP_ANSWERED] = "answered",
        [HTTP_NO_NAME] = "no name",
        [HTTP_NO_CONNECTION] = "no connection",
        [HTTP_NO_TLS] = "no TLS",
        [HTTP_SEND_FAILED] = "send failed",
        [HTTP_NO_ANSWER] = "no answer",
        [HTTP_TIMED_OUT] = "timed out",
        [HTTP_TRUNCATED] = "truncated",
        [HTTP_TOO_BIG] = "too big",
        [HTTP_INVALID] = "invalid",
        [HTTP_FORBIDDEN] = "forbidden",
        [HTTP_CANCELED] = "canceled",
        [HTTP_FAILED] = "failed",
    };

    return texts[outcome];
}

static char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;

    assert(!text || made);
    return made;
}

/* ---- rules ---- */

void fake_http_answer(const char *method, const char *path, const struct fake_http_answer *answer)
{
    struct rule *rule = calloc(1, sizeof *rule);
    struct rule **at = &rules;

    assert(rule);
    rule->method = copy(method);
    rule->path = copy(path);
    rule->answer = *answer;
    rule->answer.body = copy(answer->body);
    rule->answer.header_name = copy(answer->header_name);
    rule->answer.header_value = copy(answer->header_value);
    while (*at)
        at = &(*at)->next;
    *at = rule;
}

void fake_http_respond(const char *method, const char *path, int status, const char *body)
{
    fake_http_answer(method, path, &(struct fake_http_answer){.status = status, .body = body});
}

void fake_http_ignore(const char *method, const char *path)
{
    fake_http_answer(method, path, &(struct fake_http_answer){.delay_ms = INT64_MAX});
}

static void free_answer(struct fake_http_answer *answer)
{
    free((char *)answer->body);
    free((char *)answer->header_name);
    free((char *)answer->header_value);
}

static bool take_rule(const struct fake_http_request *request, struct fake_http_answer *ret_answer)
{
    for (struct rule **at = &rules; *at; at = &(*at)->next) {
        struct rule *rule = *at;
        if ((rule->method && strcmp(rule->method, request->method) != 0) ||
            (rule->path && strcmp(rule->path, request->path) != 0))
            continue;
        *ret_answer = rule->answer;
        *at = rule->next;
        free(rule->method);
        free(rule->path);
        free(rule);
        return true;
    }
    return false;
}

/* ---- exchanges ---- */

static void tell(struct http *http, struct http_op *op)
{
    struct pending *pending = op->transfer;

    loop_timer_stop(&pending->timer);
    *(op->prev ? &op->prev->next : &http->first) = op->next;
    *(op->next ? &op->next->prev : &http->last) = op->prev;
    op->in_flight = false;
    op->done(op);
    free_answer(&pending->answer);
    free(pending);
}

static void fill(struct http_op *op, const struct fake_http_answer *answer)
{
    op->outcome = answer->outcome;
    op->status = answer->status;
    if (op->outcome == HTTP_ANSWERED && op->status == 0)
        op->status = 200;
    op->body = answer->body ? answer->body : "";
    op->body_length = strlen(op->body);
    if (op->body_length > op->http->max_response_bytes)
        op->outcome = HTTP_TOO_BIG;
    op->retry_after_s = answer->retry_after_s > 0 ? answer->retry_after_s : -1;
    op->sent = !answer->unsent && (op->outcome == HTTP_ANSWERED || op->outcome == HTTP_NO_ANSWER ||
                                   op->outcome == HTTP_TIMED_OUT || op->outcome == HTTP_TRUNCATED ||
                                   op->outcome == HTTP_TOO_BIG || op->outcome == HTTP_INVALID);
}

static void on_due(struct loop_timer *timer)
{
    struct pending *pending = container_of(timer, struct pending, timer);
    struct http_op *op = pending->op;

    if (op->outcome == HTTP_ANSWERED && pending->scripted) {
        fill(op, &pending->answer);
    } else if (op->outcome == HTTP_ANSWERED) {
        op->outcome = HTTP_FAILED;
        snprintf(op->detail, sizeof op->detail, "fake_http: nothing scripted");
    }
    tell(op->http, op);
}

static const struct fake_http_request *keep(const struct http_request *request)
{
    struct kept *kept = calloc(1, sizeof *kept);
    struct kept **at = &requests;

    assert(kept);
    kept->shown.method = copy(request->method);
    kept->shown.url = copy(request->url);
    const char *host = strstr(kept->shown.url, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    kept->shown.path = path ? path : "/";
    kept->shown.body_length = request->body ? request->body_length : 0;
    char *body = calloc(1, kept->shown.body_length + 1);
    assert(body);
    if (request->body)
        memcpy(body, request->body, kept->shown.body_length);
    kept->shown.body = body;
    kept->shown.header_count = request->header_count;
    kept->shown.headers = calloc(request->header_count + 1, sizeof(*kept->shown.headers));
    assert(kept->shown.headers);
    for (size_t index = 0; index < request->header_count; index++)
        kept->shown.headers[index] =
            (struct http_header){copy(request->headers[index].name), copy(request->headers[index].value)};
    while (*at)
        at = &(*at)->next;
    *at = kept;
    return &kept->shown;
}

static bool has_line_break(const struct http_request *request)
{
    for (size_t index = 0; index < request->header_count; index++)
        if (strpbrk(request->headers[index].name, "\r\n") || strpbrk(request->headers[index].value, "\r\n"))
            return true;
    return false;
}

void http_start(struct http *http, struct http_op *op, const struct http_request *request, http_done_fn *done)
{
    struct pending *pending = calloc(1, sizeof *pending);
    int64_t delay_ms = 0;

    assert(pending && !op->in_flight);
    *op = (struct http_op){.done = done, .http = http, .body = "", .retry_after_s = -1, .in_flight = true};
    op->transfer = pending;
    op->prev = http->last;
    *(http->last ? &http->last->next : &http->first) = op;
    http->last = op;
    pending->op = op;
    loop_timer_init(&pending->timer, http->loop, on_due);
    if (http->closed) {
        op->outcome = HTTP_CANCELED;
    } else if (has_line_break(request)) {
        op->outcome = HTTP_FAILED;
    } else {
        pending->scripted = take_rule(keep(request), &pending->answer);
        delay_ms = pending->answer.delay_ms;
        if (delay_ms > request->timeout_ms) {
            pending->answer.outcome = HTTP_TIMED_OUT;
            delay_ms = request->timeout_ms;
        }
    }
    loop_timer_start(&pending->timer, delay_ms);
}

void http_cancel(struct http_op *op)
{
    struct pending *pending = op->transfer;

    if (!op->in_flight || op->canceled)
        return;
    op->canceled = true;
    op->outcome = HTTP_CANCELED;
    op->sent = true; /* it may have been */
    loop_timer_start(&pending->timer, 0);
}

const char *http_header(const struct http_op *op, const char *name)
{
    const struct pending *pending = op->transfer;

    if (!pending || !pending->answer.header_name || strcasecmp(pending->answer.header_name, name) != 0)
        return NULL;
    return pending->answer.header_value;
}

/* ---- life ---- */

static void on_closed(struct loop_task *task)
{
    struct http *http = container_of(task, struct http, task);

    while (http->first) {
        http->first->outcome = HTTP_CANCELED;
        tell(http, http->first);
    }
    free(http);
    open_count--;
}

struct http *http_open(struct loop *loop, const struct http_options *options, struct fault *ret_fault)
{
    struct http *http = calloc(1, sizeof *http);

    (void)ret_fault;
    assert(http);
    http->loop = loop;
    http->max_response_bytes = options->max_response_bytes ? options->max_response_bytes : SIZE_MAX;
    loop_task_init(&http->task, loop, on_closed);
    open_count++;
    return http;
}

void http_close(struct http *http)
{
    if (!http || http->closed)
        return;
    http->closed = true;
    loop_task_start(&http->task);
}

/* ---- what was asked ---- */

const struct fake_http_request *fake_http_request(size_t index)
{
    struct kept *kept = requests;

    while (kept && index-- > 0)
        kept = kept->next;
    return kept ? &kept->shown : NULL;
}

size_t fake_http_request_count(void)
{
    size_t count = 0;

    while (fake_http_request(count))
        count++;
    return count;
}

const char *fake_http_request_header(size_t index, const char *name)
{
    const struct fake_http_request *request = fake_http_request(index);

    for (size_t at = 0; request && at < request->header_count; at++)
        if (strcasecmp(request->headers[at].name, name) == 0)
            return request->headers[at].value;
    return NULL;
}

size_t fake_http_unused(void)
{
    size_t count = 0;

    for (struct rule *rule = rules; rule; rule = rule->next)
        count++;
    return count;
}

static void free_request(struct fake_http_request *request)
{
    for (size_t index = 0; index < request->header_count; index++) {
        free((char *)request->headers[index].name);
        free((char *)request->headers[index].value);
    }
    free(request->headers);
    free((char *)request->method);
    free((char *)request->url);
    free((char *)request->body);
}

void fake_http_reset(void)
{
    assert(open_count == 0);
    while (rules) {
        struct rule *rule = rules;
        rules = rule->next;
        free(rule->method);
        free(rule->path);
        free_answer(&rule->answer);
        free(rule);
    }
    while (requests) {
        struct kept *kept = requests;
        requests = kept->next;
        free_request(&kept->shown);
        free(kept);
    }
}
