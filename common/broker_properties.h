/* The properties of a message (AMQP 0-9-1, class basic): read, carried through, written. Private to
 * broker*.c. */
#ifndef FULFILLD_COMMON_BROKER_PROPERTIES_H
#define FULFILLD_COMMON_BROKER_PROPERTIES_H

#include "common/broker.h"

/**
 * Fills content_type, message_id, headers and carried from a content header's flags and property list, as far
 * as they parse. A property that does not is no reason to give up the connection: the message would come
 * again after each reconnect and stop the whole pool.
 */
void broker_properties_read(const uint8_t *bytes, size_t length, struct message *message);

/** Bytes that broker_properties_write() writes, the headers' `headers_bytes` among them. */
size_t broker_properties_bytes(const struct publication *publication, size_t headers_bytes);
/** Writes flags and property list; returns what follows. Texts have at most 255 bytes. */
uint8_t *broker_properties_write(uint8_t *out, const struct publication *publication, size_t headers_bytes);

#endif
