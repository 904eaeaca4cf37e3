/* One request and its answer, from "it is all here" to "this goes onto the wire". */
#ifndef LMS_EXCHANGE_H
#define LMS_EXCHANGE_H

#include "buf.h"
#include "lms.h"
#include "reply.h"
#include "request.h"

#include <stdbool.h>
#include <stdint.h>

/* What the connection has to do; made by exchange_run(). */
struct delivery {
    enum way way;
    int64_t delay_ms;   /* before the first byte */
    int64_t dribble_ms; /* between two bytes; 0 = all at once */
    struct buf bytes;   /* all that is sent */
    uint64_t seq;       /* in the ledger; 0 = an admin call, which is not in it */
};

/** Works out the answer to a whole request, does its effect, and notes both in the ledger.
 *  @param connection, nth  for the ledger
 *  @param keep_alive       what the request allows; the answer says so
 *  @param delivery         bytes is emptied first and its memory reused */
void exchange_run(struct lms *lms, struct request *request, uint64_t connection, uint64_t nth,
                  bool keep_alive, struct delivery *delivery);

/** The delivery is over: all sent, or the connection died. */
void exchange_end(struct lms *lms, const struct delivery *delivery, bool answered);

#endif
