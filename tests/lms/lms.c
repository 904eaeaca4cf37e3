/*
 * The whole state of the stand-in: how it begins, how a seed or a settings document changes it. The
 * way of a request through it is in exchange.c, the calls that change it from outside in admin.c.
 */
#include "lms.h"

#include <stdio.h>
#include <string.h>

static bool set_flag(const json_t *doc, const char *key, bool *flag)
{
    const json_t *value = json_object_get(doc, key);

    if (json_is_boolean(value))
        *flag = json_is_true(value);
    return !value || json_is_boolean(value);
}

static bool set_count(const json_t *doc, const char *key, int64_t *count)
{
    const json_t *value = json_object_get(doc, key);

    if (json_is_integer(value))
        *count = json_integer_value(value);
    return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static bool configure_tokens(struct tokens *tokens, const json_t *doc)
{
    if (json_is_null(json_object_get(doc, "expires_in")))
        tokens->reported_ttl_s = -1;
    else if (!set_count(doc, "expires_in", &tokens->reported_ttl_s))
        return false;
    return set_flag(doc, "staff", &tokens->staff) && set_flag(doc, "rate_limited", &tokens->rate_limited) &&
           set_count(doc, "ttl_s", &tokens->ttl_s);
}

static bool configure_throttle(struct gate *gate, const json_t *doc)
{
    int64_t staff = 0, user = 0, window_ms = 60000;

    if (!doc)
        return true;
    if (!set_count(doc, "staff", &staff) || !set_count(doc, "user", &user) ||
        !set_count(doc, "window_ms", &window_ms))
        return false;
    throttle_set(&gate->staff_window, (size_t)staff, window_ms);
    throttle_set(&gate->user_window, (size_t)user, window_ms);
    return true;
}

static bool check_keys(const json_t *doc, const char **ret_why)
{
    static const char *const known[] = {"users",        "courses",      "enrollments", "entitlements",
                                        "open_courses", "strict_users", "tokens",      "throttle",
                                        "latency_ms",   "old_release"};
    const char *key;
    json_t *value;

    if (!json_is_object(doc)) {
        *ret_why = "expected an object";
        return false;
    }
    json_object_foreach((json_t *)doc, key, value)
    {
        size_t i = 0;

        while (i < sizeof(known) / sizeof(known[0]) && strcmp(known[i], key) != 0)
            i++;
        if (i == sizeof(known) / sizeof(known[0])) {
            *ret_why = "there is no such setting";
            return false;
        }
    }
    return true;
}

bool lms_configure(struct lms *lms, const json_t *doc, const char **ret_why)
{
    if (!check_keys(doc, ret_why) || !world_seed(&lms->world, doc, ret_why))
        return false;
    *ret_why = "tokens: staff and rate_limited are flags, ttl_s and expires_in numbers";
    if (!configure_tokens(&lms->gate.tokens, json_object_get(doc, "tokens")))
        return false;
    *ret_why = "throttle: staff, user and window_ms are numbers, 0 or more";
    if (!configure_throttle(&lms->gate, json_object_get(doc, "throttle")))
        return false;
    *ret_why = "latency_ms: expected a number, 0 or more";
    if (!set_count(doc, "latency_ms", &lms->script.latency_ms))
        return false;
    *ret_why = "old_release: expected true or false";
    return set_flag(doc, "old_release", &lms->old_release);
}

static bool read_seed_file(struct lms *lms, const char **ret_why)
{
    json_error_t error;
    json_t *doc;
    bool ok;

    if (!lms->options.seed_path)
        return true;
    doc = json_load_file(lms->options.seed_path, 0, &error);
    *ret_why = "the seed file cannot be read as JSON";
    ok = doc && lms_configure(lms, doc, ret_why);
    json_decref(doc);
    return ok;
}

bool lms_reset_world(struct lms *lms, const char **ret_why)
{
    world_fini(&lms->world);
    tokens_fini(&lms->gate.tokens);
    throttle_set(&lms->gate.staff_window, 0, 0);
    throttle_set(&lms->gate.user_window, 0, 0);
    world_init(&lms->world);
    lms->gate.api_key = lms->options.api_key;
    tokens_init(&lms->gate.tokens, lms->options.client_id, lms->options.client_secret);
    lms->old_release = false;
    return read_seed_file(lms, ret_why);
}

bool lms_init(struct lms *lms, const struct options *options)
{
    const char *why = NULL;

    *lms = (struct lms){.options = *options};
    ledger_init(&lms->ledger, options->ledger_entries,
                options->keep_bodies ? (size_t)REQUEST_BODY_MAX : (size_t)LEDGER_BODY_DEFAULT);
    if (lms_reset_world(lms, &why))
        return true;
    fprintf(stderr, "fulfill-lms: %s: %s\n", options->seed_path, why);
    return false;
}

void lms_fini(struct lms *lms)
{
    world_fini(&lms->world);
    tokens_fini(&lms->gate.tokens);
    throttle_set(&lms->gate.staff_window, 0, 0);
    throttle_set(&lms->gate.user_window, 0, 0);
    script_clear(&lms->script);
    ledger_fini(&lms->ledger);
}
