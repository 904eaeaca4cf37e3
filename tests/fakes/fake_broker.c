/*
 * The broker of fake_broker.h: a handful of lists and one task that does everything that is due. Decides as
 * little as a broker must; what goes wrong is scripted by the test.
 */
#include "fakes/fake_broker.h"

#include <assert.h>
#include <string.h>

struct fake_message {
    struct message content;
    struct fake_message *next;
};

struct fake_queue {
    char *name;
    struct fake_message *first;
    struct fake_queue *next;
};

struct fake_delivery {
    struct fake_message *message; /* a copy, for going back to its queue */
    struct fake_queue *queue;
    struct broker_consumer *consumer; /* NULL = by get, or freed */
    uint32_t epoch;
    enum fake_fate fate;
    size_t confirmed_before;
};

struct broker_consumer {
    struct fake_queue *queue;
    uint16_t prefetch;
    size_t max_body_bytes;
    size_t held; /* deliveries unsettled */
    broker_delivery_fn *fn;
    void *context;
    bool paused;
    bool active;
    struct broker_consumer *next;
};

struct failure {
    size_t publish;
    enum err code;
    struct failure *next;
};

struct refusal {
    char *name, *detail;
    struct refusal *next;
};

struct broker {
    struct loop *loop;
    struct broker_events events;
    void *context;
    struct broker_options options;
    bool up[2], told_up[2], cut[2]; /* cut: was up since it was last told */
    bool blocked, told_blocked;
    bool closing;
    struct broker_consumer *consumers;
    struct publish_op *published;
    struct broker_declare_op *declared;
    struct broker_get_op *got;
    struct loop_task task;
    struct loop_timer deadline;
};

static struct {
    struct broker *broker;
    struct fake_queue *queues;
    struct fake_publication *publications;
    size_t publication_count;
    struct fake_delivery *deliveries;
    size_t delivery_count;
    char **declared;
    size_t declared_count;
    struct failure *failures;
    struct refusal *refusals;
    size_t confirmed;
    uint32_t epoch;
    bool hold_confirms, start_down;
    int server_major;
} world = {.epoch = 1};

/* ---- small things ---- */

static void *must(void *pointer)
{
    if (!pointer)
        abort(); /* a test without memory proves nothing */
    return pointer;
}

static char *copy_text(const char *text)
{
    return text ? must(strdup(text)) : NULL;
}

static struct headers *copy_headers(const struct headers *headers, bool with_brokers_own)
{
    size_t bytes = headers_encoded_bytes(headers, with_brokers_own);
    uint8_t *encoded = must(malloc(bytes + 1));
    struct headers *copy = NULL;

    headers_encode(headers, with_brokers_own, encoded);
    if (headers && headers_decode(encoded, bytes, &copy) != OK)
        abort();
    free(encoded);
    return copy;
}

static void copy_message(struct message *out, const struct message *message)
{
    *out = *message;
    out->exchange = copy_text(message->exchange);
    out->routing_key = copy_text(message->routing_key);
    out->message_id = copy_text(message->message_id);
    out->content_type = copy_text(message->content_type);
    out->headers = copy_headers(message->headers, true);
    out->body = must(malloc(message->body_length + 1));
    memcpy(out->body, message->body ? message->body : "", message->body_length);
    out->body[message->body_length] = '\0';
}

void message_fini(struct message *message)
{
    free(message->exchange);
    free(message->routing_key);
    free(message->message_id);
    free(message->content_type);
    free(message->body);
    headers_free(message->headers);
    *message = (struct message){0};
}

static void wake(void)
{
    if (world.broker)
        loop_task_start(&world.broker->task);
}

static struct fake_queue *find_queue(const char *name)
{
    struct fake_queue *queue = world.queues;

    while (queue && strcmp(queue->name, name) != 0)
        queue = queue->next;
    return queue;
}

static struct fake_queue *need_queue(const char *name)
{
    struct fake_queue *queue = find_queue(name);

    if (queue)
        return queue;
    queue = must(calloc(1, sizeof(*queue)));
    queue->name = copy_text(name);
    queue->next = world.queues;
    world.queues = queue;
    return queue;
}

static void put_message(struct fake_queue *queue, struct fake_message *take_message)
{
    struct fake_message **slot = &queue->first;

    while (*slot)
        slot = &(*slot)->next;
    take_message->next = NULL;
    *slot = take_message;
    wake();
}

static void put_new(const char *queue, const char *message_id, const struct headers *headers, const char *body,
                    bool redelivered, bool too_big)
{
    const struct message message = {.exchange = (char *)(uintptr_t)"", .routing_key = (char *)(uintptr_t)queue,
                                    .message_id = (char *)(uintptr_t)message_id,
                                    .content_type = (char *)(uintptr_t)"application/json",
                                    .body = (char *)(uintptr_t)body, .body_length = strlen(body),
                                    .headers = (struct headers *)(uintptr_t)headers, .redelivered = redelivered,
                                    .too_big = too_big};
    struct fake_message *held = must(calloc(1, sizeof(*held)));

    copy_message(&held->content, &message);
    put_message(need_queue(queue), held);
}

/* ---- what the test says ---- */

void fake_broker_add_queue(const char *queue)
{
    (void)need_queue(queue);
}

void fake_broker_deliver(const char *queue, const char *message_id, const struct headers *headers, const char *body)
{
    put_new(queue, message_id, headers, body, false, false);
}

void fake_broker_redeliver(const char *queue, const char *message_id, const struct headers *headers,
                           const char *body)
{
    put_new(queue, message_id, headers, body, true, false);
}

void fake_broker_deliver_too_big(const char *queue, const char *message_id)
{
    put_new(queue, message_id, NULL, "", false, true);
}

void fake_broker_fail_publish(size_t nth, enum err code)
{
    struct failure *failure = must(calloc(1, sizeof(*failure)));

    *failure = (struct failure){world.publication_count + nth, code, world.failures};
    world.failures = failure;
}

void fake_broker_hold_confirms(bool hold)
{
    world.hold_confirms = hold;
    wake();
}

void fake_broker_refuse_declare(const char *name, const char *detail)
{
    struct refusal *refusal = must(calloc(1, sizeof(*refusal)));

    *refusal = (struct refusal){copy_text(name), copy_text(detail), world.refusals};
    world.refusals = refusal;
}

void fake_broker_start_down(bool start_down)
{
    world.start_down = start_down;
}

void fake_broker_set_server_major(int major)
{
    world.server_major = major;
}

void fake_broker_set_blocked(bool blocked)
{
    world.broker->blocked = blocked;
    wake();
}

static void give_back(struct fake_delivery *delivery, enum fake_fate fate)
{
    delivery->fate = fate;
    delivery->message->content.redelivered = true;
    put_message(delivery->queue, TAKE(delivery->message));
    if (delivery->consumer)
        delivery->consumer->held--;
}

/* All publications not answered end with `fault`. */
static void fail_publications(struct broker *broker, const struct fault *fault)
{
    for (struct publish_op *op = broker->published; op; op = op->next) {
        if (op->deadline_ms > 0)
            op->fault = *fault;
        op->deadline_ms = 0;
    }
}

void fake_broker_set_up(enum broker_link link, bool up)
{
    const struct fault lost = fault_make(ERR_NETWORK, "the fake link was cut");

    world.broker->up[link] = up;
    world.broker->cut[link] = world.broker->cut[link] || !up;
    if (!up && link == BROKER_PUBLISHING)
        fail_publications(world.broker, &lost);
    if (!up && link == BROKER_CONSUMING) {
        for (size_t i = 0; i < world.delivery_count; i++) {
            if (world.deliveries[i].fate == FAKE_UNSETTLED)
                give_back(&world.deliveries[i], FAKE_VOID);
        }
        for (struct broker_consumer *each = world.broker->consumers; each; each = each->next)
            each->active = false;
        world.epoch++;
    }
    wake();
}

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
        bool held = op->deadline_ms > 0 && (world.hold_confirms || op->fault.code == ERR_TIMEOUT);

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

        world.confirmed += fault.code == OK;
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
    world.deliveries = must(realloc(world.deliveries, (world.delivery_count + 1) * sizeof(*world.deliveries)));
    world.deliveries[world.delivery_count] = (struct fake_delivery){
        .message = message, .queue = queue, .consumer = consumer, .epoch = world.epoch};
    if (consumer)
        consumer->held++;
    world.delivery_count++;
    return (struct delivery){world.epoch, world.delivery_count};
}

/* Tags are indexes of world.deliveries plus 1. */
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
            copy_message(&message, &world.deliveries[delivery.tag - 1].message->content);
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

    copy_message(&message, &world.deliveries[delivery.tag - 1].message->content);
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
            wake();
            break;
        }
    }
    if (!broker->closing || broker->published || broker->declared || broker->got)
        return;
    loop_task_cancel(&broker->task);
    loop_timer_stop(&broker->deadline);
    world.broker = NULL;
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
    struct broker *broker = must(calloc(1, sizeof(*broker)));

    (void)ret_fault;
    assert(!world.broker);
    broker->loop = loop;
    broker->options = *options;
    broker->events = *events;
    broker->context = context;
    broker->up[BROKER_CONSUMING] = options->consumes && !world.start_down;
    broker->up[BROKER_PUBLISHING] = options->publishes && !world.start_down;
    loop_task_init(&broker->task, loop, on_task);
    loop_timer_init(&broker->deadline, loop, on_deadline);
    world.broker = broker;
    wake();
    return broker;
}

void broker_close(struct broker *broker)
{
    const struct fault canceled = fault_of(ERR_CANCELED);

    if (!broker || broker->closing)
        return;
    broker->closing = true;
    fail_publications(broker, &canceled);
    for (struct broker_declare_op *op = broker->declared; op; op = op->next)
        op->fault = canceled;
    if (broker->got)
        broker->got->fault = canceled;
    for (size_t i = 0; i < world.delivery_count; i++) {
        if (world.deliveries[i].fate == FAKE_UNSETTLED)
            give_back(&world.deliveries[i], FAKE_VOID);
    }
    while (broker->consumers)
        broker_consumer_free(broker->consumers);
    wake();
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
    return world.server_major > 0 ? world.server_major : 3;
}

static void declare(struct broker *broker, struct broker_declare_op *op, const char *name, broker_declare_fn *done)
{
    struct broker_declare_op **slot = &broker->declared;

    *op = (struct broker_declare_op){.done = done};
    if (!broker->up[broker->options.publishes ? BROKER_PUBLISHING : BROKER_CONSUMING])
        op->fault = fault_make(ERR_NETWORK, "not connected to the broker");
    for (struct refusal **each = &world.refusals; *each; each = &(*each)->next) {
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
        world.declared = must(realloc(world.declared, (world.declared_count + 1) * sizeof(*world.declared)));
        world.declared[world.declared_count++] = copy_text(name);
    }
    while (*slot)
        slot = &(*slot)->next;
    *slot = op;
    wake();
}

void broker_declare_exchange(struct broker *broker, struct broker_declare_op *op, const char *name, const char *type,
                             const struct headers *arguments, bool passive, broker_declare_fn *done)
{
    (void)type;
    (void)arguments;
    (void)passive;
    declare(broker, op, name, done);
}

void broker_declare_queue(struct broker *broker, struct broker_declare_op *op, const char *name,
                          const struct headers *arguments, bool passive, broker_declare_fn *done)
{
    struct fake_queue *queue = find_queue(name);

    (void)arguments;
    declare(broker, op, name, done);
    if (op->fault.code == OK && !queue && passive)
        op->fault = fault_make(ERR_CONFIG, "404 NOT_FOUND - no queue '%s'", name);
    if (op->fault.code == OK) {
        op->message_count = (uint32_t)fake_broker_queue_length(need_queue(name)->name);
        op->consumer_count = fake_broker_is_consuming(name);
    }
}

void broker_bind_queue(struct broker *broker, struct broker_declare_op *op, const char *queue, const char *exchange,
                       const char *key, broker_declare_fn *done)
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
    struct broker_consumer *consumer = must(calloc(1, sizeof(*consumer)));

    *consumer = (struct broker_consumer){need_queue(queue), prefetch, max_body_bytes, 0, fn, context,
                                         false, false, broker->consumers};
    broker->consumers = consumer;
    wake();
    return consumer;
}

void broker_consumer_pause(struct broker_consumer *consumer, bool paused)
{
    consumer->paused = paused;
    consumer->active = consumer->active && !paused;
    wake();
}

bool broker_consumer_active(const struct broker_consumer *consumer)
{
    return consumer->active;
}

void broker_consumer_free(struct broker_consumer *consumer)
{
    if (!consumer)
        return;
    for (struct broker_consumer **slot = &world.broker->consumers; *slot; slot = &(*slot)->next) {
        if (*slot == consumer) {
            *slot = consumer->next;
            break;
        }
    }
    for (size_t i = 0; i < world.delivery_count; i++) {
        if (world.deliveries[i].consumer == consumer)
            world.deliveries[i].consumer = NULL;
    }
    free(consumer);
}

bool broker_delivery_valid(const struct broker *broker, struct delivery delivery)
{
    return broker->up[BROKER_CONSUMING] && delivery.epoch == world.epoch && delivery.tag >= 1 &&
           delivery.tag <= world.delivery_count && world.deliveries[delivery.tag - 1].fate == FAKE_UNSETTLED;
}

void broker_ack(struct broker *broker, struct delivery delivery)
{
    struct fake_delivery *known = &world.deliveries[delivery.tag - 1];

    if (!broker_delivery_valid(broker, delivery))
        return;
    known->fate = FAKE_ACKED;
    known->confirmed_before = world.confirmed;
    if (known->consumer)
        known->consumer->held--;
    message_fini(&known->message->content);
    free(TAKE(known->message));
    wake();
}

void broker_requeue(struct broker *broker, struct delivery delivery)
{
    if (broker_delivery_valid(broker, delivery))
        give_back(&world.deliveries[delivery.tag - 1], FAKE_REQUEUED);
}

size_t broker_unsettled(const struct broker *broker)
{
    (void)broker;
    return fake_broker_count_fate(FAKE_UNSETTLED);
}

void broker_get(struct broker *broker, struct broker_get_op *op, const char *queue, broker_get_fn *done)
{
    struct fake_queue *known = find_queue(queue);

    assert(!broker->got);
    *op = (struct broker_get_op){.done = done, .next = (void *)known};
    if (!broker->up[BROKER_CONSUMING])
        op->fault = fault_make(ERR_NETWORK, "not connected to the broker");
    else if (!known)
        op->fault = fault_make(ERR_CONFIG, "404 NOT_FOUND - no queue '%s'", queue);
    broker->got = op;
    wake();
}

static enum err take_failure(size_t publish)
{
    for (struct failure **slot = &world.failures; *slot; slot = &(*slot)->next) {
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

    world.publications = must(
        realloc(world.publications, (world.publication_count + 1) * sizeof(*world.publications)));
    kept = &world.publications[world.publication_count++];
    *kept = (struct fake_publication){
        .exchange = copy_text(publication->exchange), .routing_key = copy_text(publication->routing_key),
        .message_id = copy_text(publication->message_id), .content_type = copy_text(publication->content_type),
        .body = must(malloc(publication->body_length + 1)), .body_length = publication->body_length,
        .headers = copy_headers(publication->headers, false)};
    memcpy(kept->body, publication->body, publication->body_length);
    kept->body[publication->body_length] = '\0';
}

/* A publication that is taken lands in the queue its key names, when it went to the default exchange. */
static enum err route(const struct fake_publication *kept)
{
    struct fake_queue *queue = find_queue(kept->routing_key);
    struct fake_message *message;
    const struct message content = {.exchange = kept->exchange, .routing_key = kept->routing_key,
                                    .message_id = kept->message_id, .content_type = kept->content_type,
                                    .body = kept->body, .body_length = kept->body_length, .headers = kept->headers};

    if (kept->exchange[0] != '\0')
        return OK;
    if (!queue)
        return ERR_UNROUTABLE;
    message = must(calloc(1, sizeof(*message)));
    copy_message(&message->content, &content);
    put_message(queue, message);
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
        code = take_failure(world.publication_count);
        keep_publication(publication);
        if (code == OK)
            code = route(&world.publications[world.publication_count - 1]);
        op->fault = fault_of(code);
        op->deadline_ms = loop_now_ms(broker->loop) + timeout_ms;
    }
    while (*slot)
        slot = &(*slot)->next;
    *slot = op;
    wake();
}

/* ---- what the test asks ---- */

size_t fake_broker_publish_count(void)
{
    return world.publication_count;
}

const struct fake_publication *fake_broker_publication(size_t index)
{
    return index < world.publication_count ? &world.publications[index] : NULL;
}

const struct fake_publication *fake_broker_last_to(const char *exchange)
{
    for (size_t i = world.publication_count; i > 0; i--) {
        if (strcmp(world.publications[i - 1].exchange, exchange) == 0)
            return &world.publications[i - 1];
    }
    return NULL;
}

size_t fake_broker_delivery_count(void)
{
    return world.delivery_count;
}

enum fake_fate fake_broker_fate(size_t index)
{
    return world.deliveries[index].fate;
}

size_t fake_broker_count_fate(enum fake_fate fate)
{
    size_t count = 0;

    for (size_t i = 0; i < world.delivery_count; i++)
        count += world.deliveries[i].fate == fate;
    return count;
}

size_t fake_broker_confirmed_before_ack(size_t index)
{
    return world.deliveries[index].confirmed_before;
}

size_t fake_broker_queue_length(const char *name)
{
    struct fake_queue *queue = find_queue(name);
    size_t count = 0;

    for (struct fake_message *each = queue ? queue->first : NULL; each; each = each->next)
        count++;
    return count;
}

bool fake_broker_was_declared(const char *name)
{
    for (size_t i = 0; i < world.declared_count; i++) {
        if (strcmp(world.declared[i], name) == 0)
            return true;
    }
    return false;
}

const char *fake_broker_declared(size_t index)
{
    return index < world.declared_count ? world.declared[index] : NULL;
}

bool fake_broker_is_consuming(const char *queue)
{
    for (struct broker_consumer *each = world.broker ? world.broker->consumers : NULL; each; each = each->next) {
        if (each->active && strcmp(each->queue->name, queue) == 0)
            return true;
    }
    return false;
}

static void free_message(struct fake_message *message)
{
    if (message)
        message_fini(&message->content);
    free(message);
}

static void free_queue(struct fake_queue *queue)
{
    while (queue->first) {
        struct fake_message *message = queue->first;

        queue->first = message->next;
        free_message(message);
    }
    free(queue->name);
    free(queue);
}

static void free_scripts(void)
{
    while (world.failures) {
        struct failure *failure = world.failures;

        world.failures = failure->next;
        free(failure);
    }
    while (world.refusals) {
        struct refusal *refusal = world.refusals;

        world.refusals = refusal->next;
        free(refusal->name);
        free(refusal->detail);
        free(refusal);
    }
}

void fake_broker_reset(void)
{
    assert(!world.broker);
    while (world.queues) {
        struct fake_queue *queue = world.queues;

        world.queues = queue->next;
        free_queue(queue);
    }
    for (size_t i = 0; i < world.publication_count; i++) {
        struct fake_publication *kept = &world.publications[i];

        free(kept->exchange);
        free(kept->routing_key);
        free(kept->message_id);
        free(kept->content_type);
        free(kept->body);
        headers_free(kept->headers);
    }
    for (size_t i = 0; i < world.delivery_count; i++)
        free_message(world.deliveries[i].message);
    for (size_t i = 0; i < world.declared_count; i++)
        free(world.declared[i]);
    free(world.publications);
    free(world.deliveries);
    free(world.declared);
    free_scripts();
    memset(&world, 0, sizeof(world));
    world.epoch = 1;
}
