/* The calls under /_lms/ that tests steer the stand-in with. */
#ifndef LMS_ADMIN_H
#define LMS_ADMIN_H

#include "lms.h"
#include "reply.h"
#include "request.h"

/** Answers one admin call. */
void admin_answer(struct lms *lms, const struct request *request, struct reply *reply);

#endif
