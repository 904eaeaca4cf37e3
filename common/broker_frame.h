/*
 * What leaves a connection, as AMQP 0-9-1 frames appended to a buffer. Methods are encoded by librabbitmq;
 * `method` and `decoded` are its method number and struct (amqp_queue_declare_t …), as in
 * amqp_encode_method().
 */
#ifndef FULFILLD_COMMON_BROKER_FRAME_H
#define FULFILLD_COMMON_BROKER_FRAME_H

#include "common/broker.h"
#include "common/broker_buffer.h"

enum {
    BROKER_FRAME_METHOD = 1,
    BROKER_FRAME_HEADER = 2,
    BROKER_FRAME_BODY = 3,
    BROKER_FRAME_HEARTBEAT = 8,
    BROKER_FRAME_END = 0xCE,
    BROKER_FRAME_OVERHEAD = 8, /* type, channel, size and end octet */
    BROKER_FRAME_MAX_BYTES = 128 * 1024,
    BROKER_FRAME_SHORT_STRING_MAX = 255,
};

/* Each appends whole frames or nothing. ERR_NOMEM; ERR_TOO_BIG when one does not fit a frame. */
MUST_CHECK enum err broker_frame_protocol_header(struct broker_buffer *out);
MUST_CHECK enum err broker_frame_method(struct broker_buffer *out, uint16_t channel, uint32_t method,
                                        void *decoded);
MUST_CHECK enum err broker_frame_heartbeat(struct broker_buffer *out);
/**
 * basic.publish (mandatory) with content header (persistent) and body in frames of at most `frame_max` bytes.
 * ERR_TOO_BIG also when a name is longer than 255 bytes.
 */
MUST_CHECK enum err broker_frame_publish(struct broker_buffer *out, uint16_t channel, size_t frame_max,
                                         const struct publication *publication);

#endif
