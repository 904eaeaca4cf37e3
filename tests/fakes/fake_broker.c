/*
 * The broker of fake_broker.h: one task that does everything that is due, and the functions of broker.h.
 * Decides as little as a broker must; what goes wrong is scripted by the test (fake_world.c).
 */
#include "fakes/fake_world.h"

#include <assert.h>
#include <string.h>

/* ---- what is due ---- */

static void tell_links(struct broker *broker)
{
    const struct fault lost = fault_make(ERR_NETWORK, "the fake link was cut");

    for (int link = 0; link < 2 && !broker->closing; link++) {
        if (broker->told_up[link] && broker->cut[link]) {
            broker->told_up[link] = false;
            broker->events.on_link(broker->context, (enum broker_link)link, false, &lost);
        }
        broker->cut[link] = false;
        if (!broker->told_up[link] && broker->up[link] && !broker->closing) {
            broker->told_up[link] = true;
            broker->events.on_link(broker->context, (enum broker_link)link, true, NULL);
        }
    }
    if (!broker->closing && broker->told_blocked != broker->blocked) {
        broker->told_blocked = broker->blocked;
        if (broker->events.on_blocked)
            broker->events.on_blocked(broker->context, broker->blocked, broker->blocked ? "fake alarm" : "");
    }
}

/* An op without deadline has its end in `fault`; one with a deadline waits for it, or for the hold to end. */
static struct publish_op *take_ended(struct broker *broker)
{
    for (struct publish_op **slot = &broker->published; *slot; slot = &(*slot)->next) {
        struct publish_op *op = *slot;
        bool held = op->deadline_ms > 0 && (fake_world.hold_confirms || op->fault.code == ERR_TIMEOUT);

        if (held && op->deadline_ms <= loop_now_ms(broker->loop)) {
            op->fault = fault_of(ERR_TIMEOUT);
            held = false;
        }
        if (!held) {
            *slot = op->next;
            return op;
        }
    }
    return NULL;
}

static void tell_published(struct broker *broker)
{
    struct publish_op *op;

    while ((op = take_ended(broker))) {
        const struct fault fault = op->fault;

        fake_world.confirmed += fault.code == OK;
        op->in_flight = false;
        op->done(op, &fault);
    }
    for (op = broker->published; op; op = op->next) {
        int64_t left_ms = op->deadline_ms - loop_now_ms(broker->loop);

        if (!loop_timer_active(&broker->deadline) || broker->deadline.due_ms > op->deadline_ms)
            loop_timer_start(&broker->deadline, left_ms > 0 ? left_ms : 0);
    }
}

static void tell_declared(struct broker *broker)
{
    while (broker->declared) {
        struct broker_declare_op *op = broker->declared;
        const struct fault fault = op->fault;

        broker->declared = op->next;
        op->done(op, &fault);
    }
}

static struct delivery note_delivery(struct fake_queue *queue, struct broker_consumer *consumer)
{
    struct fake_message *message = queue->first;

    queue->first = message->next;
    fake_world.deliveries = fake_world_must(
        realloc(fake_world.deliveries, (fake_world.delivery_count + 1) * sizeof(*fake_world.deliveries)));
    fake_world.deliveries[fake_world.delivery_count] = (struct fake_delivery){
        .message = message, .queue = queue, .consumer = consumer, .epoch = fake_world.epoch};
    if (consumer)
        consumer->held++;
    fake_world.delivery_count++;
    return (struct delivery){fake_world.epoch, fake_world.delivery_count};
}

/* Tags are indexes of fake_world.deliveries plus 1. */
static void tell_got(struct broker *broker)
{
    while (broker->got) {
        struct broker_get_op *op = broker->got;
        const struct fault fault = op->fault;
        struct fake_queue *queue = fault.code == OK ? (void *)op->next : NULL;
        struct message message;
        struct delivery delivery = {0};

        broker->got = NULL; /* one at a time: `next` holds the queue */
        if (queue && queue->first) {
            delivery = note_delivery(queue, NULL);
            fake_world_copy_message(&message, &fake_world.deliveries[delivery.tag - 1].message->content);
            op->done(op, delivery, &message, &fault);
        } else {
            op->done(op, delivery, NULL, &fault);
        }
    }
}

static void deliver_one(struct broker_consumer *consumer)
{
    struct delivery delivery = note_delivery(consumer->queue, consumer);
    struct message message;

    fake_world_copy_message(&message, &fake_world.deliveries[delivery.tag - 1].message->content);
    if (message.body_length > consumer->max_body_bytes || message.too_big) {
        message.too_big = true;
        message.body_length = 0;
        message.body[0] = '\0';
    }
    consumer->fn(consumer->context, delivery, &message);
}

/* Starts over after each delivery, since its taker may have changed anything. */
static bool deliver_any(struct broker *broker)
{
    for (struct broker_consumer *each = broker->consumers; each; each = each->next) {
        each->active = broker->up[BROKER_CONSUMING] && !each->paused;
        if (!each->active || !each->queue->first || (each->prefetch > 0 && each->held >= each->prefetch))
            continue;
        deliver_one(each);
        return true;
    }
    return false;
}

static void on_task(struct loop_task *task)
{
    enum { DELIVERIES_A_TASK = 1000 }; /* a taker that requeues all it gets must not stop the loop */
    struct broker *broker = container_of(task, struct broker, task);
    int delivered = 0;

    tell_links(broker);
    tell_published(broker);
    tell_declared(broker);
    tell_got(broker);
    while (!broker->closing && deliver_any(broker)) {
        if (++delivered == DELIVERIES_A_TASK) {
            fake_world_wake();
            break;
        }
    }
    if (!broker->closing || broker->published || broker->declared || broker->got)
        return;
    loop_task_cancel(&broker->task);
    loop_timer_stop(&broker->deadline);
    fake_world.broker = NULL;
    free(broker);
}

static void on_deadline(struct loop_timer *timer)
{
    loop_task_start(&container_of(timer, struct broker, deadline)->task);
}

/* ---- broker.h ---- */

struct broker *broker_open(struct loop *loop, const struct broker_options *options,
                           const struct broker_events *events, void *context, struct fault *ret_fault)
{
    struct broker *broker = fake_world_must(calloc(1, sizeof(*broker)));

    (void)ret_fault;
    assert(!fake_world.broker);
    broker->loop = loop;
    broker->options = *options;
    broker->events = *events;
    broker->context = context;
    broker->up[BROKER_CONSUMING] = options->consumes && !fake_world.start_down;
    broker->up[BROKER_PUBLISHING] = options->publishes && !fake_world.start_down;
    loop_task_init(&broker->task, loop, on_task);
    loop_timer_init(&broker->deadline, loop, on_deadline);
    fake_world.broker = broker;
    fake_world_wake();
    return broker;
}

void broker_close(struct broker *broker)
{
    const struct fault canceled = fault_of(ERR_CANCELED);

    if (!broker || broker->closing)
        return;
    broker->closing = true;
    fake_world_fail_publications(broker, &canceled);
    for (struct broker_declare_op *op = broker->declared; op; op = op->next)
        op->fault = canceled;
    if (broker->got)
        broker->got->fault = canceled;
    for (size_t i = 0; i < fake_world.delivery_count; i++) {
        if (fake_world.deliveries[i].fate == FAKE_UNSETTLED)
            fake_world_give_back(&fake_world.deliveries[i], FAKE_VOID);
    }
    while (broker->consumers)
        broker_consumer_free(broker->consumers);
    fake_world_wake();
}

bool broker_up(const struct broker *broker, enum broker_link link)
{
    return broker->up[link];
}

bool broker_blocked(const struct broker *broker)
{
    return broker->blocked;
}

int broker_server_major(const struct broker *broker)
{
    (void)broker;
    return fake_world.server_major > 0 ? fake_world.server_major : 3;
}

static void declare(struct broker *broker, struct broker_declare_op *op, const char *name,
                    broker_declare_fn *done)
{
    struct broker_declare_op **slot = &broker->declared;

    *op = (struct broker_declare_op){.done = done};
    if (!broker->up[broker->options.publishes ? BROKER_PUBLISHING : BROKER_CONSUMING])
        op->fault = fault_make(ERR_NETWORK, "not connected to the broker");
    for (struct refusal **each = &fake_world.refusals; *each; each = &(*each)->next) {
        struct refusal *refusal = *each;

        if (strcmp(refusal->name, name) != 0)
            continue;
        op->fault = fault_make(ERR_CONFIG, "%s", refusal->detail);
        *each = refusal->next;
        free(refusal->name);
        free(refusal->detail);
        free(refusal);
        break;
    }
    if (op->fault.code == OK) {
        fake_world.declared = fake_world_must(
            realloc(fake_world.declared, (fake_world.declared_count + 1) * sizeof(*fake_world.declared)));
        fake_world.declared[fake_world.declared_count++] = fake_world_copy_text(name);
    }
    while (*slot)
        slot = &(*slot)->next;
    *slot = op;
    fake_world_wake();
}

void broker_declare_exchange(struct broker *broker, struct broker_declare_op *op, const char *name,
                             const char *type, const struct headers *arguments, bool passive,
                             broker_declare_fn *done)
{
    (void)type;
    (void)arguments;
    (void)passive;
    declare(broker, op, name, done);
}

void broker_declare_queue(struct broker *broker, struct broker_declare_op *op, const char *name,
                          const struct headers *arguments, bool passive, broker_declare_fn *done)
{
    struct fake_queue *queue = fake_world_find_queue(name);

    (void)arguments;
    declare(broker, op, name, done);
    if (op->fault.code == OK && !queue && passive)
        op->fault = fault_make(ERR_CONFIG, "404 NOT_FOUND - no queue '%s'", name);
    if (op->fault.code == OK) {
        op->message_count = (uint32_t)fake_broker_queue_length(fake_world_need_queue(name)->name);
        op->consumer_count = fake_broker_is_consuming(name);
    }
}

void broker_bind_queue(struct broker *broker, struct broker_declare_op *op, const char *queue,
                       const char *exchange, const char *key, broker_declare_fn *done)
{
    (void)exchange;
    (void)key;
    declare(broker, op, queue, done);
}

void broker_bind_exchange(struct broker *broker, struct broker_declare_op *op, const char *destination,
                          const char *source, const char *key, broker_declare_fn *done)
{
    (void)source;
    (void)key;
    declare(broker, op, destination, done);
}

struct broker_consumer *broker_consume(struct broker *broker, const char *queue, uint16_t prefetch,
                                       size_t max_body_bytes, broker_delivery_fn *fn, void *context)
{
    struct broker_consumer *consumer = fake_world_must(calloc(1, sizeof(*consumer)));

    *consumer = (struct broker_consumer){fake_world_need_queue(queue),
                                         prefetch,
                                         max_body_bytes,
                                         0,
                                         fn,
                                         context,
                                         false,
                                         false,
                                         broker->consumers};
    broker->consumers = consumer;
    fake_world_wake();
    return consumer;
}

void broker_consumer_pause(struct broker_consumer *consumer, bool paused)
{
    consumer->paused = paused;
    consumer->active = consumer->active && !paused;
    fake_world_wake();
}

void broker_consumer_stop(struct broker_consumer *consumer)
{
    broker_consumer_pause(consumer, true);
}

bool broker_consumer_active(const struct broker_consumer *consumer)
{
    return consumer->active;
}

void broker_consumer_free(struct broker_consumer *consumer)
{
    if (!consumer)
        return;
    for (struct broker_consumer **slot = &fake_world.broker->consumers; *slot; slot = &(*slot)->next) {
        if (*slot == consumer) {
            *slot = consumer->next;
            break;
        }
    }
    for (size_t i = 0; i < fake_world.delivery_count; i++) {
        if (fake_world.deliveries[i].consumer == consumer)
            fake_world.deliveries[i].consumer = NULL;
    }
    free(consumer);
}

bool broker_delivery_valid(const struct broker *broker, struct delivery delivery)
{
    return broker->up[BROKER_CONSUMING] && delivery.epoch == fake_world.epoch && delivery.tag >= 1 &&
           delivery.tag <= fake_world.delivery_count &&
           fake_world.deliveries[delivery.tag - 1].fate == FAKE_UNSETTLED;
}

void broker_ack(struct broker *broker, struct delivery delivery)
{
    struct fake_delivery *known = &fake_world.deliveries[delivery.tag - 1];

    if (!broker_delivery_valid(broker, delivery))
        return;
    known->fate = FAKE_ACKED;
    known->confirmed_before = fake_world.confirmed;
    if (known->consumer)
        known->consumer->held--;
    message_fini(&known->message->content);
    free(TAKE(known->message));
    fake_world_wake();
}

void broker_requeue(struct broker *broker, struct delivery delivery)
{
    if (broker_delivery_valid(broker, delivery))
        fake_world_give_back(&fake_world.deliveries[delivery.tag - 1], FAKE_REQUEUED);
}

size_t broker_unsettled(const struct broker *broker)
{
    (void)broker;
    return fake_broker_count_fate(FAKE_UNSETTLED);
}

void broker_get(struct broker *broker, struct broker_get_op *op, const char *queue, broker_get_fn *done)
{
    struct fake_queue *known = fake_world_find_queue(queue);

    assert(!broker->got);
    *op = (struct broker_get_op){.done = done, .next = (void *)known};
    if (!broker->up[BROKER_CONSUMING])
        op->fault = fault_make(ERR_NETWORK, "not connected to the broker");
    else if (!known)
        op->fault = fault_make(ERR_CONFIG, "404 NOT_FOUND - no queue '%s'", queue);
    broker->got = op;
    fake_world_wake();
}

static enum err take_failure(size_t publish)
{
    for (struct failure **slot = &fake_world.failures; *slot; slot = &(*slot)->next) {
        struct failure *failure = *slot;
        enum err code = failure->code;

        if (failure->publish != publish)
            continue;
        *slot = failure->next;
        free(failure);
        return code;
    }
    return OK;
}

static void keep_publication(const struct publication *publication)
{
    struct fake_publication *kept;

    fake_world.publications = fake_world_must(realloc(
        fake_world.publications, (fake_world.publication_count + 1) * sizeof(*fake_world.publications)));
    kept = &fake_world.publications[fake_world.publication_count++];
    *kept = (struct fake_publication){.exchange = fake_world_copy_text(publication->exchange),
                                      .routing_key = fake_world_copy_text(publication->routing_key),
                                      .message_id = fake_world_copy_text(publication->message_id),
                                      .content_type = fake_world_copy_text(publication->content_type),
                                      .body = fake_world_must(malloc(publication->body_length + 1)),
                                      .body_length = publication->body_length,
                                      .headers = fake_world_copy_headers(publication->headers, false)};
    memcpy(kept->body, publication->body, publication->body_length);
    kept->body[publication->body_length] = '\0';
}

/* A publication that is taken lands in the queue its key names, when it went to the default exchange. */
static enum err route(const struct fake_publication *kept)
{
    struct fake_queue *queue = fake_world_find_queue(kept->routing_key);
    struct fake_message *message;
    const struct message content = {.exchange = kept->exchange,
                                    .routing_key = kept->routing_key,
                                    .message_id = kept->message_id,
                                    .content_type = kept->content_type,
                                    .body = kept->body,
                                    .body_length = kept->body_length,
                                    .headers = kept->headers};

    if (kept->exchange[0] != '\0')
        return OK;
    if (!queue)
        return ERR_UNROUTABLE;
    message = fake_world_must(calloc(1, sizeof(*message)));
    fake_world_copy_message(&message->content, &content);
    fake_world_put_message(queue, message);
    return OK;
}

void broker_publish(struct broker *broker, struct publish_op *op, const struct publication *publication,
                    int64_t timeout_ms, publish_done_fn *done)
{
    struct publish_op **slot = &broker->published;
    enum err code;

    *op = (struct publish_op){.done = done, .broker = broker, .in_flight = true};
    if (!broker->up[BROKER_PUBLISHING]) {
        op->fault = fault_make(ERR_NETWORK, "not connected to the broker");
    } else {
        code = take_failure(fake_world.publication_count);
        keep_publication(publication);
        if (code == OK)
            code = route(&fake_world.publications[fake_world.publication_count - 1]);
        op->fault = fault_of(code);
        op->deadline_ms = loop_now_ms(broker->loop) + timeout_ms;
    }
    while (*slot)
        slot = &(*slot)->next;
    *slot = op;
    fake_world_wake();
}
