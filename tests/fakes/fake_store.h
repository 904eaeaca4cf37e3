/*
 * common/store.h without Redis: answers are scripted by the name of the script (of a plain command: its first
 * word), everything that was asked is kept to be looked at. Link it instead of fulfilld_store. One store at a
 * time. Answers come with the loop's next tasks, deadlines by its clock.
 *
 * An operation that nothing was scripted for ends with ERR_REFUSED and a detail that says so.
 */
#ifndef FULFILLD_TESTS_FAKE_STORE_H
#define FULFILLD_TESTS_FAKE_STORE_H

#include "common/store.h"

/* ---- replies: owned by whoever made them until given to the fake or to fake_reply_free() ---- */

struct store_reply *fake_reply_int(int64_t value);
struct store_reply *fake_reply_str(const char *text);
struct store_reply *fake_reply_bytes(const char *data, size_t length);
struct store_reply *fake_reply_nil(void);
/** Takes `count` replies (struct store_reply *) that follow. */
struct store_reply *fake_reply_array(size_t count, ...);
/** As Lua's tables end up: of strings. Ends with NULL. */
struct store_reply *fake_reply_strings(const char *first, ...);
void fake_reply_free(struct store_reply *reply);

/* ---- what answers ---- */

/* The next operation of that name gets this reply; several wait in line. Takes the reply. */
void fake_store_answer(const char *name, struct store_reply *take_reply);
/* The next one of that name ends with this fault instead. */
void fake_store_fail(const char *name, enum err code, const char *detail);
/* The next one of that name gets no answer: ERR_TIMEOUT after the store's timeout, or the link's end. */
void fake_store_ignore(const char *name);

/* One operation that was started. All borrowed, valid until fake_store_reset(). */
struct fake_store_call {
    const char *name;
    size_t key_count, arg_count;
    struct store_arg *keys;
    struct store_arg *args; /* NUL-terminated each */
};

/* Answers what nothing was scripted for; NULL: ret_fault says why (its code is not OK then). */
typedef struct store_reply *fake_store_handler(void *context, const struct fake_store_call *call,
                                               struct fault *ret_fault);
void fake_store_handle(const char *name, fake_store_handler *handler, void *context);

/** Sets the link: on_state comes with the loop's next tasks. Down: what is pending ends with ERR_NETWORK. */
void fake_store_set_up(bool up);
/* Whether the store comes up by itself after store_open() (yes unless told otherwise). */
void fake_store_start_down(bool start_down);

/* ---- what was asked ---- */

size_t fake_store_call_count(const char *name); /* NULL = of all names */
/** The call of that name, counted from 0 (NULL = of all); NULL when there was none. */
const struct fake_store_call *fake_store_call(const char *name, size_t index);
/** Answers scripted and not used yet: 0 at the end of a test. */
size_t fake_store_unused(void);
/** Forgets all answers, handlers and calls. Not while a store is open. */
void fake_store_reset(void);

#endif
