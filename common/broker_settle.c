/*
 * Says what became of deliveries: acks in few frames at the end of a turn, requeues at once; and fetches
 * single messages for operators. Decides how long a finished delivery may wait behind a slower one before it
 * gets an ack of its own. The arithmetic is broker_acks.c's. Called through broker.h, and by broker.c.
 */
#include "common/broker_private.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

/* Acks that wait for an older delivery wait this long at most. */
enum { ACK_WAIT_MS = 200 };

static struct broker_link_end *consuming(struct broker *broker)
{
    return &broker->links[BROKER_CONSUMING];
}

static void send_ack(void *context, uint64_t tag, bool multiple)
{
    struct broker *broker = context;
    amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};

    broker_wire_send(consuming(broker)->wire, BROKER_WIRE_MAIN, AMQP_BASIC_ACK_METHOD, &ack);
}

static void on_acks_timer(struct loop_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, acks_timer);

    if (broker_link_ready(consuming(broker)) && !broker_consumer_holds_acks(broker))
        broker_acks_flush(&broker->acks, 0, send_ack, broker);
}

void broker_settle_init(struct broker *broker)
{
    broker_acks_init(&broker->acks);
    loop_timer_init(&broker->acks_timer, broker->loop, on_acks_timer);
}

void broker_settle_flush(struct broker *broker)
{
    if (broker->acks.done == 0 || (!broker->closing && broker_consumer_holds_acks(broker)))
        return;
    broker_acks_flush(&broker->acks, broker->closing ? 0 : broker_consumer_acks_may_wait(broker), send_ack,
                      broker);
    if (broker->acks.done == 0)
        loop_timer_stop(&broker->acks_timer);
    else if (!loop_timer_active(&broker->acks_timer))
        loop_timer_start(&broker->acks_timer, ACK_WAIT_MS);
}

bool broker_settle_add(struct broker *broker, uint64_t tag, bool urgent)
{
    enum err err = broker_acks_add(&broker->acks, tag, urgent);
    struct fault fault = fault_of(err);

    if (err == ERR_MALFORMED)
        broker_link_confused(consuming(broker), "delivery tags out of order");
    else if (err != OK)
        broker_wire_fail(consuming(broker)->wire, &fault);
    return err == OK;
}

static bool of_this_epoch(const struct broker *broker, struct delivery delivery)
{
    const struct broker_link_end *end = &broker->links[BROKER_CONSUMING];

    return !broker->closing && broker_link_ready(end) && broker_wire_epoch(end->wire) == delivery.epoch;
}

void broker_ack(struct broker *broker, struct delivery delivery)
{
    if (of_this_epoch(broker, delivery))
        (void)broker_acks_mark_done(&broker->acks, delivery.tag);
}

void broker_requeue(struct broker *broker, struct delivery delivery)
{
    amqp_basic_nack_t nack = {.delivery_tag = delivery.tag, .requeue = 1};

    if (of_this_epoch(broker, delivery) && broker_acks_mark_requeued(&broker->acks, delivery.tag))
        broker_wire_send(consuming(broker)->wire, BROKER_WIRE_MAIN, AMQP_BASIC_NACK_METHOD, &nack);
}

bool broker_delivery_valid(const struct broker *broker, struct delivery delivery)
{
    return of_this_epoch(broker, delivery) && broker_acks_is_unsettled(&broker->acks, delivery.tag);
}

size_t broker_unsettled(const struct broker *broker)
{
    return broker->acks.unsettled;
}

/* ---- basic.get ---- */

void broker_get(struct broker *broker, struct broker_get_op *op, const char *queue, broker_get_fn *done)
{
    const struct fault fault = fault_make(ERR_NETWORK, "not connected to the broker");
    amqp_basic_get_t get = {.queue = {.len = strlen(queue), .bytes = (void *)(uintptr_t)queue}};

    *op = (struct broker_get_op){.done = done};
    if (!broker_link_ready(consuming(broker))) {
        broker_finish_get(broker, op, &fault);
        return;
    }
    if (broker->get_last)
        broker->get_last->next = op;
    else
        broker->get_first = op;
    broker->get_last = op;
    broker_wire_send(consuming(broker)->wire, BROKER_WIRE_MAIN, AMQP_BASIC_GET_METHOD, &get);
}

static struct broker_get_op *take_oldest_get(struct broker *broker)
{
    struct broker_get_op *op = broker->get_first;

    if (!op)
        return NULL;
    broker->get_first = op->next;
    if (!op->next)
        broker->get_last = NULL;
    return op;
}

bool broker_settle_on_method(struct broker *broker, uint32_t method)
{
    const struct fault success = fault_of(OK);
    struct broker_get_op *op = method == AMQP_BASIC_GET_EMPTY_METHOD ? take_oldest_get(broker) : NULL;

    if (op)
        broker_finish_get(broker, op, &success);
    return op != NULL;
}

void broker_settle_on_got(struct broker *broker, struct broker_content *content)
{
    const struct fault success = fault_of(OK);
    struct delivery delivery = {broker_wire_epoch(consuming(broker)->wire), content->delivery_tag};
    struct message message = content->message;
    struct broker_get_op *op = take_oldest_get(broker);

    if (!op) {
        broker_link_confused(consuming(broker), "a message that nobody asked for");
        return;
    }
    content->message = (struct message){0};
    if (broker_settle_add(broker, delivery.tag, true)) {
        op->done(op, delivery, &message, &success);
        return;
    }
    message_fini(&message);
    broker_finish_get(broker, op, &(struct fault){.code = ERR_NETWORK});
}

void broker_settle_on_down(struct broker *broker, const struct fault *fault)
{
    struct broker_get_op *op;

    broker_acks_reset(&broker->acks);
    loop_timer_stop(&broker->acks_timer);
    while ((op = take_oldest_get(broker)))
        broker_finish_get(broker, op, fault);
}
