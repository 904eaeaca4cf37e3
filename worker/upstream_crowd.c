/*
 * Keeps an upstream that is slow, or slowly asked, from holding all orders that a worker may have in hand:
 * when enough lines wait here for a slot or their time, further ones go back to the queues until it will be
 * their turn. Only where there are several upstreams: otherwise there is nobody to make room for. Called by
 * upstream_breaker.c, before a line's first request.
 */
#include "worker/upstream_parts.h"

enum { UNKNOWN_LATENCY_MS = 100, FARTHEST_MS = 10 * 60 * 1000 };

static size_t waiting(const struct upstream *upstream)
{
    return upstream->queue.count + upstream->token.waiting.count + upstream->crowd.admitting;
}

static size_t free_slots(const struct upstream *upstream)
{
    int64_t limit = (int64_t)upstream->slots.limit;

    return limit > upstream->slots.in_flight ? (size_t)(limit - upstream->slots.in_flight) : 0;
}

/* How long one line more keeps the upstream busy. */
static int64_t service_ms(const struct upstream *upstream)
{
    double latency_ms = upstream->slots.latency_ms > 0 ? upstream->slots.latency_ms : UNKNOWN_LATENCY_MS;
    double by_slots_ms = latency_ms / upstream->slots.limit;
    double by_rate_ms = upstream->rate.per_second > 0 ? 1000 / upstream->rate.per_second : 0;
    double longer_ms = by_slots_ms > by_rate_ms ? by_slots_ms : by_rate_ms;

    return longer_ms < 1 ? 1 : (int64_t)longer_ms;
}

bool crowd_is_full(const struct upstream *upstream)
{
    return upstream->crowd.most > 0 && waiting(upstream) >= upstream->crowd.most + free_slots(upstream);
}

int64_t crowd_turn_ms(struct upstream *upstream)
{
    int64_t now_ms = loop_now_ms(upstream->loop), one_ms = service_ms(upstream);
    int64_t turn_ms = now_ms + (int64_t)waiting(upstream) * one_ms;

    if (turn_ms < upstream->crowd.last_turn_ms + one_ms)
        turn_ms = upstream->crowd.last_turn_ms + one_ms;
    if (turn_ms > now_ms + FARTHEST_MS)
        turn_ms = now_ms + FARTHEST_MS;
    upstream->crowd.last_turn_ms = turn_ms;
    return breaker_now_ms(upstream) + turn_ms - now_ms;
}
