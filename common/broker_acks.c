/*
 * A ring of one byte per delivery tag. A tag named in an ack must still be outstanding at the broker, else it
 * closes the channel: so an ack with `multiple` names the last done one of the settled prefix, never simply
 * the last of the prefix. Called by broker.c.
 */
#include "common/broker_acks.h"

#include <string.h>

enum { SETTLED, UNSETTLED, DONE, STATE_MASK = 3, URGENT = 4, FIRST_CAPACITY = 1024 };

void broker_acks_init(struct broker_acks *acks)
{
    *acks = (struct broker_acks){.base = 1, .next = 1};
}

void broker_acks_fini(struct broker_acks *acks)
{
    free(acks->states);
    broker_acks_init(acks);
}

void broker_acks_reset(struct broker_acks *acks)
{
    broker_acks_fini(acks);
}

static uint8_t *state_of(const struct broker_acks *acks, uint64_t tag)
{
    return &acks->states[tag & (acks->capacity - 1)];
}

static enum err grow(struct broker_acks *acks)
{
    struct broker_acks larger = *acks;

    larger.capacity = acks->capacity ? acks->capacity * 2 : FIRST_CAPACITY;
    larger.states = malloc(larger.capacity);
    if (!larger.states)
        return ERR_NOMEM;
    for (uint64_t tag = acks->base; tag < acks->next; tag++)
        *state_of(&larger, tag) = *state_of(acks, tag);
    free(acks->states);
    *acks = larger;
    return OK;
}

enum err broker_acks_add(struct broker_acks *acks, uint64_t tag, bool urgent)
{
    if (tag != acks->next)
        return ERR_MALFORMED;
    if (acks->next - acks->base == acks->capacity && grow(acks) != OK)
        return ERR_NOMEM;
    *state_of(acks, tag) = (uint8_t)(UNSETTLED | (urgent ? URGENT : 0));
    acks->next++;
    acks->unsettled++;
    return OK;
}

bool broker_acks_is_unsettled(const struct broker_acks *acks, uint64_t tag)
{
    return tag >= acks->base && tag < acks->next && (*state_of(acks, tag) & STATE_MASK) == UNSETTLED;
}

bool broker_acks_mark_done(struct broker_acks *acks, uint64_t tag)
{
    if (!broker_acks_is_unsettled(acks, tag))
        return false;
    if ((*state_of(acks, tag) & URGENT) != 0)
        acks->urgent = true;
    *state_of(acks, tag) = DONE;
    if (acks->done == 0 || tag < acks->done_first)
        acks->done_first = tag;
    if (acks->done == 0 || tag > acks->done_last)
        acks->done_last = tag;
    acks->done++;
    acks->unsettled--;
    return true;
}

bool broker_acks_mark_requeued(struct broker_acks *acks, uint64_t tag)
{
    if (!broker_acks_is_unsettled(acks, tag))
        return false;
    *state_of(acks, tag) = SETTLED;
    acks->unsettled--;
    return true;
}

static void flush_prefix(struct broker_acks *acks, broker_acks_emit_fn *emit, void *context)
{
    uint64_t last = 0;
    size_t count = 0;

    for (; acks->base < acks->next; acks->base++) {
        uint8_t state = *state_of(acks, acks->base) & STATE_MASK;

        if (state == UNSETTLED)
            break;
        if (state == DONE) {
            last = acks->base;
            count++;
        }
    }
    acks->done -= count;
    if (count > 0)
        emit(context, last, count > 1);
}

void broker_acks_flush(struct broker_acks *acks, size_t may_wait, broker_acks_emit_fn *emit, void *context)
{
    uint64_t tag;

    flush_prefix(acks, emit, context);
    if (acks->done > 0 && (acks->done > may_wait || acks->urgent)) {
        tag = acks->done_first > acks->base ? acks->done_first : acks->base;
        for (; tag <= acks->done_last; tag++) {
            if ((*state_of(acks, tag) & STATE_MASK) != DONE)
                continue;
            *state_of(acks, tag) = SETTLED;
            emit(context, tag, false);
        }
        acks->done = 0;
    }
    acks->urgent = acks->urgent && acks->done > 0;
}
