/*
 * The life of one worker process, by the table slot.def. Restarts with a growing pause, so that a worker that
 * cannot start does not spin. Called by the supervisor.
 */
#include "worker/slot.h"

#include "common/log.h"
#include "worker/metric_rows.h"
#include "worker/shared.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 30 * 1000,
    STABLE_MS = 60 * 1000 /* a process that lived this long has its pause forgiven */
};

static void act_nothing(struct slot *slot);
static void act_spawn(struct slot *slot);
static void act_terminate(struct slot *slot);
static void act_end(struct slot *slot);
static void act_kill(struct slot *slot);
static void act_back_off(struct slot *slot);
static void act_stopped(struct slot *slot);

struct slot_row {
    void (*act)(struct slot *slot);
    enum slot_state next;
};

static const struct slot_row slot_rows[4][5] = {
#define SLOT(state, event, action, next) [SLOT_##state][SLOT_EVENT_##event] = {action, SLOT_##next},
#include "worker/slot.def"
#undef SLOT
};

const char *slot_state_name(enum slot_state state)
{
    static const char *const names[] = {"stopped", "running", "stopping", "waiting to restart"};

    return names[state];
}

bool slot_has_process(const struct slot *slot)
{
    return slot->child != NULL;
}

int64_t slot_memory_bytes(const struct slot *slot)
{
    char path[32];
    long long pages = 0;
    FILE *file;

    if (!slot->child)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)loop_child_pid(slot->child));
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d %lld", &pages) != 1) /* proc(5): size, then resident, in pages */
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

void slot_handle(struct slot *slot, enum slot_event event)
{
    const struct slot_row *row = &slot_rows[slot->state][event];

    slot->state = row->next; /* first: an action may report the next event at once */
    row->act(slot);
}

static void on_process_exit(void *context, int exit_status, int term_signal)
{
    struct slot *slot = context;

    if (slot->state != SLOT_STOPPING)
        log_error("worker.ended", "a worker process ended unasked; its orders come back by themselves",
                  LOG_INT("slot", slot->index), LOG_INT("exit_status", exit_status),
                  LOG_INT("signal", term_signal));
    loop_child_free(slot->child);
    slot->child = NULL;
    shared_reset((size_t)slot->index);
    slot_handle(slot, SLOT_EVENT_EXITED);
}

static void act_nothing(struct slot *slot)
{
    (void)slot;
}

static void act_spawn(struct slot *slot)
{
    char index[16], master[16];
    char *argv[] = {"fulfilld", "worker", "--slot", index, "--master", master, slot->solo ? "--solo" : NULL,
                    NULL};
    struct fault fault;

    snprintf(index, sizeof(index), "%d", slot->index);
    snprintf(master, sizeof(master), "%d", (int)getpid());
    slot->started_ms = loop_now_ms(slot->loop);
    slot->child =
        loop_child_new(slot->loop, "/proc/self/exe", argv, slot->fds, 2, on_process_exit, slot, &fault);
    if (!slot->child) {
        log_error("worker.not_started", "a worker process cannot be started", LOG_INT("slot", slot->index),
                  LOG_STR("why", fault.detail));
        slot_handle(slot, SLOT_EVENT_EXITED);
    }
}

static void act_terminate(struct slot *slot)
{
    if (slot->child)
        kill(loop_child_pid(slot->child), SIGTERM);
}

/* Not a second SIGTERM: a terminal or a service manager may have sent the worker one of its own already, and
 * that must not be taken for impatience. What is unacked comes back by itself. */
static void act_end(struct slot *slot)
{
    if (slot->child)
        kill(loop_child_pid(slot->child), SIGKILL);
}

static void act_kill(struct slot *slot)
{
    log_error("worker.hung", "a worker does not answer and is replaced", LOG_INT("slot", slot->index));
    act_end(slot);
}

static void act_back_off(struct slot *slot)
{
    if (loop_now_ms(slot->loop) - slot->started_ms >= STABLE_MS)
        slot->backoff_ms = BACKOFF_FIRST_MS;
    loop_timer_start(&slot->timer, slot->backoff_ms);
    slot->backoff_ms = slot->backoff_ms * 2 < BACKOFF_MAX_MS ? slot->backoff_ms * 2 : BACKOFF_MAX_MS;
    metrics_add(METRIC_worker_restarts_total, 0, 1);
}

static void act_stopped(struct slot *slot)
{
    loop_timer_stop(&slot->timer);
    slot->on_stopped(slot->context, slot);
}

static void on_backoff_over(struct loop_timer *timer)
{
    slot_handle(container_of(timer, struct slot, timer), SLOT_EVENT_BACKOFF_OVER);
}

void slot_init(struct slot *slot, struct loop *loop, int index, bool solo, const int *fds,
               slot_stopped_fn *on_stopped, void *context)
{
    *slot = (struct slot){
        .index = index,
        .solo = solo,
        .loop = loop,
        .fds = fds,
        .backoff_ms = BACKOFF_FIRST_MS,
        .on_stopped = on_stopped,
        .context = context,
    };
    loop_timer_init(&slot->timer, loop, on_backoff_over);
}
