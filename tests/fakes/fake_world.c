/*
 * The test's side of the fake broker: its queues, its script, and what was done to it. What the broker does
 * with them is fake_broker.c's. Called by tests.
 */
#include "fakes/fake_world.h"

#include <assert.h>
#include <string.h>

struct fake_world fake_world = {.epoch = 1};

/* ---- small things ---- */

void *fake_world_must(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

char *fake_world_copy_text(const char *text)
{
    return text ? fake_world_must(strdup(text)) : NULL;
}

struct headers *fake_world_copy_headers(const struct headers *headers, bool with_brokers_own)
{
    size_t bytes = headers_encoded_bytes(headers, with_brokers_own);
    uint8_t *encoded = fake_world_must(malloc(bytes + 1));
    struct headers *copy = NULL;

    headers_encode(headers, with_brokers_own, encoded);
    if (headers && headers_decode(encoded, bytes, &copy) != OK)
        abort();
    free(encoded);
    return copy;
}

void fake_world_copy_message(struct message *out, const struct message *message)
{
    *out = *message;
    out->exchange = fake_world_copy_text(message->exchange);
    out->routing_key = fake_world_copy_text(message->routing_key);
    out->message_id = fake_world_copy_text(message->message_id);
    out->content_type = fake_world_copy_text(message->content_type);
    out->headers = fake_world_copy_headers(message->headers, true);
    out->body = fake_world_must(malloc(message->body_length + 1));
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

void fake_world_wake(void)
{
    if (fake_world.broker)
        loop_task_start(&fake_world.broker->task);
}

struct fake_queue *fake_world_find_queue(const char *name)
{
    struct fake_queue *queue = fake_world.queues;

    while (queue && strcmp(queue->name, name) != 0)
        queue = queue->next;
    return queue;
}

struct fake_queue *fake_world_need_queue(const char *name)
{
    struct fake_queue *queue = fake_world_find_queue(name);

    if (queue)
        return queue;
    queue = fake_world_must(calloc(1, sizeof(*queue)));
    queue->name = fake_world_copy_text(name);
    queue->next = fake_world.queues;
    fake_world.queues = queue;
    return queue;
}

void fake_world_put_message(struct fake_queue *queue, struct fake_message *take_message)
{
    struct fake_message **slot = &queue->first;

    while (*slot)
        slot = &(*slot)->next;
    take_message->next = NULL;
    *slot = take_message;
    fake_world_wake();
}

static void put_new(const char *queue, const char *message_id, const struct headers *headers,
                    const char *body, bool redelivered, bool too_big)
{
    const struct message message = {.exchange = (char *)(uintptr_t) "",
                                    .routing_key = (char *)(uintptr_t)queue,
                                    .message_id = (char *)(uintptr_t)message_id,
                                    .content_type = (char *)(uintptr_t) "application/json",
                                    .body = (char *)(uintptr_t)body,
                                    .body_length = strlen(body),
                                    .headers = (struct headers *)(uintptr_t)headers,
                                    .redelivered = redelivered,
                                    .too_big = too_big};
    struct fake_message *held = fake_world_must(calloc(1, sizeof(*held)));

    fake_world_copy_message(&held->content, &message);
    fake_world_put_message(fake_world_need_queue(queue), held);
}

/* ---- what the test says ---- */

void fake_broker_add_queue(const char *queue)
{
    (void)fake_world_need_queue(queue);
}

void fake_broker_deliver(const char *queue, const char *message_id, const struct headers *headers,
                         const char *body)
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
    struct failure *failure = fake_world_must(calloc(1, sizeof(*failure)));

    *failure = (struct failure){fake_world.publication_count + nth, code, fake_world.failures};
    fake_world.failures = failure;
}

void fake_broker_hold_confirms(bool hold)
{
    fake_world.hold_confirms = hold;
    fake_world_wake();
}

void fake_broker_refuse_declare(const char *name, const char *detail)
{
    struct refusal *refusal = fake_world_must(calloc(1, sizeof(*refusal)));

    *refusal =
        (struct refusal){fake_world_copy_text(name), fake_world_copy_text(detail), fake_world.refusals};
    fake_world.refusals = refusal;
}

void fake_broker_start_down(bool start_down)
{
    fake_world.start_down = start_down;
}

void fake_broker_set_server_major(int major)
{
    fake_world.server_major = major;
}

void fake_broker_set_blocked(bool blocked)
{
    fake_world.broker->blocked = blocked;
    fake_world_wake();
}

void fake_world_give_back(struct fake_delivery *delivery, enum fake_fate fate)
{
    delivery->fate = fate;
    delivery->message->content.redelivered = true;
    fake_world_put_message(delivery->queue, TAKE(delivery->message));
    if (delivery->consumer)
        delivery->consumer->held--;
}

void fake_world_fail_publications(struct broker *broker, const struct fault *fault)
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

    fake_world.broker->up[link] = up;
    fake_world.broker->cut[link] = fake_world.broker->cut[link] || !up;
    if (!up && link == BROKER_PUBLISHING)
        fake_world_fail_publications(fake_world.broker, &lost);
    if (!up && link == BROKER_CONSUMING) {
        for (size_t i = 0; i < fake_world.delivery_count; i++) {
            if (fake_world.deliveries[i].fate == FAKE_UNSETTLED)
                fake_world_give_back(&fake_world.deliveries[i], FAKE_VOID);
        }
        for (struct broker_consumer *each = fake_world.broker->consumers; each; each = each->next)
            each->active = false;
        fake_world.epoch++;
    }
    fake_world_wake();
}

/* A new link comes up at once. */
void broker_renew(struct broker *broker, enum broker_link link, const char *why)
{
    (void)why;
    if (!broker->up[link])
        return;
    fake_broker_set_up(link, false);
    fake_broker_set_up(link, true);
}

/* ---- what the test asks ---- */

size_t fake_broker_publish_count(void)
{
    return fake_world.publication_count;
}

const struct fake_publication *fake_broker_publication(size_t index)
{
    return index < fake_world.publication_count ? &fake_world.publications[index] : NULL;
}

const struct fake_publication *fake_broker_last_to(const char *exchange)
{
    for (size_t i = fake_world.publication_count; i > 0; i--) {
        if (strcmp(fake_world.publications[i - 1].exchange, exchange) == 0)
            return &fake_world.publications[i - 1];
    }
    return NULL;
}

size_t fake_broker_delivery_count(void)
{
    return fake_world.delivery_count;
}

enum fake_fate fake_broker_fate(size_t index)
{
    return fake_world.deliveries[index].fate;
}

size_t fake_broker_count_fate(enum fake_fate fate)
{
    size_t count = 0;

    for (size_t i = 0; i < fake_world.delivery_count; i++)
        count += fake_world.deliveries[i].fate == fate;
    return count;
}

size_t fake_broker_confirmed_before_ack(size_t index)
{
    return fake_world.deliveries[index].confirmed_before;
}

size_t fake_broker_queue_length(const char *name)
{
    struct fake_queue *queue = fake_world_find_queue(name);
    size_t count = 0;

    for (struct fake_message *each = queue ? queue->first : NULL; each; each = each->next)
        count++;
    return count;
}

bool fake_broker_was_declared(const char *name)
{
    for (size_t i = 0; i < fake_world.declared_count; i++) {
        if (strcmp(fake_world.declared[i], name) == 0)
            return true;
    }
    return false;
}

const char *fake_broker_declared(size_t index)
{
    return index < fake_world.declared_count ? fake_world.declared[index] : NULL;
}

bool fake_broker_is_consuming(const char *queue)
{
    for (struct broker_consumer *each = fake_world.broker ? fake_world.broker->consumers : NULL; each;
         each = each->next) {
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
    while (fake_world.failures) {
        struct failure *failure = fake_world.failures;

        fake_world.failures = failure->next;
        free(failure);
    }
    while (fake_world.refusals) {
        struct refusal *refusal = fake_world.refusals;

        fake_world.refusals = refusal->next;
        free(refusal->name);
        free(refusal->detail);
        free(refusal);
    }
}

void fake_broker_reset(void)
{
    assert(!fake_world.broker);
    while (fake_world.queues) {
        struct fake_queue *queue = fake_world.queues;

        fake_world.queues = queue->next;
        free_queue(queue);
    }
    for (size_t i = 0; i < fake_world.publication_count; i++) {
        struct fake_publication *kept = &fake_world.publications[i];

        free(kept->exchange);
        free(kept->routing_key);
        free(kept->message_id);
        free(kept->content_type);
        free(kept->body);
        headers_free(kept->headers);
    }
    for (size_t i = 0; i < fake_world.delivery_count; i++)
        free_message(fake_world.deliveries[i].message);
    for (size_t i = 0; i < fake_world.declared_count; i++)
        free(fake_world.declared[i]);
    free(fake_world.publications);
    free(fake_world.deliveries);
    free(fake_world.declared);
    free_scripts();
    memset(&fake_world, 0, sizeof(fake_world));
    fake_world.epoch = 1;
}
