/*
 * Reading side of the Enrollment API: one enrollment (empty body when there is none), lists, and a
 * course with its modes. Changes nothing; called by exchange.c through enrollment.h, and by
 * enrollment.c to show what it has written.
 */
#include "enrollment_read.h"

#include "enrollment.h"

#include <stdlib.h>
#include <string.h>

static void append_enrollment(const struct enrollment *enrollment, struct course *course, struct buf *out)
{
    char created[32];

    world_format_time(enrollment->created_ms, created);
    buf_printf(out, "{\"created\": \"%s\", \"mode\": ", created);
    buf_json(out, enrollment->mode);
    buf_printf(out, ", \"is_active\": %s, \"user\": ", enrollment->is_active ? "true" : "false");
    buf_json(out, enrollment->user);
    buf_text(out, ", \"course_details\": ");
    if (course) {
        buf_text(out, course_details(course, false));
    } else {
        buf_text(out, "{\"course_id\": ");
        buf_json(out, enrollment->course);
        buf_text(out, "}");
    }
    buf_text(out, "}");
}

void enrollment_write(const struct enrollment *enrollment, struct course *course, struct reply *reply)
{
    reply->status = 200;
    buf_reset(&reply->body);
    append_enrollment(enrollment, course, &reply->body);
}

static bool is_get(const struct request *request, struct reply *reply)
{
    if (strcmp(request->method, "GET") == 0)
        return true;
    reply_text(reply, 405, "detail", "Method \"%s\" not allowed.", request->method);
    return false;
}

void enrollment_answer_one(struct world *world, struct gate *gate, const struct request *request,
                           struct reply *reply)
{
    struct caller caller;
    const struct enrollment *enrollment;
    const char *user = request->user;

    if (!caller_identify(gate, request, true, &caller, reply) || !caller_admit(gate, &caller, reply) ||
        !is_get(request, reply))
        return;
    if (!user)
        user = caller.user;
    if (!caller_is_privileged(&caller) && strcmp(user, caller.user) != 0) {
        reply_empty(reply, 404);
        return;
    }
    if (!course_key_is_valid(request->course)) {
        reply_text(reply, 400, "message",
                   "An error occurred while retrieving enrollments for user '%s' in course '%s'", user,
                   request->course);
        return;
    }
    enrollment = world_enrollment(world, user, request->course);
    if (enrollment)
        enrollment_write(enrollment, world_course(world, request->course), reply);
    else
        reply_empty(reply, 200);
}

struct listing {
    struct world *world;
    struct buf *out;
    const char *user, *course; /* NULL = any */
    bool first;
};

static void list_one(const char *key, void *value, void *arg)
{
    struct listing *listing = arg;
    const struct enrollment *enrollment = value;

    (void)key;
    if (!enrollment->is_active || (listing->user && strcmp(listing->user, enrollment->user) != 0) ||
        (listing->course && strcmp(listing->course, enrollment->course) != 0))
        return;
    buf_text(listing->out, listing->first ? "" : ", ");
    listing->first = false;
    append_enrollment(enrollment, world_course(listing->world, enrollment->course), listing->out);
}

void enrollment_read_mine(struct world *world, const struct caller *caller, const struct request *request,
                          struct reply *reply)
{
    char *user = request_parameter(buf_str(&request->query), "user");
    struct listing listing = {
        .world = world, .out = &reply->body, .user = user ? user : caller->user, .first = true};

    if (user && !caller_is_privileged(caller) && strcmp(user, caller->user) != 0) {
        reply_empty(reply, 404);
    } else {
        buf_text(&reply->body, "[");
        map_each(&world->enrollments, list_one, &listing);
        buf_text(&reply->body, "]");
    }
    free(user);
}

void enrollment_answer_list(struct world *world, struct gate *gate, const struct request *request,
                            struct reply *reply)
{
    struct caller caller;
    struct listing listing = {.world = world, .out = &reply->body, .first = true};
    char *user, *course;

    if (!caller_identify(gate, request, false, &caller, reply) || !caller_admit(gate, &caller, reply) ||
        !is_get(request, reply))
        return;
    if (!caller.staff) {
        reply_text(reply, 403, "detail", "You do not have permission to perform this action.");
        return;
    }
    user = request_parameter(buf_str(&request->query), "username");
    course = request_parameter(buf_str(&request->query), "course_id");
    listing.user = user;
    listing.course = course;
    buf_text(&reply->body, "{\"next\": null, \"previous\": null, \"results\": [");
    map_each(&world->enrollments, list_one, &listing);
    buf_text(&reply->body, "]}");
    free(user);
    free(course);
}

void enrollment_answer_course(struct world *world, const struct request *request, struct reply *reply)
{
    struct course *course = world_course(world, request->course);
    char *expired;

    if (!is_get(request, reply))
        return;
    if (!course) {
        reply_text(reply, 400, "message", "No course found for course ID '%s'", request->course);
        return;
    }
    expired = request_parameter(buf_str(&request->query), "include_expired");
    buf_text(&reply->body, course_details(course, expired && *expired && strcmp(expired, "0") != 0));
    free(expired);
}
