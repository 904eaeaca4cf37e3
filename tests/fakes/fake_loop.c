/*
 * common/loop.h on a virtual clock, for unit tests. Decides nothing by itself: descriptors, signals, names
 * and children do what the test says (fake_loop.h). Timers, tasks and hooks are the real ones.
 */
#include "fakes/fake_loop.h"

#include "common/loop_core.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { SETTLE_TURNS_MAX = 100000 };

struct loop_poll {
    struct loop *loop;
    struct loop_poll *next;
    int fd;
    loop_poll_fn *fn;
    void *context;
    int events;
};

struct loop_signal {
    struct loop *loop;
    struct loop_signal *next;
    int signum;
    loop_signal_fn *fn;
    void *context;
};

struct loop_resolve {
    struct loop_task task;
    loop_resolve_fn *fn;
    void *context;
    struct loop_address address;
    struct fault fault;
};

struct loop_child {
    struct loop *loop;
    struct loop_child *next;
    pid_t pid;
    bool ended;
    loop_child_fn *fn;
    void *context;
    char **argv;
};

struct loop {
    struct loop_core core;
    int64_t now_ms;
    bool stopped;
    struct loop_poll *polls;
    struct loop_signal *signals;
    struct loop_child *children;
    size_t resolve_count;
    struct fault name_fault; /* OK = names are found */
    bool children_fail;
    pid_t last_pid;
};

struct loop_core *loop_core(struct loop *loop)
{
    return &loop->core;
}

void loop_wake(struct loop *loop)
{
    (void)loop; /* settling goes on while anything is due */
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop)
        loop->now_ms = FAKE_LOOP_START_MS;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop && fake_loop_leftovers(loop) > 0) {
        (void)fprintf(stderr, "loop_free: %zu things are left on the loop\n", fake_loop_leftovers(loop));
        abort();
    }
    free(loop);
}

void loop_run(struct loop *loop)
{
    fake_loop_settle(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

int64_t loop_wall_us(const struct loop *loop)
{
    return FAKE_LOOP_START_WALL_US + (loop->now_ms - FAKE_LOOP_START_MS) * 1000;
}

/* ---- time ---- */

static bool is_due(const struct loop *loop)
{
    int64_t next_ms = loop_core_next_ms(&loop->core);

    return loop_core_busy(&loop->core) || (next_ms >= 0 && next_ms <= loop->now_ms);
}

void fake_loop_settle(struct loop *loop)
{
    loop->stopped = false;
    for (int turn = 0; !loop->stopped; turn++) {
        if (turn > SETTLE_TURNS_MAX) {
            (void)fprintf(stderr, "fake_loop_settle: tasks or timers start each other without end\n");
            abort();
        }
        loop_core_turn(&loop->core, loop->now_ms);
        if (!is_due(loop))
            break;
    }
}

void fake_loop_advance(struct loop *loop, int64_t ms)
{
    int64_t end_ms = loop->now_ms + ms;

    fake_loop_settle(loop);
    while (!loop->stopped) {
        int64_t next_ms = loop_core_next_ms(&loop->core);

        if (next_ms < 0 || next_ms > end_ms)
            break;
        loop->now_ms = next_ms;
        fake_loop_settle(loop);
    }
    loop->now_ms = end_ms;
    fake_loop_settle(loop);
}

/* ---- descriptors ---- */

static struct loop_poll *find_poll(struct loop *loop, int fd)
{
    struct loop_poll *poll = loop->polls;

    while (poll && poll->fd != fd)
        poll = poll->next;
    return poll;
}

struct loop_poll *loop_poll_new(struct loop *loop, int fd, loop_poll_fn *fn, void *context)
{
    struct loop_poll *poll = fd < 0 || find_poll(loop, fd) ? NULL : calloc(1, sizeof(*poll));

    if (!poll)
        return NULL;
    *poll = (struct loop_poll){.loop = loop, .next = loop->polls, .fd = fd, .fn = fn, .context = context};
    loop->polls = poll;
    return poll;
}

void loop_poll_set(struct loop_poll *poll, int events)
{
    poll->events = events & (LOOP_READABLE | LOOP_WRITABLE);
}

void loop_poll_free(struct loop_poll *poll)
{
    struct loop_poll **at;

    if (!poll)
        return;
    for (at = &poll->loop->polls; *at != poll; at = &(*at)->next)
        ;
    *at = poll->next;
    free(poll);
}

bool fake_loop_fire(struct loop *loop, int fd, int events)
{
    struct loop_poll *poll = find_poll(loop, fd);
    bool broken = (events & LOOP_BROKEN) != 0;

    if (!poll || poll->events == 0 || (!broken && (events & poll->events) == 0))
        return false;
    events = broken ? poll->events | LOOP_BROKEN : events & poll->events;
    if (broken)
        poll->events = 0;
    poll->fn(poll->context, events);
    fake_loop_settle(loop);
    return true;
}

int fake_loop_watched(struct loop *loop, int fd)
{
    struct loop_poll *poll = find_poll(loop, fd);

    return poll ? poll->events : -1;
}

/* ---- signals ---- */

struct loop_signal *loop_signal_new(struct loop *loop, int signum, loop_signal_fn *fn, void *context)
{
    struct loop_signal *signal = calloc(1, sizeof(*signal));

    if (!signal)
        return NULL;
    *signal = (struct loop_signal){
        .loop = loop, .next = loop->signals, .signum = signum, .fn = fn, .context = context};
    loop->signals = signal;
    return signal;
}

void loop_signal_free(struct loop_signal *signal)
{
    struct loop_signal **at;

    if (!signal)
        return;
    for (at = &signal->loop->signals; *at != signal; at = &(*at)->next)
        ;
    *at = signal->next;
    free(signal);
}

bool fake_loop_signal(struct loop *loop, int signum)
{
    struct loop_signal *signal = loop->signals;

    while (signal && signal->signum != signum)
        signal = signal->next;
    if (!signal)
        return false;
    signal->fn(signal->context, signum);
    fake_loop_settle(loop);
    return true;
}

/* ---- names ---- */

static void on_resolved(struct loop_task *task)
{
    struct loop_resolve *resolve = container_of(task, struct loop_resolve, task);
    bool found = resolve->fault.code == OK;

    resolve->fn(resolve->context, found ? &resolve->address : NULL, found ? 1 : 0, &resolve->fault);
}

struct loop_resolve *loop_resolve_new(struct loop *loop, const char *host, const char *port,
                                      loop_resolve_fn *fn, void *context)
{
    struct loop_resolve *resolve = calloc(1, sizeof(*resolve));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

    if (!resolve)
        return NULL;
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        in.sin_addr.s_addr = htonl(0xc0000201);
    memcpy(&resolve->address.storage, &in, sizeof(in));
    resolve->address.length = sizeof(in);
    resolve->fn = fn;
    resolve->context = context;
    resolve->fault = loop->name_fault;
    loop->resolve_count++;
    loop_task_init(&resolve->task, loop, on_resolved);
    loop_task_start(&resolve->task);
    return resolve;
}

void loop_resolve_free(struct loop_resolve *resolve)
{
    if (!resolve)
        return;
    loop_task_cancel(&resolve->task);
    resolve->task.loop->resolve_count--;
    free(resolve);
}

void fake_loop_fail_names(struct loop *loop, const struct fault *fault)
{
    loop->name_fault = fault ? *fault : fault_of(OK);
}

/* ---- children ---- */

static struct loop_child *find_child(struct loop *loop, pid_t pid)
{
    struct loop_child *child = loop->children;

    while (child && child->pid != pid)
        child = child->next;
    return child;
}

static char **copy_arguments(char *const argv[])
{
    size_t count = 0;
    char **copy;

    while (argv[count])
        count++;
    copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = strdup(argv[i]);
    return copy;
}

struct loop_child *loop_child_new(struct loop *loop, const char *file, char *const argv[], const int *fds,
                                  size_t fd_count, loop_child_fn *fn, void *context, struct fault *ret_fault)
{
    struct loop_child *child = loop->children_fail ? NULL : calloc(1, sizeof(*child));

    (void)fds;
    (void)fd_count;
    if (!child) {
        *ret_fault = fault_make(ERR_UNAVAILABLE, "cannot start %s: the test says so", file);
        return NULL;
    }
    *child = (struct loop_child){.loop = loop,
                                 .next = loop->children,
                                 .pid = loop->last_pid ? loop->last_pid + 1 : 1001,
                                 .fn = fn,
                                 .context = context,
                                 .argv = copy_arguments(argv)};
    loop->children = child;
    loop->last_pid = child->pid;
    return child;
}

pid_t loop_child_pid(const struct loop_child *child)
{
    return child->pid;
}

void loop_child_free(struct loop_child *child)
{
    struct loop_child **at;

    if (!child)
        return;
    for (at = &child->loop->children; *at != child; at = &(*at)->next)
        ;
    *at = child->next;
    for (char **argument = child->argv; argument && *argument; argument++)
        free(*argument);
    free(child->argv);
    free(child);
}

pid_t fake_loop_last_child(struct loop *loop)
{
    return loop->last_pid;
}

void fake_loop_fail_children(struct loop *loop, bool fail)
{
    loop->children_fail = fail;
}

const char *fake_loop_child_argument(struct loop *loop, pid_t pid, size_t index)
{
    struct loop_child *child = find_child(loop, pid);

    for (size_t i = 0; child && child->argv && child->argv[i]; i++) {
        if (i == index)
            return child->argv[i];
    }
    return NULL;
}

bool fake_loop_child_end(struct loop *loop, pid_t pid, int exit_status, int term_signal)
{
    struct loop_child *child = find_child(loop, pid);

    if (!child || child->ended)
        return false;
    child->ended = true;
    child->fn(child->context, term_signal != 0 ? -1 : exit_status, term_signal);
    fake_loop_settle(loop);
    return true;
}

/* ---- the end ---- */

static size_t count_timers(const struct loop_timer *timer)
{
    size_t count = 0;

    for (; timer; timer = timer->next)
        count += 1 + count_timers(timer->child);
    return count;
}

size_t fake_loop_leftovers(struct loop *loop)
{
    size_t count = count_timers(loop->core.timers) + loop->resolve_count;

    for (struct loop_task *at = loop->core.task_first; at; at = at->next)
        count++;
    for (struct loop_hook *at = loop->core.hook_first; at; at = at->next)
        count++;
    for (struct loop_poll *at = loop->polls; at; at = at->next)
        count++;
    for (struct loop_signal *at = loop->signals; at; at = at->next)
        count++;
    for (struct loop_child *at = loop->children; at; at = at->next)
        count++;
    return count;
}
