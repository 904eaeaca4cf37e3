/*
 * Bytes from Redis as replies: hiredis' reader behind our own names, with limits against nonsense. Private to
 * the store adapter; how replies are looked at is in store.h.
 */
#ifndef FULFILLD_COMMON_STORE_REPLY_H
#define FULFILLD_COMMON_STORE_REPLY_H

#include "common/store.h"

struct store_reader;

/** NULL when out of memory. */
struct store_reader *store_reader_new(void);
void store_reader_free(struct store_reader *reader); /* NULL is fine */

/** Takes bytes in; false when they cannot be kept: the stream is lost, store_reader_why() says why. */
MUST_CHECK bool store_reader_feed(struct store_reader *reader, const char *data, size_t length);
/** The next whole reply, owned by the caller, or NULL when more bytes are needed; false as above. */
MUST_CHECK bool store_reader_next(struct store_reader *reader, struct store_reply **ret_reply);
const char *store_reader_why(const struct store_reader *reader);

void store_reply_free(struct store_reply *reply);
/** The words of an error answer, else NULL. */
const char *store_reply_error(const struct store_reply *reply);

#endif
