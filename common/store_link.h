/*
 * One byte stream to Redis on the loop: name look-up, connect, buffered writes (one send per loop turn),
 * reads. Knows no Redis protocol and no deadline; store.c has both.
 */
#ifndef FULFILLD_COMMON_STORE_LINK_H
#define FULFILLD_COMMON_STORE_LINK_H

#include "common/loop.h"
#include "common/store_uri.h"

enum { STORE_LINK_READ_BYTES = 64 * 1024 };

/* All run on the loop, never inside a function of this header but store_link_receive(). */
struct store_link_events {
    void (*on_connected)(void *context);
    void (*on_bytes)(void *context, const char *data, size_t length);
    /* The link is dropped already. Name look-up, connect, read or write failed, or the peer closed. */
    void (*on_failed)(void *context, const struct fault *fault);
};

struct store_link {
    struct loop *loop;
    const struct store_uri *uri;
    const struct store_link_events *events;
    void *context;

    struct loop_resolve *resolve;
    struct loop_address addresses[LOOP_ADDRESS_MAX];
    size_t address_count;
    size_t address_next; /* which to try when the one in use fails */

    int fd; /* -1 = none */
    struct loop_poll *poll;
    struct loop_hook hook;
    struct loop_task task; /* tells of failures that were noticed inside a call */
    struct fault fault;    /* what it tells */
    bool connected;
    bool blocked; /* the socket takes no more for now */

    char *out; /* bytes not sent yet: out[out_sent .. out_length) */
    size_t out_sent, out_length, out_capacity;
    char in[STORE_LINK_READ_BYTES];
};

/* `uri` and `events` are borrowed until fini. */
void store_link_init(struct store_link *link, struct loop *loop, const struct store_uri *uri,
                     const struct store_link_events *events, void *context);
void store_link_fini(struct store_link *link);

/** Starts: look-up, then the first address. Ends in on_connected or on_failed. */
void store_link_connect(struct store_link *link);
/** Starts with the next address of the last look-up; false when there is none. */
bool store_link_connect_next(struct store_link *link);
/** Closes at once, without a callback. Harmless when closed. */
void store_link_drop(struct store_link *link);

/** Makes room, so that the next writes of `length` bytes together cannot fail. */
MUST_CHECK bool store_link_reserve(struct store_link *link, size_t length);
/** Appends reserved bytes; they leave at the end of this turn of the loop. */
void store_link_write(struct store_link *link, const char *data, size_t length);
/** Whether bytes wait for the end of this turn; false when they wait for the peer to take them. */
bool store_link_unsent(const struct store_link *link);
/** Reads what has arrived by now, as if the loop had said so. */
void store_link_receive(struct store_link *link);

/** Where it goes, for messages: host:port or path. */
void store_link_describe(const struct store_link *link, char *text, size_t size);

#endif
