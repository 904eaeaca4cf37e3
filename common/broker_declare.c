/*
 * Questions on a link's control channel: declare, bind, and "is this queue there?". The broker answers them
 * in order, or closes the channel at the first it refuses and drops those behind it. Decides which answer
 * belongs to which question; the worker's topology.c decides what to ask. Called by broker.c and
 * broker_consumer.c.
 */
#include "common/broker_buffer.h"
#include "common/broker_private.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

enum { POOL_PAGE_BYTES = 4096, ANSWER_MS = 30000 };

static amqp_bytes_t text_bytes_of(const char *text)
{
    return (amqp_bytes_t){.len = strlen(text), .bytes = (void *)(uintptr_t)text};
}

static void on_asked_timer(struct loop_timer *timer)
{
    struct broker_link_end *end = container_of(timer, struct broker_link_end, asked_timer);
    struct fault fault = fault_make(ERR_NETWORK, "no answer to a declaration in %d s", ANSWER_MS / 1000);

    broker_wire_fail(end->wire, &fault);
}

void broker_declare_init(struct broker_link_end *end)
{
    loop_timer_init(&end->asked_timer, end->broker->loop, on_asked_timer);
}

static void watch_oldest(struct broker_link_end *end)
{
    if (!end->asked_first)
        loop_timer_stop(&end->asked_timer);
    else
        loop_timer_start(&end->asked_timer, end->asked_first->deadline_ms - loop_now_ms(end->broker->loop));
}

static void remember(struct broker_link_end *end, struct broker_declare_op *op)
{
    op->deadline_ms = loop_now_ms(end->broker->loop) + ANSWER_MS;
    if (end->asked_last)
        end->asked_last->next = op;
    else
        end->asked_first = op;
    end->asked_last = op;
    if (end->asked_first == op)
        watch_oldest(end);
}

static struct broker_declare_op *take_oldest(struct broker_link_end *end)
{
    struct broker_declare_op *op = end->asked_first;

    if (!op)
        return NULL;
    end->asked_first = op->next;
    if (!op->next)
        end->asked_last = NULL;
    watch_oldest(end);
    return op;
}

/* Sends the question, or ends the op when it cannot be sent. */
static void ask(struct broker_link_end *end, struct broker_declare_op *op, broker_declare_fn *done,
                uint32_t method, void *decoded)
{
    struct fault fault = fault_make(ERR_NETWORK, "not connected to the broker");

    *op = (struct broker_declare_op){.done = done};
    if (!broker_link_ready(end)) {
        broker_finish_declare(end->broker, op, &fault);
        return;
    }
    remember(end, op);
    broker_wire_send(end->wire, BROKER_WIRE_CONTROL, method, decoded);
}

/* `headers` as librabbitmq's table, in `pool` and `ret_encoded`, both the caller's to free. */
static enum err build_table(const struct headers *headers, amqp_pool_t *pool, uint8_t **ret_encoded,
                            amqp_table_t *ret_table)
{
    size_t bytes = headers_encoded_bytes(headers, true);
    size_t offset = 0;

    *ret_encoded = malloc(bytes + 4);
    if (!*ret_encoded)
        return ERR_NOMEM;
    broker_buffer_put_number(*ret_encoded, bytes, 4);
    headers_encode(headers, true, *ret_encoded + 4);
    return amqp_decode_table((amqp_bytes_t){.len = bytes + 4, .bytes = *ret_encoded}, pool, ret_table,
                             &offset) >= 0
               ? OK
               : ERR_NOMEM;
}

static void ask_with_table(struct broker *broker, struct broker_declare_op *op, broker_declare_fn *done,
                           uint32_t method, void *decoded, amqp_table_t *table,
                           const struct headers *arguments)
{
    AUTO_FREE uint8_t *encoded = NULL;
    struct fault fault = fault_of(ERR_NOMEM);
    amqp_pool_t pool;

    init_amqp_pool(&pool, POOL_PAGE_BYTES);
    if (build_table(arguments, &pool, &encoded, table) == OK) {
        ask(broker_declaring_link(broker), op, done, method, decoded);
    } else {
        *op = (struct broker_declare_op){.done = done};
        broker_finish_declare(broker, op, &fault);
    }
    empty_amqp_pool(&pool);
}

void broker_declare_exchange(struct broker *broker, struct broker_declare_op *op, const char *name,
                             const char *type, const struct headers *arguments, bool passive,
                             broker_declare_fn *done)
{
    amqp_exchange_declare_t declare = {
        .exchange = text_bytes_of(name), .type = text_bytes_of(type), .passive = passive, .durable = 1};

    ask_with_table(broker, op, done, AMQP_EXCHANGE_DECLARE_METHOD, &declare, &declare.arguments, arguments);
}

void broker_declare_queue(struct broker *broker, struct broker_declare_op *op, const char *name,
                          const struct headers *arguments, bool passive, broker_declare_fn *done)
{
    amqp_queue_declare_t declare = {.queue = text_bytes_of(name), .passive = passive, .durable = 1};

    ask_with_table(broker, op, done, AMQP_QUEUE_DECLARE_METHOD, &declare, &declare.arguments, arguments);
}

void broker_bind_queue(struct broker *broker, struct broker_declare_op *op, const char *queue,
                       const char *exchange, const char *key, broker_declare_fn *done)
{
    amqp_queue_bind_t bind = {.queue = text_bytes_of(queue),
                              .exchange = text_bytes_of(exchange),
                              .routing_key = text_bytes_of(key)};

    ask(broker_declaring_link(broker), op, done, AMQP_QUEUE_BIND_METHOD, &bind);
}

void broker_bind_exchange(struct broker *broker, struct broker_declare_op *op, const char *destination,
                          const char *source, const char *key, broker_declare_fn *done)
{
    amqp_exchange_bind_t bind = {.destination = text_bytes_of(destination),
                                 .source = text_bytes_of(source),
                                 .routing_key = text_bytes_of(key)};

    ask(broker_declaring_link(broker), op, done, AMQP_EXCHANGE_BIND_METHOD, &bind);
}

void broker_declare_probe(struct broker_link_end *end, struct broker_declare_op *op, const char *queue,
                          broker_declare_fn *done)
{
    amqp_queue_declare_t declare = {.queue = text_bytes_of(queue), .passive = 1, .durable = 1};

    ask(end, op, done, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

bool broker_declare_on_method(struct broker_link_end *end, uint32_t method, void *decoded)
{
    const struct fault success = fault_of(OK);
    struct broker_declare_op *op;

    if (method != AMQP_QUEUE_DECLARE_OK_METHOD && method != AMQP_EXCHANGE_DECLARE_OK_METHOD &&
        method != AMQP_QUEUE_BIND_OK_METHOD && method != AMQP_EXCHANGE_BIND_OK_METHOD)
        return false;
    op = take_oldest(end);
    if (!op)
        return false;
    if (method == AMQP_QUEUE_DECLARE_OK_METHOD) {
        amqp_queue_declare_ok_t *ok = decoded;

        op->message_count = ok->message_count;
        op->consumer_count = ok->consumer_count;
    }
    broker_finish_declare(end->broker, op, &success);
    return true;
}

void broker_declare_on_refused(struct broker_link_end *end, const struct fault *fault)
{
    const struct fault dropped = fault_make(ERR_NETWORK, "dropped because the one before it was refused");
    struct broker_declare_op *op = take_oldest(end);

    if (op)
        broker_finish_declare(end->broker, op, fault);
    while ((op = take_oldest(end)))
        broker_finish_declare(end->broker, op, &dropped);
}

void broker_declare_on_down(struct broker_link_end *end, const struct fault *fault)
{
    /* Whatever ended the link was not said about these; only the operator's own cancel is passed on. */
    const struct fault lost =
        fault_make(fault->code == ERR_CANCELED ? ERR_CANCELED : ERR_NETWORK, "%s", fault->detail);
    struct broker_declare_op *op;

    while ((op = take_oldest(end)))
        broker_finish_declare(end->broker, op, &lost);
}
