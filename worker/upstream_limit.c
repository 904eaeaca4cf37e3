/*
 * When a request may go to an upstream: a queue in order of arrival, a number of slots that follows what the
 * API bears, and the pool's rate. The rate is shared through Redis: slots of time are reserved in small
 * batches (scripts/rate_reserve.lua). Called by upstream_call.c.
 *
 * Slots: all of max_in_flight at first, so that a well API is never held up. They grow by one for each full
 * round of requests while latency is near its floor and the slots are what limits; they shrink by a tenth a
 * round while latency is far above the floor, by a third for time-outs; for latency alone not below 4, since
 * an API may be slow by nature and not by our load. After an outage they start at 4 and double each round up
 * to half of what was.
 */
#include "worker/metric_rows.h"
#include "worker/scripts.h"
#include "worker/upstream_parts.h"

#include <stdio.h>
#include <string.h>

enum {
    FLOOR_WINDOW_MS = 30 * 1000,
    SLOW_START = 4,
    MAX_RATE_WAIT_US = 60 * 1000 * 1000,
    RATE_TOLERANCE_US = 20 * 1000,
    RATE_AGAIN_MS = 250, /* after Redis could not say */
    BATCHES_A_SECOND = 20,
    MAX_BATCH = 1000
};

static void on_rate_timer(struct loop_timer *timer);

void limit_init(struct upstream *upstream, int64_t max_in_flight, double per_second)
{
    upstream->slots.max = max_in_flight;
    upstream->slots.limit = (double)max_in_flight;
    upstream->slots.threshold = (double)max_in_flight;
    upstream->rate.per_second = per_second;
    if (per_second > 0)
        upstream->rate.interval_us = (int64_t)(1e6 / per_second + 0.5);
    if (per_second > 0 && upstream->rate.interval_us < 1)
        upstream->rate.interval_us = 1;
    loop_timer_init(&upstream->rate.timer, upstream->loop, on_rate_timer);
}

void limit_stop(struct upstream *upstream)
{
    loop_timer_stop(&upstream->rate.timer);
    if (store_op_active(&upstream->rate.store))
        store_op_cancel(&upstream->rate.store);
}

/* ---- slots ---- */

static double floor_of(const struct slots *slots)
{
    if (slots->floor_ms[0] <= 0 || (slots->floor_ms[1] > 0 && slots->floor_ms[1] < slots->floor_ms[0]))
        return slots->floor_ms[1];
    return slots->floor_ms[0];
}

static void learn_latency(struct slots *slots, int64_t now_ms, double elapsed_ms)
{
    if (now_ms >= slots->window_ends_ms) {
        slots->floor_ms[1] = slots->floor_ms[0];
        slots->floor_ms[0] = 0;
        slots->window_ends_ms = now_ms + FLOOR_WINDOW_MS;
    }
    if (slots->floor_ms[0] <= 0 || elapsed_ms < slots->floor_ms[0])
        slots->floor_ms[0] = elapsed_ms;
    slots->latency_ms =
        slots->latency_ms <= 0 ? elapsed_ms : slots->latency_ms + (elapsed_ms - slots->latency_ms) / 16;
}

static void lower(struct slots *slots, int64_t now_ms, double factor, double round_ms)
{
    /* Once a round: what is under way was sent under the old limit. */
    if (now_ms - slots->lowered_ms < (int64_t)(round_ms > 100 ? round_ms : 100))
        return;
    slots->lowered_ms = now_ms;
    slots->limit = slots->limit * factor < 1 ? 1 : slots->limit * factor;
    slots->threshold = slots->limit;
}

void limit_learn(struct upstream *upstream, enum http_outcome outcome, int64_t elapsed_ms)
{
    struct slots *slots = &upstream->slots;
    int64_t now_ms = loop_now_ms(upstream->loop);
    double elapsed = elapsed_ms < 1 ? 1 : (double)elapsed_ms;

    if (outcome == HTTP_TIMED_OUT) {
        lower(slots, now_ms, 0.66, (double)upstream->timeout_ms / 4);
        return;
    }
    if (outcome != HTTP_ANSWERED)
        return;
    learn_latency(slots, now_ms, elapsed);
    double floor_ms = floor_of(slots), slow_ms = (double)upstream->timeout_ms / 10;
    if (4 * floor_ms > slow_ms)
        slow_ms = 4 * floor_ms;
    if (slots->latency_ms > slow_ms) {
        if (slots->limit * 0.9 >= SLOW_START)
            lower(slots, now_ms, 0.9, slots->latency_ms);
    } else if (slots->limit < slots->threshold)
        slots->limit += 1;
    else if (slots->in_flight + 1 >= (int64_t)slots->limit)
        slots->limit += 1 / slots->limit;
    if (slots->limit > (double)slots->max)
        slots->limit = (double)slots->max;
}

void limit_slow_start(struct upstream *upstream)
{
    struct slots *slots = &upstream->slots;

    slots->threshold = slots->limit > (double)slots->max / 2 ? (double)slots->max : slots->limit * 2;
    if (slots->limit > SLOW_START)
        slots->limit = SLOW_START;
    slots->latency_ms = 0;
}

/* ---- metrics ---- */

static enum metric_value counted_as(const struct http_op *op)
{
    switch (op->outcome) {
    case HTTP_ANSWERED:
        break;
    case HTTP_TIMED_OUT:
        return METRIC_upstream_requests_total_timeout;
    case HTTP_TOO_BIG:
    case HTTP_INVALID:
        return METRIC_upstream_requests_total_bad_response;
    case HTTP_CANCELED:
        return METRIC_upstream_requests_total_canceled;
    case HTTP_NO_NAME:
    case HTTP_NO_CONNECTION:
    case HTTP_NO_TLS:
    case HTTP_SEND_FAILED:
    case HTTP_NO_ANSWER:
    case HTTP_TRUNCATED:
    case HTTP_FORBIDDEN:
    case HTTP_FAILED:
        return METRIC_upstream_requests_total_network;
    }
    if (op->status >= 500)
        return METRIC_upstream_requests_total_server_error;
    if (op->status == 401)
        return METRIC_upstream_requests_total_credentials;
    if (op->status == 429)
        return METRIC_upstream_requests_total_throttled;
    return op->status >= 200 && op->status <= 299 ? METRIC_upstream_requests_total_ok
                                                  : METRIC_upstream_requests_total_client_error;
}

void limit_count(const struct http_op *op)
{
    metrics_add(METRIC_upstream_requests_total, counted_as(op), 1);
    if (op->outcome == HTTP_ANSWERED)
        metrics_observe_ms(METRIC_upstream_request_seconds, 0, op->elapsed_ms);
}

/* ---- rate ---- */

static int64_t now_us(const struct upstream *upstream)
{
    return loop_now_ms(upstream->loop) * 1000;
}

static size_t reserved(const struct rate *rate)
{
    size_t left = 0;

    for (size_t i = 0; i < UPSTREAM_BATCHES; i++)
        left += rate->batches[i].left;
    return left;
}

static void on_reserved(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct rate *rate = container_of(op, struct rate, store);
    struct upstream *upstream = container_of(rate, struct upstream, rate);

    rate->reserving = false;
    if (fault->code != OK) {
        if (!upstream->closing && upstream->queue.count > 0)
            loop_timer_start(&rate->timer, RATE_AGAIN_MS);
        upstream_release(upstream);
        return;
    }
    int64_t wait_us = store_reply_int(store_reply_at(reply, 0));
    int64_t given = store_reply_int(store_reply_at(reply, 1));
    if (given > 0) {
        size_t slot = rate->batches[0].left == 0 ? 0 : 1;
        rate->batches[slot].next_us = now_us(upstream) + wait_us;
        rate->batches[slot].left = (size_t)given;
    } else {
        /* Too far away: whoever has no slot yet comes back when its time is near. */
        size_t kept = reserved(rate);
        struct upstream_call *call = upstream->queue.first;
        for (; call && kept > 0; kept--)
            call = call->next;
        while (call) {
            struct upstream_call *next = call->next;
            limit_remove(upstream, call);
            call_postpone(call, loop_wall_us(upstream->loop) / 1000 + wait_us / 1000);
            call = next;
        }
    }
    limit_pump(upstream);
    upstream_release(upstream);
}

static void reserve(struct upstream *upstream, size_t wanted)
{
    struct rate *rate = &upstream->rate;
    double batch = rate->per_second / BATCHES_A_SECOND;
    size_t most = batch < 1 ? 1 : batch > MAX_BATCH ? MAX_BATCH : (size_t)batch;
    char interval[24], count[24], longest[24], tolerance[24];

    if (wanted > most)
        wanted = most;
    snprintf(interval, sizeof(interval), "%lld", (long long)rate->interval_us);
    snprintf(count, sizeof(count), "%zu", wanted);
    snprintf(longest, sizeof(longest), "%d", MAX_RATE_WAIT_US);
    snprintf(tolerance, sizeof(tolerance), "%d", RATE_TOLERANCE_US);
    struct store_arg key = STORE_ARG(upstream->rate_key);
    struct store_arg args[] = {STORE_ARG(interval), STORE_ARG(count), STORE_ARG(longest),
                               STORE_ARG(tolerance)};
    rate->reserving = true;
    upstream_hold(upstream);
    store_script_start(upstream->store, &rate->store, scripts_find("rate_reserve"), &key, 1, args,
                       ARRAY_LEN(args), on_reserved);
}

/* Without a pool (the test kit, unit tests): the same spacing, in this process alone. */
static void reserve_locally(struct upstream *upstream)
{
    struct rate *rate = &upstream->rate;
    int64_t start_us = now_us(upstream) - RATE_TOLERANCE_US;

    if (rate->local_us < start_us)
        rate->local_us = start_us;
    rate->batches[0].next_us = rate->local_us;
    rate->batches[0].left = 1;
    rate->local_us += rate->interval_us;
}

/* Takes a slot of time that is due; else sees to it that one comes. */
static bool take_time(struct upstream *upstream)
{
    struct rate *rate = &upstream->rate;

    if (rate->per_second <= 0)
        return true;
    if (rate->batches[0].left == 0) {
        rate->batches[0] = rate->batches[1];
        rate->batches[1].left = 0;
    }
    if (rate->batches[0].left == 0 && !upstream->store)
        reserve_locally(upstream);
    if (rate->batches[0].left == 0)
        return false;
    int64_t wait_us = rate->batches[0].next_us - now_us(upstream);
    if (wait_us > 0) {
        loop_timer_start(&rate->timer, (wait_us + 999) / 1000);
        return false;
    }
    rate->batches[0].left--;
    rate->batches[0].next_us += rate->interval_us;
    return true;
}

/* Asks for more slots of time while half of a batch is still there, so that Redis' answer costs no time. */
static void look_ahead(struct upstream *upstream)
{
    struct rate *rate = &upstream->rate;
    size_t left = reserved(rate);

    if (rate->per_second <= 0 || !upstream->store || rate->reserving || rate->batches[1].left > 0)
        return;
    if (upstream->queue.count <= left || (double)left * 2 * BATCHES_A_SECOND > rate->per_second)
        return;
    if (left == 0 && loop_timer_active(&rate->timer)) /* Redis could not say: ask again when it is over */
        return;
    reserve(upstream, upstream->queue.count - left);
}

static void on_rate_timer(struct loop_timer *timer)
{
    struct rate *rate = container_of(timer, struct rate, timer);

    limit_pump(container_of(rate, struct upstream, rate));
}

/* ---- the queue ---- */

void limit_enqueue(struct upstream *upstream, struct upstream_call *call, bool first)
{
    call->stage = CALL_QUEUED;
    call->queued_ms = loop_now_ms(upstream->loop);
    call_list_add(&upstream->queue, call, first);
    limit_pump(upstream);
}

void limit_remove(struct upstream *upstream, struct upstream_call *call)
{
    call_list_remove(&upstream->queue, call);
    call->stage = CALL_IDLE;
}

/* Calls that a closed door has overtaken, unless they are its probe. */
static void postpone_held(struct upstream *upstream)
{
    int64_t until_ms = breaker_holds_until_ms(upstream);
    struct upstream_call *call = until_ms > 0 ? upstream->queue.first : NULL;

    while (call) {
        struct upstream_call *next = call->next;
        if (!call->probe) {
            limit_remove(upstream, call);
            call_postpone(call, until_ms);
        }
        call = next;
    }
}

void limit_pump(struct upstream *upstream)
{
    struct slots *slots = &upstream->slots;

    if (upstream->pumping || upstream->closing)
        return;
    upstream->pumping = true;
    if (upstream->queue.count > 0)
        postpone_held(upstream);
    while (upstream->queue.first && slots->in_flight < (int64_t)slots->limit && take_time(upstream)) {
        struct upstream_call *call = upstream->queue.first;
        limit_remove(upstream, call);
        if (upstream->rate.per_second > 0)
            metrics_add(METRIC_rate_limited_seconds_total, 0, loop_now_ms(upstream->loop) - call->queued_ms);
        call_send(call);
    }
    look_ahead(upstream);
    upstream->pumping = false;
}
