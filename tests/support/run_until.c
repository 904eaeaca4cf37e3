/* Waiting for conditions on a loop, with a limit. Called by the tests that run a real loop. */
#include "support/run_until.h"

enum { LOOK_MS = 10 };

struct wait {
    struct loop *loop;
    run_until_fn *is_true;
    void *context;
    int64_t limit_at_ms;
    bool came_true;
    struct loop_timer timer;
    struct loop_hook hook;
};

static void on_timer(struct loop_timer *timer)
{
    struct wait *wait = container_of(timer, struct wait, timer);

    loop_timer_start(timer, LOOK_MS);
    if (loop_now_ms(wait->loop) >= wait->limit_at_ms)
        loop_stop(wait->loop);
}

static void on_turn_end(struct loop_hook *hook)
{
    struct wait *wait = container_of(hook, struct wait, hook);

    if (wait->came_true || !wait->is_true(wait->context))
        return;
    wait->came_true = true;
    loop_stop(wait->loop);
}

bool run_until(struct loop *loop, run_until_fn *is_true, void *context, int64_t limit_ms)
{
    struct wait wait = {.loop = loop, .is_true = is_true, .context = context};

    if (is_true(context))
        return true;
    wait.limit_at_ms = loop_now_ms(loop) + limit_ms;
    loop_timer_init(&wait.timer, loop, on_timer);
    loop_timer_start(&wait.timer, LOOK_MS);
    loop_hook_add(&wait.hook, loop, on_turn_end);
    loop_run(loop);
    loop_hook_remove(&wait.hook);
    loop_timer_stop(&wait.timer);
    return wait.came_true;
}
