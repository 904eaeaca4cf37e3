/*
 * What a job has to publish: builds the publications that stage_publish sends. Each function adds one.
 * All return OK or ERR_NOMEM.
 */
#ifndef FULFILLD_WORKER_PUBLISHING_H
#define FULFILLD_WORKER_PUBLISHING_H

#include "worker/event.h"
#include "worker/job.h"

/** Forgets what was added but the first `count`: the stage that adds begins anew. */
void publishing_keep(struct job *job, size_t count);
static inline void publishing_reset(struct job *job)
{
    publishing_keep(job, 0);
}

/** A status event, built from facts. */
MUST_CHECK enum err publishing_add_event(struct job *job, const struct event_facts *facts);

/** The event and the copy of a decision, word for word. */
MUST_CHECK enum err publishing_add_decision(struct job *job, const struct decision *decision);

/** The delivery again after `delay_ms`, headers unchanged (busy, early). */
MUST_CHECK enum err publishing_add_wait(struct job *job, int64_t delay_ms);

/** The delivery to the solo queue, headers unchanged. */
MUST_CHECK enum err publishing_add_solo(struct job *job);

/** The delivery to the dead queue, body unchanged, with reason and detail. */
MUST_CHECK enum err publishing_add_dead(struct job *job, const char *reason, const char *detail);

#endif
