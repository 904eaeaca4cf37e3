/*
 * What the loop hears from outside: descriptors, signals, answers of the name service, children that end.
 * Decides when their memory goes: libuv needs each until its closing callback. Called by the adapters
 * (descriptors, names) and by the supervisor (signals, children).
 */
#include "common/loop_uv.h"

#include <arpa/inet.h>
#include <linux/close_range.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct loop_poll {
    uv_poll_t uv;
    struct loop *loop;
    loop_poll_fn *fn;
    void *context;
    int events; /* watched for now */
};

struct loop_signal {
    uv_signal_t uv;
    struct loop *loop;
    loop_signal_fn *fn;
    void *context;
};

struct loop_resolve {
    uv_getaddrinfo_t uv;
    struct loop *loop;
    loop_resolve_fn *fn; /* NULL = freed while the look-up was under way */
    void *context;
    struct loop_task refused; /* tells a start that failed, later */
    int status;               /* libuv's, of a start that failed */
    bool pending;             /* libuv still has it */
    bool told;
    char name[80]; /* of the host, for the fault */
};

struct loop_child {
    uv_process_t uv;
    struct loop *loop;
    loop_child_fn *fn; /* NULL = forgotten; freed when the process ends */
    void *context;
    pid_t pid;
    bool ended;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* ---- descriptors ---- */

struct loop_poll *loop_poll_new(struct loop *loop, int fd, loop_poll_fn *fn, void *context)
{
    struct loop_poll *poll = calloc(1, sizeof(*poll));

    if (!poll)
        return NULL;
    if (uv_poll_init(&loop->uv, &poll->uv, fd) != 0) {
        free(poll);
        return NULL;
    }
    poll->uv.data = poll;
    poll->loop = loop;
    poll->fn = fn;
    poll->context = context;
    return poll;
}

static void set_watched(struct loop_poll *poll, int events)
{
    if (poll->events == 0 && events != 0)
        poll->loop->watch_count++;
    else if (poll->events != 0 && events == 0)
        poll->loop->watch_count--;
    poll->events = events;
}

/* The last thing that touches `poll`: fn may free it. */
static void on_poll(uv_poll_t *uv, int status, int uv_events)
{
    struct loop_poll *poll = uv->data;
    int events = 0;

    if (status < 0) {
        /* libuv has stopped the watch; otherwise a level-triggered error would spin. */
        events = poll->events | LOOP_BROKEN;
        set_watched(poll, 0);
    } else {
        events |= uv_events & UV_READABLE ? LOOP_READABLE : 0;
        events |= uv_events & UV_WRITABLE ? LOOP_WRITABLE : 0;
    }
    poll->fn(poll->context, events);
}

void loop_poll_set(struct loop_poll *poll, int events)
{
    int uv_events = (events & LOOP_READABLE ? UV_READABLE : 0) | (events & LOOP_WRITABLE ? UV_WRITABLE : 0);

    events &= LOOP_READABLE | LOOP_WRITABLE;
    if (events == poll->events)
        return;
    /* Neither call can fail on a watch that is not closing. */
    if (events == 0)
        (void)uv_poll_stop(&poll->uv);
    else
        (void)uv_poll_start(&poll->uv, uv_events, on_poll);
    set_watched(poll, events);
}

void loop_poll_free(struct loop_poll *poll)
{
    if (!poll)
        return;
    set_watched(poll, 0);
    (void)uv_poll_stop(&poll->uv); /* takes the descriptor out of epoll at once: the owner may close it now */
    uv_close((uv_handle_t *)&poll->uv, on_closed);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *uv, int signum)
{
    struct loop_signal *signal = uv->data;

    signal->fn(signal->context, signum);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signum, loop_signal_fn *fn, void *context)
{
    struct loop_signal *signal = calloc(1, sizeof(*signal));

    if (!signal)
        return NULL;
    if (uv_signal_init(&loop->uv, &signal->uv) != 0) {
        free(signal);
        return NULL;
    }
    signal->uv.data = signal;
    signal->loop = loop;
    signal->fn = fn;
    signal->context = context;
    loop->watch_count++;
    if (uv_signal_start(&signal->uv, on_signal, signum) != 0) {
        loop_signal_free(signal);
        return NULL;
    }
    return signal;
}

void loop_signal_free(struct loop_signal *signal)
{
    if (!signal)
        return;
    signal->loop->watch_count--;
    uv_close((uv_handle_t *)&signal->uv, on_closed);
}

/* ---- names ---- */

static void tell_failure(struct loop_resolve *resolve, int status)
{
    struct fault fault = fault_make(status == UV_ENOMEM || status == UV_EAI_MEMORY ? ERR_NOMEM : ERR_NETWORK,
                                    "cannot look up %s: %s", resolve->name, uv_strerror(status));

    resolve->told = true;
    resolve->fn(resolve->context, NULL, 0, &fault);
}

/* The last thing that touches `resolve`: fn may free it. */
static void on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *results)
{
    struct loop_resolve *resolve = container_of(uv, struct loop_resolve, uv);
    struct loop_address addresses[LOOP_ADDRESS_MAX];
    struct fault fault = fault_of(OK);
    size_t count = 0;

    resolve->pending = false;
    if (!resolve->fn) {
        resolve->loop->orphan_count--;
        uv_freeaddrinfo(results);
        free(resolve);
        return;
    }
    for (struct addrinfo *at = results; status == 0 && at && count < LOOP_ADDRESS_MAX; at = at->ai_next) {
        if (at->ai_addrlen > sizeof(addresses[count].storage))
            continue;
        memcpy(&addresses[count].storage, at->ai_addr, at->ai_addrlen);
        addresses[count++].length = at->ai_addrlen;
    }
    uv_freeaddrinfo(results);
    resolve->loop->watch_count--;
    if (count == 0) {
        tell_failure(resolve, status != 0 ? status : UV_EAI_NODATA);
        return;
    }
    resolve->told = true;
    resolve->fn(resolve->context, addresses, count, &fault);
}

static void on_refused(struct loop_task *task)
{
    struct loop_resolve *resolve = container_of(task, struct loop_resolve, refused);

    tell_failure(resolve, resolve->status);
}

struct loop_resolve *loop_resolve_new(struct loop *loop, const char *host, const char *port,
                                      loop_resolve_fn *fn, void *context)
{
    struct loop_resolve *resolve = calloc(1, sizeof(*resolve));
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    if (!resolve)
        return NULL;
    resolve->loop = loop;
    resolve->fn = fn;
    resolve->context = context;
    (void)snprintf(resolve->name, sizeof(resolve->name), "%s", host);
    loop_task_init(&resolve->refused, loop, on_refused);
    resolve->status = uv_getaddrinfo(&loop->uv, &resolve->uv, on_resolved, host, port, &hints);
    if (resolve->status == 0) {
        resolve->pending = true;
        loop->watch_count++;
    } else {
        loop_task_start(&resolve->refused);
    }
    return resolve;
}

void loop_resolve_free(struct loop_resolve *resolve)
{
    if (!resolve)
        return;
    loop_task_cancel(&resolve->refused);
    if (!resolve->pending) {
        free(resolve);
        return;
    }
    /* A look-up that a thread has begun cannot be stopped: it is left behind and frees itself. */
    resolve->fn = NULL;
    resolve->loop->watch_count--;
    resolve->loop->orphan_count++;
    (void)uv_cancel((uv_req_t *)&resolve->uv);
}

/* ---- child processes ---- */

static void on_child_ended(uv_process_t *uv, int64_t exit_status, int term_signal)
{
    struct loop_child *child = uv->data;

    child->ended = true;
    if (!child->fn) {
        uv_close((uv_handle_t *)uv, on_closed);
        return;
    }
    child->loop->watch_count--;
    child->fn(child->context, term_signal != 0 ? -1 : (int)exit_status, term_signal);
}

enum { CHILD_FDS_MAX = 16 };

struct loop_child *loop_child_new(struct loop *loop, const char *file, char *const argv[], const int *fds,
                                  size_t fd_count, loop_child_fn *fn, void *context, struct fault *ret_fault)
{
    uv_stdio_container_t stdio[3 + CHILD_FDS_MAX] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    uv_process_options_t options = {
        .exit_cb = on_child_ended, .file = file, .args = (char **)(uintptr_t)argv};
    struct loop_child *child;
    int status;

    if (fd_count > CHILD_FDS_MAX) {
        *ret_fault = fault_make(ERR_CONFIG, "cannot start %s: too many descriptors to hand over", file);
        return NULL;
    }
    child = calloc(1, sizeof(*child));
    if (!child) {
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    stdio[2] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO};
    for (size_t i = 0; i < fd_count; i++)
        stdio[3 + i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fds[i]};
    options.stdio = stdio;
    options.stdio_count = (int)(3 + fd_count);
    child->uv.data = child;
    child->loop = loop;
    child->fn = fn;
    child->context = context;
    /* What is not handed over closes when the child begins, whoever opened it and how. Kernels before 5.11
     * lack this; then only descriptors opened close-on-exec (all of ours) are kept from the child. */
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    status = uv_spawn(&loop->uv, &child->uv, &options);
    if (status != 0) {
        *ret_fault = fault_make(status == UV_ENOMEM ? ERR_NOMEM : ERR_UNAVAILABLE, "cannot start %s: %s",
                                file, uv_strerror(status));
        uv_close((uv_handle_t *)&child->uv, on_closed);
        return NULL;
    }
    child->pid = child->uv.pid;
    loop->watch_count++;
    return child;
}

pid_t loop_child_pid(const struct loop_child *child)
{
    return child->pid;
}

void loop_child_free(struct loop_child *child)
{
    if (!child)
        return;
    if (child->ended) {
        uv_close((uv_handle_t *)&child->uv, on_closed);
        return;
    }
    /* Still running: kept, without keeping the loop alive, so that it is reaped when it ends. */
    child->fn = NULL;
    child->loop->watch_count--;
    uv_unref((uv_handle_t *)&child->uv);
}

/* ---- the loop's end ---- */

static void close_forgotten(uv_handle_t *handle, void *context)
{
    (void)context;
    if (handle->type == UV_PROCESS && !uv_is_closing(handle) && !((struct loop_child *)handle->data)->fn)
        uv_close(handle, on_closed);
}

void loop_io_abandon(struct loop *loop)
{
    uv_walk(&loop->uv, close_forgotten, NULL);
}
