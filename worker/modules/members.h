/*
 * A few members of a JSON object, found without building a tree of all the others: an enrollment's answer
 * tells two things we want beside every mode of its course. Libc only. For the built-in modules.
 */
#ifndef FULFILLD_WORKER_MODULES_MEMBERS_H
#define FULFILLD_WORKER_MODULES_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

enum member_kind {
    MEMBER_MISSING,
    MEMBER_NULL,
    MEMBER_FALSE,
    MEMBER_TRUE,
    MEMBER_NUMBER,
    MEMBER_STRING,
    MEMBER_ARRAY,
    MEMBER_OBJECT
};

struct member {
    const char *name; /* the one looked for; set by the caller */
    enum member_kind kind;
    const char *raw; /* with MEMBER_STRING: its bytes in the text, escapes as they stand, without quotes */
    size_t raw_length;
};

/* What the whole text is. */
enum members_text {
    MEMBERS_GARBAGE, /* no JSON, or nested more than 32 deep */
    MEMBERS_NULL,
    MEMBERS_OTHER, /* an array, a string … */
    MEMBERS_EMPTY, /* an object without members */
    MEMBERS_OBJECT
};

/**
 * Reads all of the text, which must be one JSON value (RFC 8259, UTF-8, no NUL in strings), and fills the
 * wanted members of the object at its top. Of a name that stands there twice the last one counts. Time is
 * linear, no memory is allocated.
 * @param text    borrowed as long as `wanted` is used; need not be NUL-terminated
 * @param wanted  `name` set; the rest is filled, all MEMBER_MISSING unless MEMBERS_OBJECT is returned
 */
enum members_text members_read(const char *text, size_t length, struct member *wanted, size_t count);

/** Whether the member is a string and says this, its escapes decoded. */
bool members_say(const struct member *member, const char *string);

#endif
