/*
 * The fields of an order message, one by one: what each may hold, and which are required with which action.
 * Unknown fields are not looked at. What makes a line fail by itself (no user, a missing attribute, quantity
 * 0) is left to the modules. Called by order.c with a document that parsed.
 */
#include "worker/order_fields.h"

#include "common/jsonx.h"
#include "worker/order_date.h"

#include <string.h>

#define SCHEMA_NAME "fulfillment.order/1"

enum { MAX_PRODUCT_CLASS = 255 };

_Static_assert(sizeof(((struct order *)0)->date_placed) == ORDER_DATE_BYTES, "a date does not fit");

/* Attributes that a module of ours reads; their types are part of the message's schema. */
static const struct {
    const char *name;
    bool flag; /* a boolean; else a string */
} known_attributes[] = {
    {"course_key", false}, {"certificate_type", false}, {"seat_type", false},
    {"UUID", false},       {"credit_provider", false},  {"id_verification_required", true},
};

static enum err refuse(const struct jsonx_path *parent, const char *key, const char *expected,
                       struct fault *ret_fault)
{
    const struct jsonx_path path = JSONX_KEY(parent, key);

    *ret_fault = jsonx_fault(&path, "expected %s", expected);
    return ERR_MALFORMED;
}

static enum err read_action(struct order *order, struct fault *ret_fault)
{
    const char *schema, *action;
    enum err err = jsonx_string(order->document, "schema", NULL, JSONX_REQUIRED, &schema, ret_fault);

    if (err != OK)
        return err;
    if (strcmp(schema, SCHEMA_NAME) != 0)
        return refuse(NULL, "schema", "\"" SCHEMA_NAME "\"", ret_fault);
    err = jsonx_string(order->document, "action", NULL, JSONX_REQUIRED, &action, ret_fault);
    if (err != OK)
        return err;
    if (strcmp(action, "refund") == 0)
        order->action = ORDER_REFUND;
    else if (strcmp(action, "resubmit") == 0)
        order->resubmit = true;
    else if (strcmp(action, "fulfill") != 0)
        return refuse(NULL, "action", "\"fulfill\", \"refund\" or \"resubmit\"", ret_fault);
    return jsonx_identifier(order->document, "order_number", NULL, JSONX_REQUIRED, ORDER_MAX_NUMBER,
                            &order->number, ret_fault);
}

/* Digits, perhaps a point and digits. */
static bool is_decimal(const char *text)
{
    size_t whole = strspn(text, "0123456789"), fraction;

    if (whole == 0 || text[whole] == '\0')
        return whole > 0;
    fraction = strspn(text + whole + 1, "0123456789");
    return text[whole] == '.' && fraction > 0 && text[whole + 1 + fraction] == '\0';
}

/* What a refund adds. A resubmit that names a refund is that refund again; its total may be left out. */
static enum err read_refund(struct order *order, struct fault *ret_fault)
{
    const enum jsonx_need need = order->action == ORDER_REFUND ? JSONX_REQUIRED : JSONX_NULLABLE;
    const char *number = NULL, *total = NULL;
    enum err err =
        jsonx_identifier(order->document, "refund_number", NULL, need, ORDER_MAX_NUMBER, &number, ret_fault);

    if (err != OK)
        return err;
    err = jsonx_string(order->document, "total", NULL, need, &total, ret_fault);
    if (err != OK)
        return err;
    if (total && !is_decimal(total))
        return refuse(NULL, "total", "a decimal number as a string, like \"49.00\"", ret_fault);
    if (order->resubmit && number)
        order->action = ORDER_REFUND;
    if (order->action == ORDER_REFUND) {
        order->refund_number = number;
        order->zero_total = total && strspn(total, "0.") == strlen(total);
    }
    return OK;
}

static enum err read_date(struct order *order, struct fault *ret_fault)
{
    const char *date;
    enum err err = jsonx_string(order->document, "date_placed", NULL, JSONX_NULLABLE, &date, ret_fault);

    if (err != OK || !date)
        return err;
    if (!order_date_to_utc(date, order->date_placed))
        return refuse(NULL, "date_placed", "a time with its offset, like 2026-01-02T03:04:05Z", ret_fault);
    return OK;
}

static enum err read_context(struct order *order, struct fault *ret_fault)
{
    const struct jsonx_path path = JSONX_KEY(NULL, "tracking");
    const json_t *tracking;
    enum err err = jsonx_object(order->document, "tracking", NULL, JSONX_NULLABLE, &tracking, ret_fault);

    if (err == OK && tracking)
        err = jsonx_string(tracking, "ga_client_id", &path, JSONX_NULLABLE, &order->ga_client_id, ret_fault);
    if (err == OK && tracking)
        err = jsonx_string(tracking, "lms_ip", &path, JSONX_NULLABLE, &order->lms_ip, ret_fault);
    if (err == OK)
        err = jsonx_string(order->document, "enterprise_customer_uuid", NULL, JSONX_NULLABLE,
                           &order->enterprise_customer_uuid, ret_fault);
    if (err == OK)
        err = jsonx_bool(order->document, "email_opt_in", NULL, JSONX_NULLABLE, &order->email_opt_in,
                         ret_fault);
    return err;
}

struct learner {
    bool given; /* there is a user object, whatever it says */
    const char *username, *email;
};

static enum err read_user(const json_t *object, const struct jsonx_path *parent, struct learner *ret_learner,
                          struct fault *ret_fault)
{
    const struct jsonx_path path = JSONX_KEY(parent, "user");
    struct learner learner = {.given = false};
    const json_t *user;
    enum err err = jsonx_object(object, "user", parent, JSONX_NULLABLE, &user, ret_fault);

    if (err != OK || !user) {
        if (err == OK)
            *ret_learner = learner;
        return err;
    }
    learner.given = true;
    err = jsonx_string(user, "username", &path, JSONX_NULLABLE, &learner.username, ret_fault);
    if (err == OK)
        err = jsonx_string(user, "email", &path, JSONX_NULLABLE, &learner.email, ret_fault);
    if (err != OK)
        return err;
    if (learner.username && !learner.username[0])
        learner.username = NULL;
    *ret_learner = learner;
    return OK;
}

static enum err check_attributes(const json_t *attributes, const struct jsonx_path *parent,
                                 struct fault *ret_fault)
{
    const struct jsonx_path path = JSONX_KEY(parent, "attributes");

    for (size_t i = 0; i < ARRAY_LEN(known_attributes); i++) {
        const char *string;
        bool flag;
        enum err err = known_attributes[i].flag ? jsonx_bool(attributes, known_attributes[i].name, &path,
                                                             JSONX_NULLABLE, &flag, ret_fault)
                                                : jsonx_string(attributes, known_attributes[i].name, &path,
                                                               JSONX_NULLABLE, &string, ret_fault);

        if (err != OK)
            return err;
    }
    return OK;
}

/* The parts of a line that are objects: its learner, its attributes, what fulfilment returned. */
static enum err read_line_parts(const struct jsonx_path *path, const struct learner *buyer,
                                struct order_line *line, struct fault *ret_fault)
{
    struct learner learner;
    enum err err = read_user(line->json, path, &learner, ret_fault);

    if (err != OK)
        return err;
    /* A line with a user of its own never falls back to the buyer: that would enroll the wrong person. */
    line->username = learner.given ? learner.username : buyer->username;
    line->email = learner.given ? learner.email : buyer->email;
    err = jsonx_object(line->json, "attributes", path, JSONX_NULLABLE, &line->attributes, ret_fault);
    if (err == OK && line->attributes)
        err = check_attributes(line->attributes, path, ret_fault);
    if (err == OK)
        err = jsonx_object(line->json, "result", path, JSONX_NULLABLE, &line->result, ret_fault);
    return err;
}

static enum err read_line(const json_t *json, const struct jsonx_path *path, const struct learner *buyer,
                          struct order_line *line, struct fault *ret_fault)
{
    enum err err = jsonx_expect_object(json, path, ret_fault);

    if (err != OK)
        return err;
    line->json = json;
    line->quantity = 1;
    err = jsonx_int(json, "id", path, JSONX_REQUIRED, 0, INT64_MAX, &line->id, ret_fault);
    if (err == OK)
        err = jsonx_identifier(json, "product_class", path, JSONX_REQUIRED, MAX_PRODUCT_CLASS,
                               &line->product_class, ret_fault);
    if (err == OK)
        err = jsonx_string(json, "sku", path, JSONX_NULLABLE, &line->sku, ret_fault);
    if (err == OK)
        err = jsonx_string(json, "title", path, JSONX_NULLABLE, &line->title, ret_fault);
    if (err == OK)
        err = jsonx_int(json, "quantity", path, JSONX_NULLABLE, 0, INT64_MAX, &line->quantity, ret_fault);
    if (err == OK)
        err = read_line_parts(path, buyer, line, ret_fault);
    return err;
}

static enum err read_lines(struct order *order, const struct learner *buyer, struct fault *ret_fault)
{
    const struct jsonx_path path = JSONX_KEY(NULL, "lines");
    const json_t *lines;
    size_t count;
    enum err err;

    if (order->resubmit && !json_object_get(order->document, "lines")) {
        order->by_number = true;
        return OK;
    }
    err = jsonx_array(order->document, "lines", NULL, JSONX_REQUIRED, &lines, ret_fault);
    if (err != OK)
        return err;
    count = json_array_size(lines);
    if (count < 1 || count > ORDER_MAX_LINES) {
        *ret_fault = jsonx_fault(&path, "expected 1 to %d lines, there are %zu", (int)ORDER_MAX_LINES, count);
        return ERR_MALFORMED;
    }
    order->lines = calloc(count, sizeof(*order->lines));
    if (!order->lines) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    order->line_count = count;
    for (size_t i = 0; i < count && err == OK; i++) {
        const struct jsonx_path line = JSONX_INDEX(&path, i);

        err = read_line(json_array_get(lines, i), &line, buyer, &order->lines[i], ret_fault);
    }
    return err;
}

enum err order_fields_read(struct order *order, struct fault *ret_fault)
{
    struct learner buyer;
    enum err err = jsonx_expect_object(order->document, NULL, ret_fault);

    if (err == OK)
        err = read_action(order, ret_fault);
    if (err == OK)
        err = read_refund(order, ret_fault);
    if (err == OK)
        err = read_date(order, ret_fault);
    if (err == OK)
        err = read_context(order, ret_fault);
    if (err == OK)
        err = read_user(order->document, NULL, &buyer, ret_fault);
    if (err == OK)
        err = read_lines(order, &buyer, ret_fault);
    return err;
}
