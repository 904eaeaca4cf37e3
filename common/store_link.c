/*
 * The socket below the store. Decides how a connection is made (each address of a name in turn), when bytes
 * are sent (all of a loop turn in one send) and when the stream counts as lost. What the bytes mean, how
 * long to wait and when to try again is left to store.c, its only caller.
 */
#include "common/store_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    OUT_CAPACITY_FIRST = 16 * 1024,
    OUT_CAPACITY_KEPT = 256 * 1024, /* a larger buffer is given back once it is empty */
    KEEPALIVE_IDLE_S = 15,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_PROBES = 3
};

void store_link_describe(const struct store_link *link, char *text, size_t size)
{
    const struct store_uri *uri = link->uri;
    bool is_ipv6 = uri->host && strchr(uri->host, ':');

    if (uri->path)
        snprintf(text, size, "%s", uri->path);
    else
        snprintf(text, size, is_ipv6 ? "[%s]:%s" : "%s:%s", uri->host, uri->port);
}

static void fail(struct store_link *link, const struct fault *fault)
{
    store_link_drop(link);
    link->events->on_failed(link->context, fault);
}

static struct fault system_fault(const struct store_link *link, const char *what, int number)
{
    char where[128];

    store_link_describe(link, where, sizeof where);
    return fault_make(ERR_NETWORK, "Redis at %s: %s: %s", where, what, strerror(number));
}

static void fail_errno(struct store_link *link, const char *what, int number)
{
    struct fault fault = system_fault(link, what, number);

    fail(link, &fault);
}

/* ---- reading ---- */

void store_link_receive(struct store_link *link)
{
    if (!link->connected)
        return;
    ssize_t count = recv(link->fd, link->in, sizeof link->in, 0);
    if (count > 0) {
        link->events->on_bytes(link->context, link->in, (size_t)count);
    } else if (count == 0) {
        char where[128];
        store_link_describe(link, where, sizeof where);
        struct fault fault = fault_make(ERR_NETWORK, "Redis at %s closed the connection", where);
        fail(link, &fault);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        fail_errno(link, "read", errno);
    }
}

/* ---- writing ---- */

bool store_link_reserve(struct store_link *link, size_t length)
{
    size_t needed = link->out_length + length;
    size_t capacity = link->out_capacity ? link->out_capacity : OUT_CAPACITY_FIRST;

    if (needed < length || needed > SIZE_MAX / 2)
        return false;
    while (capacity < needed)
        capacity *= 2;
    if (capacity == link->out_capacity)
        return true;
    char *out = realloc(link->out, capacity);
    if (!out)
        return false;
    link->out = out;
    link->out_capacity = capacity;
    return true;
}

void store_link_write(struct store_link *link, const char *data, size_t length)
{
    memcpy(link->out + link->out_length, data, length);
    link->out_length += length;
}

bool store_link_unsent(const struct store_link *link)
{
    return link->out_length > 0 && !link->blocked;
}

static void forget_output(struct store_link *link)
{
    link->out_sent = 0;
    link->out_length = 0;
    if (link->out_capacity > OUT_CAPACITY_KEPT) {
        free(link->out);
        link->out = NULL;
        link->out_capacity = 0;
    }
}

static void flush(struct store_link *link)
{
    while (link->out_sent < link->out_length) {
        ssize_t count =
            send(link->fd, link->out + link->out_sent, link->out_length - link->out_sent, MSG_NOSIGNAL);
        if (count >= 0) {
            link->out_sent += (size_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            link->blocked = true;
            loop_poll_set(link->poll, LOOP_READABLE | LOOP_WRITABLE);
            return;
        } else if (errno != EINTR) {
            int number = errno;
            /* The server's last words ("max number of clients reached") may still be there to be read. */
            store_link_receive(link);
            if (link->connected)
                fail_errno(link, "write", number);
            return;
        }
    }
    forget_output(link);
    if (link->blocked) {
        link->blocked = false;
        loop_poll_set(link->poll, LOOP_READABLE);
    }
}

static void on_turn_end(struct loop_hook *hook)
{
    struct store_link *link = container_of(hook, struct store_link, hook);

    if (link->connected && store_link_unsent(link))
        flush(link);
}

/* ---- connecting ---- */

static void on_connect_ready(struct store_link *link)
{
    int number = 0;
    socklen_t size = sizeof number;

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0)
        number = errno;
    if (number != 0) {
        fail_errno(link, "connect", number);
        return;
    }
    link->connected = true;
    loop_poll_set(link->poll, LOOP_READABLE);
    link->events->on_connected(link->context);
}

static void on_poll(void *context, int events)
{
    struct store_link *link = context;

    if (!link->connected) {
        on_connect_ready(link);
        return;
    }
    if (events & (LOOP_READABLE | LOOP_BROKEN)) {
        store_link_receive(link);
        if (!link->connected)
            return;
    }
    if (events & LOOP_BROKEN)
        fail_errno(link, "poll", EIO);
    else if (events & LOOP_WRITABLE)
        flush(link);
}

static void set_option(int fd, int level, int name, int value)
{
    /* All of them are improvements, none is needed: a failure changes nothing. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void prepare_tcp(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

/* Never calls back: a failure is told by the task. */
static void start_connecting(struct store_link *link, const struct sockaddr *address, socklen_t length)
{
    const char *step = "socket";

    link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        goto fail;
    if (address->sa_family != AF_UNIX)
        prepare_tcp(link->fd);
    step = "connect";
    if (connect(link->fd, address, length) < 0 && errno != EINPROGRESS)
        goto fail;
    step = "watch";
    link->poll = loop_poll_new(link->loop, link->fd, on_poll, link);
    if (!link->poll) {
        errno = ENOMEM;
        goto fail;
    }
    loop_poll_set(link->poll, LOOP_WRITABLE);
    return;

fail:
    link->fault = system_fault(link, step, errno);
    loop_task_start(&link->task);
}

static void on_failure_to_tell(struct loop_task *task)
{
    struct store_link *link = container_of(task, struct store_link, task);
    struct fault fault = link->fault;

    fail(link, &fault);
}

bool store_link_connect_next(struct store_link *link)
{
    store_link_drop(link);
    if (link->address_next >= link->address_count)
        return false;
    const struct loop_address *address = &link->addresses[link->address_next++];
    start_connecting(link, (const struct sockaddr *)&address->storage, address->length);
    return true;
}

static void on_resolved(void *context, const struct loop_address *addresses, size_t count,
                        const struct fault *fault)
{
    struct store_link *link = context;

    if (count == 0) {
        char where[128];
        store_link_describe(link, where, sizeof where);
        struct fault named = fault_make(ERR_NETWORK, "Redis at %s: %s", where, fault->detail);
        fail(link, &named);
        return;
    }
    link->address_count = count < LOOP_ADDRESS_MAX ? count : LOOP_ADDRESS_MAX;
    memcpy(link->addresses, addresses, link->address_count * sizeof *addresses);
    (void)store_link_connect_next(link);
}

void store_link_connect(struct store_link *link)
{
    store_link_drop(link);
    link->address_count = 0;
    link->address_next = 0;
    if (link->uri->path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, link->uri->path, strlen(link->uri->path) + 1);
        start_connecting(link, (const struct sockaddr *)&address, sizeof address);
        return;
    }
    link->resolve = loop_resolve_new(link->loop, link->uri->host, link->uri->port, on_resolved, link);
    if (!link->resolve) {
        link->fault = fault_of(ERR_NOMEM);
        loop_task_start(&link->task);
    }
}

/* ---- life ---- */

void store_link_drop(struct store_link *link)
{
    loop_task_cancel(&link->task);
    loop_resolve_free(link->resolve);
    link->resolve = NULL;
    loop_poll_free(link->poll); /* before the descriptor is closed */
    link->poll = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->connected = false;
    link->blocked = false;
    forget_output(link);
}

void store_link_init(struct store_link *link, struct loop *loop, const struct store_uri *uri,
                     const struct store_link_events *events, void *context)
{
    link->loop = loop;
    link->uri = uri;
    link->events = events;
    link->context = context;
    link->fd = -1;
    loop_task_init(&link->task, loop, on_failure_to_tell);
    loop_hook_add(&link->hook, loop, on_turn_end);
}

void store_link_fini(struct store_link *link)
{
    store_link_drop(link);
    loop_hook_remove(&link->hook);
    free(link->out);
    link->out = NULL;
}
