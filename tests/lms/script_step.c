/*
 * One step of a script, from JSON. Decides what each key means and which belong to a faked answer
 * (one whose effect is not done unless "apply" says so). An unknown key is refused: a misspelt
 * fault would make a test pass that tests nothing.
 */
#include "script_step.h"

#include "buf.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { BIG_MAX = 256 * 1024 * 1024 };

static bool read_body(struct step *step, const json_t *value)
{
    free(step->body);
    if (json_is_string(value)) {
        step->body = mem_copy(json_string_value(value));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY);

        step->body = text ? text : mem_copy("");
    }
    step->faked = true;
    return true;
}

static bool read_status(struct step *step, const json_t *value)
{
    step->status = (int)json_integer_value(value);
    step->faked = true;
    return step->status >= 200 && step->status <= 599;
}

static bool read_headers(struct step *step, const json_t *value)
{
    const char *key;
    json_t *text;

    if (!json_is_object(value))
        return false;
    json_object_foreach((json_t *)value, key, text) if (!json_is_string(text)) return false;
    if (!step->headers)
        step->headers = json_object();
    return json_object_update(step->headers, (json_t *)value) == 0;
}

static bool read_redirect(struct step *step, const json_t *value)
{
    if (!json_is_string(value))
        return false;
    if (!step->status)
        step->status = 302;
    step->faked = true;
    if (!step->headers)
        step->headers = json_object();
    return json_object_set_new(step->headers, "Location", json_string(json_string_value(value))) == 0;
}

static bool read_delay(struct step *step, const json_t *value)
{
    step->delay_ms = json_integer_value(value);
    return json_is_integer(value) && step->delay_ms >= 0;
}

static bool read_dribble(struct step *step, const json_t *value)
{
    step->dribble_ms = json_integer_value(value);
    return json_is_integer(value) && step->dribble_ms > 0;
}

static bool set_way(struct step *step, const json_t *value, enum way way)
{
    if (!json_is_true(value))
        return json_is_false(value);
    step->way = way;
    step->faked = true;
    return true;
}

static bool read_never(struct step *step, const json_t *value)
{
    return set_way(step, value, WAY_NEVER);
}

static bool read_close(struct step *step, const json_t *value)
{
    return set_way(step, value, WAY_CLOSE);
}

static bool read_reset(struct step *step, const json_t *value)
{
    return set_way(step, value, WAY_RESET);
}

static bool read_hangup(struct step *step, const json_t *value)
{
    if (json_is_true(value))
        step->way = WAY_HANGUP;
    return json_is_boolean(value);
}

static bool read_truncate(struct step *step, const json_t *value)
{
    step->way = WAY_TRUNCATE;
    step->faked = true;
    step->truncate_at = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool read_garbage(struct step *step, const json_t *value)
{
    const char *text =
        json_is_string(value) ? json_string_value(value) : "\x16\x03\x01 this is no HTTP\r\n\r\n\x01\x02\x03";

    step->way = WAY_GARBAGE;
    step->faked = true;
    free(step->garbage);
    step->garbage = mem_copy(text);
    return json_is_string(value) || json_is_true(value);
}

static bool read_big(struct step *step, const json_t *value)
{
    step->faked = true;
    step->big_bytes = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) <= BIG_MAX;
}

static bool read_apply(struct step *step, const json_t *value)
{
    step->apply = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_times(struct step *step, const json_t *value)
{
    const char *text = json_string_value(value);

    if (text) {
        step->times = -1;
        return strcmp(text, "forever") == 0;
    }
    step->times = (long)json_integer_value(value);
    return json_is_integer(value) && step->times > 0;
}

static bool read_pass(struct step *step, const json_t *value)
{
    (void)step;
    return json_is_true(value);
}

static const struct {
    const char *key;
    bool (*read)(struct step *step, const json_t *value);
    const char *why;
} keys[] = {
    {"status", read_status, "status: expected a number from 200 to 599"},
    {"body", read_body, "body: expected a text or JSON"},
    {"headers", read_headers, "headers: expected an object of texts"},
    {"redirect", read_redirect, "redirect: expected an address"},
    {"delay_ms", read_delay, "delay_ms: expected a number, 0 or more"},
    {"dribble", read_dribble, "dribble: expected milliseconds between two bytes, more than 0"},
    {"never", read_never, "never: expected true or false"},
    {"close", read_close, "close: expected true or false"},
    {"reset", read_reset, "reset: expected true or false"},
    {"hangup", read_hangup, "hangup: expected true or false"},
    {"truncate", read_truncate, "truncate: expected the number of bytes that arrive"},
    {"garbage", read_garbage, "garbage: expected true or a text"},
    {"big", read_big, "big: expected a number of bytes, at most 256 MiB"},
    {"apply", read_apply, "apply: expected true or false"},
    {"times", read_times, "times: expected a number above 0, or \"forever\""},
    {"pass", read_pass, "pass: expected true"},
};

bool script_step_read(struct step *step, const json_t *spec, const char **ret_why)
{
    const char *key;
    json_t *value;

    step->times = 1;
    if (!json_is_object(spec)) {
        *ret_why = "a step is an object";
        return false;
    }
    json_object_foreach((json_t *)spec, key, value)
    {
        size_t i = 0;

        while (i < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[i].key, key) != 0)
            i++;
        if (i == sizeof(keys) / sizeof(keys[0])) {
            *ret_why = "a step has no such key";
            return false;
        }
        if (!keys[i].read(step, value)) {
            *ret_why = keys[i].why;
            return false;
        }
    }
    return true;
}

void script_step_fini(struct step *step)
{
    free(step->body);
    free(step->garbage);
    json_decref(step->headers);
    *step = (struct step){0};
}

const char *script_way_name(enum way way)
{
    switch (way) {
    case WAY_WHOLE:
        return NULL;
    case WAY_NEVER:
        return "never";
    case WAY_CLOSE:
        return "close";
    case WAY_RESET:
        return "reset";
    case WAY_TRUNCATE:
        return "truncate";
    case WAY_GARBAGE:
        return "garbage";
    case WAY_HANGUP:
        return "hangup";
    }
    return NULL;
}
