/*
 * Parses replies by hiredis and lets them be looked at. Decides how large a reply may be; what it means is
 * left to store.c and store_greeting.c. The only file that sees hiredis.
 *
 * Of hiredis only the reader is used. Its asynchronous connection ends the process by an assert when a server
 * sends an answer that nobody asked for, knows no deadlines, and Debian's libuv adapter for it swallows
 * errors.
 */
#include "common/store_reply.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdio.h>

enum {
    ARRAY_ELEMENTS_MAX = 1 << 20,       /* of one array; more is nonsense or malice */
    REPLY_BYTES_MAX = 64 * 1024 * 1024, /* of one unfinished reply */
    WHY_SIZE = 128
};

struct store_reader {
    redisReader *parser;
    redisReplyObjectFunctions functions; /* hiredis' own, but for the limit on arrays */
    char why[WHY_SIZE];
};

struct store_reply {
    redisReply reply; /* never made: a redisReply seen through our name */
};

static void *create_array(const redisReadTask *task, int elements)
{
    redisReply *parent = task->parent ? task->parent->obj : NULL;

    if (elements > ARRAY_ELEMENTS_MAX)
        return NULL;
    redisReply *reply = calloc(1, sizeof *reply);
    if (!reply)
        return NULL;
    reply->type = REDIS_REPLY_ARRAY;
    if (elements > 0) {
        reply->elements = (size_t)elements;
        reply->element = calloc(reply->elements, sizeof(*reply->element));
        if (!reply->element) {
            free(reply);
            return NULL;
        }
    }
    if (parent)
        parent->element[task->idx] = reply;
    return reply;
}

struct store_reader *store_reader_new(void)
{
    struct store_reader *reader = calloc(1, sizeof *reader);
    redisReader *pattern = redisReaderCreate();

    if (reader && pattern) {
        reader->functions = *pattern->fn;
        reader->functions.createArray = create_array;
        reader->parser = redisReaderCreateWithFunctions(&reader->functions);
    }
    if (pattern)
        redisReaderFree(pattern);
    if (reader && !reader->parser) {
        free(reader);
        return NULL;
    }
    return reader;
}

void store_reader_free(struct store_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->parser);
    free(reader);
}

static bool keep_why(struct store_reader *reader, const char *why)
{
    (void)snprintf(reader->why, sizeof reader->why, "%.*s", WHY_SIZE - 1, why);
    return false;
}

bool store_reader_feed(struct store_reader *reader, const char *data, size_t length)
{
    if (redisReaderFeed(reader->parser, data, length) != REDIS_OK)
        return keep_why(reader, reader->parser->errstr);
    return true;
}

bool store_reader_next(struct store_reader *reader, struct store_reply **ret_reply)
{
    void *reply = NULL;

    if (redisReaderGetReply(reader->parser, &reply) != REDIS_OK)
        return keep_why(reader, reader->parser->errstr);
    if (!reply && reader->parser->len > REPLY_BYTES_MAX)
        return keep_why(reader, "too long");
    *ret_reply = reply;
    return true;
}

const char *store_reader_why(const struct store_reader *reader)
{
    return reader->why;
}

void store_reply_free(struct store_reply *reply)
{
    freeReplyObject(reply);
}

const char *store_reply_error(const struct store_reply *reply)
{
    return reply->reply.type == REDIS_REPLY_ERROR ? reply->reply.str : NULL;
}

/* ---- looking at replies: store.h ---- */

size_t store_reply_count(const struct store_reply *reply)
{
    return reply && reply->reply.type == REDIS_REPLY_ARRAY ? reply->reply.elements : 0;
}

const struct store_reply *store_reply_at(const struct store_reply *reply, size_t index)
{
    if (index >= store_reply_count(reply))
        return NULL;
    return (const struct store_reply *)(const void *)reply->reply.element[index];
}

int64_t store_reply_int(const struct store_reply *reply)
{
    if (!reply)
        return 0;
    if (reply->reply.type == REDIS_REPLY_INTEGER)
        return reply->reply.integer;
    const char *text = store_reply_str(reply, NULL);
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' ? value : 0;
}

const char *store_reply_str(const struct store_reply *reply, size_t *ret_length)
{
    bool is_text =
        reply && (reply->reply.type == REDIS_REPLY_STRING || reply->reply.type == REDIS_REPLY_STATUS);

    if (ret_length)
        *ret_length = is_text ? reply->reply.len : 0;
    return is_text ? reply->reply.str : "";
}

bool store_reply_nil(const struct store_reply *reply)
{
    return !reply || reply->reply.type == REDIS_REPLY_NIL;
}
