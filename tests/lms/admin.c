/*
 * The admin interface: scripts, settings, outage, ledger, state. Decides nothing by itself, it
 * translates JSON into calls of the parts; README.md lists every call. Never in the ledger.
 */
#include "admin.h"

#include <stdlib.h>
#include <string.h>

static void answer_json(struct reply *reply, json_t *take_doc)
{
    char *text = take_doc ? json_dumps(take_doc, JSON_COMPACT) : NULL;

    json_decref(take_doc);
    if (text)
        buf_text(&reply->body, text);
    else
        reply_text(reply, 500, "error", "the answer could not be written as JSON");
    free(text);
}

static void answer_done(struct reply *reply, bool ok, const char *why)
{
    if (ok)
        buf_text(&reply->body, "{}");
    else
        reply_text(reply, 400, "error", "%s", why ? why : "not understood");
}

static void call_script(struct lms *lms, const struct request *request, struct reply *reply)
{
    const char *why = NULL;

    if (strcmp(request->method, "GET") == 0) {
        answer_json(reply, script_dump(&lms->script));
    } else if (strcmp(request->method, "DELETE") == 0) {
        script_clear(&lms->script);
        answer_done(reply, true, NULL);
    } else {
        answer_done(reply, request->doc && script_add(&lms->script, request->doc, &why), why);
    }
}

static void call_outage(struct lms *lms, const struct request *request, struct reply *reply)
{
    const char *why = NULL;

    answer_done(reply, request->doc && script_set_outage(&lms->script, request->doc, &why), why);
}

static void call_latency(struct lms *lms, const struct request *request, struct reply *reply)
{
    const json_t *ms = json_object_get(request->doc, "ms");
    bool ok = json_is_integer(ms) && json_integer_value(ms) >= 0;

    if (ok)
        lms->script.latency_ms = json_integer_value(ms);
    answer_done(reply, ok, "ms: expected a number, 0 or more");
}

static void call_config(struct lms *lms, const struct request *request, struct reply *reply)
{
    const char *why = NULL;

    answer_done(reply, request->doc && lms_configure(lms, request->doc, &why), why);
}

static void call_expire(struct lms *lms, const struct request *request, struct reply *reply)
{
    (void)request;
    tokens_expire_all(&lms->gate.tokens);
    answer_done(reply, true, NULL);
}

static bool wants(const json_t *doc, const char *part)
{
    const json_t *parts = json_object_get(doc, "only");
    size_t i;
    json_t *named;

    if (!parts)
        return true;
    json_array_foreach((json_t *)parts, i,
                       named) if (json_is_string(named) &&
                                  strcmp(json_string_value(named), part) == 0) return true;
    return false;
}

static void call_reset(struct lms *lms, const struct request *request, struct reply *reply)
{
    const char *why = NULL;
    bool ok = true;

    if (wants(request->doc, "script"))
        script_clear(&lms->script);
    if (wants(request->doc, "ledger"))
        ledger_clear(&lms->ledger);
    if (wants(request->doc, "world"))
        ok = lms_reset_world(lms, &why);
    answer_done(reply, ok, why);
}

static void call_ledger(struct lms *lms, const struct request *request, struct reply *reply)
{
    const char *query = buf_str(&request->query);
    char *since = request_parameter(query, "since");
    char *limit = request_parameter(query, "limit");
    char *order = request_parameter(query, "order");
    char *user = request_parameter(query, "user");
    char *course = request_parameter(query, "course");
    char *kind = request_parameter(query, "kind");
    char *path = request_parameter(query, "path");
    struct ledger_filter filter = {
        .since = since ? strtoull(since, NULL, 10) : 0,
        .limit = limit ? (size_t)strtoull(limit, NULL, 10) : 0,
        .order = order,
        .user = user,
        .course = course,
        .kind = kind,
        .path = path,
    };

    answer_json(reply, ledger_dump(&lms->ledger, &filter));
    free(since);
    free(limit);
    free(order);
    free(user);
    free(course);
    free(kind);
    free(path);
}

static void call_state(struct lms *lms, const struct request *request, struct reply *reply)
{
    json_t *state = world_dump(&lms->world);

    (void)request;
    if (state)
        (void)json_object_set_new(state, "tokens_issued", json_integer((json_int_t)lms->gate.tokens.count));
    answer_json(reply, state);
}

static void call_stats(struct lms *lms, const struct request *request, struct reply *reply)
{
    const struct world *world = &lms->world;
    const struct {
        const char *key;
        uint64_t count;
    } more[] = {
        {"repeated_enrolls", world->repeated_enrolls},
        {"repeated_revokes", world->repeated_revokes},
        {"repeated_entitlements", world->repeated_entitlements},
        {"repeated_deletes", world->repeated_deletes},
        {"enrollments", world->enrollments.count},
        {"entitlements", world->entitlements.count},
        {"connections", lms->connections},
        {"open_connections", lms->open_connections},
    };
    json_t *stats = ledger_stats(&lms->ledger);

    (void)request;
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        (void)json_object_set_new(stats, more[i].key, json_integer((json_int_t)more[i].count));
    answer_json(reply, stats);
}

void admin_answer(struct lms *lms, const struct request *request, struct reply *reply)
{
    static const struct {
        const char *method; /* NULL = any */
        const char *name;
        void (*call)(struct lms *lms, const struct request *request, struct reply *reply);
    } calls[] = {
        {NULL, "script", call_script},          {"POST", "outage", call_outage},
        {"POST", "latency", call_latency},      {"POST", "config", call_config},
        {"POST", "tokens/expire", call_expire}, {"POST", "reset", call_reset},
        {"GET", "ledger", call_ledger},         {"GET", "state", call_state},
        {"GET", "stats", call_stats},
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, request->name) != 0)
            continue;
        if (calls[i].method && strcmp(calls[i].method, request->method) != 0) {
            reply_text(reply, 405, "error", "this call wants %s", calls[i].method);
            return;
        }
        calls[i].call(lms, request, reply);
        return;
    }
    reply_text(reply, 404, "error", "there is no such call");
}
