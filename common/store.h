/*
 * Redis by role: atomic scripts in, replies out, on the loop. Connects, authenticates, loads the scripts,
 * reconnects with backoff, gives every operation a deadline, and says when the link changes.
 *
 * Fake for unit tests: tests/fakes/fake_store.c (scripted answers).
 */
#ifndef FULFILLD_COMMON_STORE_H
#define FULFILLD_COMMON_STORE_H

#include "common/loop.h"

struct store;

/* A Lua script embedded at build time from worker/scripts/NAME.lua (generated table in scripts.c). */
struct store_script {
    const char *name;
    const char *text;
    size_t length;
};

struct store_options {
    const char *uri;      /* redis://[user[:password]@]host:port/db or redis+unix:///path?db=0 */
    const char *username; /* NULL = none; over the URI's */
    const char *password; /* NULL = none; over the URI's */
    int64_t timeout_ms;   /* > 0; deadline of every operation and of each connect step */
    const struct store_script *scripts; /* borrowed for ever */
    size_t script_count;
};

/* Called when the link goes up (fault NULL) or down (why; once per outage, not per try,
 * and once more when it turns out that Redis is there and refuses us). */
typedef void store_state_fn(void *context, bool up, const struct fault *fault);

/** Starts connecting. NULL with ret_fault (ERR_CONFIG for a bad URI: says what is wrong and allowed). */
struct store *store_open(struct loop *loop, const struct store_options *options, store_state_fn *on_state,
                         void *context, struct fault *ret_fault);
bool store_up(const struct store *store);
/** Ends all operations with ERR_CANCELED, closes the link, and frees once the loop is done with it. NULL is
 * fine. */
void store_close(struct store *store);

/* ---- replies: borrowed for the duration of done() ---- */

struct store_reply;
size_t store_reply_count(const struct store_reply *reply); /* elements of an array, else 0 */
const struct store_reply *store_reply_at(const struct store_reply *reply, size_t index); /* NULL outside */
/* 0 when it is no integer (numeric strings are read as well). */
int64_t store_reply_int(const struct store_reply *reply);
/* Bytes of a string or status; "" and 0 when nil or something else. NUL-terminated. */
const char *store_reply_str(const struct store_reply *reply, size_t *ret_length);
bool store_reply_nil(const struct store_reply *reply);

/* ---- operations ---- */

struct store_arg {
    const char *data;
    size_t length;
};
#define STORE_ARG(text) ((struct store_arg){(text), strlen(text)})

struct store_op;
/**
 * Runs exactly once, later. fault->code: OK (reply valid); ERR_NETWORK, ERR_TIMEOUT (the effect is
 * unknown: it may have happened); ERR_UNAVAILABLE (READONLY, LOADING, OOM, MISCONF…: it did not happen);
 * ERR_REFUSED (a script error: our bug or a foreign value; detail says which); ERR_NOMEM; ERR_CANCELED.
 */
typedef void store_done_fn(struct store_op *op, const struct store_reply *reply, const struct fault *fault);

struct store_op {
    store_done_fn *done;
    /* the store's: */
    struct store *store;
    struct store_op *prev, *next;
    int64_t deadline_ms;
    size_t skip; /* answers of operations that left early, to be thrown away before ours */
    const struct store_script *script;
    char *command; /* the formatted command, for a repeat after NOSCRIPT; freed before done */
    size_t command_length;
    struct fault fault; /* outcome waiting to be told */
    bool in_flight;
    bool canceled;
};

/**
 * Runs a script: EVALSHA, and once more with its text where Redis does not know it.
 * keys and args are copied. The link down: ends with ERR_NETWORK (later, as always).
 */
void store_script_start(struct store *store, struct store_op *op, const struct store_script *script,
                        const struct store_arg *keys, size_t key_count, const struct store_arg *args,
                        size_t arg_count, store_done_fn *done);

/** Runs a plain command (PING, INFO, CONFIG GET …) with the same promises. */
void store_command_start(struct store *store, struct store_op *op, const struct store_arg *args,
                         size_t arg_count, store_done_fn *done);

/** Asks for an end: done() still comes, with ERR_CANCELED unless the answer is already there. */
void store_op_cancel(struct store_op *op);
static inline bool store_op_active(const struct store_op *op)
{
    return op->in_flight;
}

#endif
