/*
 * Course entitlements: create (unique per course and order), look up, revoke. Takes a staff token
 * only, the API key counts for nothing here. A new entitlement upgrades the learner's run when there
 * is exactly one to upgrade; a revocation takes that run back and leaves the row, expired.
 */
#include "entitlement.h"

#include "mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PAGE_SIZE = 50 };

static bool uuid_is_valid(const char *text)
{
    if (strlen(text) != 36)
        return false;
    for (int i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

static void append(const struct entitlement *entitlement, struct buf *out)
{
    char when[32];

    buf_text(out, "{\"user\": ");
    buf_json(out, entitlement->user);
    buf_printf(out, ", \"uuid\": \"%s\", \"course_uuid\": ", entitlement->uuid);
    buf_json(out, entitlement->course_uuid);
    buf_text(out, ", \"enrollment_course_run\": ");
    buf_json(out, entitlement->run);
    buf_text(out, ", \"expired_at\": ");
    world_format_time(entitlement->expired_ms, when);
    buf_json(out, entitlement->expired_ms ? when : NULL);
    world_format_time(entitlement->created_ms, when);
    buf_printf(out, ", \"created\": \"%s\"", when);
    world_format_time(entitlement->modified_ms, when);
    buf_printf(out, ", \"modified\": \"%s\", \"mode\": ", when);
    buf_json(out, entitlement->mode);
    buf_text(out, ", \"refund_locked\": false, \"order_number\": ");
    buf_json(out, entitlement->order);
    buf_text(out, ", \"support_details\": []}");
}

/* One field's error, as Django REST framework lists them; the closing brace is the caller's. */
static void add_error(struct reply *reply, const char *field, const char *text)
{
    buf_text(&reply->body, reply->status == 400 ? ", " : "{");
    reply->status = 400;
    buf_json(&reply->body, field);
    buf_text(&reply->body, ": [");
    buf_json(&reply->body, text);
    buf_text(&reply->body, "]");
}

static void add_unknown_user(struct reply *reply, const char *user)
{
    struct buf text = {0};

    buf_printf(&text, "Object with username=%s does not exist.", user);
    add_error(reply, "user", text.data);
    buf_free(&text);
}

static const char *required_text(const json_t *doc, const char *field, struct reply *reply)
{
    const json_t *value = json_object_get(doc, field);

    if (json_is_string(value) && json_string_length(value))
        return json_string_value(value);
    if (!value)
        add_error(reply, field, "This field is required.");
    else if (json_is_null(value))
        add_error(reply, field, "This field may not be null.");
    else if (json_is_string(value))
        add_error(reply, field, "This field may not be blank.");
    else
        add_error(reply, field, "Not a valid string.");
    return NULL;
}

struct upgrade {
    struct world *world;
    struct entitlement *entitlement;
    struct enrollment *candidate;
    int candidates;
};

static void look_at_course(const char *id, void *value, void *arg)
{
    struct upgrade *upgrade = arg;
    const struct course *course = value;
    struct enrollment *enrollment;

    if (!course->uuid || strcasecmp(course->uuid, upgrade->entitlement->course_uuid) != 0)
        return;
    enrollment = world_enrollment(upgrade->world, upgrade->entitlement->user, id);
    if (enrollment && enrollment->is_active && strcmp(enrollment->mode, "audit") == 0 &&
        course_find_mode(course, upgrade->entitlement->mode, false)) {
        upgrade->candidate = enrollment;
        upgrade->candidates++;
    }
}

/* Exactly one enrollment that could be upgraded is; with several, the learner has to choose. */
static void upgrade_run(struct world *world, struct entitlement *entitlement)
{
    struct upgrade upgrade = {.world = world, .entitlement = entitlement};

    map_each(&world->courses, look_at_course, &upgrade);
    if (upgrade.candidates != 1)
        return;
    free(upgrade.candidate->mode);
    upgrade.candidate->mode = mem_copy(entitlement->mode);
    entitlement->run = mem_copy(upgrade.candidate->course);
}

static void create(struct world *world, const struct request *request, struct reply *reply)
{
    const char *user, *course_uuid, *mode, *order;
    struct entitlement *entitlement;

    reply->status = 201;
    user = required_text(request->doc, "user", reply);
    if (user && !world_has_user(world, user))
        add_unknown_user(reply, user);
    course_uuid = required_text(request->doc, "course_uuid", reply);
    if (course_uuid && !uuid_is_valid(course_uuid))
        add_error(reply, "course_uuid", "Must be a valid UUID.");
    mode = required_text(request->doc, "mode", reply);
    order = required_text(request->doc, "order_number", reply);
    if (reply->status == 400 || !user || !course_uuid || !mode || !order) {
        buf_text(&reply->body, "}");
        return;
    }
    if (world_entitlement_of_order(world, course_uuid, order)) {
        world->repeated_entitlements++;
        reply->status = 400;
        buf_text(&reply->body, "{\"non_field_errors\": [\"The fields course_uuid, order_number must "
                               "make a unique set.\"]}");
        return;
    }
    entitlement = world_entitle(world, user, course_uuid, mode, order);
    upgrade_run(world, entitlement);
    reply->applied = true;
    append(entitlement, &reply->body);
}

static void list(const struct world *world, const struct request *request, struct reply *reply)
{
    char *user = request_parameter(buf_str(&request->query), "user");
    char *uuid = request_parameter(buf_str(&request->query), "uuid");
    char *page_text = request_parameter(buf_str(&request->query), "page");
    long page = page_text ? strtol(page_text, NULL, 10) : 1;
    const struct entitlement *entitlement;
    struct buf results = {0};
    long count = 0;
    bool first = true;

    if (page < 1 || page > 1000000)
        page = 1;
    entitlement = uuid ? map_get(&world->entitlements, uuid) : user ? map_get(&world->by_user, user) : NULL;
    for (; entitlement; entitlement = uuid ? NULL : entitlement->next_of_user) {
        if (user && strcmp(user, entitlement->user) != 0)
            continue;
        if (count / PAGE_SIZE == page - 1) {
            buf_text(&results, first ? "" : ", ");
            append(entitlement, &results);
            first = false;
        }
        count++;
    }
    buf_printf(&reply->body, "{\"count\": %ld, \"num_pages\": %ld, \"current_page\": %ld, \"next\": ", count,
               count ? (count + PAGE_SIZE - 1) / PAGE_SIZE : 1, page);
    if (count > page * PAGE_SIZE)
        buf_printf(&reply->body, "\"http://%s/api/entitlements/v1/entitlements/?page=%ld&user=%s\"",
                   request_header(request, "Host") ? request_header(request, "Host") : "localhost", page + 1,
                   user ? user : "");
    else
        buf_text(&reply->body, "null");
    buf_printf(&reply->body, ", \"previous\": null, \"results\": [%s]}", buf_str(&results));
    buf_free(&results);
    free(user);
    free(uuid);
    free(page_text);
}

static bool admit(struct gate *gate, const struct request *request, struct reply *reply)
{
    struct caller caller;

    if (!caller_identify(gate, request, false, &caller, reply))
        return false;
    if (caller.staff)
        return true;
    reply_text(reply, 403, "detail", "You do not have permission to perform this action.");
    return false;
}

void entitlement_answer(struct world *world, struct gate *gate, const struct request *request,
                        struct reply *reply)
{
    const char *type = request_header(request, "Content-Type");

    if (!admit(gate, request, reply))
        return;
    if (strcmp(request->method, "GET") == 0)
        list(world, request, reply);
    else if (strcmp(request->method, "POST") != 0)
        reply_text(reply, 405, "detail", "Method \"%s\" not allowed.", request->method);
    else if (!type || strncasecmp(type, "application/json", 16) != 0)
        reply_text(reply, 415, "detail", "Unsupported media type \"%s\" in request.", type ? type : "");
    else if (!json_is_object(request->doc))
        reply_text(reply, 400, "detail", "JSON parse error - Expecting value: line 1 column 1 (char 0)");
    else
        create(world, request, reply);
}

static void revoke(struct world *world, struct entitlement *entitlement, struct reply *reply)
{
    struct enrollment *enrollment =
        entitlement->run ? world_enrollment(world, entitlement->user, entitlement->run) : NULL;

    if (entitlement->deletes++)
        world->repeated_deletes++;
    reply->applied = !entitlement->expired_ms;
    if (!entitlement->expired_ms)
        entitlement->expired_ms = entitlement->modified_ms = world_now_ms();
    if (enrollment)
        enrollment->is_active = false;
    free(entitlement->run);
    entitlement->run = NULL;
    reply_empty(reply, 204);
}

void entitlement_answer_one(struct world *world, struct gate *gate, const struct request *request,
                            struct reply *reply)
{
    struct entitlement *entitlement;

    if (!uuid_is_valid(request->name)) {
        reply_page(reply, 404, "Not Found"); /* the address does not even match */
        return;
    }
    if (!admit(gate, request, reply))
        return;
    entitlement = map_get(&world->entitlements, request->name);
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "DELETE") != 0)
        reply_text(reply, 405, "detail", "Method \"%s\" not allowed.", request->method);
    else if (!entitlement)
        reply_text(reply, 404, "detail", "Not found.");
    else if (strcmp(request->method, "DELETE") == 0)
        revoke(world, entitlement, reply);
    else
        append(entitlement, &reply->body);
}

void entitlement_answer_unslashed(const struct request *request, struct reply *reply)
{
    struct buf target = {0};

    buf_printf(&target, "%s/", buf_str(&request->path));
    if (request->query.len)
        buf_printf(&target, "?%s", buf_str(&request->query));
    reply_empty(reply, 301);
    reply_header(reply, "Location", target.data);
    buf_free(&target);
}
