/*
 * One request: what the parser delivered, and what it is about (resource, learner, course, order
 * number). Decides only how to read it; whether it is allowed is for the resources, so nothing here
 * refuses. Called by conn.c while a request arrives and by exchange.c when it is whole.
 */
#include "request.h"

#include "mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ARENA_MAX = 64 * 1024 };

void request_reset(struct request *request)
{
    buf_reset(&request->url);
    buf_reset(&request->arena);
    buf_reset(&request->body);
    buf_reset(&request->path);
    buf_reset(&request->query);
    request->header_count = 0;
    request->header_open = false;
    request->too_big = false;
    json_decref(request->doc);
    request->doc = NULL;
    char **owned[] = {&request->user, &request->course, &request->mode, &request->order, &request->name};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        free(*owned[i]);
        *owned[i] = NULL;
    }
    request->is_active = -1;
}

void request_free(struct request *request)
{
    request_reset(request);
    buf_free(&request->url);
    buf_free(&request->arena);
    buf_free(&request->body);
    buf_free(&request->path);
    buf_free(&request->query);
}

/* Appends to the text that ends the arena: its NUL is overwritten and written again. */
static void arena_extend(struct request *request, const char *text, size_t len)
{
    if (request->arena.len + len > ARENA_MAX) {
        request->too_big = true;
        return;
    }
    request->arena.len--;
    buf_add(&request->arena, text, len);
    buf_add(&request->arena, "", 1);
}

void request_add_header_name(struct request *request, const char *text, size_t len)
{
    if (!request->header_count || request->header_open) {
        if (request->header_count == REQUEST_HEADERS_MAX) {
            request->too_big = true;
            return;
        }
        request->headers[request->header_count++] = (struct header){.name_at = request->arena.len};
        request->header_open = false;
        buf_add(&request->arena, "", 1);
    }
    arena_extend(request, text, len);
}

void request_add_header_value(struct request *request, const char *text, size_t len)
{
    if (!request->header_count)
        return;
    if (!request->header_open) {
        request->headers[request->header_count - 1].value_at = request->arena.len;
        request->header_open = true;
        buf_add(&request->arena, "", 1);
    }
    arena_extend(request, text, len);
}

void request_add_body(struct request *request, const char *bytes, size_t len)
{
    if (request->body.len + len > REQUEST_BODY_MAX)
        request->too_big = true;
    else
        buf_add(&request->body, bytes, len);
}

const char *request_header(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->arena.data + request->headers[i].name_at, name) == 0)
            return request->arena.data + request->headers[i].value_at;
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes; a plus sign is a space in forms and queries, but itself in a path. */
static void decode(const char *text, size_t len, bool plus_is_space, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c)
            buf_add(out, &c, 1);
    }
}

char *request_parameter(const char *encoded, const char *name)
{
    size_t name_len = strlen(name);

    while (encoded && *encoded) {
        size_t len = strcspn(encoded, "&");

        if (len > name_len && encoded[name_len] == '=' && strncmp(encoded, name, name_len) == 0) {
            struct buf value = {0};

            buf_text(&value, "");
            decode(encoded + name_len + 1, len - name_len - 1, true, &value);
            return value.data;
        }
        encoded += len;
        encoded += *encoded == '&';
    }
    return NULL;
}

static char *text_of(const json_t *object, const char *key)
{
    return mem_copy(json_string_value(json_object_get(object, key)));
}

/* order:order_number among the enrollment attributes. */
static char *order_of_attributes(const json_t *attributes)
{
    size_t i;
    json_t *attribute;

    json_array_foreach(attributes, i, attribute)
    {
        const char *space = json_string_value(json_object_get(attribute, "namespace"));
        const char *name = json_string_value(json_object_get(attribute, "name"));

        if (space && name && strcmp(space, "order") == 0 && strcmp(name, "order_number") == 0)
            return text_of(attribute, "value");
    }
    return NULL;
}

static void read_body_facts(struct request *request)
{
    const json_t *active;

    request->doc = json_loadb(buf_str(&request->body), request->body.len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(request->doc))
        return;
    request->user = text_of(request->doc, "user");
    request->mode = text_of(request->doc, "mode");
    active = json_object_get(request->doc, "is_active");
    if (json_is_boolean(active))
        request->is_active = json_is_true(active);
    if (request->resource == RESOURCE_ENROLLMENT) {
        request->course = text_of(json_object_get(request->doc, "course_details"), "course_id");
        request->order = order_of_attributes(json_object_get(request->doc, "enrollment_attributes"));
    } else {
        request->course = text_of(request->doc, "course_uuid");
        request->order = text_of(request->doc, "order_number");
    }
}

static void copy_tail(struct request *request, const char *tail)
{
    size_t len = strlen(tail);

    request->name = mem_copy(tail);
    if (len && request->name[len - 1] == '/')
        request->name[len - 1] = '\0';
}

static void set_kind(struct request *request, const char *family)
{
    char *p = request->kind;

    (void)snprintf(request->kind, sizeof(request->kind), "%s.%s", family, request->method);
    for (; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* The path after prefix, or NULL when it is another path. */
static const char *after(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

static void read_entitlement_path(struct request *request, const char *tail)
{
    size_t len = strlen(tail);

    set_kind(request, "entitlement");
    if (len == 0 || tail[len - 1] != '/')
        request->resource = RESOURCE_ENTITLEMENT_UNSLASHED;
    else if (len == 1)
        request->resource = RESOURCE_ENTITLEMENTS;
    else
        request->resource = RESOURCE_ENTITLEMENT;
    copy_tail(request, *tail == '/' ? tail + 1 : tail);
}

static void read_enrollment_path(struct request *request, const char *tail)
{
    const char *comma = strchr(tail, ',');

    set_kind(request, "enrollment");
    request->resource = RESOURCE_ENROLLMENT_ONE;
    if (comma) {
        request->user = mem_copy(tail);
        request->user[comma - tail] = '\0';
    }
    request->course = mem_copy(comma ? comma + 1 : tail);
}

static void read_path(struct request *request)
{
    const char *path = buf_str(&request->path);
    const char *tail;

    request->resource = RESOURCE_UNKNOWN;
    (void)snprintf(request->kind, sizeof(request->kind), "other");
    if (strcmp(path, "/api/enrollment/v1/enrollment") == 0) {
        request->resource = RESOURCE_ENROLLMENT;
        set_kind(request, "enrollment");
    } else if ((tail = after(path, "/api/enrollment/v1/enrollment/")) && *tail) {
        read_enrollment_path(request, tail);
    } else if (strcmp(path, "/api/enrollment/v1/enrollments") == 0) {
        request->resource = RESOURCE_ENROLLMENTS;
        set_kind(request, "enrollments");
    } else if ((tail = after(path, "/api/enrollment/v1/course/")) && *tail) {
        request->resource = RESOURCE_COURSE;
        set_kind(request, "course");
        request->course = mem_copy(tail);
    } else if ((tail = after(path, "/api/entitlements/v1/entitlements")) && (!*tail || *tail == '/')) {
        read_entitlement_path(request, tail);
    } else if ((tail = after(path, "/oauth2/access_token")) && (!*tail || !strcmp(tail, "/"))) {
        request->resource = RESOURCE_TOKEN;
        (void)snprintf(request->kind, sizeof(request->kind), "token");
    } else if ((tail = after(path, "/hook/"))) {
        request->resource = RESOURCE_HOOK;
        (void)snprintf(request->kind, sizeof(request->kind), "hook");
        copy_tail(request, tail);
    } else if ((tail = after(path, "/_lms/"))) {
        request->resource = RESOURCE_ADMIN;
        copy_tail(request, tail);
    }
}

void request_digest(struct request *request)
{
    const char *url = buf_str(&request->url);
    size_t path_len = strcspn(url, "?");

    decode(url, path_len, false, &request->path);
    buf_text(&request->query, url[path_len] == '?' ? url + path_len + 1 : "");
    request->is_active = -1;
    read_path(request);
    if (request->resource == RESOURCE_ENTITLEMENTS && !request->body.len)
        request->user = request_parameter(buf_str(&request->query), "user");
    if (request->body.len && request->resource != RESOURCE_TOKEN)
        read_body_facts(request);
}
