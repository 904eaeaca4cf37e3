/*
 * Which request gets a scripted answer, and which one. Decides by rules in their order; each rule
 * hands out its steps until they are used up. How a step's answer is put together and sent is
 * decided in exchange.c and conn.c.
 */
#include "script.h"

#include "script_step.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void free_rule(struct rule *rule)
{
    if (!rule)
        return;
    for (size_t i = 0; i < rule->step_count; i++)
        script_step_fini(&rule->steps[i]);
    free(rule->steps);
    free(rule->name);
    free(rule->method);
    free(rule->path);
    free(rule->kind);
    free(rule->user);
    free(rule->course);
    free(rule->order);
    free(rule);
}

static bool read_match(struct rule *rule, json_t *match, const char **ret_why)
{
    struct {
        const char *key;
        char **to;
    } fields[] = {
        {"method", &rule->method}, {"path", &rule->path},     {"kind", &rule->kind},
        {"user", &rule->user},     {"course", &rule->course}, {"order", &rule->order},
    };
    const char *key;
    json_t *value;

    json_object_foreach(match, key, value)
    {
        size_t i = 0;

        while (i < sizeof(fields) / sizeof(fields[0]) && strcmp(fields[i].key, key) != 0)
            i++;
        if (i == sizeof(fields) / sizeof(fields[0]) || !json_is_string(value)) {
            *ret_why = "match: texts under method, path, kind, user, course, order";
            return false;
        }
        *fields[i].to = mem_copy(json_string_value(value));
    }
    return true;
}

static struct rule *new_rule(json_t *spec, const char **ret_why)
{
    struct rule *rule = mem_new(sizeof(*rule));
    json_t *steps = json_object_get(spec, "steps");
    size_t i;
    json_t *step;

    rule->name = mem_copy(json_string_value(json_object_get(spec, "name")));
    if (!rule->name)
        rule->name = mem_copy("rule");
    if (!json_is_array(steps) || !json_array_size(steps)) {
        *ret_why = "steps: expected a list of one or more";
        free_rule(rule);
        return NULL;
    }
    rule->steps = mem_new(json_array_size(steps) * sizeof(*rule->steps));
    json_array_foreach(steps, i, step)
    {
        rule->step_count++;
        if (!script_step_read(&rule->steps[i], step, ret_why)) {
            free_rule(rule);
            return NULL;
        }
    }
    if (!read_match(rule, json_object_get(spec, "match"), ret_why)) {
        free_rule(rule);
        return NULL;
    }
    return rule;
}

static void clear_rules(struct script *script)
{
    for (size_t i = 0; i < script->rule_count; i++)
        free_rule(script->rules[i]);
    free(script->rules);
    script->rules = NULL;
    script->rule_count = 0;
}

bool script_add(struct script *script, const json_t *spec, const char **ret_why)
{
    json_t *list = json_object_get(spec, "rules");
    json_t *made = NULL;
    struct script more = {0};
    size_t count;

    if (!list)
        list = json_is_array(spec) ? (json_t *)spec : (made = json_pack("[O]", spec));
    count = json_array_size(list);
    more.rules = mem_new((count + script->rule_count) * sizeof(struct rule *));
    for (size_t i = 0; i < count; i++) {
        struct rule *rule = new_rule(json_array_get(list, i), ret_why);

        if (!rule) {
            clear_rules(&more);
            json_decref(made);
            return false;
        }
        more.rules[more.rule_count++] = rule;
    }
    if (json_is_true(json_object_get(spec, "replace")))
        clear_rules(script);
    memmove(more.rules + script->rule_count, more.rules, count * sizeof(struct rule *));
    if (script->rule_count)
        memcpy(more.rules, script->rules, script->rule_count * sizeof(struct rule *));
    free(script->rules);
    script->rules = more.rules;
    script->rule_count += count;
    json_decref(made);
    return true;
}

static void end_outage(struct script *script)
{
    if (script->outage)
        script_step_fini(script->outage);
    free(script->outage);
    script->outage = NULL;
}

void script_clear(struct script *script)
{
    clear_rules(script);
    end_outage(script);
    script->latency_ms = 0;
}

bool script_set_outage(struct script *script, const json_t *spec, const char **ret_why)
{
    struct step *outage;

    if (json_is_true(json_object_get(spec, "off"))) {
        end_outage(script);
        return true;
    }
    outage = mem_new(sizeof(*outage));
    if (!script_step_read(outage, spec, ret_why)) {
        script_step_fini(outage);
        free(outage);
        return false;
    }
    end_outage(script);
    script->outage = outage;
    return true;
}

static bool is_or_any(const char *wanted, const char *found)
{
    return !wanted || (found && strcmp(wanted, found) == 0);
}

static bool matches(const struct rule *rule, const struct request *request)
{
    return is_or_any(rule->method, request->method) && is_or_any(rule->kind, request->kind) &&
           is_or_any(rule->user, request->user) && is_or_any(rule->course, request->course) &&
           is_or_any(rule->order, request->order) &&
           (!rule->path || strncmp(buf_str(&request->path), rule->path, strlen(rule->path)) == 0);
}

const struct step *script_take(struct script *script, const struct request *request, const char **ret_rule)
{
    if (script->outage) {
        *ret_rule = "outage";
        return script->outage;
    }
    for (size_t i = 0; i < script->rule_count; i++) {
        struct rule *rule = script->rules[i];
        struct step *step;

        if (rule->at == rule->step_count || !matches(rule, request))
            continue;
        step = &rule->steps[rule->at];
        rule->hits++;
        step->used++;
        if (step->times >= 0 && step->used >= step->times)
            rule->at++;
        *ret_rule = rule->name;
        return step;
    }
    *ret_rule = NULL;
    return NULL;
}

json_t *script_dump(const struct script *script)
{
    json_t *rules = json_array();

    for (size_t i = 0; i < script->rule_count; i++) {
        const struct rule *rule = script->rules[i];

        (void)json_array_append_new(rules, json_pack("{s:s, s:I, s:I, s:I, s:b}", "name", rule->name, "hits",
                                                     (json_int_t)rule->hits, "step", (json_int_t)rule->at,
                                                     "steps", (json_int_t)rule->step_count, "used_up",
                                                     rule->at == rule->step_count));
    }
    return json_pack("{s:o, s:b, s:I}", "rules", rules, "outage", script->outage != NULL, "latency_ms",
                     (json_int_t)script->latency_ms);
}
