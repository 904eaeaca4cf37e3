/*
 * Decides when the next worker is stopped: when the one before it has been replaced by one that is ready, as
 * /readyz counts it, or that was given time enough. How a process is stopped and started, slot.c does;
 * whether it is ready, readiness.c says, and only by looking: hence the timer. Called by supervisor.c.
 */
#include "worker/roll.h"

#include "common/log.h"
#include "worker/readiness.h"

enum { LOOK_MS = 50 };

/* A slot that stops already is being replaced, too: a second STOP would kill its process. */
static void replace(struct roll *roll)
{
    struct slot *slot = &roll->slots[roll->place];

    slot->restart = true;
    if (slot->state != SLOT_STOPPING)
        slot_handle(slot, SLOT_EVENT_STOP);
}

static void go_on(struct roll *roll)
{
    roll->place++;
    if (roll->place < roll->slot_count)
        replace(roll);
    else
        roll->on_done(roll->context);
}

static void on_look(struct loop_timer *timer)
{
    struct roll *roll = container_of(timer, struct roll, timer);
    const struct slot *slot = &roll->slots[roll->place];
    bool ready = readiness_of(slot);

    if (!ready && loop_now_ms(roll->loop) < roll->until_ms) {
        loop_timer_start(timer, LOOK_MS);
        return;
    }
    if (!ready)
        log_warning("roll.not_ready",
                    "a new worker is not ready yet, /readyz says why; the reload goes on without it",
                    LOG_INT("slot", slot->index));
    go_on(roll);
}

void roll_restarted(struct roll *roll, const struct slot *slot)
{
    if (roll->place >= roll->slot_count || slot != &roll->slots[roll->place])
        return; /* it had grown, or is of an earlier roll that this one has overtaken */
    roll->until_ms = loop_now_ms(roll->loop) + ROLL_PATIENCE_MS;
    loop_timer_start(&roll->timer, LOOK_MS);
}

void roll_begin(struct roll *roll)
{
    loop_timer_stop(&roll->timer);
    roll->place = 0;
    replace(roll);
}

void roll_cancel(struct roll *roll)
{
    loop_timer_stop(&roll->timer);
    roll->place = roll->slot_count;
}

void roll_init(struct roll *roll, struct loop *loop, struct slot *slots, size_t slot_count,
               roll_done_fn *on_done, void *context)
{
    *roll = (struct roll){
        .loop = loop,
        .slots = slots,
        .slot_count = slot_count,
        .place = slot_count,
        .on_done = on_done,
        .context = context,
    };
    loop_timer_init(&roll->timer, loop, on_look);
}
