/* Reading enrollments and courses. */
#ifndef LMS_ENROLLMENT_READ_H
#define LMS_ENROLLMENT_READ_H

#include "caller.h"
#include "reply.h"
#include "request.h"
#include "world.h"

/** Answers 200 with the enrollment as the API shows it. course may be NULL. */
void enrollment_write(const struct enrollment *enrollment, struct course *course, struct reply *reply);

/** GET /enrollment: the caller's own enrollments; with an API key alone, an empty list. */
void enrollment_read_mine(struct world *world, const struct caller *caller, const struct request *request,
                          struct reply *reply);

#endif
