/*
 * The HTTP client adapter: many exchanges at once on the loop by libcurl's multi interface. Decides how many
 * run, which wait, on what descriptors and timer libcurl is woken, and when callbacks run. What one exchange
 * sends and what its end means is http_exchange.c's. Called by the module host and the sub-commands.
 *
 * No curl_multi_ function is called inside a callback of libcurl. After every curl_multi_socket_action() the
 * finished exchanges are collected first, and done() is called after: it may start, cancel or close.
 *
 * A descriptor's watch is kept, armed, while its connection waits for reuse, and dropped when libcurl closes
 * the descriptor: this saves four system calls an exchange.
 */
#include "common/http_address.h"
#include "common/http_curl.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct op_list {
    struct http_op *first, *last;
};

struct watch {
    struct http *http;
    curl_socket_t fd;
    struct loop_poll *poll;
    int wanted;   /* events libcurl waits for */
    int armed;    /* events the loop waits for; may be more until one comes */
    bool is_ours; /* opened by on_socket_open, closed by on_socket_close */
};

struct http {
    struct http_rules rules;
    CURLM *multi; /* NULL once closed */
    struct loop_timer timer;
    struct loop_task task; /* tells ended exchanges; frees a closed client */
    size_t max_running;
    size_t running_count; /* handles in use, until their done() has returned */
    struct op_list queued, running, ended;
    CURL **idle; /* handles for reuse, room for max_running */
    size_t idle_count;
    struct watch **watches; /* by descriptor */
    size_t watch_count;
    bool closed;
};

static void launch_queued(struct http *http);

const char *http_outcome_text(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_ANSWERED:
        return "answered";
    case HTTP_NO_NAME:
        return "name look-up failed";
    case HTTP_NO_CONNECTION:
        return "no connection";
    case HTTP_NO_TLS:
        return "TLS handshake or certificate failed";
    case HTTP_SEND_FAILED:
        return "connection lost before the request was sent";
    case HTTP_NO_ANSWER:
        return "connection lost before an answer";
    case HTTP_TIMED_OUT:
        return "no answer in time";
    case HTTP_TRUNCATED:
        return "answer cut short";
    case HTTP_TOO_BIG:
        return "answer too big";
    case HTTP_INVALID:
        return "answer is not HTTP";
    case HTTP_FORBIDDEN:
        return "address not allowed";
    case HTTP_CANCELED:
        return "canceled";
    case HTTP_FAILED:
        return "could not be sent";
    }
    return "unknown";
}

/* ---- lists ---- */

static void list_append(struct op_list *list, struct http_op *op)
{
    op->prev = list->last;
    op->next = NULL;
    if (list->last)
        list->last->next = op;
    else
        list->first = op;
    list->last = op;
}

static void list_remove(struct op_list *list, struct http_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        list->first = op->next;
    if (op->next)
        op->next->prev = op->prev;
    else
        list->last = op->prev;
}

/* ---- the end of exchanges ---- */

static void free_http(struct http *http)
{
    loop_task_cancel(&http->task);
    loop_timer_stop(&http->timer);
    while (http->idle_count > 0)
        curl_easy_cleanup(http->idle[--http->idle_count]);
    if (http->multi)
        curl_multi_cleanup(http->multi);
    for (size_t fd = 0; fd < http->watch_count; fd++) {
        if (http->watches[fd])
            loop_poll_free(http->watches[fd]->poll);
        free(http->watches[fd]);
    }
    free(http->watches);
    free(http->idle);
    free(http->rules.ca_file);
    free(http);
    curl_global_cleanup();
}

static void release(struct http *http, struct http_exchange *exchange)
{
    if (exchange && exchange->easy) {
        http->running_count--;
        (void)curl_easy_setopt(exchange->easy, CURLOPT_ERRORBUFFER, NULL); /* it is the exchange's */
        if (http->closed || !http_exchange_handle_is_fresh(exchange))
            curl_easy_cleanup(exchange->easy);
        else
            http->idle[http->idle_count++] = exchange->easy;
    }
    http_exchange_free(exchange);
}

static void deliver(struct http *http)
{
    while (http->ended.first) {
        struct http_op *op = http->ended.first;
        struct http_exchange *exchange = op->transfer;
        list_remove(&http->ended, op);
        op->in_flight = false;
        op->done(op); /* `op` may be gone, or started anew */
        release(http, exchange);
        launch_queued(http);
    }
}

static void on_ended(struct loop_task *task)
{
    struct http *http = container_of(task, struct http, task);

    deliver(http);
    if (http->closed)
        free_http(http);
}

static void end_later(struct http *http, struct http_op *op, enum http_outcome outcome, const char *why)
{
    op->outcome = outcome;
    snprintf(op->detail, sizeof op->detail, "%s", why);
    list_append(&http->ended, op);
    loop_task_start(&http->task);
}

static void collect(struct http *http)
{
    const CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct http_exchange *exchange = NULL;
        CURLcode code = message->data.result; /* `message` dies with the removal */
        CURL *easy = message->easy_handle;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &exchange);
        (void)curl_multi_remove_handle(http->multi, easy);
        http_exchange_conclude(exchange, code);
        list_remove(&http->running, exchange->op);
        list_append(&http->ended, exchange->op);
    }
}

static void act(struct http *http, curl_socket_t fd, int events)
{
    int running = 0;

    (void)curl_multi_socket_action(http->multi, fd, events, &running);
    collect(http);
    deliver(http);
}

/* ---- libcurl's wishes ---- */

static void arm(struct watch *watch, int events)
{
    if (watch->armed == events)
        return;
    watch->armed = events;
    loop_poll_set(watch->poll, events);
}

static void on_poll(void *context, int events)
{
    struct watch *watch = context;
    int action = 0;

    if (events & LOOP_READABLE)
        action |= CURL_CSELECT_IN;
    if (events & LOOP_WRITABLE)
        action |= CURL_CSELECT_OUT;
    if (events & LOOP_BROKEN)
        action |= CURL_CSELECT_ERR;
    if (watch->wanted == 0) {
        arm(watch, 0); /* an idle connection's end; libcurl looks before it uses it again */
        return;
    }
    arm(watch, watch->wanted);
    act(watch->http, watch->fd, action);
}

static struct watch **watch_slot(struct http *http, curl_socket_t fd)
{
    size_t index = (size_t)fd;

    if (index >= http->watch_count) {
        size_t count = http->watch_count ? http->watch_count : 64;
        while (count <= index)
            count *= 2;
        struct watch **watches = realloc(http->watches, count * sizeof(*watches));
        if (!watches)
            return NULL;
        for (size_t added = http->watch_count; added < count; added++)
            watches[added] = NULL;
        http->watches = watches;
        http->watch_count = count;
    }
    return &http->watches[index];
}

static struct watch *watch_get(struct http *http, curl_socket_t fd)
{
    struct watch **slot = watch_slot(http, fd);

    if (!slot)
        return NULL;
    if (!*slot) {
        struct watch *watch = calloc(1, sizeof *watch);
        if (!watch)
            return NULL;
        watch->http = http;
        watch->fd = fd;
        *slot = watch;
    }
    return *slot;
}

static void watch_drop(struct http *http, curl_socket_t fd)
{
    struct watch *watch = (size_t)fd < http->watch_count ? http->watches[fd] : NULL;

    if (!watch)
        return;
    loop_poll_free(watch->poll);
    free(watch);
    http->watches[fd] = NULL;
}

/* A connection that rests keeps its watch. */
static void watch_rest(struct http *http, curl_socket_t fd)
{
    struct watch *watch = (size_t)fd < http->watch_count ? http->watches[fd] : NULL;

    if (watch && watch->is_ours)
        watch->wanted = 0;
    else
        watch_drop(http, fd); /* libcurl's own (its resolver's); it tells no other end */
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct http *http = context;

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        watch_rest(http, fd);
        return 0;
    }
    struct watch *watch = watch_get(http, fd);
    if (!watch)
        return -1;
    if (!watch->poll)
        watch->poll = loop_poll_new(http->rules.loop, fd, on_poll, watch);
    if (!watch->poll)
        return -1;
    watch->wanted = (what & CURL_POLL_IN ? LOOP_READABLE : 0) | (what & CURL_POLL_OUT ? LOOP_WRITABLE : 0);
    arm(watch, watch->wanted);
    return 0;
}

/*
 * Nothing that was written is repeated by the kernel after the exchange has given up: a request that a
 * network swallowed must not arrive behind the one that was sent in its stead (tcp(7), TCP_USER_TIMEOUT,
 * milliseconds).
 */
static void limit_repeats(int fd, const struct http_exchange *exchange)
{
    unsigned timeout_ms = exchange->timeout_ms < INT_MAX ? (unsigned)exchange->timeout_ms : INT_MAX;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms)); /* a help only */
}

static curl_socket_t on_socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_exchange *exchange = context;
    struct http *http = exchange->op->http;

    (void)purpose;
    if (http_exchange_refuses_repeat(exchange))
        return CURL_SOCKET_BAD;
    if (http->rules.forbid_private && http_address_is_private(&address->addr)) {
        exchange->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct watch *watch = watch_get(http, fd);
    if (!watch) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    watch->is_ours = true;
    limit_repeats(fd, exchange);
    return fd;
}

static int on_socket_close(void *context, curl_socket_t fd)
{
    watch_drop(context, fd); /* before the number can be another descriptor's */
    return close(fd);
}

static int on_timer_wish(CURLM *multi, long delay_ms, void *context)
{
    struct http *http = context;

    (void)multi;
    if (delay_ms < 0)
        loop_timer_stop(&http->timer);
    else
        loop_timer_start(&http->timer, delay_ms);
    return 0;
}

static void on_timer(struct loop_timer *timer)
{
    act(container_of(timer, struct http, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- starting ---- */

static void launch(struct http *http, struct http_op *op)
{
    struct http_exchange *exchange = op->transfer;
    CURL *easy = http->idle_count > 0 ? http->idle[--http->idle_count]
                                      : http_easy_new(&http->rules, on_socket_open, on_socket_close, http);

    if (!easy) {
        end_later(http, op, HTTP_FAILED, "out of memory");
        return;
    }
    http->running_count++;
    if (!http_exchange_apply(exchange, easy) || curl_multi_add_handle(http->multi, easy) != CURLM_OK) {
        end_later(http, op, HTTP_FAILED, "out of memory");
        return;
    }
    list_append(&http->running, op);
}

static void launch_queued(struct http *http)
{
    while (!http->closed && http->queued.first && http->running_count < http->max_running) {
        struct http_op *op = http->queued.first;
        list_remove(&http->queued, op);
        launch(http, op);
    }
}

void http_start(struct http *http, struct http_op *op, const struct http_request *request, http_done_fn *done)
{
    const char *why = NULL;

    assert(!op->in_flight);
    *op = (struct http_op){.done = done, .http = http, .body = "", .retry_after_s = -1, .in_flight = true};
    if (http->closed) {
        end_later(http, op, HTTP_CANCELED, "closed");
        return;
    }
    op->transfer = http_exchange_new(&http->rules, request, op, &why);
    if (!op->transfer) {
        end_later(http, op, HTTP_FAILED, why);
        return;
    }
    list_append(&http->queued, op);
    launch_queued(http);
}

static bool is_running(const struct http_op *op)
{
    const struct http_exchange *exchange = op->transfer;

    return exchange && exchange->easy;
}

static void cancel(struct http *http, struct http_op *op)
{
    op->canceled = true;
    if (is_running(op)) {
        struct http_exchange *exchange = op->transfer;
        (void)curl_multi_remove_handle(http->multi, exchange->easy);
        http_exchange_conclude(exchange, CURLE_ABORTED_BY_CALLBACK); /* whether it was sent */
        list_remove(&http->running, op);
    } else {
        list_remove(&http->queued, op);
    }
    end_later(http, op, HTTP_CANCELED, "canceled");
}

static bool list_has(const struct op_list *list, const struct http_op *op)
{
    for (const struct http_op *at = list->first; at; at = at->next)
        if (at == op)
            return true;
    return false;
}

void http_cancel(struct http_op *op)
{
    if (op->in_flight && !op->canceled && !list_has(&op->http->ended, op))
        cancel(op->http, op);
}

const char *http_header(const struct http_op *op, const char *name)
{
    const struct http_exchange *exchange = op->transfer;
    struct curl_header *header = NULL;

    if (!exchange || !exchange->easy ||
        curl_easy_header(exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

/* ---- life ---- */

/* libcurl would notice a bad file only with the first connection. */
static bool check_ca_file(const char *path, struct fault *ret_fault)
{
    char line[128];
    bool is_pem = false;
    FILE *file = fopen(path, "re");

    if (!file) {
        *ret_fault = fault_make(ERR_CONFIG, "CA file %s: %s", path, strerror(errno));
        return false;
    }
    while (!is_pem && fgets(line, sizeof line, file))
        is_pem = strncmp(line, "-----BEGIN CERTIFICATE-----", 27) == 0 ||
                 strncmp(line, "-----BEGIN TRUSTED CERTIFICATE-----", 35) == 0;
    fclose(file);
    if (!is_pem)
        *ret_fault = fault_make(ERR_CONFIG, "CA file %s: no certificate in PEM form in it", path);
    return is_pem;
}

static bool set_multi_options(struct http *http)
{
    CURLM *multi = http->multi;
    long limit = (long)http->max_running;

    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limit) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, limit) == CURLM_OK;
}

struct http *http_open(struct loop *loop, const struct http_options *options, struct fault *ret_fault)
{
    if (options->ca_file && !check_ca_file(options->ca_file, ret_fault))
        return NULL;
    bool is_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    struct http *http = is_ready ? calloc(1, sizeof *http) : NULL;
    if (!http) {
        if (is_ready)
            curl_global_cleanup();
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    http->rules.loop = loop;
    http->rules.max_response_bytes = options->max_response_bytes;
    http->rules.forbid_private = options->forbid_private;
    http->rules.ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    http->max_running = options->max_connections ? options->max_connections : 1;
    loop_timer_init(&http->timer, loop, on_timer);
    loop_task_init(&http->task, loop, on_ended);
    http->idle = calloc(http->max_running, sizeof(*http->idle));
    http->multi = curl_multi_init();
    if (!http->idle || !http->multi || (options->ca_file && !http->rules.ca_file) ||
        !set_multi_options(http)) {
        free_http(http);
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    return http;
}

void http_close(struct http *http)
{
    if (!http || http->closed)
        return;
    while (http->queued.first)
        cancel(http, http->queued.first);
    while (http->running.first)
        cancel(http, http->running.first);
    http->closed = true;
    (void)curl_multi_cleanup(http->multi); /* closes the idle connections: on_socket_close */
    http->multi = NULL;
    loop_timer_stop(&http->timer);
    loop_task_start(&http->task);
}
