/*
 * The table of outcomes (outcomes.def) as code: which row an answer meets, and what result it makes. Pure.
 * Called by module_call for host->judge() and host->finish_by_answer(), and by the printer of
 * docs/failures.md.
 */
#ifndef FULFILLD_WORKER_OUTCOME_H
#define FULFILLD_WORKER_OUTCOME_H

#include "fulfill/module.h"

#include <stdbool.h>
#include <stddef.h>

enum outcome_where { OUTCOME_SENT_NOTHING, OUTCOME_ANSWER };
enum outcome_match { OUTCOME_ANYTHING, OUTCOME_SAYS, OUTCOME_AFTER, OUTCOME_FINDS };
enum {
    OUTCOME_OP_FULFILL = 1,
    OUTCOME_OP_REFUND = 2,
    OUTCOME_OP_LOOKUP = 4,
    OUTCOME_OP_BOTH = 3,
    OUTCOME_OP_ALL = 7
};
enum { OUTCOME_WORDS_BYTES = 501 };

struct outcome_row {
    const char *module;  /* "any": of every module */
    unsigned operations; /* OUTCOME_OP_… */
    const char *id;
    enum outcome_where where;
    enum fulfill_transport transport; /* of OUTCOME_ANSWER */
    int from, to;                     /* statuses, of transports that have one */
    enum outcome_match match;
    const char *text; /* of SAYS and FINDS */
    enum fulfill_decision decision;
    const char *reason; /* "" = none */
    enum fulfill_status status;
    enum fulfill_health health;
    enum fulfill_look look;
    const char *when, *remedy;
};

extern const struct outcome_row outcome_rows[];
extern const size_t outcome_row_count;

/**
 * The first row that fits. Never NULL: the last rows fit everything.
 * @param answer   NULL when nothing was asked
 * @param finding  NULL when the module has nothing to add; else only FINDS rows of that word fit
 */
const struct outcome_row *outcome_find(const char *module, enum fulfill_operation operation,
                                       const struct fulfill_answer *answer, const char *finding);

/** Fills the result that a row makes of an answer; `words` holds its message and must outlive it. */
void outcome_fill(const struct outcome_row *row, const struct fulfill_answer *answer,
                  char words[OUTCOME_WORDS_BYTES], struct fulfill_result *ret_result);

/** The upstream's words in an answer's body, made safe; "" when it has none for a person (empty, HTML). */
void outcome_words(const struct fulfill_answer *answer, char words[OUTCOME_WORDS_BYTES]);

#endif
