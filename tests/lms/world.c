/*
 * The state of the stand-in: who exists, which courses run, who is enrolled and entitled. Holds and
 * finds; what a request may change, and in which order it is refused, is decided in enrollment.c and
 * entitlement.c. Filled by the seed and the admin interface.
 */
#include "world.h"

#include "buf.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void free_user(void *freed)
{
    struct user *user = freed;

    free(user->name);
    free(user->email);
    free(user);
}

static void free_enrollment(void *freed)
{
    struct enrollment *enrollment = freed;

    free(enrollment->user);
    free(enrollment->course);
    free(enrollment->mode);
    free(enrollment->last_order);
    json_decref(enrollment->attributes);
    free(enrollment);
}

static void free_entitlement(void *freed)
{
    struct entitlement *entitlement = freed;

    free(entitlement->user);
    free(entitlement->course_uuid);
    free(entitlement->mode);
    free(entitlement->order);
    free(entitlement->run);
    free(entitlement);
}

void world_fini(struct world *world)
{
    map_clear(&world->users, free_user);
    map_clear(&world->courses, course_free);
    map_clear(&world->enrollments, free_enrollment);
    map_clear(&world->by_user, NULL);
    map_clear(&world->by_order, NULL);
    map_clear(&world->entitlements, free_entitlement);
    *world = (struct world){0};
}

int64_t world_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void world_format_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t len;

    (void)gmtime_r(&seconds, &tm);
    len = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + len, 32 - len, ".%06dZ", (int)(ms % 1000) * 1000);
}

static bool seed_user(struct world *world, const json_t *spec, const char **ret_why)
{
    const char *name = json_string_value(json_is_object(spec) ? json_object_get(spec, "username") : spec);
    struct user *user;
    void *former;

    if (!name) {
        *ret_why = "users: each is a name or an object with a username";
        return false;
    }
    user = mem_new(sizeof(*user));
    user->name = mem_copy(name);
    user->email = mem_copy(json_string_value(json_object_get(spec, "email")));
    user->exists = !json_is_false(json_object_get(spec, "exists"));
    user->embargoed = json_is_true(json_object_get(spec, "embargoed"));
    former = map_put(&world->users, user->name, user);
    if (former)
        free_user(former);
    return true;
}

static bool seed_course(struct world *world, const json_t *spec, const char **ret_why)
{
    struct course *course = course_new(spec, ret_why);

    if (!course)
        return false;
    course_free(map_put(&world->courses, course->id, course));
    return true;
}

static bool seed_enrollment(struct world *world, const json_t *spec, const char **ret_why)
{
    const char *user = json_string_value(json_object_get(spec, "user"));
    const char *course = json_string_value(json_object_get(spec, "course"));
    const char *mode = json_string_value(json_object_get(spec, "mode"));
    struct enrollment *enrollment;

    if (!user || !course || !mode) {
        *ret_why = "enrollments: each needs user, course and mode";
        return false;
    }
    enrollment = world_enroll(world, user, course, mode);
    free(enrollment->mode);
    enrollment->mode = mem_copy(mode);
    enrollment->is_active = !json_is_false(json_object_get(spec, "is_active"));
    return true;
}

static bool seed_entitlement(struct world *world, const json_t *spec, const char **ret_why)
{
    const char *user = json_string_value(json_object_get(spec, "user"));
    const char *course_uuid = json_string_value(json_object_get(spec, "course_uuid"));
    const char *mode = json_string_value(json_object_get(spec, "mode"));
    const char *order = json_string_value(json_object_get(spec, "order_number"));

    if (!user || !course_uuid || !mode || !order || world_entitlement_of_order(world, course_uuid, order)) {
        *ret_why = "entitlements: each needs user, course_uuid, mode and order_number, unlike others";
        return false;
    }
    (void)world_entitle(world, user, course_uuid, mode, order);
    return true;
}

bool world_seed(struct world *world, const json_t *seed, const char **ret_why)
{
    static const struct {
        const char *key;
        bool (*add)(struct world *world, const json_t *spec, const char **ret_why);
    } lists[] = {{"users", seed_user},
                 {"courses", seed_course},
                 {"enrollments", seed_enrollment},
                 {"entitlements", seed_entitlement}};
    const json_t *flag;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        size_t n;
        json_t *spec;

        json_array_foreach(json_object_get(seed, lists[i].key), n,
                           spec) if (!lists[i].add(world, spec, ret_why)) return false;
    }
    flag = json_object_get(seed, "open_courses");
    if (json_is_boolean(flag))
        world->open_courses = json_is_true(flag);
    flag = json_object_get(seed, "strict_users");
    if (json_is_boolean(flag))
        world->strict_users = json_is_true(flag);
    return true;
}

static const char default_seed[] =
    "{\"courses\": ["
    "{\"id\": \"course-v1:edX+DemoX+2026\", \"name\": \"Demonstration Course\","
    " \"course_uuid\": \"6a5f2c1e-0f0c-4f0f-8a53-1f1f0c3b2d4e\", \"cohorts\": [\"default\"],"
    " \"modes\": [\"audit\", \"honor\", {\"slug\": \"verified\", \"sku\": \"8CF08E5\","
    " \"min_price\": 149}, {\"slug\": \"professional\", \"sku\": \"7A1B2C3\", \"min_price\": 399},"
    " {\"slug\": \"no-id-professional\", \"sku\": \"7A1B2C4\", \"min_price\": 399},"
    " {\"slug\": \"credit\", \"sku\": \"9D0E1F2\", \"min_price\": 500}]},"
    "{\"id\": \"course-v1:edX+AuditX+2026\", \"name\": \"Audit only\", \"modes\": [\"audit\"]},"
    "{\"id\": \"course-v1:edX+ExpiredX+2026\", \"name\": \"Verification is over\", \"modes\":"
    " [\"audit\", {\"slug\": \"verified\", \"sku\": \"8CF08E6\", \"expired\": true}]},"
    "{\"id\": \"course-v1:edX+ClosedX+2026\", \"name\": \"Enrollment closed\", \"closed\": true,"
    " \"modes\": [\"audit\", \"honor\", \"verified\"]},"
    "{\"id\": \"course-v1:edX+FullX+2026\", \"name\": \"No place left\", \"full\": true,"
    " \"modes\": [\"audit\", \"honor\", \"verified\"]},"
    "{\"id\": \"course-v1:edX+EmbargoX+2026\", \"name\": \"Embargoed\", \"embargoed\": true,"
    " \"modes\": [\"audit\", \"honor\", \"verified\"]},"
    "{\"id\": \"course-v1:edX+VetoX+2026\", \"name\": \"A plug-in says no\", \"not_allowed\":"
    " \"Enrollment is not allowed for this learner.\", \"modes\": [\"audit\", \"verified\"]}],"
    "\"users\": [{\"username\": \"ghost\", \"exists\": false},"
    "{\"username\": \"banned\", \"embargoed\": true},"
    "{\"username\": \"honor\", \"email\": \"honor@example.com\"}]}";

void world_init(struct world *world)
{
    const char *why = "it is not JSON";
    json_t *seed = json_loads(default_seed, 0, NULL);

    *world = (struct world){0};
    if (!seed || !world_seed(world, seed, &why)) {
        fprintf(stderr, "fulfill-lms: the default seed is broken: %s\n", why);
        exit(1);
    }
    json_decref(seed);
}

bool world_has_user(const struct world *world, const char *name)
{
    const struct user *user = map_get(&world->users, name);

    if (user)
        return user->exists;
    return *name && !world->strict_users;
}

bool world_embargoes_user(const struct world *world, const char *name)
{
    const struct user *user = map_get(&world->users, name);

    return user && user->embargoed;
}

struct email_search {
    const char *email;
    const char *found;
};

static void match_email(const char *key, void *value, void *arg)
{
    struct email_search *search = arg;
    const struct user *user = value;

    if (user->exists && user->email && strcmp(user->email, search->email) == 0)
        search->found = key;
}

const char *world_user_of_email(const struct world *world, const char *email)
{
    struct email_search search = {.email = email};

    map_each(&world->users, match_email, &search);
    return search.found;
}

struct course *world_course(struct world *world, const char *id)
{
    struct course *course = map_get(&world->courses, id);

    if (!course && world->open_courses && course_key_is_valid(id)) {
        course = course_new_usual(id);
        if (course)
            (void)map_put(&world->courses, id, course);
    }
    return course;
}

/* Joins two texts with a comma; fits names and keys of any length. */
static char *pair(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    char *key = mem_new(a_len + b_len + 2);

    memcpy(key, a, a_len);
    key[a_len] = ',';
    memcpy(key + a_len + 1, b, b_len);
    return key;
}

struct enrollment *world_enrollment(const struct world *world, const char *user, const char *course)
{
    char *key = pair(user, course);
    struct enrollment *found = map_get(&world->enrollments, key);

    free(key);
    return found;
}

struct enrollment *world_enroll(struct world *world, const char *user, const char *course, const char *mode)
{
    struct enrollment *enrollment = world_enrollment(world, user, course);
    char *key;

    if (enrollment)
        return enrollment;
    enrollment = mem_new(sizeof(*enrollment));
    enrollment->user = mem_copy(user);
    enrollment->course = mem_copy(course);
    enrollment->mode = mem_copy(mode);
    enrollment->created_ms = world_now_ms();
    key = pair(user, course);
    (void)map_put(&world->enrollments, key, enrollment);
    free(key);
    return enrollment;
}

struct entitlement *world_entitlement_of_order(const struct world *world, const char *course_uuid,
                                               const char *order)
{
    char *key = pair(course_uuid, order);
    struct entitlement *found = map_get(&world->by_order, key);

    free(key);
    return found;
}

struct entitlement *world_entitle(struct world *world, const char *user, const char *course_uuid,
                                  const char *mode, const char *order)
{
    struct entitlement *entitlement = mem_new(sizeof(*entitlement));
    uint64_t number = ++world->uuid_count;
    char *key = pair(course_uuid, order);

    (void)snprintf(entitlement->uuid, sizeof(entitlement->uuid), "%08" PRIx64 "-0000-4000-8000-%012" PRIx64,
                   (number * 2654435761u) & 0xffffffffu, number & 0xffffffffffffu);
    entitlement->user = mem_copy(user);
    entitlement->course_uuid = mem_copy(course_uuid);
    entitlement->mode = mem_copy(mode);
    entitlement->order = mem_copy(order);
    entitlement->created_ms = entitlement->modified_ms = world_now_ms();
    (void)map_put(&world->entitlements, entitlement->uuid, entitlement);
    (void)map_put(&world->by_order, key, entitlement);
    entitlement->next_of_user = map_put(&world->by_user, user, entitlement);
    free(key);
    return entitlement;
}

static void dump_enrollment(const char *key, void *value, void *arg)
{
    const struct enrollment *e = value;

    (void)key;
    (void)json_array_append_new(
        arg, json_pack("{s:s, s:s, s:s, s:b, s:o, s:s?, s:i}", "user", e->user, "course", e->course, "mode",
                       e->mode, "is_active", e->is_active, "attributes",
                       e->attributes ? json_deep_copy(e->attributes) : json_array(), "last_order",
                       e->last_order, "enrolls_of_order", (int)e->enrolls_of_order));
}

static void dump_entitlement(const char *key, void *value, void *arg)
{
    const struct entitlement *e = value;

    (void)key;
    (void)json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:b}", "uuid", e->uuid,
                                               "user", e->user, "course_uuid", e->course_uuid, "mode",
                                               e->mode, "order_number", e->order, "enrollment_course_run",
                                               e->run, "expired", e->expired_ms != 0));
}

json_t *world_dump(const struct world *world)
{
    json_t *enrollments = json_array();
    json_t *entitlements = json_array();

    map_each(&world->enrollments, dump_enrollment, enrollments);
    map_each(&world->entitlements, dump_entitlement, entitlements);
    return json_pack("{s:o, s:o, s:I, s:I, s:b, s:b}", "enrollments", enrollments, "entitlements",
                     entitlements, "courses", (json_int_t)world->courses.count, "users",
                     (json_int_t)world->users.count, "open_courses", world->open_courses, "strict_users",
                     world->strict_users);
}
