/* What the pool shares through Redis: two processes (here: two upstreams with a store each) and the real
 * scripts. */
#include "fakes/fake_http.h"
#include "support/await.h"
#include "support/redis_server.h"
#include "support/unit.h"
#include "worker/scripts.h"
#include "worker/upstream.h"

#include <stdio.h>

enum { PROCESSES = 3 };

static struct redis_server *server;
static struct loop *loop;
static struct store *stores[PROCESSES];
static struct upstream *upstreams[PROCESSES];
static bool up[PROCESSES];

static void on_store(void *context, bool is_up, const struct fault *fault)
{
    (void)fault;
    *(bool *)context = is_up;
}

static int start_redis(void **state)
{
    (void)state;
    server = redis_server_start();
    return 0;
}

static int stop_redis(void **state)
{
    (void)state;
    redis_server_stop(server);
    return 0;
}

static void open_all(const char *rate, int64_t open_for_ms)
{
    char text[400], answer[64];
    struct fault fault;

    if (!server)
        skip();
    redis_server_do(server, "FLUSHALL", answer, sizeof(answer));
    loop = loop_new();
    snprintf(text, sizeof(text),
             "[lms]\nbase_url = http://lms.example.org\nmax_requests_per_second = %s\n"
             "[breaker]\nfailures = 3\nopen_for = %lldms\n",
             rate, (long long)open_for_ms);
    struct settings *settings = settings_load_text("test.ini", text, strlen(text), &fault);
    if (!settings)
        fail_msg("%s", fault.detail);
    for (size_t i = 0; i < PROCESSES; i++) {
        const struct store_options options = {.uri = redis_server_uri(server),
                                              .timeout_ms = 5000,
                                              .scripts = scripts_table,
                                              .script_count = scripts_count};
        stores[i] = store_open(loop, &options, on_store, &up[i], &fault);
        assert_non_null(stores[i]);
        const struct upstream_common common = {
            .loop = loop, .store = stores[i], .redis_prefix = "t:", .retry_max_delay_ms = 3600000};
        upstreams[i] = upstream_new(&common, &settings->upstreams[0], &fault);
        if (!upstreams[i])
            fail_msg("%s", fault.detail);
        assert_true(await_flag(loop, &up[i]));
    }
    settings_free(settings);
}

static int close_all(void **state)
{
    (void)state;
    if (!loop)
        return 0;
    for (size_t i = 0; i < PROCESSES; i++) {
        upstream_free(upstreams[i]);
        store_close(stores[i]);
        up[i] = false;
    }
    loop_run(loop); /* ends only when nothing is left on it */
    loop_free(loop);
    loop = NULL;
    fake_http_reset();
    return 0;
}

/* ---- operations as a test sees them ---- */

struct try_report {
    struct report_op op;
    bool done, costs;
};

struct try_admit {
    struct admit_op op;
    bool done;
    enum admission admission;
    int64_t until_ms;
};

static void on_reported(struct report_op *op, bool costs)
{
    struct try_report *try = container_of(op, struct try_report, op);

    try->done = true;
    try->costs = costs;
}

static bool report(size_t process, enum fulfill_health health, enum fulfill_decision decision,
                   int64_t retry_after_s, bool probe)
{
    struct try_report try = {0};
    const struct upstream_news news = {.health = health,
                                       .decision = decision,
                                       .retry_after_s = retry_after_s,
                                       .probe = probe,
                                       .words = "mend it"};

    upstream_report(upstreams[process], &try.op, &news, on_reported);
    assert_false(try.done);
    assert_true(await_flag(loop, &try.done));
    return try.costs;
}

static bool bad(size_t process)
{
    return report(process, FULFILL_HEALTH_BAD, FULFILL_RETRY, -1, false);
}

static void on_admitted(struct admit_op *op, enum admission admission, int64_t until_ms)
{
    struct try_admit *try = container_of(op, struct try_admit, op);

    try->done = true;
    try->admission = admission;
    try->until_ms = until_ms;
}

static enum admission admit(size_t process)
{
    struct try_admit try = {0};

    upstream_admit(upstreams[process], &try.op, on_admitted);
    assert_true(await_flag(loop, &try.done));
    if (try.admission == POSTPONED)
        assert_true(try.until_ms > 0);
    return try.admission;
}

/* Admitted as the probe. Redis' clock may say a millisecond later than ours that it is time. */
static void admit_probe(size_t process)
{
    enum admission admission = POSTPONED;

    for (int tries = 0; admission == POSTPONED && tries < 1000; tries++)
        admission = admit(process);
    assert_int_equal(admission, ADMITTED_AS_PROBE);
}

static bool all_open(void *context)
{
    (void)context;
    for (size_t i = 0; i < PROCESSES; i++)
        if (upstream_breaker(upstreams[i]) != BREAKER_OPEN)
            return false;
    return true;
}

static bool all_closed(void *context)
{
    (void)context;
    for (size_t i = 0; i < PROCESSES; i++)
        if (upstream_breaker(upstreams[i]) != BREAKER_CLOSED)
            return false;
    return true;
}

static bool first_half_open(void *context)
{
    (void)context;
    return upstream_breaker(upstreams[0]) == BREAKER_HALF_OPEN;
}

/* ---- tests ---- */

static void test_failures_of_several_processes_count_together(void **state)
{
    (void)state;
    open_all("0", 60000);
    for (size_t i = 0; i < PROCESSES; i++)
        assert_int_equal(admit(i), ADMITTED);
    assert_true(bad(0));
    assert_true(bad(1));
    assert_true(bad(2));                      /* the third opens it, and costs */
    assert_false(bad(0));                     /* under way when it opened: costs nothing */
    assert_true(await(loop, all_open, NULL)); /* the others learn of it */
    for (size_t i = 0; i < PROCESSES; i++)
        assert_int_equal(admit(i), POSTPONED);
    assert_non_null(strstr(upstream_words(upstreams[1]), "mend it"));
}

static void test_a_good_answer_anywhere_ends_the_row(void **state)
{
    (void)state;
    open_all("0", 60000);
    bad(0);
    bad(0);
    report(0, FULFILL_HEALTH_GOOD, FULFILL_FINAL, -1, false);
    bad(0);
    bad(0);
    assert_int_equal(upstream_breaker(upstreams[0]), BREAKER_CLOSED);
}

static void test_one_probe_in_the_pool_at_a_time(void **state)
{
    size_t others = 0;

    (void)state;
    open_all("0", 50);
    assert_false(report(0, FULFILL_HEALTH_BAD, FULFILL_PAUSE, -1, false));
    assert_true(await(loop, first_half_open, NULL));
    admit_probe(0);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < PROCESSES; i++)
            others += admit(i) == ADMITTED_AS_PROBE;
    assert_int_equal(others, 0);
    assert_true(upstream_closed_until_ms(upstreams[0]) > 0); /* nothing is taken while a probe is out */
    report(0, FULFILL_HEALTH_GOOD, FULFILL_DONE, -1, true);
    assert_true(await(loop, all_closed, NULL));
    for (size_t i = 0; i < PROCESSES; i++)
        assert_int_equal(admit(i), ADMITTED);
}

static void test_a_failed_probe_opens_again_for_longer(void **state)
{
    (void)state;
    open_all("0", 50);
    report(0, FULFILL_HEALTH_BAD, FULFILL_PAUSE, -1, false);
    for (int i = 0; i < 3; i++) {
        assert_true(await(loop, first_half_open, NULL));
        admit_probe(0);
        assert_false(report(0, FULFILL_HEALTH_BAD, FULFILL_RETRY, -1, true));
        assert_int_equal(upstream_breaker(upstreams[0]), BREAKER_OPEN);
    }
    int64_t left_ms = upstream_closed_until_ms(upstreams[0]) - loop_wall_us(loop) / 1000;
    assert_in_range(left_ms + 100, 100, 50 * 8 + 100); /* 50 · 2³ at the most is left */
}

static void test_a_probe_that_learned_nothing_lets_the_next_one_try(void **state)
{
    (void)state;
    open_all("0", 50);
    report(0, FULFILL_HEALTH_BAD, FULFILL_PAUSE, -1, false);
    assert_true(await(loop, first_half_open, NULL));
    admit_probe(0);
    report(0, FULFILL_HEALTH_UNKNOWN, FULFILL_RETRY, -1, true);
    admit_probe(0);
}

static void test_retry_after_pauses_everybody(void **state)
{
    (void)state;
    open_all("0", 60000);
    assert_false(report(0, FULFILL_HEALTH_GOOD, FULFILL_WAIT, 30, false));
    for (size_t i = 0; i < PROCESSES; i++)
        assert_int_equal(admit(i), POSTPONED); /* a stale view is not trusted */
    assert_int_equal(upstream_breaker(upstreams[0]), BREAKER_CLOSED);
}

static void test_retry_after_is_capped(void **state)
{
    (void)state;
    open_all("0", 60000);
    report(0, FULFILL_HEALTH_GOOD, FULFILL_WAIT, INT64_C(1000000000), false);
    int64_t left_ms = upstream_closed_until_ms(upstreams[0]) - loop_wall_us(loop) / 1000;
    assert_in_range(left_ms, 3500 * 1000, 3601 * 1000);
}

static void test_what_redis_forgets_is_closed(void **state)
{
    char answer[64];

    (void)state;
    open_all("0", 60000);
    report(0, FULFILL_HEALTH_BAD, FULFILL_PAUSE, -1, false);
    assert_int_equal(upstream_breaker(upstreams[0]), BREAKER_OPEN);
    redis_server_do(server, "FLUSHALL", answer, sizeof(answer));
    assert_true(await(loop, all_closed, NULL));
}

/* ---- the rate ---- */

struct reservation {
    struct store_op op;
    bool done;
    int64_t start_us, given;
};

static void on_slots(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct reservation *slots = container_of(op, struct reservation, op);

    assert_int_equal(fault->code, OK);
    slots->start_us = store_reply_int(store_reply_at(reply, 0));
    slots->given = store_reply_int(store_reply_at(reply, 1));
    slots->done = true;
}

static struct reservation reserve(size_t process, const char *wanted, const char *longest)
{
    struct reservation slots = {0};
    const struct store_arg key = STORE_ARG("t:rate");
    const struct store_arg args[] = {STORE_ARG("10000"), STORE_ARG(wanted), STORE_ARG(longest),
                                     STORE_ARG("20000")};

    store_script_start(stores[process], &slots.op, scripts_find("rate_reserve"), &key, 1, args,
                       ARRAY_LEN(args), on_slots);
    assert_true(await_flag(loop, &slots.done));
    return slots;
}

static void test_slots_of_several_processes_follow_each_other(void **state)
{
    (void)state;
    open_all("0", 60000);
    reserve(0, "1000", "60000000"); /* ten seconds: real time passing between the calls does not matter */
    for (size_t i = 0; i < 30; i++) {
        struct reservation slots = reserve(i % PROCESSES, "5", "60000000");
        int64_t expected_us = 10000 * (1000 + 5 * (int64_t)i);
        assert_int_equal(slots.given, 5);
        /* From a clock that has gone on meanwhile: never later than in line, and no more early than time
         * passed. */
        assert_true(slots.start_us <= expected_us);
    }
    struct reservation refused = reserve(0, "5", "1000000");
    assert_int_equal(refused.given, 0);
    assert_true(refused.start_us > 1000000);
}

/* What a claim does: the refresh is sent before it, so that its answer comes before the claim's. */
static void test_a_pause_is_known_with_the_next_claim(void **state)
{
    (void)state;
    open_all("0", 60000);
    for (size_t i = 0; i < PROCESSES; i++)
        assert_int_equal(admit(i), ADMITTED);
    report(0, FULFILL_HEALTH_GOOD, FULFILL_WAIT, 30, false);
    upstream_refresh(upstreams[1]);
    reserve(1, "1", "60000000"); /* in the claim's place */
    assert_int_equal(admit(1), POSTPONED);
}

struct try_call {
    struct upstream_call op;
    int64_t done_ms;
};

static size_t calls_done;
static struct try_call calls[120];

static void on_called(struct upstream_call *op, const struct fulfill_answer *answer)
{
    assert_int_equal(answer->transport, FULFILL_ANSWERED);
    container_of(op, struct try_call, op)->done_ms = loop_now_ms(loop);
    calls_done++;
}

static void test_the_pool_keeps_to_its_rate(void **state)
{
    const struct fulfill_request request = {.size = sizeof(request), .method = "GET", .path = "/x"};

    (void)state;
    open_all("200", 60000);
    calls_done = 0;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        fake_http_respond("GET", "/x", 200, "");
        assert_int_equal(upstream_call_init(upstreams[i % PROCESSES], &calls[i].op, &request, NULL, 0), OK);
        upstream_call_start(&calls[i].op, false, on_called);
    }
    int64_t start_ms = loop_now_ms(loop);
    assert_true(await_count(loop, &calls_done, ARRAY_LEN(calls)));
    /* 120 slots of 5 ms: a rate limit may be late on a busy machine, never early (but for its tolerance). */
    assert_true(loop_now_ms(loop) - start_ms >= 119 * 5 - 20 - 5);
}

#define TEST(name) cmocka_unit_test_teardown(name, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_failures_of_several_processes_count_together),
        TEST(test_a_good_answer_anywhere_ends_the_row),
        TEST(test_one_probe_in_the_pool_at_a_time),
        TEST(test_a_failed_probe_opens_again_for_longer),
        TEST(test_a_probe_that_learned_nothing_lets_the_next_one_try),
        TEST(test_retry_after_pauses_everybody),
        TEST(test_retry_after_is_capped),
        TEST(test_what_redis_forgets_is_closed),
        TEST(test_a_pause_is_known_with_the_next_claim),
        TEST(test_slots_of_several_processes_follow_each_other),
        TEST(test_the_pool_keeps_to_its_rate),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
