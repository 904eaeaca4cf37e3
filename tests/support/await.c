/* See await.h. The condition is looked at once a turn, by a hook; a timer ends the wait. */
#include "support/await.h"

enum { AWAIT_MS = 20000 };

struct wait {
    struct loop_hook hook;
    struct loop_timer timer;
    struct loop *loop;
    await_fn *condition;
    void *context;
    bool met;
};

static void on_turn_end(struct loop_hook *hook)
{
    struct wait *wait = container_of(hook, struct wait, hook);

    wait->met = wait->met || wait->condition(wait->context);
    if (wait->met)
        loop_stop(wait->loop);
}

static void on_timer(struct loop_timer *timer)
{
    loop_stop(container_of(timer, struct wait, timer)->loop);
}

static bool run(struct loop *loop, await_fn *condition, void *context, int64_t limit_ms)
{
    struct wait wait = {.loop = loop, .condition = condition, .context = context};

    loop_timer_init(&wait.timer, loop, on_timer);
    loop_timer_start(&wait.timer, limit_ms);
    loop_hook_add(&wait.hook, loop, on_turn_end);
    loop_run(loop);
    loop_hook_remove(&wait.hook);
    loop_timer_stop(&wait.timer);
    return wait.met;
}

bool await(struct loop *loop, await_fn *condition, void *context)
{
    return run(loop, condition, context, AWAIT_MS);
}

static bool is_set(void *context)
{
    return *(const bool *)context;
}

bool await_flag(struct loop *loop, const bool *flag)
{
    return await(loop, is_set, (void *)flag);
}

struct target {
    const size_t *count;
    size_t least;
};

static bool is_reached(void *context)
{
    const struct target *target = context;

    return *target->count >= target->least;
}

bool await_count(struct loop *loop, const size_t *count, size_t least)
{
    struct target target = {count, least};

    return await(loop, is_reached, &target);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

void await_nothing(struct loop *loop, int64_t delay_ms)
{
    (void)run(loop, never, NULL, delay_ms);
}
