/*
 * Course runs: modes, closed, full, embargoed, forbidden by a plugin. Holds the facts; which of
 * them refuses a request, and in which order, is decided in enrollment.c. Courses come from the
 * seed or the admin interface (world.c).
 */
#include "course.h"

#include "buf.h"
#include "mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool read_mode(const json_t *spec, struct course_mode *mode, const char **ret_why)
{
    const char *slug = json_string_value(json_is_object(spec) ? json_object_get(spec, "slug") : spec);

    if (!slug) {
        *ret_why = "modes: each is a name or an object with a slug";
        return false;
    }
    mode->slug = mem_copy(slug);
    mode->sku = mem_copy(json_string_value(json_object_get(spec, "sku")));
    mode->expired = json_is_true(json_object_get(spec, "expired"));
    mode->min_price = (int)json_integer_value(json_object_get(spec, "min_price"));
    return true;
}

static bool read_modes(struct course *course, const json_t *modes, const char **ret_why)
{
    size_t i;
    json_t *mode;

    course->modes = mem_new(json_array_size(modes) * sizeof(*course->modes));
    json_array_foreach(modes, i, mode)
    {
        if (!read_mode(mode, &course->modes[i], ret_why))
            return false;
        course->mode_count++;
    }
    return true;
}

static json_t *names_of(const json_t *spec, const char *key)
{
    json_t *names = json_object_get(spec, key);

    return json_is_array(names) ? json_incref(names) : NULL;
}

struct course *course_new(const json_t *spec, const char **ret_why)
{
    const char *id = json_string_value(json_object_get(spec, "id"));
    const char *name = json_string_value(json_object_get(spec, "name"));
    struct course *course;

    if (!id || !course_key_is_valid(id)) {
        *ret_why = "id: expected a course key";
        return NULL;
    }
    course = mem_new(sizeof(*course));
    course->id = mem_copy(id);
    course->name = mem_copy(name ? name : id);
    course->uuid = mem_copy(json_string_value(json_object_get(spec, "course_uuid")));
    course->closed = json_is_true(json_object_get(spec, "closed"));
    course->full = json_is_true(json_object_get(spec, "full"));
    course->embargoed = json_is_true(json_object_get(spec, "embargoed"));
    course->embargoed_users = names_of(spec, "embargoed_users");
    course->not_allowed = mem_copy(json_string_value(json_object_get(spec, "not_allowed")));
    course->cohorts = names_of(spec, "cohorts");
    if (!read_modes(course, json_object_get(spec, "modes"), ret_why)) {
        course_free(course);
        return NULL;
    }
    return course;
}

struct course *course_new_usual(const char *id)
{
    const char *why = NULL;
    json_t *spec = json_pack("{s:s, s:[s,s,s,s,s,s]}", "id", id, "modes", "audit", "honor", "verified",
                             "professional", "no-id-professional", "credit");
    struct course *course = spec ? course_new(spec, &why) : NULL;

    json_decref(spec);
    return course;
}

void course_free(void *freed)
{
    struct course *course = freed;

    if (!course)
        return;
    for (size_t i = 0; i < course->mode_count; i++) {
        free(course->modes[i].slug);
        free(course->modes[i].sku);
    }
    free(course->modes);
    free(course->id);
    free(course->name);
    free(course->uuid);
    free(course->not_allowed);
    free(course->details[0]);
    free(course->details[1]);
    json_decref(course->embargoed_users);
    json_decref(course->cohorts);
    free(course);
}

bool course_key_is_valid(const char *id)
{
    int separators = 0;

    if (strncmp(id, "course-v1:", 10) != 0)
        return false;
    for (const char *p = id + 10; *p; p++) {
        if (*p == '+')
            separators++;
        else if (!isalnum((unsigned char)*p) && !strchr("-_.~:", *p))
            return false;
        if (*p == '+' && (p[1] == '+' || p[1] == '\0' || p[-1] == ':'))
            return false;
    }
    return separators == 2;
}

const struct course_mode *course_find_mode(const struct course *course, const char *slug,
                                           bool include_expired)
{
    for (size_t i = 0; i < course->mode_count; i++)
        if (strcmp(course->modes[i].slug, slug) == 0)
            return course->modes[i].expired && !include_expired ? NULL : &course->modes[i];
    return NULL;
}

const char *course_default_mode(const struct course *course)
{
    if (course_find_mode(course, "audit", false) || !course->mode_count)
        return "audit";
    return course->modes[0].slug;
}

static void write_mode(const struct course_mode *mode, struct buf *out)
{
    buf_text(out, "{\"slug\": ");
    buf_json(out, mode->slug);
    buf_text(out, ", \"name\": ");
    buf_json(out, mode->slug);
    buf_printf(out,
               ", \"min_price\": %d, \"suggested_prices\": \"\", \"currency\": \"usd\", "
               "\"expiration_datetime\": %s, \"description\": null, \"sku\": ",
               mode->min_price, mode->expired ? "\"2020-01-01T00:00:00Z\"" : "null");
    buf_json(out, mode->sku);
    buf_text(out, ", \"bulk_sku\": null}");
}

const char *course_details(struct course *course, bool include_expired)
{
    struct buf out = {0};
    bool first = true;

    if (course->details[include_expired])
        return course->details[include_expired];
    buf_text(&out, "{\"course_id\": ");
    buf_json(&out, course->id);
    buf_text(&out, ", \"course_name\": ");
    buf_json(&out, course->name);
    buf_text(&out, ", \"enrollment_start\": null, \"enrollment_end\": null, \"course_start\": "
                   "\"2026-01-01T00:00:00Z\", \"course_end\": null, \"invite_only\": false, "
                   "\"course_modes\": [");
    for (size_t i = 0; i < course->mode_count; i++) {
        if (course->modes[i].expired && !include_expired)
            continue;
        buf_text(&out, first ? "" : ", ");
        write_mode(&course->modes[i], &out);
        first = false;
    }
    buf_text(&out, "], \"pacing_type\": \"Instructor Paced\"}");
    course->details[include_expired] = out.data;
    return out.data;
}

static bool names_contain(const json_t *names, const char *wanted)
{
    size_t i;
    json_t *name;

    json_array_foreach(names, i, name) if (json_is_string(name) &&
                                           strcmp(json_string_value(name), wanted) == 0) return true;
    return false;
}

bool course_embargoes(const struct course *course, const char *user)
{
    return course->embargoed || names_contain(course->embargoed_users, user);
}

bool course_has_cohort(const struct course *course, const char *cohort)
{
    return names_contain(course->cohorts, cohort);
}
