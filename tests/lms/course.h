/* Course runs, their modes, and everything that can be wrong with them. */
#ifndef LMS_COURSE_H
#define LMS_COURSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct course_mode {
    char *slug;    /* e.g. verified */
    char *sku;     /* NULL when it has none */
    bool expired;  /* its upgrade deadline has passed */
    int min_price; /* whole dollars */
};

struct course {
    char *id; /* course-v1:… */
    char *name;
    char *uuid;                /* the course's UUID, for entitlements; NULL when it has none */
    struct course_mode *modes; /* in the order given */
    size_t mode_count;
    bool closed;             /* enrollment is closed */
    bool full;               /* no place left */
    bool embargoed;          /* for every learner */
    json_t *embargoed_users; /* array of names, or NULL */
    char *not_allowed;       /* text of a plugin that forbids enrolling, or NULL */
    json_t *cohorts;         /* array of names, or NULL */
    char *details[2];        /* course_details as JSON, [1] with expired modes; built once */
};

/** A course from its JSON description (tests/lms/README.md); NULL and *ret_why on bad data. */
struct course *course_new(const json_t *spec, const char **ret_why);

/** A course of that id with all usual modes: what open_courses makes up. */
struct course *course_new_usual(const char *id);

void course_free(void *course);

/** True when id is a well-formed course key. */
bool course_key_is_valid(const char *id);

/** The mode of that name, expired ones only with include_expired; NULL when not offered. */
const struct course_mode *course_find_mode(const struct course *course, const char *slug,
                                           bool include_expired);

/** The mode an enrollment gets that asks for none. */
const char *course_default_mode(const struct course *course);

/** course_details as the API shows it, as JSON text. Borrowed. */
const char *course_details(struct course *course, bool include_expired);

bool course_embargoes(const struct course *course, const char *user);
bool course_has_cohort(const struct course *course, const char *cohort);

#endif
