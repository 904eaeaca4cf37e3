/*
 * The operator's window over HTTP: libmicrohttpd without threads, its epoll descriptor watched by the loop.
 * Decides which requests are answered at all; what stands behind a path is the caller's (the master).
 *
 * libmicrohttpd keeps its own timeouts and tells by MHD_get_timeout() when it wants to run next; run() is the
 * one place that lets it run and re-arms the timer.
 */
#include "common/http_listen.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct http_listen {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_poll *poll;
    struct loop_timer timer;
    http_listen_fn *fn;
    void *context;
    uint16_t port;
};

static void run(struct http_listen *listen)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;

    (void)MHD_run(listen->daemon);
    if (MHD_get_timeout(listen->daemon, &timeout_ms) == MHD_YES)
        loop_timer_start(&listen->timer, (int64_t)(timeout_ms < 60000 ? timeout_ms : 60000));
    else
        loop_timer_stop(&listen->timer);
}

static void on_ready(void *context, int events)
{
    struct http_listen *listen = context;

    (void)events;
    run(listen);
}

static void on_timer(struct loop_timer *timer)
{
    run(container_of(timer, struct http_listen, timer));
}

/* ---- one request ---- */

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned int status,
                                 const char *content_type, const char *body, size_t length)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result sent = MHD_NO;

    if (!response)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) == MHD_YES &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
        (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
         MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
        sent = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return sent;
}

static enum MHD_Result send_plain(struct MHD_Connection *connection, unsigned int status, const char *words)
{
    return send_text(connection, status, "text/plain; charset=utf-8", words, strlen(words));
}

static enum MHD_Result answer(struct http_listen *listen, struct MHD_Connection *connection, const char *path)
{
    struct http_listen_answer answer = {.status = MHD_HTTP_NOT_FOUND,
                                        .content_type = "text/plain; charset=utf-8",
                                        .body = TEXT_EMPTY(HTTP_LISTEN_MAX_BODY_BYTES)};
    enum MHD_Result sent;

    listen->fn(listen->context, path, &answer);
    if (answer.body.failed != OK)
        sent = send_plain(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    else if (answer.status == MHD_HTTP_NOT_FOUND && answer.body.length == 0)
        sent = send_plain(connection, MHD_HTTP_NOT_FOUND, "not found\n");
    else
        sent = send_text(connection, (unsigned int)answer.status, answer.content_type,
                         text_peek(&answer.body), answer.body.length);
    text_fini(&answer.body);
    return sent;
}

/* MHD calls this once for the head and again for each piece of a body, the last time with none. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_length, void **state)
{
    static char seen; /* its address marks a request whose head was seen */

    (void)version;
    (void)upload;
    if (!*state) {
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_length > 0) {
        *upload_length = 0; /* a body nobody asked for is read and dropped */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return send_plain(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    return answer(context, connection, path);
}

/* ---- opening ---- */

/* Splits "host:port" or "[host]:port"; false when it is neither or too long. */
static bool split(const char *address, char *host, size_t size, const char **ret_port)
{
    const char *colon = strrchr(address, ':'), *start = address, *end = colon;

    if (!colon || colon[1] == '\0')
        return false;
    if (start < end && *start == '[') {
        start++;
        if (end[-1] != ']')
            return false;
        end--;
    }
    if (end < start || (size_t)(end - start) >= size)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    *ret_port = colon + 1;
    return true;
}

/* A listening socket on the first of the addresses that can be had; -1 with errno. */
static int listen_on(const struct addrinfo *addresses)
{
    int error = EADDRNOTAVAIL;

    for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
            bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
            return fd;
        error = errno;
        if (fd >= 0)
            close(fd);
    }
    errno = error;
    return -1;
}

static int open_socket(const char *address, struct fault *ret_fault)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    const char *port = NULL;
    char host[256];
    int status, fd;

    if (!split(address, host, sizeof(host), &port)) {
        *ret_fault = fault_make(ERR_CONFIG, "http.listen = %s: expected HOST:PORT", address);
        return -1;
    }
    status = getaddrinfo(host[0] ? host : NULL, port, &hints, &addresses);
    if (status != 0) {
        *ret_fault = fault_make(ERR_CONFIG, "http.listen = %s: %s", address, gai_strerror(status));
        return -1;
    }
    fd = listen_on(addresses);
    if (fd < 0 && errno == EADDRINUSE)
        *ret_fault =
            fault_make(ERR_CONFIG, "http.listen = %s: another program listens on this port", address);
    else if (fd < 0)
        *ret_fault = fault_make(ERR_CONFIG, "http.listen = %s: %s", address, strerror(errno));
    freeaddrinfo(addresses);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* Takes the socket, also when it fails. */
static bool start_daemon(struct http_listen *listen, int take_fd)
{
    const union MHD_DaemonInfo *info;

    listen->port = port_of(take_fd);
    listen->daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, listen, MHD_OPTION_LISTEN_SOCKET, take_fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HTTP_LISTEN_MAX_CONNECTIONS,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)HTTP_LISTEN_TIMEOUT_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
    if (!listen->daemon) {
        close(take_fd);
        return false;
    }
    info = MHD_get_daemon_info(listen->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    listen->poll = info ? loop_poll_new(listen->loop, info->epoll_fd, on_ready, listen) : NULL;
    if (!listen->poll)
        return false;
    loop_poll_set(listen->poll, LOOP_READABLE);
    return true;
}

struct http_listen *http_listen_open(struct loop *loop, const char *address, http_listen_fn *fn,
                                     void *context, struct fault *ret_fault)
{
    struct http_listen *listen = calloc(1, sizeof(*listen));
    int fd;

    if (!listen) {
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    listen->loop = loop;
    listen->fn = fn;
    listen->context = context;
    loop_timer_init(&listen->timer, loop, on_timer);
    fd = open_socket(address, ret_fault);
    if (fd >= 0 && start_daemon(listen, fd))
        return listen;
    if (fd >= 0)
        *ret_fault = fault_make(ERR_NOMEM, "http.listen = %s: the server cannot be started", address);
    http_listen_close(listen);
    return NULL;
}

uint16_t http_listen_port(const struct http_listen *listen)
{
    return listen->port;
}

void http_listen_close(struct http_listen *listen)
{
    if (!listen)
        return;
    loop_timer_stop(&listen->timer);
    loop_poll_free(listen->poll);
    if (listen->daemon)
        MHD_stop_daemon(listen->daemon);
    free(listen);
}
