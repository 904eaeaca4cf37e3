/*
 * What is said to Redis on a new connection before it counts as up: log in, choose the database, ask whether
 * it is a master, load the scripts. All sent at once; each answer is checked. Private to the store adapter.
 */
#ifndef FULFILLD_COMMON_STORE_GREETING_H
#define FULFILLD_COMMON_STORE_GREETING_H

#include "common/store.h"
#include "common/store_link.h"

enum { STORE_DIGEST_LENGTH = 40, STORE_GREETING_STEPS = 4 };

struct store_greeting {
    const struct store_uri *uri; /* borrowed, as the scripts */
    const struct store_script *scripts;
    size_t script_count;
    char (*digests)[STORE_DIGEST_LENGTH + 1]; /* of the scripts, as this server told them */

    int steps[STORE_GREETING_STEPS]; /* before the scripts; which of them apply */
    size_t step_count;
    size_t answered; /* steps and scripts */
};

MUST_CHECK enum err store_greeting_init(struct store_greeting *greeting, const struct store_uri *uri,
                                        const struct store_script *scripts, size_t script_count);
void store_greeting_fini(struct store_greeting *greeting);

/** Writes the whole greeting to a link that has just connected; false when out of memory. */
MUST_CHECK bool store_greeting_send(struct store_greeting *greeting, struct store_link *link);

/**
 * Takes the next answer. false: the link cannot be used, ret_fault says why, without the password.
 * ret_complete is set by the last answer.
 */
MUST_CHECK bool store_greeting_take(struct store_greeting *greeting, const struct store_reply *reply,
                                    bool *ret_complete, struct fault *ret_fault);

#endif
