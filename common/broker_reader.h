/*
 * What arrives on a connection: bytes in, methods and whole messages out. No socket, no time, no state of the
 * protocol beyond "which content is being put together": a fuzz target and the tests feed it directly.
 */
#ifndef FULFILLD_COMMON_BROKER_READER_H
#define FULFILLD_COMMON_BROKER_READER_H

#include "common/broker.h"

enum { BROKER_READER_CHANNELS = 3, BROKER_READER_TAG_BYTES = 64 };

/* A method that carries a message: basic.deliver, basic.get-ok or basic.return. */
struct broker_content {
    uint32_t method;
    uint64_t delivery_tag;                      /* deliver, get-ok */
    char consumer_tag[BROKER_READER_TAG_BYTES]; /* deliver; empty when longer than ours are */
    uint16_t reply_code;                        /* return */
    struct message message;                     /* whoever takes its contents zeroes it */
};

/* Each may start anything but a free of the reader. */
struct broker_reader_events {
    /* `decoded` is librabbitmq's struct of that method, valid for the call. False: stop reading. */
    bool (*on_method)(void *context, uint16_t channel, uint32_t method, void *decoded);
    bool (*on_content)(void *context, struct broker_content *content);
    /* How large a body may be; asked before memory is taken. A larger one is swallowed (too_big). */
    size_t (*body_limit)(void *context, const struct broker_content *content);
};

struct broker_reader;

struct broker_reader *broker_reader_new(const struct broker_reader_events *events, void *context);
void broker_reader_free(struct broker_reader *reader);
/** Forgets what was read, for a new connection. Allowed inside callbacks that then return false. */
void broker_reader_reset(struct broker_reader *reader);
/** Where to put the next bytes; *ret_bytes is at least 1. */
uint8_t *broker_reader_space(struct broker_reader *reader, size_t *ret_bytes);
/**
 * Takes `bytes` that were put into the space, runs the callbacks of what is complete.
 * @return OK; ERR_MALFORMED or ERR_NOMEM with ret_fault: the connection is of no further use
 */
MUST_CHECK enum err broker_reader_feed(struct broker_reader *reader, size_t bytes, struct fault *ret_fault);

#endif
