/*
 * The loop's life and its turn: descriptors, then timers, tasks and hooks, then sleep. Decides when it sleeps
 * and when it ends. The order of timers, tasks and hooks is loop_timer.c's; descriptors, signals, names and
 * children are in loop_io.c. Called by the process (worker, master, sub-commands), and by all adapters for
 * time.
 */
#include "common/loop_uv.h"

#include <assert.h>
#include <time.h>

struct loop_core *loop_core(struct loop *loop)
{
    return &loop->core;
}

static void on_wake(uv_idle_t *wake)
{
    (void)wake; /* being active is all it is for */
}

void loop_wake(struct loop *loop)
{
    (void)uv_idle_start(&loop->wake, on_wake);
}

static void on_clock(uv_timer_t *clock)
{
    struct loop *loop = clock->data;

    loop->clock_due_ms = -1; /* the turn that follows runs what is due */
}

static void arm_clock(struct loop *loop)
{
    int64_t due_ms = loop_core_next_ms(&loop->core), now_ms = loop_now_ms(loop);

    if (due_ms == loop->clock_due_ms)
        return;
    if (due_ms < 0)
        (void)uv_timer_stop(&loop->clock);
    else
        (void)uv_timer_start(&loop->clock, on_clock, due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0, 0);
    loop->clock_due_ms = due_ms;
}

/* Runs once a turn, after descriptors and before the wait. */
static void on_turn(uv_prepare_t *turn)
{
    struct loop *loop = turn->data;

    loop_core_turn(&loop->core, loop_now_ms(loop));
    arm_clock(loop);
    if (!loop_core_busy(&loop->core))
        (void)uv_idle_stop(&loop->wake);
    if (loop->orphan_count > 0 && loop->watch_count == 0 && !loop->core.timers &&
        !loop_core_busy(&loop->core))
        uv_stop(&loop->uv);
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return NULL;
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    /* None of these can fail: they only link the handle into the loop. */
    (void)uv_prepare_init(&loop->uv, &loop->turn);
    (void)uv_idle_init(&loop->uv, &loop->wake);
    (void)uv_timer_init(&loop->uv, &loop->clock);
    loop->turn.data = loop;
    loop->clock.data = loop;
    loop->clock_due_ms = -1;
    (void)uv_prepare_start(&loop->turn, on_turn);
    uv_unref((uv_handle_t *)&loop->turn);
    return loop;
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

int64_t loop_now_ms(const struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

int64_t loop_wall_us(const struct loop *loop)
{
    struct timespec now = {0};

    (void)loop;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void loop_free(struct loop *loop)
{
    int status;

    if (!loop)
        return;
    assert(!loop->core.timers && !loop_core_busy(&loop->core) && !loop->core.hook_first);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->clock, NULL);
    loop_io_abandon(loop);
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT); /* runs the closing callbacks of all that was freed */
    while (loop->orphan_count > 0 && uv_run(&loop->uv, UV_RUN_ONCE) != 0)
        ;
    status = uv_loop_close(&loop->uv);
    assert(status == 0); /* UV_EBUSY: somebody left something open */
    if (status == 0)
        free(loop);
}
