/* Who is asking, and what that buys: API key, JWT, both, neither. */
#ifndef LMS_CALLER_H
#define LMS_CALLER_H

#include "reply.h"
#include "request.h"
#include "throttle.h"
#include "tokens.h"

#include <stdbool.h>

struct caller {
    bool has_key;     /* sent the right API key */
    bool staff;       /* sent a token of a staff user */
    const char *user; /* whom the token stands for; "" with the key alone; borrowed */
    bool has_token;
};

struct gate {
    const char *api_key; /* borrowed; what X-Edx-Api-Key must be; NULL = no key is right */
    struct tokens tokens;
    struct throttle staff_window;
    struct throttle user_window;
};

/** Finds out who asks; false with the 401 in reply.
 *  @param key_counts whether this resource takes the API key at all (entitlements do not) */
bool caller_identify(struct gate *gate, const struct request *request, bool key_counts,
                     struct caller *ret_caller, struct reply *reply);

/** Counts the request against the caller's window; false with the 429 in reply. */
bool caller_admit(struct gate *gate, const struct caller *caller, struct reply *reply);

/** May ask on behalf of others: key or staff. */
bool caller_is_privileged(const struct caller *caller);

/** How the request's Authorization header looks: jwt, bearer, other, or NULL when absent. */
const char *caller_authorization_kind(const struct request *request);

#endif
