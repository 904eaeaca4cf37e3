/*
 * SETTLE: acks the delivery, the last step of all. An ack for a lost connection is dropped by the broker
 * adapter; the redelivery then finds everything recorded.
 */
#include "worker/pipeline.h"
#include "worker/worker.h"

void stage_settle(struct job *job)
{
    broker_ack(job->worker->broker, job->delivery);
    job_advance(job, STEP_NEXT, NULL);
}
