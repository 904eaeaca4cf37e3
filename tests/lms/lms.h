/* Everything the stand-in is made of, and the way one request goes through it. */
#ifndef LMS_LMS_H
#define LMS_LMS_H

#include "caller.h"
#include "ledger.h"
#include "options.h"
#include "script.h"
#include "world.h"

#include <stdbool.h>
#include <stdint.h>

struct lms {
    struct options options;
    struct world world;
    struct gate gate;
    struct script script;
    struct ledger ledger;
    bool old_release;     /* answer as an older LMS does where that differs */
    uint64_t connections; /* accepted so far; numbers them */
    uint64_t open_connections;
};

/** Fills everything from the options and the seed file; false with a message on standard error. */
bool lms_init(struct lms *lms, const struct options *options);

void lms_fini(struct lms *lms);

/** Puts world, tokens, throttles and settings back to how they began. */
bool lms_reset_world(struct lms *lms, const char **ret_why);

/** Merges a document of settings and data (README.md, "Seed and settings"). */
bool lms_configure(struct lms *lms, const json_t *doc, const char **ret_why);

#endif
