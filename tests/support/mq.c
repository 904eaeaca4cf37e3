/* The fixture of the broker's integration tests. Called by test_broker_rabbitmq.c and test_broker_tls.c. */
#include "support/mq.h"

#include "support/rabbitmq.h"
#include "support/unit.h"

#include <stdio.h>
#include <unistd.h>

static struct mq *current;

/* ---- what the broker tells ---- */

static void on_link(void *context, enum broker_link link, bool up, const struct fault *fault)
{
    struct mq *mq = context;

    mq->up[link] = up;
    mq->ups[link] += up;
    mq->downs[link] += !up;
    if (!up)
        mq->down_fault = *fault;
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
    struct mq *mq = context;

    assert_non_null(reason);
    mq->blocked = blocked;
    mq->blocked_count += blocked;
}

static void on_declared(struct broker_declare_op *op, const struct fault *fault)
{
    struct mq *mq = container_of(op, struct mq, declare);

    mq->declare_fault = *fault;
    mq->declared = true;
}

static void on_published(struct publish_op *op, const struct fault *fault)
{
    (void)op;
    current->published++;
    current->by_code[fault->code]++;
}

void mq_on_delivery(void *context, struct delivery delivery, struct message *take_message)
{
    struct mq *mq = context;

    assert_true(mq->delivered < MQ_MANY);
    mq->deliveries[mq->delivered++] = delivery;
    message_fini(&mq->last);
    mq->last = *take_message;
    if (mq->requeue_first && !take_message->redelivered)
        broker_requeue(mq->broker, delivery);
    else if (mq->ack_at_once)
        broker_ack(mq->broker, delivery);
}

const struct broker_events mq_events = {on_link, on_blocked};

/* ---- conditions ---- */

bool mq_is_up(void *context)
{
    struct mq *mq = context;

    return mq->up[0] && mq->up[1];
}

bool mq_is_lost(void *context)
{
    struct mq *mq = context;

    return mq->downs[0] > 0 && mq->downs[1] > 0;
}

static bool is_declared(void *context)
{
    return ((struct mq *)context)->declared;
}

bool mq_has_published(void *context)
{
    struct mq *mq = context;

    return mq->published >= mq->wanted;
}

static bool has_delivered(void *context)
{
    struct mq *mq = context;

    return mq->delivered >= mq->wanted;
}

bool mq_is_blocked(void *context)
{
    return ((struct mq *)context)->blocked;
}

bool mq_is_unblocked(void *context)
{
    return !((struct mq *)context)->blocked;
}

bool mq_is_active(void *context)
{
    return broker_consumer_active(((struct mq *)context)->consumer);
}

bool mq_is_inactive(void *context)
{
    return !mq_is_active(context);
}

void mq_wait_for(struct mq *mq, run_until_fn *condition)
{
    assert_true(run_until(mq->loop, condition, mq, MQ_LIMIT_MS));
}

/* ---- steps ---- */

void mq_open_with(struct mq *mq, const struct broker_options *changes)
{
    struct broker_options options = *changes;
    struct fault fault;

    if (!options.uris)
        options.uris = mq->uri;
    if (options.heartbeat_s == 0)
        options.heartbeat_s = 10;
    options.connection_name = "test";
    options.consumes = true;
    options.publishes = true;
    options.max_output_bytes = 64 * MQ_MIB;
    mq->broker = broker_open(mq->loop, &options, &mq_events, mq, &fault);
    assert_non_null(mq->broker);
}

void mq_open(struct mq *mq)
{
    mq_open_with(mq, &(struct broker_options){0});
    mq_wait_for(mq, mq_is_up);
}

void mq_declare(struct mq *mq, const char *extra_argument)
{
    struct headers *arguments = headers_new();

    assert_int_equal(headers_set_str(arguments, "x-queue-type", "quorum"), OK);
    if (extra_argument)
        assert_int_equal(headers_set_int(arguments, extra_argument, 5), OK);
    mq->declared = false;
    broker_declare_queue(mq->broker, &mq->declare, mq->queue, arguments, false, on_declared);
    headers_free(arguments);
    mq_wait_for(mq, is_declared);
}

size_t mq_queue_length(struct mq *mq)
{
    mq->declared = false;
    broker_declare_queue(mq->broker, &mq->declare, mq->queue, NULL, true, on_declared);
    mq_wait_for(mq, is_declared);
    assert_int_equal(mq->declare_fault.code, OK);
    return mq->declare.message_count;
}

void mq_publish(struct mq *mq, size_t slot, const char *body, size_t length, int64_t timeout_ms)
{
    const struct publication publication = {
        .exchange = "", .routing_key = mq->queue, .message_id = "id", .body = body, .body_length = length};

    broker_publish(mq->broker, &mq->ops[slot], &publication, timeout_ms, on_published);
}

void mq_publish_many(struct mq *mq, size_t count)
{
    mq->wanted = mq->published + count;
    for (size_t i = 0; i < count; i++)
        mq_publish(mq, i, "x", 1, MQ_TIMEOUT_MS);
    mq_wait_for(mq, mq_has_published);
    assert_int_equal(mq->by_code[OK], mq->published);
}

/* Until the broker holds nothing of the queue, unacked ones included. AMQP does not show those. */
void mq_wait_empty(struct mq *mq)
{
    char expression[512];

    snprintf(expression, sizeof(expression),
             "{ok, Q} = rabbit_amqqueue:lookup({resource, <<\"/\">>, queue, <<\"%s\">>}), "
             "F = fun F(0) -> error(timeout); F(N) -> case rabbit_amqqueue:info(Q, [messages]) of "
             "[{messages, 0}] -> ok; _ -> receive after 100 -> F(N - 1) end end end, F(200).",
             mq->queue);
    rabbitmq_eval(expression);
}

void mq_consume(struct mq *mq, uint16_t prefetch)
{
    mq->consumer = broker_consume(mq->broker, mq->queue, prefetch, 2 * MQ_MIB, mq_on_delivery, mq);
    assert_non_null(mq->consumer);
}

void mq_wait_delivered(struct mq *mq, size_t count)
{
    mq->wanted = count;
    mq_wait_for(mq, has_delivered);
}

void mq_close(struct mq *mq)
{
    broker_close(mq->broker);
    mq->broker = NULL;
    loop_run(mq->loop);
    memset(mq->up, 0, sizeof(mq->up));
    memset(mq->ups, 0, sizeof(mq->ups));
    memset(mq->downs, 0, sizeof(mq->downs));
}

int mq_set_up(void **state)
{
    static int number;
    struct mq *mq;

    if (!rabbitmq_available())
        return 0;
    mq = calloc(1, sizeof(*mq));
    assert_non_null(mq);
    mq->ops = calloc(MQ_MANY, sizeof(*mq->ops));
    mq->deliveries = calloc(MQ_MANY, sizeof(*mq->deliveries));
    assert_true(mq->ops && mq->deliveries);
    snprintf(mq->queue, sizeof(mq->queue), "real.%d.%d", (int)getpid(), ++number);
    snprintf(mq->uri, sizeof(mq->uri), "amqp://guest:guest@127.0.0.1:%d/%%2F", rabbitmq_port());
    mq->loop = loop_new();
    assert_non_null(mq->loop);
    current = mq;
    *state = mq;
    return 0;
}

int mq_tear_down(void **state)
{
    struct mq *mq = *state;

    if (!mq)
        return 0;
    broker_close(mq->broker);
    loop_run(mq->loop);
    loop_free(mq->loop);
    message_fini(&mq->last);
    free(mq->ops);
    free(mq->deliveries);
    free(mq);
    return 0;
}

struct mq *mq_need(void **state)
{
    if (!*state)
        skip();
    return *state;
}
