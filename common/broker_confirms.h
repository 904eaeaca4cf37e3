/*
 * Which publications of a channel are not confirmed yet. Pure: no broker, no clock.
 */
#ifndef FULFILLD_COMMON_BROKER_CONFIRMS_H
#define FULFILLD_COMMON_BROKER_CONFIRMS_H

#include "common/broker.h"

struct broker_confirms_slot {
    struct publish_op *op; /* NULL = confirmed or forgotten */
    uint64_t fingerprint;
};

struct broker_confirms {
    struct broker_confirms_slot *slots; /* ring over base..next-1 */
    size_t capacity;                    /* power of two, or 0 */
    uint64_t base;                      /* lowest sequence number that may be outstanding */
    uint64_t next;                      /* the one the next publication gets */
    bool forgot;                        /* an op's time was up before its answer came */
};

typedef void broker_confirms_fn(void *context, struct publish_op *op);

void broker_confirms_init(struct broker_confirms *confirms);
void broker_confirms_fini(struct broker_confirms *confirms);
/** Room for one more, so that the add after sending cannot fail. */
MUST_CHECK enum err broker_confirms_reserve(struct broker_confirms *confirms);
/** Notes a publication just sent; sets op->sequence. Needs broker_confirms_reserve(). */
void broker_confirms_add(struct broker_confirms *confirms, struct publish_op *op, uint64_t fingerprint);
/**
 * The broker answered for `sequence`, or for all up to it; runs fn for each op it settles.
 * ERR_MALFORMED: it answered for what was never sent.
 */
MUST_CHECK enum err broker_confirms_settle(struct broker_confirms *confirms, uint64_t sequence, bool multiple,
                                           broker_confirms_fn *fn, void *context);
/** Marks the publication that came back as returned. ERR_MALFORMED: none like it is outstanding. */
MUST_CHECK enum err broker_confirms_mark_returned(struct broker_confirms *confirms, uint64_t fingerprint);
/** Runs fn for each op whose deadline has come and forgets it. @return the next deadline, or -1 */
int64_t broker_confirms_expire(struct broker_confirms *confirms, int64_t now_ms, broker_confirms_fn *fn,
                               void *context);
/** Runs fn for each op outstanding and forgets everything: a new channel counts from 1. */
void broker_confirms_reset(struct broker_confirms *confirms, broker_confirms_fn *fn, void *context);
/** Equal for publications that nobody could tell apart. */
uint64_t broker_confirms_fingerprint(const char *exchange, const char *routing_key, const char *message_id,
                                     const char *body, size_t body_length);

#endif
