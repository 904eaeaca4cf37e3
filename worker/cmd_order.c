/*
 * `fulfilld order NUMBER`: what Redis knows of one order. Reads its hashes with plain commands (no script,
 * nothing is changed) and leaves their meaning to order_report.c.
 */
#include "worker/commands.h"
#include "worker/ledger.h"
#include "worker/operator_link.h"
#include "worker/order_report.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    const char *config, *number;
    bool json;
};

struct inquiry {
    struct arguments arguments;
    struct operator_link *link;
    struct store_op op;
    char *order_key, *item_key; /* owned, of key_bytes each */
    size_t key_bytes;
    json_t *order; /* the order's fields, strings of any bytes */
    json_t *items; /* by id: the item's fields */
    void *next;    /* jansson's place in `order` */
    int status;
};

static void stop(struct inquiry *inquiry, int status)
{
    inquiry->status = status;
    operator_link_stop(inquiry->link);
}

static void fail(struct inquiry *inquiry, const char *words)
{
    fprintf(stderr, "fulfilld order: %s\n", words);
    stop(inquiry, EXIT_FAILED);
}

static bool set_field(json_t *fields, const char *name, const struct store_reply *value)
{
    size_t length;
    const char *text = store_reply_str(value, &length);

    return json_object_set_new_nocheck(fields, name, json_stringn_nocheck(text, length)) == 0;
}

static void print_report(struct inquiry *inquiry)
{
    int64_t now_ms = loop_wall_us(operator_link_loop(inquiry->link)) / 1000;
    json_t *report = order_report(inquiry->arguments.number, inquiry->order, inquiry->items, now_ms);

    if (!report) {
        fail(inquiry, "out of memory");
        return;
    }
    if (inquiry->arguments.json) {
        json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        order_report_print(report, now_ms, stdout);
    }
    json_decref(report);
    stop(inquiry, EXIT_DONE);
}

/* ---- one item after the other ---- */

static void next_item(struct inquiry *inquiry);

static void on_item(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct inquiry *inquiry = container_of(op, struct inquiry, op);
    json_t *fields = json_object();
    bool well = fields != NULL;

    if (fault->code != OK) {
        json_decref(fields);
        fail(inquiry, fault->detail);
        return;
    }
    for (size_t i = 0; well && order_report_item_fields[i]; i++)
        well = set_field(fields, order_report_item_fields[i], store_reply_at(reply, i));
    well =
        json_object_set_new_nocheck(inquiry->items, json_object_iter_key(inquiry->next) + 5, fields) == 0 &&
        well;
    if (!well) {
        fail(inquiry, "out of memory");
        return;
    }
    inquiry->next = json_object_iter_next(inquiry->order, inquiry->next);
    next_item(inquiry);
}

static void next_item(struct inquiry *inquiry)
{
    struct store_arg args[32];
    size_t count = 2;

    while (inquiry->next && strncmp(json_object_iter_key(inquiry->next), "item:", 5) != 0)
        inquiry->next = json_object_iter_next(inquiry->order, inquiry->next);
    if (!inquiry->next) {
        print_report(inquiry);
        return;
    }
    if (!ledger_item_key(inquiry->order_key, json_object_iter_key(inquiry->next) + 5, inquiry->item_key,
                         inquiry->key_bytes)) {
        fail(inquiry, "the order's hash in Redis is not one of ours");
        return;
    }
    args[0] = STORE_ARG("HMGET");
    args[1] = STORE_ARG(inquiry->item_key);
    for (size_t i = 0; order_report_item_fields[i]; i++)
        args[count++] = STORE_ARG(order_report_item_fields[i]);
    store_command_start(operator_link_store(inquiry->link), &inquiry->op, args, count, on_item);
}

/* ---- the order ---- */

static void on_order(struct store_op *op, const struct store_reply *reply, const struct fault *fault)
{
    struct inquiry *inquiry = container_of(op, struct inquiry, op);

    if (fault->code != OK) {
        fail(inquiry, fault->detail);
        return;
    }
    if (store_reply_count(reply) == 0) {
        fail(inquiry,
             "Redis knows nothing of this order: it never came, it was finished longer ago than redis.keep, "
             "or Redis has been emptied since");
        return;
    }
    for (size_t i = 0; i + 1 < store_reply_count(reply); i += 2) {
        if (!set_field(inquiry->order, store_reply_str(store_reply_at(reply, i), NULL),
                       store_reply_at(reply, i + 1))) {
            fail(inquiry, "out of memory");
            return;
        }
    }
    inquiry->next = json_object_iter(inquiry->order);
    next_item(inquiry);
}

static void on_link(void *context, struct operator_link *link, const struct fault *fault)
{
    struct inquiry *inquiry = context;
    struct store_arg args[] = {STORE_ARG("HGETALL"), STORE_ARG(inquiry->order_key)};

    inquiry->link = link;
    if (fault)
        fail(inquiry, fault->detail);
    else
        store_command_start(operator_link_store(link), &inquiry->op, args, ARRAY_LEN(args), on_order);
}

/* ---- the command ---- */

static const struct argp_option options[] = {
    COMMAND_CONFIG_OPTION, {"json", 'j', NULL, 0, "as JSON, for programs", 0}, {0}};

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->number)
            argp_error(state, "one order number is enough");
        arguments->number = value;
        return 0;
    case ARGP_KEY_END:
        if (!arguments->number)
            argp_error(state, "which order? Give its number");
        break;
    default:
        break;
    }
    return command_config_option(key, value, state, &arguments->config);
}

static int inquire(struct inquiry *inquiry, const struct settings *settings)
{
    const char *prefix = settings->redis_prefix ? settings->redis_prefix : "";
    struct fault fault = fault_of(OK);

    inquiry->key_bytes = ledger_key_bytes(prefix);
    inquiry->order_key = malloc(inquiry->key_bytes);
    inquiry->item_key = malloc(inquiry->key_bytes);
    inquiry->order = json_object();
    inquiry->items = json_object();
    if (!inquiry->order_key || !inquiry->item_key || !inquiry->order || !inquiry->items) {
        fputs("fulfilld order: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    if (!ledger_order_key(prefix, inquiry->arguments.number, inquiry->order_key, inquiry->key_bytes)) {
        fprintf(stderr, "fulfilld order: an order number has 1 to %d bytes\n", ORDER_MAX_NUMBER);
        return EXIT_USAGE;
    }
    inquiry->link = operator_link_open(settings, OPERATOR_STORE, on_link, inquiry, &fault);
    if (!inquiry->link) {
        fprintf(stderr, "fulfilld order: %s\n", fault.detail);
        return EXIT_USAGE;
    }
    operator_link_run(inquiry->link);
    operator_link_free(inquiry->link);
    return inquiry->status;
}

int cmd_order(int argc, char **argv)
{
    static const struct argp argp = {.options = options,
                                     .parser = take_option,
                                     .args_doc = "NUMBER",
                                     .doc = "Prints what Redis knows of an order: its state, attempts, next "
                                            "attempt, and each line with its reason."};
    struct inquiry inquiry = {.status = EXIT_FAILED};
    struct settings *settings;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &inquiry.arguments);
    settings = command_settings(inquiry.arguments.config);
    if (!settings)
        return EXIT_USAGE;
    status = inquire(&inquiry, settings);
    json_decref(inquiry.order);
    json_decref(inquiry.items);
    free(inquiry.order_key);
    free(inquiry.item_key);
    settings_free(settings);
    return status;
}
