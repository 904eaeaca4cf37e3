/*
 * Timers, deferred tasks and flush hooks of a loop, without any library: who runs when, in which order. The
 * clock and the sleeping are loop.c's (or the fake's). Timers live in a pairing heap of embedded nodes, so
 * that starting one can never fail.
 */
#include "common/loop_core.h"

/* Tasks in one turn before descriptors get their chance again. */
enum { TASKS_PER_TURN = 10000 };

/* ---- the heap: a node's `prev` is its left sibling, or its parent when it is the first child ---- */

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->sequence < b->sequence;
}

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    struct loop_timer *parent, *child;

    if (!a || !b)
        return a ? a : b;
    parent = is_before(a, b) ? a : b;
    child = parent == a ? b : a;
    child->prev = parent;
    child->next = parent->child;
    if (child->next)
        child->next->prev = child;
    parent->child = child;
    parent->next = NULL;
    parent->prev = NULL;
    return parent;
}

/* Makes one heap of a list of siblings: in pairs from the left, then all pairs from the right. */
static struct loop_timer *meld_siblings(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL, *root = NULL;

    while (first) {
        struct loop_timer *a = first, *b = a->next, *pair;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct loop_timer *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        root = meld(root, pair);
    }
    return root;
}

static void remove_timer(struct loop_core *core, struct loop_timer *timer)
{
    struct loop_timer *children = meld_siblings(timer->child);

    if (timer == core->timers) {
        core->timers = children;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        core->timers = meld(core->timers, children);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->active = false;
}

/* ---- timers ---- */

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_timer_fn *fn)
{
    *timer = (struct loop_timer){.fn = fn, .loop = loop};
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    struct loop_core *core = loop_core(timer->loop);
    int64_t now_ms = loop_now_ms(timer->loop);

    if (timer->active)
        remove_timer(core, timer);
    if (delay_ms < 0)
        delay_ms = 0;
    timer->due_ms = delay_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + delay_ms;
    timer->sequence = ++core->timer_sequence;
    timer->active = true;
    core->timers = meld(core->timers, timer);
    loop_wake(timer->loop);
}

void loop_timer_stop(struct loop_timer *timer)
{
    if (timer->active)
        remove_timer(loop_core(timer->loop), timer);
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return timer->active;
}

/* A timer that its own fn starts again has a later sequence: it waits for the next turn. */
static void run_timers(struct loop_core *core, int64_t now_ms)
{
    uint64_t last = core->timer_sequence;

    while (core->timers && core->timers->due_ms <= now_ms && core->timers->sequence <= last) {
        struct loop_timer *timer = core->timers;

        remove_timer(core, timer);
        timer->fn(timer);
    }
}

/* ---- tasks ---- */

void loop_task_init(struct loop_task *task, struct loop *loop, loop_task_fn *fn)
{
    *task = (struct loop_task){.fn = fn, .loop = loop};
}

void loop_task_start(struct loop_task *task)
{
    struct loop_core *core = loop_core(task->loop);

    if (task->queued)
        return;
    task->queued = true;
    task->next = NULL;
    if (core->task_last)
        core->task_last->next = task;
    else
        core->task_first = task;
    core->task_last = task;
    loop_wake(task->loop);
}

void loop_task_cancel(struct loop_task *task)
{
    struct loop_core *core = loop_core(task->loop);
    struct loop_task *before = NULL, *at = core->task_first;

    if (!task->queued)
        return;
    for (; at != task; at = at->next)
        before = at;
    if (before)
        before->next = task->next;
    else
        core->task_first = task->next;
    if (core->task_last == task)
        core->task_last = before;
    task->next = NULL;
    task->queued = false;
}

static void run_tasks(struct loop_core *core)
{
    for (int count = 0; core->task_first && count < TASKS_PER_TURN; count++) {
        struct loop_task *task = core->task_first;

        core->task_first = task->next;
        if (!core->task_first)
            core->task_last = NULL;
        task->next = NULL;
        task->queued = false;
        task->fn(task);
    }
}

/* ---- hooks ---- */

void loop_hook_add(struct loop_hook *hook, struct loop *loop, loop_hook_fn *fn)
{
    struct loop_core *core = loop_core(loop);

    *hook = (struct loop_hook){.fn = fn, .loop = loop, .next = core->hook_first};
    if (core->hook_first)
        core->hook_first->prev = hook;
    core->hook_first = hook;
}

void loop_hook_remove(struct loop_hook *hook)
{
    struct loop_core *core;

    if (!hook->loop)
        return;
    core = loop_core(hook->loop);
    if (core->hook_next == hook)
        core->hook_next = hook->next;
    if (hook->prev)
        hook->prev->next = hook->next;
    else
        core->hook_first = hook->next;
    if (hook->next)
        hook->next->prev = hook->prev;
    *hook = (struct loop_hook){0};
}

static void run_hooks(struct loop_core *core)
{
    for (struct loop_hook *hook = core->hook_first; hook; hook = core->hook_next) {
        core->hook_next = hook->next;
        hook->fn(hook);
    }
    core->hook_next = NULL;
}

/* ---- for the loop ---- */

void loop_core_turn(struct loop_core *core, int64_t now_ms)
{
    run_timers(core, now_ms);
    run_tasks(core);
    run_hooks(core);
}

bool loop_core_busy(const struct loop_core *core)
{
    return core->task_first != NULL;
}

int64_t loop_core_next_ms(const struct loop_core *core)
{
    return core->timers ? core->timers->due_ms : -1;
}
