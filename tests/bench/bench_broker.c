/*
 * How fast one loop takes a message, publishes one for it, waits for the confirm and acks: the broker's share
 * of an order's way. Usage: bench_broker URI COUNT PREFETCH. Needs a broker; makes and uses the queues
 * bench.in and bench.out, and leaves bench.out full. Prints one line.
 */
#include "common/broker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { BODY_BYTES = 400, SLOTS = 4096, TIMEOUT_MS = 60000, MAX_BODY_BYTES = 1 << 20 };

struct slot {
    struct publish_op op;
    struct bench *bench;
    struct delivery delivery;
    struct slot *next_free;
};

struct bench {
    struct loop *loop;
    struct broker *broker;
    struct broker_declare_op declare;
    struct broker_consumer *consumer;
    struct slot slots[SLOTS];
    struct slot *free;
    long count, filled, confirmed_fill, done;
    uint16_t prefetch;
    int step;
    int64_t start_us;
    char body[BODY_BYTES];
};

static void fail(const struct fault *fault)
{
    fprintf(stderr, "bench_broker: %s %s\n", err_name(fault->code), fault->detail);
    exit(1);
}

static void publish(struct bench *bench, struct slot *slot, const char *queue, publish_done_fn *done)
{
    const struct publication publication = {.exchange = "",
                                            .routing_key = queue,
                                            .message_id = "bench",
                                            .content_type = "application/json",
                                            .body = bench->body,
                                            .body_length = sizeof(bench->body)};

    broker_publish(bench->broker, &slot->op, &publication, TIMEOUT_MS, done);
}

static struct slot *take_slot(struct bench *bench)
{
    struct slot *slot = bench->free;

    if (slot)
        bench->free = slot->next_free;
    return slot;
}

static void give_slot(struct slot *slot)
{
    slot->next_free = slot->bench->free;
    slot->bench->free = slot;
}

static void on_forwarded(struct publish_op *op, const struct fault *fault)
{
    struct slot *slot = container_of(op, struct slot, op);
    struct bench *bench = slot->bench;

    if (fault->code != OK)
        fail(fault);
    broker_ack(bench->broker, slot->delivery);
    give_slot(slot);
    if (++bench->done < bench->count)
        return;
    double seconds = (double)(loop_wall_us(bench->loop) - bench->start_us) / 1e6;

    printf("%ld messages in %.2f s: %.0f/s (consume, publish, confirm, ack; prefetch %u)\n", bench->count,
           seconds, (double)bench->count / seconds, (unsigned)bench->prefetch);
    broker_close(bench->broker);
}

static void on_delivery(void *context, struct delivery delivery, struct message *take_message)
{
    struct bench *bench = context;
    struct slot *slot = take_slot(bench);

    if (bench->start_us == 0)
        bench->start_us = loop_wall_us(bench->loop);
    message_fini(take_message);
    if (!slot || bench->done >= bench->count)
        return;
    slot->delivery = delivery;
    publish(bench, slot, "bench.out", on_forwarded);
}

static void fill(struct bench *bench);

static void on_filled(struct publish_op *op, const struct fault *fault)
{
    struct slot *slot = container_of(op, struct slot, op);
    struct bench *bench = slot->bench;

    if (fault->code != OK)
        fail(fault);
    give_slot(slot);
    if (++bench->confirmed_fill < bench->count) {
        fill(bench);
        return;
    }
    bench->consumer =
        broker_consume(bench->broker, "bench.in", bench->prefetch, MAX_BODY_BYTES, on_delivery, bench);
}

static void fill(struct bench *bench)
{
    while (bench->filled < bench->count && bench->free) {
        bench->filled++;
        publish(bench, take_slot(bench), "bench.in", on_filled);
    }
}

static void on_declared(struct broker_declare_op *op, const struct fault *fault)
{
    struct bench *bench = container_of(op, struct bench, declare);
    struct headers *arguments = headers_new();

    if (fault->code != OK)
        fail(fault);
    if (!arguments || headers_set_str(arguments, "x-queue-type", "quorum") != OK)
        exit(1);
    if (bench->step++ == 0)
        broker_declare_queue(bench->broker, op, "bench.out", arguments, false, on_declared);
    else
        fill(bench);
    headers_free(arguments);
}

static void on_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    struct bench *bench = context;
    struct headers *arguments;

    if (!up)
        fail(fault);
    if (link != BROKER_PUBLISHING)
        return;
    arguments = headers_new();
    if (!arguments || headers_set_str(arguments, "x-queue-type", "quorum") != OK)
        exit(1);
    broker_declare_queue(bench->broker, &bench->declare, "bench.in", arguments, false, on_declared);
    headers_free(arguments);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct broker_options options = {.connection_name = "bench",
                                     .heartbeat_s = 10,
                                     .consumes = true,
                                     .publishes = true,
                                     .max_output_bytes = 8 << 20};
    const struct broker_events events = {.on_link = on_link};
    struct fault fault;

    if (argc != 4) {
        fprintf(stderr, "usage: bench_broker URI COUNT PREFETCH\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    options.uris = argv[1];
    bench.count = atol(argv[2]);
    bench.prefetch = (uint16_t)atoi(argv[3]);
    memset(bench.body, 'x', sizeof(bench.body));
    for (size_t i = 0; i < SLOTS; i++) {
        bench.slots[i].bench = &bench;
        give_slot(&bench.slots[i]);
    }
    bench.loop = loop_new();
    if (!bench.loop)
        return 1;
    bench.broker = broker_open(bench.loop, &options, &events, &bench, &fault);
    if (!bench.broker)
        fail(&fault);
    loop_run(bench.loop);
    loop_free(bench.loop);
    return bench.done == bench.count ? 0 : 1;
}
