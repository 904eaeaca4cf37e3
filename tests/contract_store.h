/*
 * What contract_store.c needs of the store it is run against: contract_store_fake.c (scripted answers,
 * virtual clock) or contract_store_real.c (a private redis-server).
 */
#ifndef FULFILLD_TESTS_CONTRACT_STORE_H
#define FULFILLD_TESTS_CONTRACT_STORE_H

#include "common/store.h"

enum { SUBJECT_TIMEOUT_MS = 1500 };

/* Scripts by what they answer, in the order of contract_scripts. */
enum contract_script {
    SCRIPT_KINDS,   /* {1, "two", nil, {"3"}, "42"} */
    SCRIPT_ECHO,    /* {KEYS[1], ARGV[1], ARGV[2]}; contract_store.c calls it with "k", "a b", "" */
    SCRIPT_FAILING, /* error ERR_REFUSED, words "boom" */
    SCRIPT_FULL     /* error of a full memory */
};
enum { SCRIPT_COUNT = 4 };
extern const struct store_script contract_scripts[];

/** A new loop and what serves the store; 0, or -1 when it cannot run here. */
int subject_set_up(void);
void subject_tear_down(void);
struct loop *subject_loop(void);
const char *subject_uri(void);
/** Makes the subject ready to answer one call of that script, or of a plain PING. */
void subject_expect(enum contract_script script);
void subject_expect_ping(void);
/** Makes it ready not to answer one BLPOP. */
void subject_expect_silence(void);
/** Ends the link from the other side; it comes back by itself, or by subject_mend_link(). */
void subject_break_link(void);
void subject_mend_link(void);
/** Runs the loop until the flag is set; false when that does not come about. */
MUST_CHECK bool subject_await(const bool *flag);

#endif
