/*
 * What the pure core costs an order: reading the message, and writing the event of its attempt.
 * Usage: bench_core [ORDERS]. Prints CPU time; instructions by `perf stat -e instructions:u`.
 */
#include "worker/event.h"
#include "worker/retry_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char body[] =
    "{\"schema\":\"fulfillment.order/1\",\"action\":\"fulfill\",\"order_number\":\"EDX-100001\","
    "\"date_placed\":\"2026-01-02T03:04:05Z\",\"user\":{\"username\":\"honor\",\"email\":\"honor@example."
    "com\"},"
    "\"tracking\":{\"ga_client_id\":\"G1\",\"lms_ip\":\"127.0.0.1\"},\"enterprise_customer_uuid\":null,"
    "\"email_opt_in\":false,\"lines\":[{\"id\":11,\"product_class\":\"Seat\",\"sku\":\"8CF08E5\","
    "\"quantity\":1,"
    "\"title\":\"Seat in DemoX\",\"user\":null,\"attributes\":{\"course_key\":\"course-v1:edX+DemoX+2026\","
    "\"certificate_type\":\"verified\",\"id_verification_required\":true,\"credit_provider\":null}}]}";

static const struct retry_limits limits = {.first_delay_ms = 5000,
                                           .max_delay_ms = 3600000,
                                           .max_attempts = 40,
                                           .window_ms = 172800000,
                                           .doubtful_attempts = 3};

static double cpu_seconds(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum err one_event(const struct order *order, int64_t number)
{
    struct line_outcome line = {
        .id = order->lines[0].id, .state = LINE_COMPLETE, .ran = true, .module = "enrollment"};
    const struct retry_input input = {.now_ms = 1767323049123, .chance = (uint32_t)number};
    const struct retry_decision decision = retry_decide(&limits, &input, &line, 1);
    const struct event_facts facts = {
        .outcome = decision.verdict == ITEM_COMPLETE ? EVENT_COMPLETE : EVENT_RETRYING,
        .order_number = order->number,
        .action = order->action,
        .item_id = order->item_id,
        .sequence = INT64_C(1767323049123000) + number,
        .generation = 1,
        .attempt = 1,
        .order_complete = true,
        .time_us = INT64_C(1767323049123000) + number,
        .order = order,
        .lines = &line,
    };
    struct event event;
    enum err err = event_build(&facts, &event);

    if (err == OK)
        event_fini(&event);
    return err;
}

int main(int argc, char **argv)
{
    const int64_t count = argc > 1 ? strtoll(argv[1], NULL, 10) : 200000;
    double parsing = 0, telling = 0;
    char number[ORDER_MAX_NUMBER + 1];
    struct fault fault;

    if (count < 1) {
        fprintf(stderr, "usage: bench_core [ORDERS]\n");
        return 2;
    }
    /* In batches, so that the clock is not what is measured. */
    for (int64_t done = 0; done < count;) {
        enum { BATCH = 256 };
        struct order *orders[BATCH];
        const int64_t batch = count - done < BATCH ? count - done : BATCH;
        double started = cpu_seconds(), parsed;

        for (int64_t i = 0; i < batch; i++) {
            if (order_parse(body, sizeof(body) - 1, &orders[i], number, &fault) != OK) {
                fprintf(stderr, "%s\n", fault.detail);
                return 1;
            }
        }
        parsed = cpu_seconds();
        for (int64_t i = 0; i < batch; i++) {
            if (one_event(orders[i], i) != OK)
                return 1;
        }
        telling += cpu_seconds() - parsed;
        parsing += parsed - started;
        for (int64_t i = 0; i < batch; i++)
            order_free(orders[i]);
        done += batch;
    }
    printf("orders %" PRId64 "  parse %.2f us  decide and tell %.2f us  CPU an order\n", count,
           parsing / (double)count * 1e6, telling / (double)count * 1e6);
    return 0;
}
