/*
 * What there is at RabbitMQ, as the table below; everything else walks it.
 *
 * The retry queues are a chain of binary digits: level k holds a message for 2^k seconds. The routing key has
 * one word for each level, 1 or 0, and the target as its last word. A level's exchange sends 1 to its queue
 * and 0 to the next level's exchange; a queue hands what is due to the next level's exchange under the same
 * key. So any delay is the sum of at most 18 fixed ones, and no message waits behind one that is due later.
 * Every queue that dead-letters does so at-least-once with reject-publish; anything less loses what is due
 * while the target has no leader.
 *
 * Called by worker.c (at each connection), publishing.c (routes) and the operators' commands.
 */
#include "worker/topology.h"

#include "common/jsonx.h"

#include <string.h>

enum object_kind { EXCHANGE, QUEUE, QUEUE_BINDING, EXCHANGE_BINDING };

/* Names are without prefix; these two stand for the level's own and the next lower one (at last "retry.out").
 */
static const char level_name[] = "retry.NN";
static const char next_name[] = "retry.next";
/* Keys for the level's digit. */
static const char digit_one[] = "digit 1";
static const char digit_zero[] = "digit 0";

struct topology_row {
    enum object_kind kind;
    bool per_level;
    const char *name;      /* or destination of a binding */
    const char *type;      /* of an exchange */
    const char *alternate; /* of an exchange */
    bool single_active;    /* of a queue */
    const char *source;    /* of a binding */
    const char *key;
};

static const struct topology_row rows[] = {
    {EXCHANGE, .name = "unrouted", .type = "fanout"},
    {EXCHANGE, .name = "orders", .type = "topic", .alternate = "unrouted"},
    {EXCHANGE, .name = "retry.out", .type = "topic"},
    {EXCHANGE, .name = level_name, .type = "topic", .per_level = true},
    {EXCHANGE, .name = "solo", .type = "fanout"},
    {EXCHANGE, .name = "dead", .type = "fanout"},
    {EXCHANGE, .name = "events", .type = "topic"},

    {QUEUE, .name = "unrouted"},
    {QUEUE, .name = "orders"},
    {QUEUE, .name = level_name, .per_level = true},
    {QUEUE, .name = "solo", .single_active = true},
    {QUEUE, .name = "dead"},
    {QUEUE, .name = "events"},

    {QUEUE_BINDING, .name = "unrouted", .source = "unrouted", .key = ""},
    {QUEUE_BINDING, .name = "orders", .source = "orders", .key = "order.#"},
    {QUEUE_BINDING, .name = "orders", .source = "retry.out", .key = "#.orders"},
    {QUEUE_BINDING, .name = "solo", .source = "retry.out", .key = "#.solo"},
    {QUEUE_BINDING, .name = level_name, .source = level_name, .key = digit_one, .per_level = true},
    {EXCHANGE_BINDING, .name = next_name, .source = level_name, .key = digit_zero, .per_level = true},
    {QUEUE_BINDING, .name = "solo", .source = "solo", .key = ""},
    {QUEUE_BINDING, .name = "dead", .source = "dead", .key = ""},
    {QUEUE_BINDING, .name = "events", .source = "events", .key = "order.#"},
};

/* ---- names, keys and arguments ---- */

static void format_name(char *out, const char *prefix, const char *name, int level)
{
    if (name == level_name || (name == next_name && level > 0))
        snprintf(out, TOPOLOGY_NAME_SIZE, "%.*s.retry.%02d", TOPOLOGY_PREFIX_MAX, prefix,
                 name == level_name ? level : level - 1);
    else
        snprintf(out, TOPOLOGY_NAME_SIZE, "%.*s.%s", TOPOLOGY_PREFIX_MAX, prefix,
                 name == next_name ? "retry.out" : name);
}

/* "*.*.1.#": the words before a level's digit are those of the levels above it. */
static void format_key(char *out, const char *key, int level)
{
    size_t at = 0;

    if (key != digit_one && key != digit_zero) {
        snprintf(out, TOPOLOGY_NAME_SIZE, "%s", key);
        return;
    }
    for (int above = TOPOLOGY_LEVELS - 1; above > level; above--) {
        out[at++] = '*';
        out[at++] = '.';
    }
    snprintf(out + at, TOPOLOGY_NAME_SIZE - at, "%c.#", key == digit_one ? '1' : '0');
}

static enum err add_retry_arguments(struct headers *arguments, const char *prefix, int level)
{
    char target[TOPOLOGY_NAME_SIZE];
    enum err err = headers_set_int(arguments, "x-message-ttl", (INT64_C(1) << level) * 1000);

    format_name(target, prefix, next_name, level);
    if (err == OK)
        err = headers_set_str(arguments, "x-dead-letter-exchange", target);
    if (err == OK)
        err = headers_set_str(arguments, "x-dead-letter-strategy", "at-least-once");
    if (err == OK)
        err = headers_set_str(arguments, "x-overflow", "reject-publish");
    return err;
}

static enum err add_arguments(struct headers *arguments, const struct topology_row *row, const char *prefix,
                              int level, int server_major)
{
    char alternate[TOPOLOGY_NAME_SIZE];
    enum err err;

    if (row->kind == EXCHANGE && row->alternate) {
        format_name(alternate, prefix, row->alternate, level);
        return headers_set_str(arguments, "alternate-exchange", alternate);
    }
    if (row->kind != QUEUE)
        return OK;
    err = headers_set_str(arguments, "x-queue-type", "quorum");
    if (err == OK && server_major >= 4)
        err = headers_set_int(arguments, "x-delivery-limit", -1);
    if (err == OK && row->single_active)
        err = headers_set_bool(arguments, "x-single-active-consumer", true);
    if (err == OK && row->per_level)
        err = add_retry_arguments(arguments, prefix, level);
    return err;
}

/* Owned by the caller; NULL when out of memory. */
static struct headers *new_arguments(const struct topology_row *row, const char *prefix, int level,
                                     int server_major)
{
    struct headers *arguments = headers_new();

    if (arguments && add_arguments(arguments, row, prefix, level, server_major) != OK) {
        headers_free(arguments);
        return NULL;
    }
    return arguments;
}

/* ---- declaring ---- */

static void on_declared(struct broker_declare_op *declare, const struct fault *fault);

/* Moves on to what comes after the row at hand; false at the end. */
static bool next_step(struct topology_op *op)
{
    do {
        if (rows[op->row].per_level && op->level + 1 < TOPOLOGY_LEVELS) {
            op->level++;
            continue;
        }
        op->row++;
        op->level = 0;
    } while (op->row < ARRAY_LEN(rows) && op->passive && rows[op->row].kind > QUEUE);
    return op->row < ARRAY_LEN(rows);
}

static void declare_row(struct topology_op *op)
{
    const struct topology_row *row = &rows[op->row];
    struct headers *arguments = new_arguments(row, op->prefix, op->level, broker_server_major(op->broker));
    char name[TOPOLOGY_NAME_SIZE], source[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];

    /* Without memory for the arguments a check by name is all that is safe; the broker's 404 says the rest.
     */
    const bool passive = op->passive || !arguments;

    format_name(name, op->prefix, row->name, op->level);
    switch (row->kind) {
    case EXCHANGE:
        broker_declare_exchange(op->broker, &op->declare, name, row->type, arguments, passive, on_declared);
        break;
    case QUEUE:
        broker_declare_queue(op->broker, &op->declare, name, arguments, passive, on_declared);
        break;
    case QUEUE_BINDING:
    case EXCHANGE_BINDING:
        format_name(source, op->prefix, row->source, op->level);
        format_key(key, row->key, op->level);
        if (row->kind == QUEUE_BINDING)
            broker_bind_queue(op->broker, &op->declare, name, source, key, on_declared);
        else
            broker_bind_exchange(op->broker, &op->declare, name, source, key, on_declared);
        break;
    }
    headers_free(arguments);
}

static void on_declared(struct broker_declare_op *declare, const struct fault *fault)
{
    static const char *const kind_names[] = {"exchange", "queue", "binding to queue", "binding to exchange"};
    struct topology_op *op = container_of(declare, struct topology_op, declare);
    char name[TOPOLOGY_NAME_SIZE];
    struct fault named;

    if (fault->code == OK && next_step(op)) {
        declare_row(op);
        return;
    }
    if (fault->code == OK) {
        op->done(op, fault);
        return;
    }
    format_name(name, op->prefix, rows[op->row].name, op->level);
    named = fault_make(fault->code, "%s %s: %s", kind_names[rows[op->row].kind], name, fault->detail);
    op->done(op, &named);
}

void topology_declare_start(struct broker *broker, const char *prefix, bool passive, struct topology_op *op,
                            topology_done_fn *done)
{
    *op = (struct topology_op){.done = done, .broker = broker, .prefix = prefix, .passive = passive};
    declare_row(op);
}

/* ---- printing ---- */

static json_t *arguments_json(const struct topology_row *row, const char *prefix, int level)
{
    static const char *const names[] = {
        "alternate-exchange", "x-queue-type",           "x-single-active-consumer",
        "x-message-ttl",      "x-dead-letter-exchange", "x-dead-letter-strategy",
        "x-overflow"};
    struct headers *arguments = new_arguments(row, prefix, level, 0);
    json_t *json = arguments ? json_object() : NULL;

    for (size_t i = 0; json && i < ARRAY_LEN(names); i++) {
        const char *text = headers_str(arguments, names[i]);

        if (!headers_has(arguments, names[i]))
            continue;
        if (text)
            json_object_set_new(json, names[i], json_string(text));
        else if (strcmp(names[i], "x-message-ttl") == 0)
            json_object_set_new(json, names[i], json_integer(headers_int(arguments, names[i], 0)));
        else
            json_object_set_new(json, names[i], json_true());
    }
    headers_free(arguments);
    return json;
}

static json_t *row_json(const struct topology_row *row, const char *prefix, int level, const char *vhost)
{
    char name[TOPOLOGY_NAME_SIZE], source[TOPOLOGY_NAME_SIZE], key[TOPOLOGY_NAME_SIZE];
    json_t *arguments = arguments_json(row, prefix, level);

    format_name(name, prefix, row->name, level);
    switch (row->kind) {
    case EXCHANGE:
        return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "name", name, "vhost", vhost, "type",
                         row->type, "durable", 1, "auto_delete", 0, "internal", 0, "arguments", arguments);
    case QUEUE:
        return json_pack("{s:s, s:s, s:b, s:b, s:o}", "name", name, "vhost", vhost, "durable", 1,
                         "auto_delete", 0, "arguments", arguments);
    case QUEUE_BINDING:
    case EXCHANGE_BINDING:
        format_name(source, prefix, row->source, level);
        format_key(key, row->key, level);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "source", source, "vhost", vhost, "destination",
                         name, "destination_type", row->kind == QUEUE_BINDING ? "queue" : "exchange",
                         "routing_key", key, "arguments", arguments);
    }
    return NULL;
}

enum err topology_print_json(FILE *file, const char *prefix, const char *vhost)
{
    json_t *lists[] = {[EXCHANGE] = json_array(), [QUEUE] = json_array(), [QUEUE_BINDING] = json_array()};
    enum err err = OK;
    json_t *document;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *list = lists[rows[i].kind < QUEUE_BINDING ? rows[i].kind : QUEUE_BINDING];

        for (int level = 0; level < (rows[i].per_level ? TOPOLOGY_LEVELS : 1); level++) {
            if (json_array_append_new(list, row_json(&rows[i], prefix, level, vhost)) != 0)
                err = ERR_NOMEM;
        }
    }
    document = json_pack("{s:o, s:o, s:o}", "exchanges", lists[EXCHANGE], "queues", lists[QUEUE], "bindings",
                         lists[QUEUE_BINDING]);
    if (!document)
        err = ERR_NOMEM;
    if (err == OK && (json_dumpf(document, file, JSON_INDENT(2)) != 0 || fputc('\n', file) == EOF))
        err = ERR_UNAVAILABLE;
    json_decref(document);
    return err;
}

/* ---- routes ---- */

void topology_retry_route(const char *prefix, int64_t delay_s, bool solo, char *ret_exchange, char *ret_key)
{
    int highest = 0;
    size_t at = 0;

    if (delay_s < 1)
        delay_s = 1;
    if (delay_s > TOPOLOGY_DELAY_MAX_S)
        delay_s = TOPOLOGY_DELAY_MAX_S;
    for (int level = TOPOLOGY_LEVELS - 1; level >= 0; level--) {
        bool set = (delay_s >> level & 1) != 0;

        if (set && highest == 0)
            highest = level;
        ret_key[at++] = set ? '1' : '0';
        ret_key[at++] = '.';
    }
    snprintf(ret_key + at, TOPOLOGY_NAME_SIZE - at, "%s", solo ? "solo" : "orders");
    format_name(ret_exchange, prefix, level_name, highest);
}
