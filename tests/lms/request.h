/* One HTTP request as it arrived, and what it is about. */
#ifndef LMS_REQUEST_H
#define LMS_REQUEST_H

#include "buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    REQUEST_HEADERS_MAX = 64,
    REQUEST_BODY_MAX = 16 * 1024 * 1024,
};

enum resource {
    RESOURCE_ENROLLMENT,            /* /api/enrollment/v1/enrollment */
    RESOURCE_ENROLLMENT_ONE,        /* /api/enrollment/v1/enrollment/{user},{course} */
    RESOURCE_ENROLLMENTS,           /* /api/enrollment/v1/enrollments */
    RESOURCE_COURSE,                /* /api/enrollment/v1/course/{course} */
    RESOURCE_ENTITLEMENTS,          /* /api/entitlements/v1/entitlements/ */
    RESOURCE_ENTITLEMENT,           /* /api/entitlements/v1/entitlements/{uuid}/ */
    RESOURCE_ENTITLEMENT_UNSLASHED, /* either of the two without its last slash */
    RESOURCE_TOKEN,                 /* /oauth2/access_token, with or without a last slash */
    RESOURCE_HOOK,                  /* /hook/… */
    RESOURCE_ADMIN,                 /* /_lms/… */
    RESOURCE_UNKNOWN,
};

struct header {
    size_t name_at, value_at; /* offsets of NUL-terminated texts in arena */
};

struct request {
    const char *method; /* static text */
    struct buf url;     /* as sent */
    struct buf arena;   /* header names and values */
    struct header headers[REQUEST_HEADERS_MAX];
    size_t header_count;
    bool header_open; /* the last callback was a value, so a name begins a new header */
    bool too_big;     /* body or headers over the limit; what is over is not kept */
    struct buf body;

    /* what request_digest() found out */
    enum resource resource;
    char kind[32];    /* e.g. enrollment.post; what scripts and the ledger go by */
    struct buf path;  /* decoded, without the query */
    struct buf query; /* raw, without the question mark */
    json_t *doc;      /* the body as JSON, or NULL; owned */
    char *user;       /* owned, NULL when not said; so the next four */
    char *course;     /* course key, or course UUID of an entitlement */
    char *mode;
    char *order;   /* order number from the attributes, the entitlement or a hook's body */
    char *name;    /* last path part: an entitlement's uuid, a hook's or admin call's name */
    int is_active; /* 1, 0 or -1 when not said or not a boolean */
};

/** Makes a request empty, memory kept. */
void request_reset(struct request *request);

/** Gives everything back. */
void request_free(struct request *request);

/** Collects what the parser delivers; a header may come in pieces. */
void request_add_header_name(struct request *request, const char *text, size_t len);
void request_add_header_value(struct request *request, const char *text, size_t len);
void request_add_body(struct request *request, const char *bytes, size_t len);

/** The value of a header, or NULL. Borrowed. */
const char *request_header(const struct request *request, const char *name);

/** Works out resource, kind and facts once the whole request is there. */
void request_digest(struct request *request);

/** The decoded value of a query or form parameter, or NULL. The caller frees it. */
char *request_parameter(const char *encoded, const char *name);

#endif
