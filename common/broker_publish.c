/*
 * Publishes and finds out what became of it: confirmed, returned, refused, out of time or lost. Decides how
 * the broker's answers map to the ends of a publication; sends nothing twice by itself, since only the
 * pipeline knows whether that is still wanted. The bookkeeping is broker_confirms.c's. Called through
 * broker.h, and by broker.c.
 */
#include "common/broker_private.h"

#include <amqp.h>
#include <amqp_framing.h>

static struct broker_link_end *publishing(struct broker *broker)
{
    return &broker->links[BROKER_PUBLISHING];
}

static void watch_deadline(struct broker *broker, int64_t deadline_ms)
{
    if (broker->confirms_timer_due_ms >= 0 && broker->confirms_timer_due_ms <= deadline_ms)
        return;
    broker->confirms_timer_due_ms = deadline_ms;
    loop_timer_start(&broker->confirms_timer, deadline_ms - loop_now_ms(broker->loop));
}

static void on_expired(void *context, struct publish_op *op)
{
    const struct fault fault = fault_make(ERR_TIMEOUT, "the broker has not confirmed a message in time");

    broker_finish_publish(context, op, &fault);
}

/* Fires at what was the earliest deadline; it may have been met since, then the next one is taken. */
static void on_confirms_timer(struct loop_timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, confirms_timer);
    int64_t next_ms =
        broker_confirms_expire(&broker->confirms, loop_now_ms(broker->loop), on_expired, broker);

    broker->confirms_timer_due_ms = -1;
    if (next_ms >= 0)
        watch_deadline(broker, next_ms);
}

void broker_publish_init(struct broker *broker)
{
    broker_confirms_init(&broker->confirms);
    broker->confirms_timer_due_ms = -1;
    loop_timer_init(&broker->confirms_timer, broker->loop, on_confirms_timer);
}

void broker_publish_on_up(struct broker *broker)
{
    amqp_confirm_select_t select = {.nowait = 0};

    /* Its answer need not be awaited: the channel works in order, so all that follows is confirmed. */
    broker_wire_send(publishing(broker)->wire, BROKER_WIRE_MAIN, AMQP_CONFIRM_SELECT_METHOD, &select);
}

/* OK when it was put into the output. */
static struct fault try_publish(struct broker *broker, struct publish_op *op,
                                const struct publication *publication)
{
    struct broker_link_end *end = publishing(broker);
    enum err err;

    if (!broker_link_ready(end))
        return fault_make(ERR_NETWORK, "not connected to the broker");
    if (broker_wire_output_bytes(end->wire) + publication->body_length > broker->max_output_bytes)
        return fault_make(ERR_UNAVAILABLE, "the broker is slow to read: %zu bytes wait to be sent",
                          broker_wire_output_bytes(end->wire));
    err = broker_confirms_reserve(&broker->confirms);
    if (err == OK)
        err = broker_wire_publish(end->wire, publication);
    if (err == ERR_TOO_BIG)
        return fault_make(err,
                          "a name of the message is longer than 255 bytes, or its headers are too large");
    if (err != OK)
        return fault_of(err);
    op->epoch = broker_wire_epoch(end->wire);
    broker_confirms_add(&broker->confirms, op,
                        broker_confirms_fingerprint(publication->exchange, publication->routing_key,
                                                    publication->message_id, publication->body,
                                                    publication->body_length));
    return fault_of(OK);
}

void broker_publish(struct broker *broker, struct publish_op *op, const struct publication *publication,
                    int64_t timeout_ms, publish_done_fn *done)
{
    struct fault fault;

    *op = (struct publish_op){.done = done, .broker = broker, .in_flight = true};
    op->deadline_ms = loop_now_ms(broker->loop) + timeout_ms;
    fault = try_publish(broker, op, publication);
    if (fault.code != OK) {
        broker_finish_publish(broker, op, &fault);
        return;
    }
    if (publication->body_length > broker->largest_body_bytes)
        broker->largest_body_bytes = publication->body_length;
    watch_deadline(broker, op->deadline_ms);
}

static void on_acked(void *context, struct publish_op *op)
{
    /* The broker acks what it has returned, too: it is done with it, not in charge of it. */
    const struct fault fault = fault_of(op->returned ? ERR_UNROUTABLE : OK);

    broker_finish_publish(context, op, &fault);
}

static void on_nacked(void *context, struct publish_op *op)
{
    const struct fault fault = fault_of(op->returned ? ERR_UNROUTABLE : ERR_NACKED);

    broker_finish_publish(context, op, &fault);
}

bool broker_publish_on_method(struct broker *broker, uint32_t method, void *decoded)
{
    enum err err = OK;

    if (method == AMQP_BASIC_ACK_METHOD) {
        amqp_basic_ack_t *ack = decoded;

        err = broker_confirms_settle(&broker->confirms, ack->delivery_tag, ack->multiple != 0, on_acked,
                                     broker);
    } else if (method == AMQP_BASIC_NACK_METHOD) {
        amqp_basic_nack_t *nack = decoded;

        err = broker_confirms_settle(&broker->confirms, nack->delivery_tag, nack->multiple != 0, on_nacked,
                                     broker);
    } else if (method != AMQP_CONFIRM_SELECT_OK_METHOD) {
        return false;
    }
    if (err != OK)
        broker_link_confused(publishing(broker), "a confirm for what was not sent");
    return true;
}

void broker_publish_on_returned(struct broker *broker, const struct broker_content *content)
{
    const struct message *message = &content->message;
    uint64_t fingerprint = broker_confirms_fingerprint(
        message->exchange, message->routing_key, message->message_id, message->body, message->body_length);

    /* Which one it was is not known, so none of those outstanding may count as taken. */
    if (message->too_big || broker_confirms_mark_returned(&broker->confirms, fingerprint) != OK)
        broker_link_confused(publishing(broker), "a message back that was not sent");
}

struct lost {
    struct broker *broker;
    struct fault fault;
};

static void on_lost(void *context, struct publish_op *op)
{
    struct lost *lost = context;

    broker_finish_publish(lost->broker, op, &lost->fault);
}

void broker_publish_on_down(struct broker *broker, const struct fault *fault)
{
    struct lost lost = {broker, *fault};

    lost.fault.code = fault->code == ERR_CANCELED ? ERR_CANCELED : ERR_NETWORK;
    broker_confirms_reset(&broker->confirms, on_lost, &lost);
    loop_timer_stop(&broker->confirms_timer);
    broker->confirms_timer_due_ms = -1;
}
