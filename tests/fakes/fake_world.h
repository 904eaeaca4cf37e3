/*
 * What the fake broker's files share: all there is in it. fake_broker.c plays the broker, fake_world.c is the
 * test's side: what it says, what it asks. Private to those.
 */
#ifndef FULFILLD_TESTS_FAKE_WORLD_H
#define FULFILLD_TESTS_FAKE_WORLD_H

#include "fakes/fake_broker.h"

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

struct fake_world {
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
};
extern struct fake_world fake_world;

/* Aborts when NULL: a test without memory proves nothing. */
void *fake_world_must(void *pointer);
char *fake_world_copy_text(const char *text);
struct headers *fake_world_copy_headers(const struct headers *headers, bool with_brokers_own);
void fake_world_copy_message(struct message *out, const struct message *message);
/** Has the broker's task run. */
void fake_world_wake(void);
struct fake_queue *fake_world_find_queue(const char *name);
struct fake_queue *fake_world_need_queue(const char *name);
void fake_world_put_message(struct fake_queue *queue, struct fake_message *take_message);
/** Settles a delivery by putting its message back, to the end of its queue. */
void fake_world_give_back(struct fake_delivery *delivery, enum fake_fate fate);
/** All publications not answered end with `fault`. */
void fake_world_fail_publications(struct broker *broker, const struct fault *fault);

#endif
