/* See worker_kit.h. */
#include "support/worker_kit.h"

#include "support/unit.h"
#include "worker/worker_open.h"

#include "common/log.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LINE(class)                                                                                          \
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-1\","                 \
    "\"date_placed\":\"2026-01-02T03:04:05Z\",\"user\":{\"username\":\"honor\"},\"lines\":[{\"id\":11,"      \
    "\"product_class\":\"" class "\",\"attributes\":{\"course_key\":\"course-v1:edX+DemoX+2026\","           \
                                 "\"certificate_type\":\"verified\"}}]}"

const char worker_kit_donation[] = LINE("Donation");
const char worker_kit_seat[] = LINE("Seat");
const char worker_kit_resubmit[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"resubmit\",\"order_number\":\"EDX-1\"}";
const char worker_kit_invalid[] = "{\"schema\":\"fulfillment.order/1\",\"order_number\":\"EDX-1\"}";

static const char settings_text[] = "[lms]\nbase_url = https://lms.example.org\napi_key_file = %s\n"
                                    "[worker]\nlease = 3s\ndrain_timeout = 5s\n"
                                    "[http]\nlisten =\n[log]\nlevel = error\n";

struct store_reply *worker_kit_claim_reply(const char *verdict, int64_t fence, bool started,
                                           const char *decision)
{
    const int64_t now_ms = FAKE_LOOP_START_WALL_US / 1000;

    return fake_reply_array(
        20, fake_reply_str(verdict), fake_reply_int(now_ms), fake_reply_int(1), fake_reply_int(0),
        fake_reply_int(fence), fake_reply_int(1), fake_reply_int(0), fake_reply_int(0), fake_reply_int(0),
        fake_reply_int(started), fake_reply_int(started ? fence : 0), fake_reply_int(0), fake_reply_int(0),
        fake_reply_int(1000), fake_reply_int(fence), fake_reply_array(0), fake_reply_array(0),
        fake_reply_array(0), fake_reply_nil(), decision ? fake_reply_str(decision) : fake_reply_nil());
}

static bool is_away(const struct worker_kit *kit, const struct fake_store_call *call, struct fault *ret_fault)
{
    if (!kit->away || strcmp(kit->away, call->name) != 0)
        return false;
    *ret_fault = fault_make(ERR_UNAVAILABLE, "OOM");
    return true;
}

static struct store_reply *on_claim(void *context, const struct fake_store_call *call,
                                    struct fault *ret_fault)
{
    struct worker_kit *kit = context;

    if (is_away(kit, call, ret_fault))
        return NULL;
    kit->worker.draining = kit->worker.draining || kit->drains;
    return worker_kit_claim_reply(kit->verdict, ++kit->fence, kit->started, kit->decision);
}

static struct store_reply *on_ok(void *context, const struct fake_store_call *call, struct fault *ret_fault)
{
    return is_away(context, call, ret_fault) ? NULL : fake_reply_str("OK");
}

/* One dead item with its kept message. */
static struct store_reply *on_kept(void *context, const struct fake_store_call *call, struct fault *ret_fault)
{
    (void)context, (void)call, (void)ret_fault;
    return fake_reply_array(3, fake_reply_int(1), fake_reply_int(7),
                            fake_reply_array(4, fake_reply_str(worker_kit_donation), fake_reply_str("m-kept"),
                                             fake_reply_int(1), fake_reply_str("[]")));
}

/* The pool's part of breaker and rate: as if Redis were away, which leaves them to the process. */
static struct store_reply *on_pool(void *context, const struct fake_store_call *call, struct fault *ret_fault)
{
    (void)context, (void)call;
    *ret_fault = fault_of(ERR_UNAVAILABLE);
    return NULL;
}

static void script_redis(struct worker_kit *kit)
{
    static const char *const plain[] = {"record", "mark", "renew", "release"};
    static const char *const pool[] = {"breaker_report", "breaker_probe", "breaker_state",
                                       "rate_reserve",   "CONFIG",        "HMGET"};

    fake_store_handle("claim", on_claim, kit);
    fake_store_handle("kept", on_kept, kit);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        fake_store_handle(plain[i], on_ok, kit);
    for (size_t i = 0; i < ARRAY_LEN(pool); i++)
        fake_store_handle(pool[i], on_pool, NULL);
}

static void write_key(struct worker_kit *kit)
{
    int fd;

    strcpy(kit->key_file, "/tmp/worker-kit-XXXXXX");
    fd = mkstemp(kit->key_file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "key\n", 4), 4);
    assert_int_equal(close(fd), 0);
}

void worker_kit_open(struct worker_kit *kit)
{
    char text[sizeof(settings_text) + sizeof(kit->key_file)];
    struct fault fault = fault_of(OK);

    *kit = (struct worker_kit){.verdict = "RUN"};
    write_key(kit);
    snprintf(text, sizeof(text), settings_text, kit->key_file);
    kit->settings = settings_load_text("test.ini", text, strlen(text), &fault);
    if (!kit->settings)
        fail_msg("%s", fault.detail);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
    script_redis(kit);
    if (worker_start(&kit->worker, kit->settings, 0, false, &fault) != OK)
        fail_msg("%s", fault.detail);
    fake_loop_settle(kit->worker.loop);
    worker_kit_advance(kit, 1000);
    assert_true(fake_broker_is_consuming("fulfillment.orders"));
}

void worker_kit_deliver(const char *body)
{
    fake_broker_deliver("fulfillment.orders", "m-1", NULL, body);
}

void worker_kit_advance(struct worker_kit *kit, int64_t ms)
{
    fake_loop_advance(kit->worker.loop, ms);
}

void worker_kit_close(struct worker_kit *kit)
{
    if (!kit->worker.draining)
        assert_true(fake_loop_signal(kit->worker.loop, SIGTERM));
    worker_kit_advance(kit, 7000); /* drain_timeout, and not yet the moment when it leaves whatever is left */
    assert_true(kit->worker.stopped);
    assert_int_equal(kit->worker.job_count, 0);
    assert_int_equal(fake_loop_leftovers(kit->worker.loop), 0);
    worker_free(&kit->worker);
    settings_free(kit->settings);
    unlink(kit->key_file);
    fake_broker_reset();
    fake_store_reset();
    fake_http_reset();
}
