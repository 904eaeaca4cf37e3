/*
 * Keeps each consumer subscribed while it is wanted, whatever happens to the link or the queue, by the states
 * below. Before it subscribes it asks on the control channel whether the queue is there: a basic.consume of a
 * missing queue would close the channel that carries everybody's deliveries. Called through broker.h, and by
 * broker.c. What becomes of a delivery is broker_settle.c's.
 */
#include "common/broker_private.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <stdio.h>
#include <string.h>

/*        state         meaning */
#define CONSUMER_STATES(X)                                                                                   \
    X(OFF, "the link is down, or it is paused")                                                              \
    X(WAITING, "the queue was not there; asks again when the timer fires")                                   \
    X(PROBING, "asked whether the queue is there")                                                           \
    X(SUBSCRIBING, "basic.consume sent")                                                                     \
    X(ACTIVE, "the broker has confirmed it")                                                                 \
    X(QUIETING, "to be paused: takes what is on its way, and holds acks back so that no more is sent")       \
    X(CANCELING, "basic.cancel sent")

enum consumer_state {
#define STATE(name, meaning) CONSUMER_##name,
    CONSUMER_STATES(STATE)
#undef STATE
};

/*
 * What is on its way to a consumer when it is cancelled comes back to its queue as redelivered
 * (RabbitMQ 3.10, rabbit_fifo_client), which says of an order that it may have been run. So it is cancelled
 * when nothing has come for QUIET_MS, or the prefetch is used up.
 */
enum {
    RETRY_FIRST_MS = 200,
    RETRY_MAX_MS = 5000,
    URGENT_PREFETCH = 4,
    QUIET_MS = 10,
    QUIETING_MAX_MS = 1000
};

struct broker_consumer {
    struct broker *broker;
    struct broker_consumer *next;
    char *queue;
    uint16_t prefetch;
    size_t max_body_bytes;
    broker_delivery_fn *fn;
    void *context;
    uint32_t id;           /* deliveries are told apart by it */
    uint32_t subscription; /* counts the basic.consumes, so that answers to an older one are known */
    enum consumer_state state;
    bool paused;
    bool at_once;                   /* a pause that does not wait for quiet */
    int64_t delivered_ms;           /* when something came last; loop clock */
    int64_t quiet_by_ms;            /* while QUIETING: cancelled then, quiet or not; loop clock */
    bool gone;                      /* freed by its owner while a probe is out */
    struct broker_declare_op probe; /* in flight while its `done` is set */
    struct loop_timer timer;        /* WAITING: asks again; QUIETING: nothing has come for so long */
    int64_t retry_ms;
};

static void pursue(struct broker_consumer *consumer);

static struct broker_link_end *consuming(struct broker *broker)
{
    return &broker->links[BROKER_CONSUMING];
}

/* The only place that changes the state. */
static void enter(struct broker_consumer *consumer, enum consumer_state state)
{
    consumer->state = state;
    loop_timer_stop(&consumer->timer);
}

static void format_tag(const struct broker_consumer *consumer, char *out, size_t size)
{
    snprintf(out, size, "fulfilld-%u-%u", (unsigned)consumer->id, (unsigned)consumer->subscription);
}

/* The consumer a tag belongs to, of whatever subscription; NULL = none. */
static struct broker_consumer *find_by_tag(const struct broker *broker, const char *tag)
{
    static const char prefix[] = "fulfilld-";
    unsigned long id;

    if (strncmp(tag, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    id = strtoul(tag + sizeof(prefix) - 1, NULL, 10);
    for (struct broker_consumer *each = broker->consumers; each; each = each->next) {
        if (each->id == id && !each->gone)
            return each;
    }
    return NULL;
}

/* The consumer whose present subscription a tag names; NULL = an older one or none. */
static struct broker_consumer *find_subscribed(const struct broker *broker, amqp_bytes_t tag)
{
    char text[BROKER_READER_TAG_BYTES] = "";
    char present[BROKER_READER_TAG_BYTES];
    struct broker_consumer *consumer;

    if (tag.len >= sizeof(text))
        return NULL;
    memcpy(text, tag.bytes, tag.len);
    consumer = find_by_tag(broker, text);
    if (!consumer)
        return NULL;
    format_tag(consumer, present, sizeof(present));
    return strcmp(text, present) == 0 ? consumer : NULL;
}

static void release(struct broker_consumer *consumer)
{
    struct broker_consumer **slot = &consumer->broker->consumers;

    while (*slot != consumer)
        slot = &(*slot)->next;
    *slot = consumer->next;
    loop_timer_stop(&consumer->timer);
    free(consumer->queue);
    free(consumer);
}

static void wait_for_queue(struct broker_consumer *consumer)
{
    enter(consumer, CONSUMER_WAITING);
    loop_timer_start(&consumer->timer, consumer->retry_ms);
    consumer->retry_ms = consumer->retry_ms * 2 < RETRY_MAX_MS ? consumer->retry_ms * 2 : RETRY_MAX_MS;
}

static void send_cancel(struct broker_consumer *consumer)
{
    char tag[BROKER_READER_TAG_BYTES];
    amqp_basic_cancel_t cancel = {.nowait = 0};

    format_tag(consumer, tag, sizeof(tag));
    cancel.consumer_tag = amqp_cstring_bytes(tag);
    enter(consumer, CONSUMER_CANCELING);
    broker_wire_send(consuming(consumer->broker)->wire, BROKER_WIRE_MAIN, AMQP_BASIC_CANCEL_METHOD, &cancel);
}

/* Cancels it as soon as nothing has come for QUIET_MS, which may be so already. */
static void wait_for_quiet(struct broker_consumer *consumer)
{
    const struct broker_acks *acks = &consumer->broker->acks;
    int64_t now_ms = loop_now_ms(consumer->broker->loop);
    int64_t left_ms = consumer->delivered_ms + QUIET_MS - now_ms;

    if (left_ms <= 0 || now_ms >= consumer->quiet_by_ms || acks->unsettled + acks->done >= consumer->prefetch)
        send_cancel(consumer);
    else
        loop_timer_start(&consumer->timer, left_ms);
}

static void quiet_down(struct broker_consumer *consumer)
{
    enter(consumer, CONSUMER_QUIETING);
    consumer->quiet_by_ms = loop_now_ms(consumer->broker->loop) + QUIETING_MAX_MS;
    wait_for_quiet(consumer);
}

static void subscribe(struct broker_consumer *consumer)
{
    struct broker_wire *wire = consuming(consumer->broker)->wire;
    char tag[BROKER_READER_TAG_BYTES];
    amqp_basic_qos_t qos = {.prefetch_count = consumer->prefetch}; /* not global: for the next consumer */
    amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(consumer->queue)};

    consumer->subscription++;
    format_tag(consumer, tag, sizeof(tag));
    consume.consumer_tag = amqp_cstring_bytes(tag);
    enter(consumer, CONSUMER_SUBSCRIBING);
    broker_wire_send(wire, BROKER_WIRE_MAIN, AMQP_BASIC_QOS_METHOD, &qos);
    broker_wire_send(wire, BROKER_WIRE_MAIN, AMQP_BASIC_CONSUME_METHOD, &consume);
}

static void on_probed(struct broker_declare_op *op, const struct fault *fault)
{
    struct broker_consumer *consumer = container_of(op, struct broker_consumer, probe);

    op->done = NULL;
    if (consumer->gone) {
        release(consumer);
        return;
    }
    if (consumer->state != CONSUMER_PROBING) {
        pursue(consumer); /* the link has gone since, and may be back */
        return;
    }
    enter(consumer, CONSUMER_OFF);
    if (!broker_link_ready(consuming(consumer->broker)) || consumer->paused)
        return; /* the link coming up, or going on, starts over */
    if (fault->code == OK)
        subscribe(consumer);
    else
        wait_for_queue(consumer);
}

/* Takes the next step towards what is wanted; steps that wait for an answer go on when it comes. */
static void pursue(struct broker_consumer *consumer)
{
    struct broker_link_end *end = consuming(consumer->broker);

    if (!broker_link_ready(end))
        return;
    switch (consumer->state) {
    case CONSUMER_OFF:
        if (consumer->paused || consumer->probe.done)
            return;
        enter(consumer, CONSUMER_PROBING);
        broker_declare_probe(end, &consumer->probe, consumer->queue, on_probed);
        return;
    case CONSUMER_WAITING:
        if (consumer->paused)
            enter(consumer, CONSUMER_OFF);
        return;
    case CONSUMER_SUBSCRIBING:
        if (consumer->paused && consumer->at_once)
            send_cancel(consumer);
        return;
    case CONSUMER_ACTIVE:
        if (consumer->paused && consumer->at_once)
            send_cancel(consumer);
        else if (consumer->paused)
            quiet_down(consumer);
        return;
    case CONSUMER_QUIETING:
        if (!consumer->paused) {
            enter(consumer, CONSUMER_ACTIVE);
            broker_settle_flush(consumer->broker);
        } else if (consumer->at_once) {
            send_cancel(consumer);
        }
        return;
    case CONSUMER_PROBING:
    case CONSUMER_CANCELING:
        return;
    }
}

static void on_timer(struct loop_timer *timer)
{
    struct broker_consumer *consumer = container_of(timer, struct broker_consumer, timer);

    if (consumer->state == CONSUMER_QUIETING) {
        wait_for_quiet(consumer);
        return;
    }
    enter(consumer, CONSUMER_OFF);
    pursue(consumer);
}

struct broker_consumer *broker_consume(struct broker *broker, const char *queue, uint16_t prefetch,
                                       size_t max_body_bytes, broker_delivery_fn *fn, void *context)
{
    struct broker_consumer *consumer = calloc(1, sizeof(*consumer));

    if (!consumer)
        return NULL;
    consumer->queue = strdup(queue);
    if (!consumer->queue) {
        free(consumer);
        return NULL;
    }
    consumer->broker = broker;
    consumer->prefetch = prefetch;
    consumer->max_body_bytes = max_body_bytes;
    consumer->fn = fn;
    consumer->context = context;
    consumer->id = ++broker->consumer_next_id;
    consumer->retry_ms = RETRY_FIRST_MS;
    loop_timer_init(&consumer->timer, broker->loop, on_timer);
    consumer->next = broker->consumers;
    broker->consumers = consumer;
    pursue(consumer);
    return consumer;
}

void broker_consumer_pause(struct broker_consumer *consumer, bool paused)
{
    consumer->paused = paused;
    pursue(consumer);
}

void broker_consumer_stop(struct broker_consumer *consumer)
{
    consumer->at_once = true;
    broker_consumer_pause(consumer, true);
}

static bool is_subscribed(const struct broker_consumer *consumer)
{
    return consumer->state == CONSUMER_SUBSCRIBING || consumer->state == CONSUMER_ACTIVE ||
           consumer->state == CONSUMER_QUIETING;
}

bool broker_consumer_active(const struct broker_consumer *consumer)
{
    return consumer->state == CONSUMER_ACTIVE;
}

void broker_consumer_free(struct broker_consumer *consumer)
{
    if (!consumer)
        return;
    if (broker_link_ready(consuming(consumer->broker)) && is_subscribed(consumer))
        send_cancel(consumer);
    consumer->gone = true;
    loop_timer_stop(&consumer->timer);
    if (!consumer->probe.done)
        release(consumer);
}

void broker_consumer_free_all(struct broker *broker)
{
    struct broker_consumer *next;

    for (struct broker_consumer *each = broker->consumers; each; each = next) {
        next = each->next;
        broker_consumer_free(each);
    }
}

void broker_consumer_on_up(struct broker *broker)
{
    for (struct broker_consumer *each = broker->consumers; each; each = each->next)
        pursue(each);
}

void broker_consumer_on_down(struct broker *broker)
{
    for (struct broker_consumer *each = broker->consumers; each; each = each->next)
        enter(each, CONSUMER_OFF);
}

/* The broker has ended it by itself: the queue was deleted or has lost its leader. */
static void on_canceled_by_broker(struct broker *broker, const amqp_basic_cancel_t *cancel)
{
    struct broker_consumer *consumer = find_subscribed(broker, cancel->consumer_tag);
    amqp_basic_cancel_ok_t ok = {.consumer_tag = cancel->consumer_tag};

    if (!cancel->nowait)
        broker_wire_send(consuming(broker)->wire, BROKER_WIRE_MAIN, AMQP_BASIC_CANCEL_OK_METHOD, &ok);
    if (consumer && is_subscribed(consumer))
        wait_for_queue(consumer);
}

bool broker_consumer_on_method(struct broker *broker, uint32_t method, void *decoded)
{
    struct broker_consumer *consumer;

    if (method == AMQP_BASIC_CONSUME_OK_METHOD) {
        consumer = find_subscribed(broker, ((amqp_basic_consume_ok_t *)decoded)->consumer_tag);
        if (consumer && consumer->state == CONSUMER_SUBSCRIBING) {
            enter(consumer, CONSUMER_ACTIVE);
            consumer->retry_ms = RETRY_FIRST_MS;
            pursue(consumer);
        }
        return true;
    }
    if (method == AMQP_BASIC_CANCEL_OK_METHOD) {
        consumer = find_subscribed(broker, ((amqp_basic_cancel_ok_t *)decoded)->consumer_tag);
        if (consumer && consumer->state == CONSUMER_CANCELING) {
            enter(consumer, CONSUMER_OFF);
            pursue(consumer);
        }
        return true;
    }
    if (method == AMQP_BASIC_CANCEL_METHOD) {
        on_canceled_by_broker(broker, decoded);
        return true;
    }
    return method == AMQP_BASIC_QOS_OK_METHOD;
}

void broker_consumer_on_deliver(struct broker *broker, struct broker_content *content)
{
    struct broker_consumer *consumer = find_by_tag(broker, content->consumer_tag);
    struct delivery delivery = {broker_wire_epoch(consuming(broker)->wire), content->delivery_tag};
    struct message message = content->message;

    /* One that is handled a few at a time must not keep the broker waiting for its ack. */
    if (!broker_settle_add(broker, delivery.tag, consumer && consumer->prefetch <= URGENT_PREFETCH))
        return;
    if (!consumer) {
        broker_requeue(broker, delivery);
        return;
    }
    consumer->delivered_ms = loop_now_ms(broker->loop);
    if (consumer->state == CONSUMER_QUIETING)
        wait_for_quiet(consumer);
    content->message = (struct message){0};
    consumer->fn(consumer->context, delivery, &message);
}

bool broker_consumer_holds_acks(const struct broker *broker)
{
    for (const struct broker_consumer *each = broker->consumers; each; each = each->next) {
        if (each->state == CONSUMER_QUIETING)
            return true;
    }
    return false;
}

size_t broker_consumer_acks_may_wait(const struct broker *broker)
{
    size_t may_wait = SIZE_MAX;

    for (const struct broker_consumer *each = broker->consumers; each; each = each->next) {
        if (each->prefetch > URGENT_PREFETCH && each->prefetch / 4U < may_wait)
            may_wait = each->prefetch / 4U;
    }
    return may_wait;
}

size_t broker_consumer_body_limit(const struct broker *broker, const struct broker_content *content)
{
    const struct broker_consumer *consumer = find_by_tag(broker, content->consumer_tag);

    return consumer ? consumer->max_body_bytes : 0;
}
