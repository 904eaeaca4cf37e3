/*
 * A whole worker on the fakes: loop, store, broker and HTTP client are scripted, all between is real. Redis'
 * scripts answer as for an order that is ours to run, unless the test says otherwise. For test_pipeline.c and
 * test_fault_matrix.c.
 */
#ifndef FULFILLD_TESTS_SUPPORT_WORKER_KIT_H
#define FULFILLD_TESTS_SUPPORT_WORKER_KIT_H

#include "fakes/fake_broker.h"
#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "fakes/fake_store.h"
#include "worker/worker.h"

struct worker_kit {
    struct worker worker;
    struct settings *settings;
    const char *verdict;  /* of claims: "RUN" unless told otherwise */
    bool started;         /* the claims are of a person's word */
    const char *decision; /* of DONE and REPEAT; NULL = none */
    const char *away;     /* the script that Redis cannot serve now; NULL = none */
    bool drains;          /* a drain begins while the next claim is under way */
    int64_t fence;
    char key_file[64];
};

/** Starts a worker, links up, work being taken; a release, record, mark … succeeds. */
void worker_kit_open(struct worker_kit *kit);
/** Puts a message into the orders queue and settles the loop. */
void worker_kit_deliver(const char *body);
void worker_kit_advance(struct worker_kit *kit, int64_t ms);
/** SIGTERM, then time until it has stopped; fails the test when something is left. Frees all. */
void worker_kit_close(struct worker_kit *kit);

/* A line that needs no upstream; a seat, which does (POST WORKER_KIT_PATH); a resubmit by number; no order.
 */
#define WORKER_KIT_PATH "/api/enrollment/v1/enrollment"
extern const char worker_kit_donation[], worker_kit_seat[], worker_kit_resubmit[], worker_kit_invalid[];

/** The answer of claim.lua with a verdict; `started`: it begins a generation. */
struct store_reply *worker_kit_claim_reply(const char *verdict, int64_t fence, bool started,
                                           const char *decision);

#endif
