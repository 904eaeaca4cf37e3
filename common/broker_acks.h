/*
 * Which deliveries of a channel are settled, and which few acks say so. Pure: no broker, no clock.
 */
#ifndef FULFILLD_COMMON_BROKER_ACKS_H
#define FULFILLD_COMMON_BROKER_ACKS_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct broker_acks {
    uint8_t *states;                /* ring over base..next-1; index is tag & (capacity - 1) */
    size_t capacity;                /* power of two, or 0 */
    uint64_t base;                  /* lowest tag that may be unsettled */
    uint64_t next;                  /* the tag of the next delivery */
    size_t unsettled;               /* delivered and neither done nor requeued */
    size_t done;                    /* done and not yet acked */
    uint64_t done_first, done_last; /* all `done` ones lie between; valid while done > 0 */
    bool urgent;                    /* one of the `done` must not wait for others */
};

typedef void broker_acks_emit_fn(void *context, uint64_t tag, bool multiple);

void broker_acks_init(struct broker_acks *acks);
void broker_acks_fini(struct broker_acks *acks);
/** Forgets everything: a new channel counts from 1. */
void broker_acks_reset(struct broker_acks *acks);
/** Notes a delivery. ERR_MALFORMED unless tags come one after the other; ERR_NOMEM. */
MUST_CHECK enum err broker_acks_add(struct broker_acks *acks, uint64_t tag, bool urgent);
bool broker_acks_is_unsettled(const struct broker_acks *acks, uint64_t tag);
/** Each false (and nothing changes) unless the tag is unsettled. */
bool broker_acks_mark_done(struct broker_acks *acks, uint64_t tag);
bool broker_acks_mark_requeued(struct broker_acks *acks, uint64_t tag);
/**
 * Emits the acks that are due: one for everything up to the first unsettled delivery, and single ones for
 * those behind it when they are more than `may_wait`, or one is urgent.
 */
void broker_acks_flush(struct broker_acks *acks, size_t may_wait, broker_acks_emit_fn *emit, void *context);

#endif
