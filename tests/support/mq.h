/*
 * A broker object connected to the private RabbitMQ of a test, with all that it says kept to be looked at.
 * One for each test, by cmocka's set-up and tear-down; without RabbitMQ the test is skipped (mq_need).
 */
#ifndef FULFILLD_TESTS_SUPPORT_MQ_H
#define FULFILLD_TESTS_SUPPORT_MQ_H

#include "common/broker.h"

#include "support/run_until.h"

enum { MQ_LIMIT_MS = 60000, MQ_TIMEOUT_MS = 30000, MQ_MANY = 10000, MQ_MIB = 1024 * 1024 };

struct mq {
    struct loop *loop;
    struct broker *broker;
    char queue[64], uri[256];
    bool up[2];
    int ups[2], downs[2];
    struct fault down_fault;
    bool blocked;
    int blocked_count;
    struct broker_declare_op declare;
    struct fault declare_fault;
    bool declared;
    struct publish_op *ops;
    size_t published, by_code[32];
    size_t wanted;
    struct broker_consumer *consumer;
    size_t delivered;
    struct delivery *deliveries;
    struct message last;
    bool ack_at_once;
    bool requeue_first; /* requeue a delivery that was not delivered before */
};

extern const struct broker_events mq_events;

int mq_set_up(void **state);
int mq_tear_down(void **state);
struct mq *mq_need(void **state);

/* Conditions for mq_wait_for(). */
bool mq_is_up(void *context);
bool mq_is_lost(void *context);
bool mq_has_published(void *context);
bool mq_is_blocked(void *context);
bool mq_is_unblocked(void *context);
bool mq_is_active(void *context);
bool mq_is_inactive(void *context);
void mq_wait_for(struct mq *mq, run_until_fn *condition);

/** Opens both links with the options given and defaults for the rest; does not wait. */
void mq_open_with(struct mq *mq, const struct broker_options *changes);
/** Opens both links with defaults and waits for them. */
void mq_open(struct mq *mq);
/** Closes, waits until that is done and forgets what was said of links. */
void mq_close(struct mq *mq);
/** Declares the test's queue, with another argument of 5 when named; the end is in declare_fault. */
void mq_declare(struct mq *mq, const char *extra_argument);
size_t mq_queue_length(struct mq *mq);
/** Waits until the broker holds nothing of the queue, unacked ones included. */
void mq_wait_empty(struct mq *mq);
void mq_publish(struct mq *mq, size_t slot, const char *body, size_t length, int64_t timeout_ms);
/** Publishes small messages and waits until each is confirmed. */
void mq_publish_many(struct mq *mq, size_t count);
void mq_consume(struct mq *mq, uint16_t prefetch);
void mq_on_delivery(void *context, struct delivery delivery, struct message *take_message);
void mq_wait_delivered(struct mq *mq, size_t count);

#endif
