/*
 * What the tests of the store share: a store on a real loop, and operations that note how they ended. One
 * store at a time.
 */
#ifndef FULFILLD_TESTS_SUPPORT_STORE_TRIAL_H
#define FULFILLD_TESTS_SUPPORT_STORE_TRIAL_H

#include "common/store.h"

enum { STORE_TRIAL_TIMEOUT_MS = 600, SCRIPT_COUNT = 3 };
enum { SCRIPT_WRITE, SCRIPT_GIVE, SCRIPT_FILL }; /* sets and gives back ARGV[1]; gives it back; sets 1 MB */

struct trial {
    struct store_op op;
    bool ended;
    struct fault fault;
    char text[64];
    int64_t number;
};

extern struct loop *loop;
extern struct store *store; /* closed by store_trial_fini() unless NULL */
extern bool is_up;
extern size_t up_count, down_count; /* of the calls of on_state */
extern struct fault last_fault;     /* of the last outage */
extern const struct store_script trial_scripts[];

/** A new loop. */
int store_trial_init(void);
/** Closes the store, and fails where something is left on the loop. */
void store_trial_fini(void);

/** Opens a store with the first `script_count` scripts; `password` may be NULL. */
void store_trial_open(const char *uri, const char *password, size_t script_count);
/** The state function of stores that a test opens itself. */
void store_trial_on_state(void *context, bool up, const struct fault *fault);

void store_trial_script(struct trial *trial, size_t script, const char *argument);
/** A command of up to three words; the last ones may be NULL. */
void store_trial_command(struct trial *trial, const char *first, const char *second, const char *third);
/** Waits for the end, which must be that one. */
void store_trial_finish(struct trial *trial, enum err code);

#endif
