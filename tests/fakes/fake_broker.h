/*
 * common/broker.h without RabbitMQ. Link it instead of fulfilld_broker. One broker at a time. What happens
 * comes with the loop's next tasks, deadlines by its clock.
 *
 * Unscripted it is a small broker: queues are what was declared (or fake_broker_add_queue()d), a publication
 * to the default exchange goes to the queue its key names or is unroutable, one to any other exchange is kept
 * to be looked at and confirmed; a consumer gets what is in its queue up to its prefetch; a requeue goes to
 * the back.
 */
#ifndef FULFILLD_TESTS_FAKE_BROKER_H
#define FULFILLD_TESTS_FAKE_BROKER_H

#include "common/broker.h"

/* ---- what the broker does ---- */

void fake_broker_add_queue(const char *queue);
/** Puts a message into a queue (made when absent); everything is copied. Strings may be NULL, not `body`. */
void fake_broker_deliver(const char *queue, const char *message_id, const struct headers *headers,
                         const char *body);
/** As above, marked as delivered before. */
void fake_broker_redeliver(const char *queue, const char *message_id, const struct headers *headers,
                           const char *body);
/** As a body over the consumer's limit. */
void fake_broker_deliver_too_big(const char *queue, const char *message_id);

/**
 * The n-th publication from now on (0 = the next) ends with `code`: ERR_UNROUTABLE, ERR_NACKED,
 * ERR_UNAVAILABLE; or ERR_TIMEOUT: it is never answered.
 */
void fake_broker_fail_publish(size_t nth, enum err code);
/** Holds the answers to publications back, or lets them go. */
void fake_broker_hold_confirms(bool hold);
/** The next declaration of that name is refused with ERR_CONFIG and this detail. */
void fake_broker_refuse_declare(const char *name, const char *detail);
/** Sets a link: on_link comes with the next tasks. Down: deliveries are void and back in their queues. */
void fake_broker_set_up(enum broker_link link, bool up);
/** Whether links come up by themselves after broker_open() (yes unless told otherwise). */
void fake_broker_start_down(bool start_down);
void fake_broker_set_blocked(bool blocked);
void fake_broker_set_server_major(int major);

/* ---- what was done to it; valid until fake_broker_reset() ---- */

struct fake_publication {
    char *exchange, *routing_key, *message_id, *content_type, *body;
    size_t body_length;
    struct headers *headers; /* without the broker's own */
};
size_t fake_broker_publish_count(void);
const struct fake_publication *fake_broker_publication(size_t index);
/** The last one to that exchange, or NULL. */
const struct fake_publication *fake_broker_last_to(const char *exchange);

enum fake_fate { FAKE_UNSETTLED, FAKE_ACKED, FAKE_REQUEUED, FAKE_VOID };
/** Of deliveries in the order they were made, over all epochs. */
size_t fake_broker_delivery_count(void);
enum fake_fate fake_broker_fate(size_t index);
size_t fake_broker_count_fate(enum fake_fate fate);
/** Publications confirmed before the delivery of that index was acked: acks must come after. */
size_t fake_broker_confirmed_before_ack(size_t index);
size_t fake_broker_queue_length(const char *queue);
bool fake_broker_was_declared(const char *name);
/** The object declared as the index-th, counted from 0; NULL when there were fewer. */
const char *fake_broker_declared(size_t index);
/** Whether a consumer of that queue is subscribed now. */
bool fake_broker_is_consuming(const char *queue);

/** Forgets everything. Not while a broker is open. */
void fake_broker_reset(void);

#endif
