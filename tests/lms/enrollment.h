/* The Enrollment API of the stand-in. */
#ifndef LMS_ENROLLMENT_H
#define LMS_ENROLLMENT_H

#include "caller.h"
#include "reply.h"
#include "request.h"
#include "world.h"

/** POST and GET /api/enrollment/v1/enrollment.
 *  @param old_release answer as an older LMS does: E13 as E12, E14 as a 500 */
void enrollment_answer(struct world *world, struct gate *gate, bool old_release,
                       const struct request *request, struct reply *reply);

/** GET /api/enrollment/v1/enrollment/{user},{course}. */
void enrollment_answer_one(struct world *world, struct gate *gate, const struct request *request,
                           struct reply *reply);

/** GET /api/enrollment/v1/enrollments?course_id=&username= */
void enrollment_answer_list(struct world *world, struct gate *gate, const struct request *request,
                            struct reply *reply);

/** GET /api/enrollment/v1/course/{course} */
void enrollment_answer_course(struct world *world, const struct request *request, struct reply *reply);

#endif
