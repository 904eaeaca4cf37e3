/* The Course Entitlements API of the stand-in. */
#ifndef LMS_ENTITLEMENT_H
#define LMS_ENTITLEMENT_H

#include "caller.h"
#include "reply.h"
#include "request.h"
#include "world.h"

/** POST and GET /api/entitlements/v1/entitlements/. */
void entitlement_answer(struct world *world, struct gate *gate, const struct request *request,
                        struct reply *reply);

/** GET and DELETE /api/entitlements/v1/entitlements/{uuid}/. */
void entitlement_answer_one(struct world *world, struct gate *gate, const struct request *request,
                            struct reply *reply);

/** Either without its last slash: sent to the right address, as Django does. */
void entitlement_answer_unslashed(const struct request *request, struct reply *reply);

#endif
