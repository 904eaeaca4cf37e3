/*
 * POST /api/enrollment/v1/enrollment: the checks of the LMS in the order of the LMS, the add path
 * and the update path, and every error it can answer (E1 to E18 of the list in README.md). Reading
 * enrollments is in enrollment_read.c; who is asking is found out in caller.c.
 */
#include "enrollment.h"

#include "enrollment_read.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One POST on its way through the checks. */
struct attempt {
    struct world *world;
    const struct caller *caller;
    const json_t *doc;
    struct reply *reply;
    bool old_release;
    const char *course_id;
    const char *user;
    const char *mode;     /* NULL = not said */
    const json_t *active; /* NULL or JSON null = not said */
    const json_t *attributes;
    bool force;
    const char *order; /* order number, NULL when not said */
};

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* A JSON value as Python prints it inside a sentence. */
static char *as_python(const json_t *value)
{
    char *text;

    if (json_is_string(value))
        return mem_copy(json_string_value(value));
    if (json_is_true(value))
        return mem_copy("True");
    if (json_is_false(value))
        return mem_copy("False");
    text = json_dumps(value, JSON_ENCODE_ANY);
    return text ? text : mem_copy("?");
}

/* E1, and the first half of E2. */
static bool check_course_id(struct attempt *attempt)
{
    const json_t *details = json_object_get(attempt->doc, "course_details");

    attempt->course_id = text_at(details, "course_id");
    if (!attempt->course_id || !*attempt->course_id) {
        reply_text(attempt->reply, 400, "message", "Course ID must be specified to create a new enrollment.");
        return false;
    }
    if (!course_key_is_valid(attempt->course_id)) {
        reply_text(attempt->reply, 400, "message", "No course '%s' found for enrollment", attempt->course_id);
        return false;
    }
    return true;
}

/* E3, and E5 for an e-mail. */
static bool check_user(struct attempt *attempt)
{
    const char *email = text_at(attempt->doc, "email");

    attempt->user = text_at(attempt->doc, "user");
    if (!caller_is_privileged(attempt->caller) &&
        ((attempt->user && strcmp(attempt->user, attempt->caller->user) != 0) || (!attempt->user && email))) {
        reply_empty(attempt->reply, 404);
        return false;
    }
    if (!attempt->user && email && !attempt->old_release) {
        attempt->user = world_user_of_email(attempt->world, email);
        if (!attempt->user) {
            reply_text(attempt->reply, 406, "message", "The user with the email address %s does not exist.",
                       email);
            return false;
        }
    }
    if (!attempt->user)
        attempt->user = attempt->caller->user;
    return true;
}

/* E4. */
static bool check_mode_permission(struct attempt *attempt)
{
    attempt->mode = text_at(attempt->doc, "mode");
    if (!attempt->mode || caller_is_privileged(attempt->caller) || strcmp(attempt->mode, "audit") == 0 ||
        strcmp(attempt->mode, "honor") == 0)
        return true;
    reply_text(attempt->reply, 403, "message",
               "User does not have permission to create enrollment with mode [%s].", attempt->mode);
    return false;
}

/* E5 and E6. */
static bool check_learner(struct attempt *attempt)
{
    const struct course *course = world_course(attempt->world, attempt->course_id);

    if (!world_has_user(attempt->world, attempt->user)) {
        reply_text(attempt->reply, 406, "message", "The user %s does not exist.", attempt->user);
        return false;
    }
    if (!world_embargoes_user(attempt->world, attempt->user) &&
        !(course && course_embargoes(course, attempt->user)))
        return true;
    reply_text(attempt->reply, 403, "message", "Users from this location cannot access the course '%s'.",
               attempt->course_id);
    attempt->reply->body.len--; /* the closing brace: one more member follows */
    buf_text(&attempt->reply->body,
             ", \"user_message_url\": \"/embargo/blocked-message/enrollment/embargo/\"}");
    return false;
}

/* E7. */
static bool check_active(struct attempt *attempt)
{
    char *value;

    attempt->active = json_object_get(attempt->doc, "is_active");
    if (!attempt->active || json_is_null(attempt->active) || json_is_boolean(attempt->active))
        return true;
    value = as_python(attempt->active);
    reply_text(attempt->reply, 400, "message", "'%s' is an invalid enrollment activation status.", value);
    free(value);
    return false;
}

/* E14. */
static bool check_plugin(struct attempt *attempt)
{
    const struct course *course = world_course(attempt->world, attempt->course_id);
    struct buf *body = &attempt->reply->body;

    if (!course || !course->not_allowed)
        return true;
    if (attempt->old_release) {
        reply_page(attempt->reply, 500, "Server Error");
        return false;
    }
    attempt->reply->status = 403;
    buf_text(body, "{\"message\": ");
    buf_json(body, course->not_allowed);
    buf_text(body, ", \"localizedMessage\": ");
    buf_json(body, course->not_allowed);
    buf_text(body, "}");
    return false;
}

/* E8. */
static bool check_force(struct attempt *attempt)
{
    const json_t *force = json_object_get(attempt->doc, "force_enrollment");
    char *value;

    if (!force || json_is_null(force) || json_is_boolean(force) || attempt->old_release) {
        attempt->force = json_is_true(force) && attempt->caller->staff;
        return true;
    }
    value = as_python(force);
    reply_text(attempt->reply, 400, "message", "'%s' is an invalid force enrollment status.", value);
    free(value);
    return false;
}

static void refuse_uncaught(struct attempt *attempt)
{
    reply_text(attempt->reply, 400, "message",
               "An error occurred while creating the new course enrollment for user '%s' in course '%s'",
               attempt->user, attempt->course_id);
}

/* E13, and the order number on the way. */
static bool check_attributes(struct attempt *attempt)
{
    static const char *const keys[] = {"namespace", "name", "value"};
    size_t i;
    json_t *attribute;

    attempt->attributes = json_object_get(attempt->doc, "enrollment_attributes");
    json_array_foreach(attempt->attributes, i, attribute)
    {
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            struct buf *body = &attempt->reply->body;

            if (json_object_get(attribute, keys[k]))
                continue;
            if (attempt->old_release) {
                refuse_uncaught(attempt);
                return false;
            }
            attempt->reply->status = 400;
            buf_printf(body,
                       "{\"message\": \"'%s' not in enrollment attribute\", "
                       "\"localizedMessage\": \"'%s' not in enrollment attribute\"}",
                       keys[k], keys[k]);
            return false;
        }
    }
    return true;
}

/* E2 and E11: the course must exist and offer the mode. */
static bool check_offered(struct attempt *attempt, const char *mode, bool include_expired)
{
    struct course *course = world_course(attempt->world, attempt->course_id);

    if (!course) {
        reply_text(attempt->reply, 400, "message", "No course '%s' found for enrollment", attempt->course_id);
        return false;
    }
    if (!mode || course_find_mode(course, mode, include_expired))
        return true;
    reply_text(attempt->reply, 400, "message",
               "The [%s] course mode is expired or otherwise unavailable for course run [%s].", mode,
               attempt->course_id);
    attempt->reply->body.len--; /* the closing brace: one more member follows */
    buf_text(&attempt->reply->body, ", \"course_details\": ");
    buf_text(&attempt->reply->body, course_details(course, false));
    buf_text(&attempt->reply->body, "}");
    return false;
}

/* All of them go, then these come: the LMS keeps nothing of an earlier order. */
static void set_attributes(struct enrollment *enrollment, const json_t *attributes)
{
    if (!json_is_array(attributes) || !json_array_size(attributes))
        return;
    json_decref(enrollment->attributes);
    enrollment->attributes = json_deep_copy(attributes);
}

static void set_mode(struct enrollment *enrollment, const char *mode)
{
    if (!mode || strcmp(enrollment->mode, mode) == 0)
        return;
    free(enrollment->mode);
    enrollment->mode = mem_copy(mode);
}

/* What must not happen twice is counted where it happens. */
static void count_effect(struct attempt *attempt, struct enrollment *enrollment, bool was_active)
{
    if (json_is_false(attempt->active)) {
        if (!was_active)
            attempt->world->repeated_revokes++;
        enrollment->revokes_in_row++;
        enrollment->enrolls_of_order = 0;
        return;
    }
    enrollment->revokes_in_row = 0;
    if (attempt->order && enrollment->last_order && strcmp(attempt->order, enrollment->last_order) == 0) {
        if (enrollment->enrolls_of_order++)
            attempt->world->repeated_enrolls++;
        return;
    }
    free(enrollment->last_order);
    enrollment->last_order = mem_copy(attempt->order);
    enrollment->enrolls_of_order = 1;
}

/* E15, after the enrollment was written, as in the LMS. */
static bool add_to_cohort(struct attempt *attempt)
{
    const char *cohort = text_at(attempt->doc, "cohort");
    const struct course *course = world_course(attempt->world, attempt->course_id);

    if (!cohort || course_has_cohort(course, cohort))
        return true;
    reply_text(attempt->reply, 400, "message", "An error occured while adding to cohort [%s]", cohort);
    return false;
}

static void finish(struct attempt *attempt, struct enrollment *enrollment)
{
    struct course *course = world_course(attempt->world, attempt->course_id);

    attempt->reply->applied = true;
    if (add_to_cohort(attempt))
        enrollment_write(enrollment, course, attempt->reply);
}

static bool has_attribute(const json_t *attributes, const char *space, const char *name)
{
    size_t i;
    json_t *attribute;

    json_array_foreach(attributes, i, attribute)
    {
        const char *its_space = text_at(attribute, "namespace");
        const char *its_name = text_at(attribute, "name");

        if (its_space && its_name && !strcmp(its_space, space) && !strcmp(its_name, name))
            return true;
    }
    return false;
}

/* E9, E10 and E11 on the update path: no look at closed or full. */
static void update(struct attempt *attempt, struct enrollment *enrollment, bool mode_changed,
                   bool active_changed)
{
    bool was_active = enrollment->is_active;

    if (mode_changed && active_changed && json_is_false(attempt->active)) {
        reply_text(attempt->reply, 400, "message",
                   "Enrollment mode mismatch: active mode=%s, requested mode=%s. Won't deactivate.",
                   enrollment->mode, attempt->mode);
        return;
    }
    if (attempt->mode && strcmp(attempt->mode, "credit") == 0 && json_array_size(attempt->attributes) &&
        !has_attribute(attempt->attributes, "credit", "provider_id")) {
        reply_text(attempt->reply, 400, "message",
                   "Missing enrollment attributes: requested mode=%s required "
                   "attributes=['credit:provider_id']",
                   attempt->mode);
        return;
    }
    if (!check_offered(attempt, attempt->mode, attempt->caller->has_key || json_is_false(attempt->active)))
        return;
    set_mode(enrollment, attempt->mode);
    if (json_is_boolean(attempt->active))
        enrollment->is_active = json_is_true(attempt->active);
    set_attributes(enrollment, attempt->attributes);
    count_effect(attempt, enrollment, was_active);
    finish(attempt, enrollment);
}

/* E11, E12 and success on the add path. Closed and full are looked at before "already enrolled":
 * the trap that makes a repeat of a lost answer fail although the learner is in. */
static void add(struct attempt *attempt, struct enrollment *enrollment)
{
    struct course *course = world_course(attempt->world, attempt->course_id);
    const char *mode = attempt->mode;
    bool was_active = enrollment && enrollment->is_active;

    if (!mode && course)
        mode = course_default_mode(course);
    if (!check_offered(attempt, mode, attempt->force || json_is_false(attempt->active)))
        return;
    if ((course->closed || course->full) && !attempt->force) {
        refuse_uncaught(attempt);
        return;
    }
    if (!was_active) {
        enrollment = world_enroll(attempt->world, attempt->user, attempt->course_id, mode);
        set_mode(enrollment, mode);
        enrollment->is_active = !json_is_false(attempt->active);
        set_attributes(enrollment, attempt->attributes);
    }
    count_effect(attempt, enrollment, was_active);
    finish(attempt, enrollment);
    attempt->reply->applied = !was_active;
}

/* Step 9: what is there now decides between update and add. */
static void write_enrollment(struct attempt *attempt)
{
    struct enrollment *enrollment = world_enrollment(attempt->world, attempt->user, attempt->course_id);
    bool mode_changed = enrollment && attempt->mode && strcmp(enrollment->mode, attempt->mode) != 0;
    bool active_changed = enrollment && json_is_boolean(attempt->active) &&
                          enrollment->is_active != json_is_true(attempt->active);

    if (caller_is_privileged(attempt->caller) && (mode_changed || active_changed))
        update(attempt, enrollment, mode_changed, active_changed);
    else
        add(attempt, enrollment);
}

static bool check_body(const struct request *request, struct reply *reply)
{
    const char *type = request_header(request, "Content-Type");

    if (!type || strncasecmp(type, "application/json", 16) != 0) {
        reply_text(reply, 415, "detail", "Unsupported media type \"%s\" in request.", type ? type : "");
        return false;
    }
    if (request->body.len && !request->doc) {
        reply_text(reply, 400, "detail", "JSON parse error - Expecting value: line 1 column 1 (char 0)");
        return false;
    }
    if (request->doc && !json_is_object(request->doc)) {
        reply_page(reply, 500, "Server Error"); /* the LMS calls .get() on whatever it decoded */
        return false;
    }
    return true;
}

static void post(struct world *world, const struct caller *caller, bool old_release,
                 const struct request *request, struct reply *reply)
{
    static bool (*const checks[])(struct attempt * attempt) = {
        check_course_id, check_user,   check_mode_permission, check_learner,
        check_active,    check_plugin, check_force,           check_attributes,
    };
    struct attempt attempt = {.world = world,
                              .caller = caller,
                              .doc = request->doc,
                              .reply = reply,
                              .old_release = old_release,
                              .order = request->order};

    if (!check_body(request, reply))
        return;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        if (!checks[i](&attempt))
            return;
    write_enrollment(&attempt);
}

void enrollment_answer(struct world *world, struct gate *gate, bool old_release,
                       const struct request *request, struct reply *reply)
{
    struct caller caller;

    if (!caller_identify(gate, request, true, &caller, reply) || !caller_admit(gate, &caller, reply))
        return;
    if (strcmp(request->method, "POST") == 0)
        post(world, &caller, old_release, request, reply);
    else if (strcmp(request->method, "GET") == 0)
        enrollment_read_mine(world, &caller, request, reply);
    else
        reply_text(reply, 405, "detail", "Method \"%s\" not allowed.", request->method);
}
