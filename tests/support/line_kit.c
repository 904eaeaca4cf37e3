/* See line_kit.h. Called by the tests that link the fakes of loop and HTTP. */
#include "support/line_kit.h"

#include "fakes/fake_http.h"
#include "fakes/fake_loop.h"
#include "support/unit.h"

#include <stdio.h>
#include <unistd.h>

const char line_kit_seat[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-1\","
    "\"date_placed\":\"2026-01-02T03:04:05Z\",\"user\":{\"username\":\"honor\",\"email\":\"honor@example."
    "com\"},"
    "\"tracking\":{\"ga_client_id\":\"G1\",\"lms_ip\":\"127.0.0.1\"},"
    "\"lines\":[{\"id\":11,\"product_class\":\"Seat\",\"sku\":\"8CF08E5\",\"quantity\":1,"
    "\"attributes\":{\"course_key\":\"course-v1:edX+DemoX+2026\",\"certificate_type\":\"verified\","
    "\"id_verification_required\":true,\"credit_provider\":null}}]}";

const char line_kit_seat_refund[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"refund\",\"refund_number\":\"R-1\",\"total\":\"10.00\","
    "\"order_number\":\"EDX-1\",\"user\":{\"username\":\"honor\"},"
    "\"lines\":[{\"id\":11,\"product_class\":\"Seat\",\"attributes\":{\"course_key\":\"course-v1:edX+DemoX+"
    "2026\","
    "\"certificate_type\":\"verified\"}}]}";

const char line_kit_entitlement[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-1\","
    "\"user\":{\"username\":\"honor\"},\"email_opt_in\":true,"
    "\"lines\":[{\"id\":12,\"product_class\":\"Course Entitlement\","
    "\"attributes\":{\"UUID\":\"c0ffee00-0000-4000-8000-000000000001\",\"certificate_type\":\"verified\"}}]}";

const char line_kit_entitlement_refund[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"refund\",\"refund_number\":\"R-1\",\"total\":\"10.00\","
    "\"order_number\":\"EDX-1\",\"user\":{\"username\":\"honor\"},"
    "\"lines\":[{\"id\":12,\"product_class\":\"Course Entitlement\",\"result\":{\"uuid\":\"e-1\"},"
    "\"attributes\":{\"UUID\":\"c0ffee00-0000-4000-8000-000000000001\",\"certificate_type\":\"verified\"}}]}";

static const char *const secrets[][2] = {
    {"api_key", "key-secret-1"}, {"client_secret", "client-secret-1"}, {"webhook_secret", "hook-secret-1"}};

static void path_of(const struct line_kit *kit, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", kit->directory, name);
}

static void write_secrets(struct line_kit *kit)
{
    char path[128];

    strcpy(kit->directory, "/tmp/line-kit-XXXXXX");
    assert_non_null(mkdtemp(kit->directory));
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        path_of(kit, secrets[i][0], path);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fprintf(file, "%s\n", secrets[i][1]) > 0);
        assert_int_equal(fclose(file), 0);
    }
}

static char *put_directory(const struct line_kit *kit, const char *text)
{
    size_t bytes = strlen(text) * 8 + sizeof(kit->directory) + 1, used = 0;
    char *out = calloc(1, bytes);

    assert_non_null(out);
    for (const char *at; (at = strstr(text, "%DIR%")); text = at + 5)
        used += (size_t)snprintf(out + used, bytes - used, "%.*s%s", (int)(at - text), text, kit->directory);
    snprintf(out + used, bytes - used, "%s", text);
    return out;
}

void line_kit_open(struct line_kit *kit, const char *settings_text, struct store *store)
{
    struct fault fault = fault_of(OK);

    if (!kit->loop)
        kit->loop = loop_new();
    kit->store = store;
    write_secrets(kit);
    char *text = put_directory(kit, settings_text);
    kit->settings = settings_load_text("test.ini", text, strlen(text), &fault);
    free(text);
    if (!kit->settings)
        fail_msg("%s", fault.detail);
    const struct upstream_common common = {
        .loop = kit->loop,
        .store = store,
        .redis_prefix = "fulfillment:",
        .retry_max_delay_ms = kit->settings->retry_max_delay_ms,
    };
    for (size_t i = 0; i < kit->settings->upstream_count; i++) {
        if (!kit->settings->upstreams[i].base_url)
            continue;
        struct upstream *upstream = upstream_new(&common, &kit->settings->upstreams[i], &fault);
        if (!upstream)
            fail_msg("%s", fault.detail);
        kit->upstreams[kit->upstream_count++] = upstream;
    }
    kit->host = module_host_new(kit->loop, kit->settings, kit->upstreams, kit->upstream_count, &fault);
    if (!kit->host)
        fail_msg("%s", fault.detail);
}

void line_kit_message(struct line_kit *kit, const char *message)
{
    struct fault fault;
    char number[ORDER_MAX_NUMBER + 1];

    order_free(TAKE(kit->order));
    if (order_parse(message, strlen(message), &kit->order, number, &fault) != OK)
        fail_msg("%s", fault.detail);
}

static void on_done(struct line_run *run)
{
    struct line_kit *kit = run->owner;

    assert_false(kit->done); /* exactly once */
    kit->done = true;
}

void line_kit_start(struct line_kit *kit)
{
    const struct line_run given = kit->run;

    kit->done = false;
    kit->outcome.id = kit->order->lines[0].id;
    line_outcomes_choose_keys(&kit->outcome, 1, 1);
    kit->run = (struct line_run){
        .owner = kit,
        .order = kit->order,
        .line = &kit->order->lines[0],
        .outcome = &kit->outcome,
        .refund = kit->order->action == ORDER_REFUND,
        .look_first = given.look_first,
        .generation = given.generation ? given.generation : 1,
        .attempt = given.attempt ? given.attempt : 1,
        .traceparent = given.traceparent,
        .timeout_ms = given.timeout_ms ? given.timeout_ms : 150000,
    };
    line_run_start(kit->host, &kit->run, on_done);
    assert_false(kit->done); /* later, never inside */
    fake_loop_settle(kit->loop);
}

const struct line_outcome *line_kit_run(struct line_kit *kit)
{
    line_kit_start(kit);
    for (int seconds = 0; !kit->done && seconds < 6000; seconds++)
        fake_loop_advance(kit->loop, 100);
    assert_true(kit->done);
    return &kit->outcome;
}

void line_kit_close(struct line_kit *kit)
{
    char path[128];

    line_outcomes_free(&kit->outcome, 1);
    for (size_t i = 0; i < kit->upstream_count; i++)
        upstream_free(kit->upstreams[i]);
    fake_loop_settle(kit->loop);
    module_host_free(kit->host);
    order_free(kit->order);
    settings_free(kit->settings);
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        path_of(kit, secrets[i][0], path);
        unlink(path);
    }
    rmdir(kit->directory);
    if (!kit->store) {
        assert_int_equal(fake_loop_leftovers(kit->loop), 0);
        loop_free(kit->loop);
        assert_int_equal(fake_http_unused(), 0);
        fake_http_reset();
    }
    *kit = (struct line_kit){0};
}
