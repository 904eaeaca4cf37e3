/* One HTTP answer before it is put on the wire. */
#ifndef LMS_REPLY_H
#define LMS_REPLY_H

#include "buf.h"

#include <stdbool.h>

struct reply {
    int status;               /* HTTP status */
    const char *content_type; /* static text; NULL = application/json, "" = no such line */
    struct buf headers;       /* further lines, each ended by CR LF */
    struct buf body;
    bool applied; /* the request changed the state of the LMS */
};

/** Empties a reply for the next request and keeps its memory. */
void reply_reset(struct reply *reply);

/** Gives the memory back. */
void reply_free(struct reply *reply);

/** Adds a header line. A value with a line break is cut there. */
void reply_header(struct reply *reply, const char *name, const char *value);

/** Sets status and a body {"KEY": "text"}, text formatted. */
void reply_text(struct reply *reply, int status, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Sets status and an empty body. */
void reply_empty(struct reply *reply, int status);

/** Sets status and an HTML page, as a web server in front of the LMS answers. */
void reply_page(struct reply *reply, int status, const char *text);

/** Writes head and body as HTTP/1.1 onto the end of out.
 *  @param declared_len what Content-Length says; normally reply->body.len
 *  @param with_body    false for HEAD */
void reply_write(const struct reply *reply, size_t declared_len, bool with_body, struct buf *out);

#endif
