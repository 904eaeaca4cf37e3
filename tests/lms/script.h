/* Scripted answers and faults: rules that match requests, steps that are used up one by one. */
#ifndef LMS_SCRIPT_H
#define LMS_SCRIPT_H

#include "request.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum way {
    WAY_WHOLE,    /* the answer arrives */
    WAY_NEVER,    /* nothing is answered; the connection stays open */
    WAY_CLOSE,    /* closed before any byte */
    WAY_RESET,    /* reset (RST) before any byte */
    WAY_TRUNCATE, /* closed after truncate_at bytes of the body */
    WAY_GARBAGE,  /* bytes that are not HTTP, then closed */
    WAY_HANGUP,   /* the whole answer, then closed without having said so */
};

struct step {
    enum way way;
    int status;         /* 0 = the real one, or 200 when the answer is faked otherwise */
    char *body;         /* NULL = none given */
    json_t *headers;    /* object of texts, or NULL */
    char *garbage;      /* what WAY_GARBAGE sends */
    int64_t delay_ms;   /* before the first byte */
    int64_t dribble_ms; /* between two bytes; 0 = all at once */
    size_t truncate_at; /* bytes of the body that arrive */
    size_t big_bytes;   /* length of a made-up body; 0 = none */
    bool faked;         /* the answer is not the real one, or does not arrive */
    bool apply;         /* the real effect is done */
    long times;         /* requests it answers; -1 = all */
    long used;
};

struct rule {
    char *name;
    char *method, *path, *kind, *user, *course, *order; /* NULL = any; path is a prefix */
    struct step *steps;
    size_t step_count;
    size_t at; /* the step in turn; step_count = used up */
    uint64_t hits;
};

struct script {
    struct rule **rules; /* the first that matches and is not used up answers */
    size_t rule_count;
    struct step *outage; /* answers everything while it lasts; NULL = no outage */
    int64_t latency_ms;  /* added to every answer */
};

/** Adds rules: one, an array, or {"rules": […], "replace": bool}. False and *ret_why when one is
 *  not understood; then none is added. */
bool script_add(struct script *script, const json_t *spec, const char **ret_why);

/** Removes every rule, the outage and the latency. */
void script_clear(struct script *script);

/** Begins an outage as described by a step, or ends it ({"off": true}). */
bool script_set_outage(struct script *script, const json_t *spec, const char **ret_why);

/** The step that answers this request, used up by one; NULL = the real answer.
 *  @param ret_rule the rule's name, or "outage"; borrowed until the script changes */
const struct step *script_take(struct script *script, const struct request *request, const char **ret_rule);

/** The rules with how often each matched. New reference. */
json_t *script_dump(const struct script *script);

/** The name of a way, e.g. "truncate"; NULL for WAY_WHOLE. */
const char *script_way_name(enum way way);

#endif
