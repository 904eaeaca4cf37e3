/* Reading one step of a script from JSON. */
#ifndef LMS_SCRIPT_STEP_H
#define LMS_SCRIPT_STEP_H

#include "script.h"

/** Fills a zeroed step; false and *ret_why on an unknown key or a wrong value. The step must be
 *  given to script_step_fini() either way. */
bool script_step_read(struct step *step, const json_t *spec, const char **ret_why);

void script_step_fini(struct step *step);

#endif
