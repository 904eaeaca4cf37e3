/*
 * MARK: notes in Redis that the copy which carries the next step is safe with the broker, so that an older
 * copy of the item may be acked in silence. Failing to note it costs no more than a repeated publish.
 */
#include "worker/pipeline.h"
#include "worker/worker.h"

static void on_marked(struct ledger_op *op, const struct fault *fault)
{
    struct job *job = container_of(op, struct job, ledger_op);

    (void)fault;
    job->ledger_active = false;
    job_enter(job, STAGE_SETTLE);
}

void stage_mark(struct job *job)
{
    const struct decision *decision = &job->decision;

    job->ledger_active = true;
    ledger_mark(job->worker->ledger, &job->ledger_op, job->order, decision->generation, decision->attempts,
                decision->waits, on_marked);
}
