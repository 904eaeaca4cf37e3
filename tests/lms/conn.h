/* TCP connections: bytes in, requests out; answers in, bytes out, broken on demand. */
#ifndef LMS_CONN_H
#define LMS_CONN_H

#include "lms.h"

#include <uv.h>

/** Accepts the connection that waits on listener, and serves it until it ends by itself. */
void conn_accept(struct lms *lms, uv_stream_t *listener);

#endif
