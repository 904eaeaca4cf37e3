/*
 * What the files of the broker adapter share: the broker, its two links, and what each file does for the
 * others. Private to broker*.c.
 */
#ifndef FULFILLD_COMMON_BROKER_PRIVATE_H
#define FULFILLD_COMMON_BROKER_PRIVATE_H

#include "common/broker_acks.h"
#include "common/broker_confirms.h"
#include "common/broker_wire.h"

enum { BROKER_LINKS = 2 };

/* One connection and what it is for. */
struct broker_link_end {
    struct broker *broker;
    enum broker_link which;
    struct broker_wire *wire; /* NULL = not asked for, or closed */
    /* Asked on the control channel and not answered yet, oldest first. */
    struct broker_declare_op *asked_first, *asked_last;
    struct loop_timer asked_timer; /* the oldest's deadline */
};

struct broker {
    struct loop *loop;
    struct broker_events events;
    void *context;
    struct broker_uri *uris;
    size_t uri_count;
    struct broker_tls *tls;
    char *username, *password, *connection_name; /* owned; NULL = not given */
    size_t max_output_bytes;
    bool closing;
    struct broker_link_end links[BROKER_LINKS];

    /* consuming */
    struct broker_consumer *consumers; /* list, in no order that matters */
    uint32_t consumer_next_id;
    struct broker_acks acks;
    struct loop_timer acks_timer; /* for those that wait behind a slow one */
    struct broker_get_op *get_first, *get_last;

    /* publishing */
    struct broker_confirms confirms;
    struct loop_timer confirms_timer;
    int64_t confirms_timer_due_ms; /* -1 = idle */
    size_t largest_body_bytes;     /* published so far: no returned one is larger */

    /* What has ended and is told at the end of the turn, when no other code of ours is on the stack. */
    struct publish_op *published_first, *published_last;
    struct broker_declare_op *declared_first, *declared_last;
    struct broker_get_op *got_first, *got_last;
    struct loop_task tell_task;
};

/* ---- broker.c ---- */

static inline bool broker_link_ready(const struct broker_link_end *end)
{
    return end->wire && broker_wire_ready(end->wire);
}
/** The link that declares: the publishing one, else the consuming one. */
struct broker_link_end *broker_declaring_link(struct broker *broker);
/* Queue an op's end for telling. */
void broker_finish_publish(struct broker *broker, struct publish_op *op, const struct fault *fault);
void broker_finish_declare(struct broker *broker, struct broker_declare_op *op, const struct fault *fault);
void broker_finish_get(struct broker *broker, struct broker_get_op *op, const struct fault *fault);
/** The broker said something that makes no sense here. */
void broker_link_confused(struct broker_link_end *end, const char *what);

/* ---- broker_declare.c: questions on the control channel ---- */

void broker_declare_init(struct broker_link_end *end);
/** Asks whether a queue is there. The link must be ready. */
void broker_declare_probe(struct broker_link_end *end, struct broker_declare_op *op, const char *queue,
                          broker_declare_fn *done);
/** @return whether the method was an answer to a question */
bool broker_declare_on_method(struct broker_link_end *end, uint32_t method, void *decoded);
/** The broker refused the oldest question and threw the rest away. */
void broker_declare_on_refused(struct broker_link_end *end, const struct fault *fault);
void broker_declare_on_down(struct broker_link_end *end, const struct fault *fault);

/* ---- broker_consumer.c ---- */

void broker_consumer_on_up(struct broker *broker);
void broker_consumer_on_down(struct broker *broker);
/** @return whether the method concerned a consumer */
bool broker_consumer_on_method(struct broker *broker, uint32_t method, void *decoded);
void broker_consumer_on_deliver(struct broker *broker, struct broker_content *content);
size_t broker_consumer_body_limit(const struct broker *broker, const struct broker_content *content);
/** How many finished deliveries may wait for an older one: more would leave the broker nothing to send. */
size_t broker_consumer_acks_may_wait(const struct broker *broker);
/** Whether acks must wait altogether, for a second at the most: one is about to be paused. */
bool broker_consumer_holds_acks(const struct broker *broker);
void broker_consumer_free_all(struct broker *broker);

/* ---- broker_settle.c: acks, and basic.get ---- */

void broker_settle_init(struct broker *broker);
void broker_settle_on_down(struct broker *broker, const struct fault *fault);
/** Sends the acks that are due. */
void broker_settle_flush(struct broker *broker);
/** Notes a delivery. False when the link had to be given up. */
bool broker_settle_add(struct broker *broker, uint64_t tag, bool urgent);
bool broker_settle_on_method(struct broker *broker, uint32_t method);
void broker_settle_on_got(struct broker *broker, struct broker_content *content);

/* ---- broker_publish.c ---- */

void broker_publish_init(struct broker *broker);
void broker_publish_on_up(struct broker *broker);
void broker_publish_on_down(struct broker *broker, const struct fault *fault);
/** @return whether the method was an answer to a publication */
bool broker_publish_on_method(struct broker *broker, uint32_t method, void *decoded);
void broker_publish_on_returned(struct broker *broker, const struct broker_content *content);

#endif
