/*
 * RabbitMQ by role: consume, settle, publish with confirm, declare. Two connections per broker object (one
 * consumes, one publishes: an alarm that blocks publishers must not hold up acks), each with its own
 * reconnect and backoff over the configured URIs. Nothing here blocks. librabbitmq is used as the codec only
 * (broker_wire.c); see docs/architecture.md. The process must ignore SIGPIPE.
 *
 * Fake for unit tests: tests/fakes/fake_broker.c.
 */
#ifndef FULFILLD_COMMON_BROKER_H
#define FULFILLD_COMMON_BROKER_H

#include "common/headers.h"
#include "common/loop.h"

struct broker;

struct broker_options {
    const char *uris;                                       /* comma-separated amqp:// or amqps:// */
    const char *username;                                   /* NULL = the URI's */
    const char *password;                                   /* NULL = the URI's */
    const char *connection_name;                            /* shown in the management UI */
    const char *tls_ca_file, *tls_cert_file, *tls_key_file; /* NULL = default / none */
    bool tls_verify;
    int64_t heartbeat_s;     /* asked for; 10 */
    bool consumes;           /* open the consuming link */
    bool publishes;          /* open the publishing link */
    size_t max_output_bytes; /* of not yet written publishes; above it publishes end with ERR_UNAVAILABLE */
};

/* A delivery by value. Settling one of an older epoch (before a reconnect) is a no-op. */
struct delivery {
    uint32_t epoch;
    uint64_t tag;
};

struct carried_properties;

struct message {
    char *exchange; /* received only; owned */
    char *routing_key;
    char *message_id;   /* NULL = none */
    char *content_type; /* NULL = none */
    /* The publisher's other properties (correlation id, type, app id, timestamp …), to be published again as
       they came; NULL = none; owned */
    struct carried_properties *carried;
    char *body; /* NUL-terminated beyond its length; owned */
    size_t body_length;
    struct headers *headers; /* NULL = none */
    bool redelivered;
    bool too_big; /* the body was over the consumer's limit: body holds nothing */
};
void message_fini(struct message *message);

enum broker_link { BROKER_CONSUMING, BROKER_PUBLISHING };

/* What an owner of a broker hears. All run on the loop, never inside a broker_ call. */
struct broker_events {
    /* A link is ready (after set-up) or lost (why; once per outage, and once more when
     * it turns out that the broker refuses us). Lost: all its deliveries are void. */
    void (*on_link)(void *context, enum broker_link link, bool up, const struct fault *fault);
    /* connection.blocked / unblocked on the publishing link: take no new work while blocked. */
    void (*on_blocked)(void *context, bool blocked, const char *reason);
};

/** NULL with ret_fault for a bad URI (names it, says what is allowed) or unusable TLS files. Starts
 * connecting. */
struct broker *broker_open(struct loop *loop, const struct broker_options *options,
                           const struct broker_events *events, void *context, struct fault *ret_fault);
/**
 * Fails what is pending with ERR_CANCELED, sends the acks that wait, closes both links politely (≤ 1 s),
 * frees itself and its consumers. Of the events only the `done`s follow, on the loop. NULL is fine.
 */
void broker_close(struct broker *broker);
/**
 * Gives up a connection that is up, with `why` as its fault, and makes a new one. For what only a new one
 * heals: RabbitMQ 3.10 goes on refusing a channel's messages to a queue whose max-length was lifted.
 */
void broker_renew(struct broker *broker, enum broker_link link, const char *why);
bool broker_up(const struct broker *broker, enum broker_link link);
bool broker_blocked(const struct broker *broker);
/** Major version the server named ("3.10.8" → 3), 0 while unknown. */
int broker_server_major(const struct broker *broker);

/* ---- declaring (on the publishing link, one at a time, in order) ---- */

struct broker_declare_op;
/* OK; ERR_CONFIG (404, 406 or 403: detail has the broker's words and the object's name; the link stays up);
 * ERR_NETWORK (also when the link is not up, and when no answer comes in 30 s); ERR_CANCELED. */
typedef void broker_declare_fn(struct broker_declare_op *op, const struct fault *fault);

struct broker_declare_op {
    broker_declare_fn *done;
    struct broker_declare_op *next;
    uint32_t message_count; /* of a queue, after OK */
    uint32_t consumer_count;
    /* the broker's: */
    int64_t deadline_ms;
    struct fault fault;
};

void broker_declare_exchange(struct broker *broker, struct broker_declare_op *op, const char *name,
                             const char *type, const struct headers *arguments, bool passive,
                             broker_declare_fn *done);
void broker_declare_queue(struct broker *broker, struct broker_declare_op *op, const char *name,
                          const struct headers *arguments, bool passive, broker_declare_fn *done);
void broker_bind_queue(struct broker *broker, struct broker_declare_op *op, const char *queue,
                       const char *exchange, const char *key, broker_declare_fn *done);
void broker_bind_exchange(struct broker *broker, struct broker_declare_op *op, const char *destination,
                          const char *source, const char *key, broker_declare_fn *done);

/* ---- consuming ---- */

struct broker_consumer;
/** One delivery. `take_message` is the callee's, contents included (message_fini). */
typedef void broker_delivery_fn(void *context, struct delivery delivery, struct message *take_message);

/**
 * Consumes a queue with its own prefetch, again after each reconnect (also after basic.cancel, channel.close
 * or a consumer timeout). Bodies over max_body_bytes arrive with too_big.
 * @return NULL when out of memory
 */
struct broker_consumer *broker_consume(struct broker *broker, const char *queue, uint16_t prefetch,
                                       size_t max_body_bytes, broker_delivery_fn *fn, void *context);
/**
 * Pauses (basic.cancel; what was delivered stays ours) or goes on. Idempotent. A pause takes what is on its
 * way first, up to the prefetch and a second, and holds acks back meanwhile: nothing comes back to the queue.
 */
void broker_consumer_pause(struct broker_consumer *consumer, bool paused);
/** Pauses for good and at once: what is on its way goes back to the queue, marked as redelivered. */
void broker_consumer_stop(struct broker_consumer *consumer);
bool broker_consumer_active(const struct broker_consumer *consumer); /* the broker has confirmed it */
/** Not after broker_close(), which frees what is left. What it has delivered stays ours. NULL is fine. */
void broker_consumer_free(struct broker_consumer *consumer);

/** Acks, batched at the end of the loop turn. */
void broker_ack(struct broker *broker, struct delivery delivery);
/** Hands the delivery back to its queue. Never used as a wait. */
void broker_requeue(struct broker *broker, struct delivery delivery);
bool broker_delivery_valid(const struct broker *broker, struct delivery delivery);
/** How many deliveries are unsettled on the consuming link. */
size_t broker_unsettled(const struct broker *broker);

/**
 * One message by basic.get (for operators' commands): fn with a message, or message NULL when empty. On the
 * consuming link, so the delivery is acked or requeued as any other; a queue that is missing costs that link.
 */
struct broker_get_op;
typedef void broker_get_fn(struct broker_get_op *op, struct delivery delivery, struct message *take_message,
                           const struct fault *fault);
struct broker_get_op {
    broker_get_fn *done;
    struct broker_get_op *next; /* the broker's */
    struct fault fault;         /* the broker's */
};
void broker_get(struct broker *broker, struct broker_get_op *op, const char *queue, broker_get_fn *done);

/* ---- publishing: persistent, mandatory, confirmed ---- */

struct publish_op;
/**
 * Runs exactly once, later: OK = confirmed and routed; ERR_UNROUTABLE; ERR_NACKED; ERR_NETWORK (fate
 * unknown: it may be there); ERR_UNAVAILABLE (output full: not sent); ERR_TIMEOUT (no confirm in time; fate
 * unknown); ERR_CANCELED.
 */
typedef void publish_done_fn(struct publish_op *op, const struct fault *fault);

struct publication {
    const char *exchange;
    const char *routing_key;
    const char *message_id;                   /* may be NULL */
    const char *content_type;                 /* may be NULL */
    const struct carried_properties *carried; /* may be NULL: of the message that this is a copy of */
    const struct headers *headers;            /* may be NULL; the broker's own (x-death, x-first-death-*,
                                                 x-delivery-count…) are left out always */
    const char *body;
    size_t body_length;
};

struct publish_op {
    publish_done_fn *done;
    /* the broker's: */
    struct broker *broker;
    struct publish_op *next;
    uint64_t sequence; /* of confirms on the current epoch */
    uint32_t epoch;
    int64_t deadline_ms;
    struct fault fault;
    bool returned;
    bool in_flight;
};

/** Copies everything into the output buffer; `op` stays put until done. ERR_NETWORK when the link is not up.
 */
void broker_publish(struct broker *broker, struct publish_op *op, const struct publication *publication,
                    int64_t timeout_ms, publish_done_fn *done);
static inline bool publish_op_active(const struct publish_op *op)
{
    return op->in_flight;
}

#endif
