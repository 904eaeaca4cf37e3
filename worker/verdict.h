/*
 * What became of a line in one run, and what becomes of the whole item: the data that the stages hand on.
 * Pure. Line outcomes come from module_host, decisions from retry_policy.
 */
#ifndef FULFILLD_WORKER_VERDICT_H
#define FULFILLD_WORKER_VERDICT_H

#include "fulfill/module.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum line_state {
    LINE_OPEN,     /* not run in this generation yet, or postponed: its upstream is not asked now */
    LINE_COMPLETE, /* fulfilled; of a refund: revoked */
    LINE_REFUNDED, /* of a fulfilment: a refund came first; counts as finished */
    LINE_FAILED,   /* failed, may be tried again */
    LINE_FINAL     /* failed for good in this generation */
};

enum { LINE_MESSAGE_BYTES = 501, LINE_REASON_BYTES = 32, LINE_MODULE_BYTES = 33 };

/* One line's state: kept in Redis between attempts, carried by copies, told in events. */
struct line_outcome {
    int64_t id;
    enum line_state state;
    enum fulfill_status status;     /* of a failed line: which of the four errors */
    char reason[LINE_REASON_BYTES]; /* "" = none */
    char message[LINE_MESSAGE_BYTES];
    int http_status;
    char module[LINE_MODULE_BYTES]; /* "" = none */
    char *result_json;              /* owned; a JSON object, checked by who sets it; NULL = none */
    bool look_first;                /* an earlier attempt may have had its effect */
    int64_t key_generation;         /* generation its idempotency keys are made of; 0 = not chosen yet */
    int doubtful;                   /* RETRY_FEW answers so far in this generation; counted by
                                       retry_decide() alone */
    /* of this run only: */
    bool ran; /* an upstream was asked, or the module decided */
    bool costs_attempt;
    enum fulfill_decision decision;
    int64_t wait_until_ms; /* wall clock, ms: not before this; 0 = policy decides */
};

/* Nothing more is to be done for the line: complete, or a refund came first. */
bool line_finished(const struct line_outcome *line);

/*
 * The event's word for a line: "Complete", "Fulfillment Server Error", "Refunded", "Revocation Error" …
 * An open line keeps the word for its last failure; one that never ran is "Open".
 */
const char *line_status_text(const struct line_outcome *line, bool refund);

/**
 * Lines as a JSON array, for Redis. Each row begins with its id and its state. Written straight into a text:
 * every order passes here several times.
 * @return malloc'd, the caller's; NULL = out of memory
 */
char *line_outcomes_text(const struct line_outcome *lines, size_t count);

/** The same for the x-fulfillment-lines header: finished lines, and of lines in doubt what a repeat needs. */
char *line_outcomes_header(const struct line_outcome *lines, size_t count);

/**
 * Reads what line_outcomes_text() or line_outcomes_header() wrote into the lines of the same id. Rows that
 * are not ours or not sound are ignored (the header comes from outside), and a finished line is never undone.
 * With same_generation false an unfinished row opens its line anew: its failure stays as the last known word,
 * look_first and the key of a line in doubt stay, what counts towards giving up does not.
 */
void line_outcomes_merge(struct line_outcome *lines, size_t count, const json_t *array, bool same_generation);

/** Chooses the generation of the idempotency key where none is known: a new one, unless a line is in doubt.
 */
void line_outcomes_choose_keys(struct line_outcome *lines, size_t count, int64_t generation);

/** Frees what the lines own; the array itself stays the caller's. */
void line_outcomes_free(struct line_outcome *lines, size_t count);

/* What the pipeline does with the item after a run. */
enum item_verdict { ITEM_COMPLETE, ITEM_RETRY, ITEM_DEAD };

#endif
