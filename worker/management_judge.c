/*
 * Compares what RabbitMQ has with what the topology says, and tells each difference that loses, delays or
 * doubles orders. Decides which arguments and policies do harm; what else an operator sets is the operator's.
 * Pure. Called by management.c.
 *
 * An argument of ours that is there wins over a policy, or (for numbers) the smaller of the two; one that is
 * not there is set by the policy alone.
 */
#include "worker/management.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 256, WORDS_SIZE = 640 };

struct judge {
    const char *prefix;
    json_t *const *documents;
    management_finding_fn *on_finding;
    void *context;
    int server_major;
};

static void tell(const struct judge *judge, const char *remedy, const char *format, ...) PRINTF_LIKE(3, 4);

static void tell(const struct judge *judge, const char *remedy, const char *format, ...)
{
    char words[WORDS_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    judge->on_finding(judge->context, words, remedy);
}

/* ---- looking things up ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static const json_t *find_named(const json_t *list, const char *name)
{
    size_t i;
    json_t *object;

    json_array_foreach(list, i, object)
    {
        if (strcmp(text_of(object, "name"), name) == 0)
            return object;
    }
    return NULL;
}

static bool same_binding(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"source", "destination", "destination_type", "routing_key"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(text_of(a, keys[i]), text_of(b, keys[i])) != 0)
            return false;
    }
    return true;
}

static bool has_binding(const json_t *list, const json_t *binding)
{
    size_t i;
    json_t *object;

    json_array_foreach(list, i, object)
    {
        if (same_binding(object, binding))
            return true;
    }
    return false;
}

/* A value as an operator writes it; "nothing" when it is not there. */
static const char *show(const json_t *value, char *out, size_t size)
{
    if (!value || json_is_null(value))
        snprintf(out, size, "nothing");
    else if (json_is_string(value))
        snprintf(out, size, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(out, size, "%lld", (long long)json_integer_value(value));
    else
        snprintf(out, size, "%s", json_is_true(value) ? "true" : "something else");
    return out;
}

/* ---- arguments ---- */

static const char declare[] =
    "run 'fulfilld topology --declare' (it adds what is missing and changes nothing)";
static const char redeclare[] = "arguments of a queue or exchange cannot be changed: stop the publishers, "
                                "let fulfilld drain it, delete it, run "
                                "'fulfilld topology --declare'";
static const char mend_policy[] = "narrow the pattern of that policy (rabbitmqctl list_policies, "
                                  "list_operator_policies) so that it leaves our names alone";

static void compare_arguments(const struct judge *judge, const char *kind, const json_t *expected,
                              const json_t *found)
{
    const json_t *have = json_object_get(found, "arguments");
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(expected, "arguments"), key, value)
    {
        const json_t *other = json_object_get(have, key);
        char wanted[MAX_NAME], is[MAX_NAME];

        if (!other || !json_equal(value, other))
            tell(judge, redeclare, "%s %s: %s is %s, not %s", kind, text_of(expected, "name"), key,
                 show(other, is, sizeof(is)), show(value, wanted, sizeof(wanted)));
    }
}

/* Arguments and policy keys that do harm where the topology does not ask for them. */
static const struct {
    const char *key; /* as in a policy; an argument has "x-" before it */
    const char *harm;
} harmful[] = {
    {"message-ttl", "messages vanish or come back early when it is over"},
    {"expires", "the queue is deleted with its messages when nobody uses it"},
    {"max-length", "messages are dropped or refused when it is full"},
    {"max-length-bytes", "messages are dropped or refused when it is full"},
    {"delivery-limit", "orders are dropped after that many deliveries; fulfilld counts by itself"},
    {"dead-letter-exchange", "messages go where nobody looks"},
    {"dead-letter-routing-key", "what is due does not find its way back"},
    {"dead-letter-strategy", "anything but at-least-once loses what is due while a queue has no leader"},
    {"overflow", "anything but reject-publish turns at-least-once off"},
};

static bool lifts_delivery_limit(const char *key, const json_t *value)
{
    return strcmp(key, "delivery-limit") == 0 && json_is_integer(value) && json_integer_value(value) < 0;
}

/* An argument that the topology does not have, such as those of a queue that somebody else declared. */
static void look_for_foreign_arguments(const struct judge *judge, const json_t *expected, const json_t *found)
{
    for (size_t i = 0; i < ARRAY_LEN(harmful); i++) {
        char argument[MAX_NAME], is[MAX_NAME];

        snprintf(argument, sizeof(argument), "x-%s", harmful[i].key);
        const json_t *value = json_object_get(json_object_get(found, "arguments"), argument);
        const json_t *ours = json_object_get(json_object_get(expected, "arguments"), argument);

        if (value && !ours && !lifts_delivery_limit(harmful[i].key, value))
            tell(judge, redeclare, "queue %s: has %s = %s: %s", text_of(expected, "name"), argument,
                 show(value, is, sizeof(is)), harmful[i].harm);
    }
    if (judge->server_major >= 4 &&
        !json_object_get(json_object_get(found, "arguments"), "x-delivery-limit") &&
        !json_object_get(json_object_get(found, "effective_policy_definition"), "delivery-limit"))
        tell(
            judge, "set a policy with delivery-limit -1 for our queues, or declare the queue anew",
            "queue %s: RabbitMQ %d sets a delivery limit of 20 by itself: orders are dropped after that many "
            "deliveries",
            text_of(expected, "name"), judge->server_major);
}

/* The value of a harmful key that a policy sets for a queue, or NULL. */
static const json_t *set_by_policy(const struct judge *judge, const json_t *expected, size_t key)
{
    const json_t *found = find_named(judge->documents[MANAGEMENT_QUEUES], text_of(expected, "name"));
    const json_t *value =
        json_object_get(json_object_get(found, "effective_policy_definition"), harmful[key].key);
    char argument[MAX_NAME];

    snprintf(argument, sizeof(argument), "x-%s", harmful[key].key);
    const json_t *ours = json_object_get(json_object_get(expected, "arguments"), argument);

    if (!value || json_is_null(value) || lifts_delivery_limit(harmful[key].key, value))
        return NULL;
    if (ours && (json_is_string(ours) || json_integer_value(value) >= json_integer_value(ours)))
        return NULL;
    return value;
}

/* One line for each key, however many queues the policy hits. */
static void look_for_policies(const struct judge *judge, const json_t *queues)
{
    for (size_t key = 0; key < ARRAY_LEN(harmful); key++) {
        const json_t *first = NULL, *value = NULL;
        size_t i, count = 0;
        json_t *queue;
        char is[MAX_NAME], more[32] = "";

        json_array_foreach(queues, i, queue)
        {
            const json_t *set = set_by_policy(judge, queue, key);

            if (set && count++ == 0) {
                first = find_named(judge->documents[MANAGEMENT_QUEUES], text_of(queue, "name"));
                value = set;
            }
        }
        if (!first)
            continue;
        const char *policy = text_of(first, "policy"), *operator_policy = text_of(first, "operator_policy");

        if (count > 1)
            snprintf(more, sizeof(more), " and %zu more", count - 1);
        tell(judge, mend_policy, "queue %s%s: policy %s%s%s sets %s = %s: %s", text_of(first, "name"), more,
             policy, policy[0] && operator_policy[0] ? " with " : "", operator_policy, harmful[key].key,
             show(value, is, sizeof(is)), harmful[key].harm);
    }
}

/* ---- objects ---- */

/* What is missing, of one kind: one line however many there are. */
struct missing {
    char first[MAX_NAME * 3];
    size_t count;
};

static void tell_missing(const struct judge *judge, const struct missing *missing)
{
    if (missing->count == 1)
        tell(judge, declare, "%s is missing", missing->first);
    else if (missing->count > 1)
        tell(judge, declare, "%s and %zu more are missing", missing->first, missing->count - 1);
}

static void judge_exchanges(const struct judge *judge, const json_t *expected)
{
    size_t i;
    json_t *exchange;
    struct missing missing = {.count = 0};

    json_array_foreach(expected, i, exchange)
    {
        const char *name = text_of(exchange, "name");
        const json_t *found = find_named(judge->documents[MANAGEMENT_EXCHANGES], name);

        if (!found) {
            if (missing.count++ == 0)
                snprintf(missing.first, sizeof(missing.first), "exchange %s", name);
            continue;
        }
        if (strcmp(text_of(found, "type"), text_of(exchange, "type")) != 0)
            tell(judge, redeclare, "exchange %s: its type is %s, not %s", name, text_of(found, "type"),
                 text_of(exchange, "type"));
        if (!json_is_true(json_object_get(found, "durable")))
            tell(judge, redeclare, "exchange %s is not durable: it is gone after a restart of the broker",
                 name);
        compare_arguments(judge, "exchange", exchange, found);
    }
    tell_missing(judge, &missing);
}

static void judge_queues(const struct judge *judge, const json_t *expected)
{
    size_t i;
    json_t *queue;
    struct missing missing = {.count = 0};

    json_array_foreach(expected, i, queue)
    {
        const char *name = text_of(queue, "name");
        const json_t *found = find_named(judge->documents[MANAGEMENT_QUEUES], name);
        const char *state = text_of(found, "state");

        if (!found) {
            if (missing.count++ == 0)
                snprintf(missing.first, sizeof(missing.first), "queue %s", name);
            continue;
        }
        if (strcmp(state, "down") == 0 || strcmp(state, "minority") == 0 || strcmp(state, "crashed") == 0)
            tell(judge, "start the nodes of the cluster that hold its members (rabbitmqctl cluster_status)",
                 "queue %s is in state %s", name, state);
        compare_arguments(judge, "queue", queue, found);
        look_for_foreign_arguments(judge, queue, found);
    }
    tell_missing(judge, &missing);
    look_for_policies(judge, expected);
}

static void judge_bindings(const struct judge *judge, const json_t *expected)
{
    char retry[MAX_NAME];
    size_t i;
    json_t *binding;
    struct missing missing = {.count = 0};

    json_array_foreach(expected, i, binding)
    {
        if (!has_binding(judge->documents[MANAGEMENT_BINDINGS], binding) && missing.count++ == 0)
            snprintf(missing.first, sizeof(missing.first), "binding from %s to %s with key '%s'",
                     text_of(binding, "source"), text_of(binding, "destination"),
                     text_of(binding, "routing_key"));
    }
    tell_missing(judge, &missing);
    snprintf(retry, sizeof(retry), "%s.retry.", judge->prefix);
    json_array_foreach(judge->documents[MANAGEMENT_BINDINGS], i, binding)
    {
        if (strncmp(text_of(binding, "source"), retry, strlen(retry)) == 0 && !has_binding(expected, binding))
            tell(judge, "remove that binding",
                 "binding from %s to %s with key '%s' is not ours: it doubles waiting orders",
                 text_of(binding, "source"), text_of(binding, "destination"),
                 text_of(binding, "routing_key"));
    }
}

/* ---- the broker as a whole ---- */

static void judge_nodes(const struct judge *judge)
{
    size_t i;
    json_t *node;

    json_array_foreach(judge->documents[MANAGEMENT_NODES], i, node)
    {
        const char *name = text_of(node, "name");

        if (json_is_false(json_object_get(node, "running")))
            tell(judge, "start it", "node %s is down", name);
        if (json_is_true(json_object_get(node, "mem_alarm")))
            tell(judge, "find what fills it (rabbitmq-diagnostics memory_breakdown), or give it more memory",
                 "node %s has a memory alarm: nothing can be published, so no order can end", name);
        if (json_is_true(json_object_get(node, "disk_free_alarm")))
            tell(judge, "free disk space on that host",
                 "node %s has a disk alarm: nothing can be published, so no order can end", name);
    }
}

/* Without these quorum queues, or dead-lettering at-least-once, are silently something less. */
static void judge_feature_flags(const struct judge *judge)
{
    static const char *const needed[] = {"quorum_queue", "stream_queue"};

    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        const json_t *flag = find_named(judge->documents[MANAGEMENT_FEATURE_FLAGS], needed[i]);

        if (flag && strcmp(text_of(flag, "state"), "enabled") != 0)
            tell(judge, "run 'rabbitmqctl enable_feature_flag all'",
                 "feature flag %s is %s: without it retry queues are not at-least-once", needed[i],
                 text_of(flag, "state"));
    }
}

static void judge_version(struct judge *judge)
{
    const char *version = text_of(judge->documents[MANAGEMENT_OVERVIEW], "rabbitmq_version");
    int minor = 0;

    if (sscanf(version, "%d.%d", &judge->server_major, &minor) == 2 &&
        (judge->server_major < 3 || (judge->server_major == 3 && minor < 10)))
        tell(judge, "upgrade it to 3.10 or later", "RabbitMQ %s does not know at-least-once dead-lettering",
             version);
}

void management_judge(const json_t *expected, const char *prefix,
                      json_t *const documents[MANAGEMENT_DOCUMENT_COUNT], management_finding_fn *on_finding,
                      void *context)
{
    struct judge judge = {
        .prefix = prefix, .documents = documents, .on_finding = on_finding, .context = context};

    judge_version(&judge);
    judge_nodes(&judge);
    judge_feature_flags(&judge);
    judge_exchanges(&judge, json_object_get(expected, "exchanges"));
    judge_queues(&judge, json_object_get(expected, "queues"));
    judge_bindings(&judge, json_object_get(expected, "bindings"));
}
