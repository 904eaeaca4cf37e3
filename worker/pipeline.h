/*
 * Moves jobs through the stages. The only place that changes a job's stage.
 */
#ifndef FULFILLD_WORKER_PIPELINE_H
#define FULFILLD_WORKER_PIPELINE_H

#include "worker/job.h"

/** Starts a job at INTAKE. */
void pipeline_start(struct job *job);

/** Lets every held job whose link is back enter its stage again. Called when a link comes up, and by a tick.
 */
void pipeline_wake(struct worker *worker);

/**
 * Drops what the consuming link's loss has made void: jobs that have not been claimed are forgotten (the
 * broker redelivers them), others finish their way and are not acked.
 */
void pipeline_link_lost(struct worker *worker);

/** Hands back every held job that arrived longer than `limit_ms` ago: nothing stays unacked for long. */
void pipeline_hand_back_held(struct worker *worker, int64_t limit_ms);

/** Second phase of a drain: running lines are cancelled, their items go to the retry queues at once. */
void pipeline_cancel_runs(struct worker *worker);

/* Frees a job that is DONE as soon as none of its operations is running; called by each completion. */
void job_retire(struct job *job);

#endif
