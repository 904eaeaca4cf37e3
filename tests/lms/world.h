/* What the stand-in LMS knows: learners, courses, enrollments, entitlements. */
#ifndef LMS_WORLD_H
#define LMS_WORLD_H

#include "course.h"
#include "map.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct user {
    char *name;
    char *email;    /* NULL when unknown */
    bool exists;    /* false: named in the seed as one that does not exist */
    bool embargoed; /* refused for every course */
};

struct enrollment {
    char *user, *course, *mode; /* owned */
    bool is_active;
    json_t *attributes;        /* array of {namespace, name, value}; NULL = none */
    int64_t created_ms;        /* wall clock */
    char *last_order;          /* order number of the last enrolling POST, NULL when it had none */
    unsigned enrolls_of_order; /* enrolling POSTs in a row that carried last_order */
    unsigned revokes_in_row;   /* deactivating POSTs since it was last active */
};

struct entitlement {
    char uuid[37];
    char *user, *course_uuid, *mode, *order, *run; /* owned; run: course run, NULL = none yet */
    int64_t created_ms, modified_ms, expired_ms;   /* wall clock; 0 = not expired */
    struct entitlement *next_of_user;
    unsigned deletes; /* DELETEs answered */
};

struct world {
    struct map users;        /* name → struct user, those that are special */
    struct map courses;      /* id → struct course */
    struct map enrollments;  /* user,course → struct enrollment */
    struct map entitlements; /* uuid → struct entitlement */
    struct map by_user;      /* user → struct entitlement, newest first */
    struct map by_order;     /* course_uuid,order → struct entitlement */
    bool open_courses;       /* any well-formed course key exists, with all usual modes */
    bool strict_users;       /* only users that were named exist */
    uint64_t uuid_count;     /* makes UUIDs; deterministic, so that a run can be repeated */

    /* what must not happen, counted as it happens */
    uint64_t repeated_enrolls;      /* enrolling POST for an order that had enrolled already */
    uint64_t repeated_revokes;      /* deactivating POST for one that was inactive */
    uint64_t repeated_entitlements; /* POST for course and order that had one already */
    uint64_t repeated_deletes;      /* DELETE of an expired entitlement */
};

/** Fills an empty world with the default courses and users of tests/lms/README.md. */
void world_init(struct world *world);

void world_fini(struct world *world);

/** Merges a seed document; false and *ret_why when it is not understood (what came before stays). */
bool world_seed(struct world *world, const json_t *seed, const char **ret_why);

/** Whether the learner exists. */
bool world_has_user(const struct world *world, const char *name);
bool world_embargoes_user(const struct world *world, const char *name);

/** The name of the user with that e-mail, or NULL. */
const char *world_user_of_email(const struct world *world, const char *email);

/** The course, made up when open_courses is on; NULL when there is none. */
struct course *world_course(struct world *world, const char *id);

/** The enrollment, or NULL. */
struct enrollment *world_enrollment(const struct world *world, const char *user, const char *course);

/** The enrollment, created inactive in that mode when there is none. */
struct enrollment *world_enroll(struct world *world, const char *user, const char *course, const char *mode);

struct entitlement *world_entitlement_of_order(const struct world *world, const char *course_uuid,
                                               const char *order);
struct entitlement *world_entitle(struct world *world, const char *user, const char *course_uuid,
                                  const char *mode, const char *order);

/** {"users": …, "enrollments": […], "entitlements": […]} for tests. New reference. */
json_t *world_dump(const struct world *world);

/** Milliseconds since 1970. */
int64_t world_now_ms(void);

/** An ISO time as the LMS writes it; out holds at least 32 bytes. */
void world_format_time(int64_t ms, char out[32]);

#endif
