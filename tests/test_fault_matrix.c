/*
 * Every stage of stages.def meets every fault: each delivery is settled exactly once or held until it can be,
 * nothing is acked before what carries the order on is safe, nothing leaks. A new stage is in the matrix as
 * soon as it is in the table; one that `service_of()` does not know fails it.
 */
#include "support/torture.h"
#include "support/unit.h"
#include "support/worker_kit.h"

#include <signal.h>
#include <stdio.h>

enum kind { TIMEOUT, REFUSAL, NETWORK, CANCEL, FENCED, NO_MEMORY };
static const char *const kind_names[] = {"timeout", "refusal", "network", "cancel", "fenced", "no memory"};
enum { KIND_COUNT = sizeof(kind_names) / sizeof(kind_names[0]) };

struct row {
    const char *stage;
    enum kind kind;
};

static struct worker_kit kit;

static enum err code_of(enum kind kind)
{
    static const enum err codes[] = {ERR_TIMEOUT,  ERR_REFUSED, ERR_NETWORK,
                                     ERR_CANCELED, ERR_FENCED,  ERR_NOMEM};

    return codes[kind];
}

/* ---- what a stage depends on ---- */

enum service { NO_SERVICE, REDIS, BROKER, LMS };

struct service_row {
    const char *stage;
    enum service service;
    const char *script;
    const char *message; /* that takes this stage */
};

static const struct service_row services[] = {
    {"INTAKE", NO_SERVICE, NULL, worker_kit_invalid},  {"KEPT", REDIS, "kept", worker_kit_resubmit},
    {"CLAIM", REDIS, "claim", worker_kit_donation},    {"TELL", BROKER, NULL, worker_kit_donation},
    {"FULFILL", LMS, NULL, worker_kit_seat},           {"RECORD", REDIS, "record", worker_kit_donation},
    {"PUBLISH", BROKER, NULL, worker_kit_donation},    {"MARK", REDIS, "mark", worker_kit_seat},
    {"SETTLE", NO_SERVICE, NULL, worker_kit_donation},
};

static const struct service_row *service_of(const char *stage)
{
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        if (strcmp(services[i].stage, stage) == 0)
            return &services[i];
    }
    fail_msg("stage %s is not in the matrix: say what it depends on", stage);
    return NULL;
}

/* ---- injecting ---- */

static void inject_http(enum kind kind)
{
    static const struct fake_http_answer refused = {.status = 422, .body = "{}"},
                                         broken = {.outcome = HTTP_FAILED};

    switch (kind) {
    case TIMEOUT:
    case CANCEL:
    case FENCED:
    case NO_MEMORY:
        fake_http_ignore("POST", WORKER_KIT_PATH);
        break;
    case REFUSAL:
        fake_http_answer("POST", WORKER_KIT_PATH, &refused);
        break;
    case NETWORK:
        fake_http_answer("POST", WORKER_KIT_PATH, &broken);
        break;
    }
    if (kind == FENCED)
        fake_store_answer("renew", fake_reply_str("FENCED"));
}

static void inject(const struct service_row *service, enum kind kind)
{
    switch (service->service) {
    case NO_SERVICE:
        break;
    case REDIS:
        if (kind == TIMEOUT || kind == CANCEL)
            fake_store_ignore(service->script);
        else if (kind == FENCED)
            fake_store_answer(service->script, fake_reply_str("FENCED"));
        else
            fake_store_fail(service->script, code_of(kind), "the test says so");
        break;
    case BROKER:
        if (kind == CANCEL)
            fake_broker_hold_confirms(true);
        else
            fake_broker_fail_publish(fake_broker_publish_count(), code_of(kind));
        break;
    case LMS:
        inject_http(kind);
        break;
    }
    if (strcmp(service->stage, "MARK") == 0)
        fake_http_respond("POST", WORKER_KIT_PATH, 500, "{}"); /* there is something to mark after a retry */
}

/* ---- judging ---- */

/* The delivery and those that came of it: every one settled, and acked only when all was safe. */
static void assert_settled_once(void)
{
    size_t unsettled = fake_broker_count_fate(FAKE_UNSETTLED);
    size_t acked = fake_broker_count_fate(FAKE_ACKED), requeued = fake_broker_count_fate(FAKE_REQUEUED);

    assert_int_equal(unsettled, 0);
    assert_int_equal(acked + requeued, fake_broker_delivery_count());
    for (size_t i = 0; i < fake_broker_delivery_count(); i++) {
        if (fake_broker_fate(i) == FAKE_ACKED)
            assert_true(fake_broker_confirmed_before_ack(i) > 0); /* an event, or a copy, or both */
    }
    assert_true(acked <= 1);
    assert_int_equal(acked + fake_broker_queue_length("fulfillment.orders"),
                     1); /* never lost, never doubled */
}

static void test_row(void **state)
{
    const struct row *row = *state;
    const struct service_row *service = service_of(row->stage);

    worker_kit_open(&kit);
    kit.started = strcmp(row->stage, "TELL") == 0;
    inject(service, row->kind);
    worker_kit_deliver(service->message);
    fake_loop_settle(kit.worker.loop);
    if (row->kind == CANCEL) {
        worker_kit_advance(&kit, 100);
        if (!kit.worker.stopped)
            assert_true(fake_loop_signal(kit.worker.loop, SIGTERM));
        worker_kit_advance(&kit, 3000);
        fake_broker_hold_confirms(false);
    }
    worker_kit_advance(&kit, row->kind == CANCEL ? 3000 : 60000);
    assert_settled_once();
    worker_kit_close(&kit);
}

/* The n-th allocation fails, for every n, until none is asked for any more. */
static void test_memory_may_be_out_at_any_moment(void **state)
{
    const char *message = *state;

    for (long nth = 0;; nth++) {
        bool more;

        worker_kit_open(&kit);
        fake_http_respond("POST", WORKER_KIT_PATH, 500, "{}");
        torture_fail(nth);
        worker_kit_deliver(message);
        worker_kit_advance(&kit, 60000);
        more = torture_failed();
        torture_fail(-1);
        assert_settled_once();
        worker_kit_close(&kit);
        if (!more)
            break;
    }
}

int main(void)
{
    static const char *const stages[] = {
#define STAGE(name, run, needs, next, skip, fault) #name,
#include "worker/stages.def"
#undef STAGE
    };
    enum { STAGE_COUNT = sizeof(stages) / sizeof(stages[0]) };
    static struct row rows[STAGE_COUNT * KIND_COUNT];
    static char names[STAGE_COUNT * KIND_COUNT][64];
    struct CMUnitTest tests[STAGE_COUNT * KIND_COUNT + 4];
    static const char *const messages[] = {worker_kit_donation, worker_kit_seat, worker_kit_resubmit,
                                           worker_kit_invalid};
    static const char *const message_names[] = {"a donation", "a seat that fails", "a resubmit by number",
                                                "an invalid message"};
    static char torture_names[4][64];
    size_t count = 0;

    for (size_t stage = 0; stage < STAGE_COUNT; stage++) {
        for (int kind = 0; kind < KIND_COUNT; kind++, count++) {
            rows[count] = (struct row){stages[stage], (enum kind)kind};
            snprintf(names[count], sizeof(names[count]), "%s meets: %s", stages[stage], kind_names[kind]);
            tests[count] = (struct CMUnitTest){names[count], test_row, NULL, NULL, &rows[count]};
        }
    }
    for (size_t i = 0; i < 4; i++, count++) {
        snprintf(torture_names[i], sizeof(torture_names[i]), "memory is out at any moment of %s",
                 message_names[i]);
        tests[count] = (struct CMUnitTest){torture_names[i], test_memory_may_be_out_at_any_moment, NULL, NULL,
                                           (void *)(uintptr_t)messages[i]};
    }
    return cmocka_run_group_tests_name("fault matrix", tests, NULL, NULL);
}
