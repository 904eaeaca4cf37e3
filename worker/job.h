/*
 * One delivery on its way through the stages (stages.def): the message, what Redis said, what the modules
 * said, what is to be published. Owned by the worker; freed when its stage is DONE and no operation runs.
 */
#ifndef FULFILLD_WORKER_JOB_H
#define FULFILLD_WORKER_JOB_H

#include "common/broker.h"
#include "worker/decision.h"
#include "worker/ledger.h"
#include "worker/module_host.h"
#include "worker/order.h"
#include "worker/retry_policy.h"

struct worker;

enum stage {
#define STAGE(name, run, needs, next, skip, fault) STAGE_##name,
#include "worker/stages.def"
#undef STAGE
    STAGE_DONE
};

enum step { STEP_NEXT, STEP_SKIP, STEP_FAULT };

/* What a claim left behind that later stages need (claim_result's borrowed parts are gone by then). */
struct job_claim {
    bool held; /* a lease of ours is in force */
    int64_t fence;
    int64_t since_ms; /* monotonic: when Redis was asked */
    int64_t generation, attempts, waits, first_ms;
    bool doubtful;
    bool others_finished;
    bool crashed; /* record dead as `crashed`, run nothing */
};

/* One publication that the job still has to get confirmed. Owns its texts. */
struct job_publish {
    struct publish_op op;
    struct job *job;
    char exchange[192];
    char routing_key[192];
    char *message_id; /* owned; NULL = none */
    char *body;       /* owned; NULL = the message's own */
    size_t body_length;
    struct headers *headers; /* owned */
    int64_t sent_ms;         /* monotonic */
    bool confirmed;
    bool is_copy; /* carries the order on (retry, dead, solo): to be marked */
};

struct job {
    struct worker *worker;
    struct job *prev, *next;       /* the worker's list of jobs */
    struct loop_task advance_task; /* stages are entered from here, never nested */
    enum stage stage;
    bool held;             /* waits for a link, nothing of it runs; see pipeline.c */
    int64_t held_since_ms; /* when it first had to wait in this stage; 0 = not yet */
    int64_t held_until_ms; /* while held: not tried again before */
    int64_t arrived_ms;
    uint64_t number;    /* of the process's deliveries */
    struct fault fault; /* the last one, for the log and for HOLD */

    struct delivery delivery;
    struct message message;
    bool solo;               /* came from the solo queue */
    const char *traceparent; /* borrowed from message.headers; NULL = none */
    char *message_id;        /* owned: the publisher's, or derived */
    struct copy_facts copy;
    struct order *order; /* NULL when the message is invalid */

    struct job_claim claim;
    struct line_outcome *lines; /* parallel to order->lines */
    struct line_run *runs;      /* parallel as well */
    size_t next_line, running_lines;
    bool stopping;    /* drain deadline: start no more lines */
    bool decided;     /* retry and decision are made; kept over a held record */
    int64_t sequence; /* of the outcome's event */
    struct retry_decision retry;
    struct decision decision; /* what RECORD stores and PUBLISH publishes */

    struct ledger_op ledger_op;
    bool ledger_active;
    struct ledger_op renew_op;
    bool renew_active;
    struct loop_timer renew_timer;

    struct job_publish *publishes; /* owned array; grows only while none of them is in flight */
    size_t publish_count;
    size_t publish_pending;
    struct fault publish_fault; /* why the last unconfirmed one failed */
};

/** Takes the message over; NULL when out of memory (then the message is still the caller's). */
struct job *job_new(struct worker *worker, struct delivery delivery, struct message *take_message, bool solo);
void job_free(struct job *job);

/** Adds a publication of the job; returns NULL when out of memory. Texts are copied; `take_headers` is owned.
 */
struct job_publish *job_add_publish(struct job *job, const char *exchange, const char *routing_key,
                                    const char *message_id, char *take_body, size_t body_length,
                                    struct headers *take_headers);

/** The one way forward: every completion of every stage ends here. */
void job_advance(struct job *job, enum step step, const struct fault *fault);
/** Enters a stage out of the table's order, from the loop's task queue. */
void job_enter(struct job *job, enum stage stage);
const char *stage_name(enum stage stage);

/* The stages. */
#define STAGE(name, run, needs, next, skip, fault) void run(struct job *job);
#include "worker/stages.def"
#undef STAGE

#endif
