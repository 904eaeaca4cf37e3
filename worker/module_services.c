/*
 * The functions that the host offers to modules (fulfill/module.h), as one table. The small ones are here:
 * what a line says, options, secrets, digests, the log. What moves a call is module_call.c.
 */
#include "worker/metric_rows.h"
#include "worker/module_parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- the line ---- */

/* Tells orders, lines, refunds and generations apart; says nothing about them. */
static const char *idempotency_key(struct fulfill_call *call)
{
    const struct line_run *run = call->run;
    char *text = NULL, digest[DIGEST_HEX_BYTES];

    if (call->idempotency_key[0] != '\0')
        return call->idempotency_key;
    int length =
        asprintf(&text, "%s\n%s\n%s\n%lld\n%lld", run->order->number, run->refund ? "refund" : "fulfill",
                 run->order->refund_number ? run->order->refund_number : "", (long long)run->line->id,
                 (long long)run->outcome->key_generation);
    if (length < 0)
        return NULL;
    enum err err = digest_sha256(text, (size_t)length, digest);
    free(text);
    if (err != OK)
        return NULL;
    snprintf(call->idempotency_key, sizeof(call->idempotency_key), "%.36s", digest);
    return call->idempotency_key;
}

static const char *dumped(char **cache, const json_t *value)
{
    if (!*cache && value)
        *cache = json_dumps(value, JSON_COMPACT);
    return *cache;
}

static const char *known_result(struct fulfill_call *call)
{
    const struct line_run *run = call->run;

    if (run->outcome->result_json)
        return run->outcome->result_json;
    return dumped(&call->known_json, run->line->result);
}

static const char *nonempty(const char *text)
{
    return text && text[0] != '\0' ? text : NULL;
}

static const char *get_text(const struct fulfill_call *const_call, enum fulfill_text which)
{
    struct fulfill_call *call =
        (struct fulfill_call *)(uintptr_t)const_call; /* STYLE: caches of what it says */
    const struct order *order = call->run->order;
    const struct order_line *line = call->run->line;

    switch (which) {
    case FULFILL_ORDER_NUMBER:
        return order->number;
    case FULFILL_REFUND_NUMBER:
        return order->refund_number;
    case FULFILL_DATE_PLACED:
        return nonempty(order->date_placed);
    case FULFILL_PRODUCT_CLASS:
        return line->product_class;
    case FULFILL_SKU:
        return nonempty(line->sku);
    case FULFILL_TITLE:
        return line->title;
    case FULFILL_USERNAME:
        return nonempty(line->username);
    case FULFILL_EMAIL:
        return nonempty(line->email);
    case FULFILL_GA_CLIENT_ID:
        return nonempty(order->ga_client_id);
    case FULFILL_LMS_IP:
        return nonempty(order->lms_ip);
    case FULFILL_ENTERPRISE_CUSTOMER_UUID:
        return nonempty(order->enterprise_customer_uuid);
    case FULFILL_TRACEPARENT:
        return nonempty(call->run->traceparent);
    case FULFILL_LINE_JSON:
        return dumped(&call->line_json, line->json);
    case FULFILL_RESULT_JSON:
        return known_result(call);
    case FULFILL_IDEMPOTENCY_KEY:
        return idempotency_key(call);
    }
    return NULL;
}

static int64_t get_number(const struct fulfill_call *call, enum fulfill_number which)
{
    const struct line_run *run = call->run;
    int64_t left_ms;

    switch (which) {
    case FULFILL_LINE_ID:
        return run->line->id;
    case FULFILL_QUANTITY:
        return run->line->quantity;
    case FULFILL_GENERATION:
        return run->generation;
    case FULFILL_ATTEMPT:
        return run->attempt;
    case FULFILL_LOOK_FIRST:
        return run->look_first || run->outcome->look_first;
    case FULFILL_EMAIL_OPT_IN:
        return run->order->email_opt_in;
    case FULFILL_DEADLINE_MS:
        left_ms = call->deadline.due_ms - loop_now_ms(call->host->loop);
        return left_ms > 0 ? left_ms : 0;
    }
    return 0;
}

static const char *get_attribute(const struct fulfill_call *call, const char *name)
{
    return json_string_value(json_object_get(call->run->line->attributes, name));
}

static int get_attribute_flag(const struct fulfill_call *call, const char *name)
{
    const json_t *value = json_object_get(call->run->line->attributes, name);

    return json_is_boolean(value) ? json_is_true(value) : -1;
}

/* ---- the module's section ---- */

static const char *find_pair(const struct module_pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return pairs[i].value;
    return NULL;
}

static const char *get_option(const struct fulfill_call *call, const char *key)
{
    return find_pair(call->entry->options, call->entry->option_count, key);
}

static int get_option_at(const struct fulfill_call *call, size_t index, const char **ret_key,
                         const char **ret_value)
{
    if (index >= call->entry->option_count)
        return 0;
    *ret_key = call->entry->options[index].key;
    *ret_value = call->entry->options[index].value;
    return 1;
}

static const char *get_secret(const struct fulfill_call *call, const char *key)
{
    return find_pair(call->entry->secrets, call->entry->secret_count, key);
}

/* ---- services ---- */

static void *get_state(struct fulfill_call *call, size_t bytes)
{
    if (!call->state) {
        call->state = calloc(1, bytes > 0 ? bytes : 1);
        call->state_bytes = call->state ? bytes : 0;
    }
    return call->state_bytes >= bytes ? call->state : NULL;
}

static void finish_by_answer(struct fulfill_call *call, const struct fulfill_answer *answer)
{
    struct fulfill_result result;

    if (call->finished)
        return;
    module_call_judge(call, call->run->refund ? FULFILL_OPERATION_REFUND : FULFILL_OPERATION_FULFILL, answer,
                      NULL, &result);
    if (result.http_status >=
        500) /* it may have come after the effect; of the built-in APIs we know better */
        result.look_first = FULFILL_LOOK_NEXT;
    module_call_finish(call, &result);
}

static void write_log(const struct fulfill_call *call, enum fulfill_log_level level, const char *message)
{
    static const enum log_level levels[] = {LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING,
                                            LOG_LEVEL_ERROR};
    size_t index = (size_t)level;
    enum log_level wanted = index < ARRAY_LEN(levels) ? levels[index] : LOG_LEVEL_ERROR;

    if (log_enabled(wanted))
        log_write(wanted, "module.says", message ? message : "", LOG_STR("module", call->entry->name),
                  LOG_STR("order", call->run->order->number), LOG_INT("line", call->run->line->id), LOG_END);
}

static void count_event(const struct fulfill_call *call, const char *event, uint64_t n)
{
    metrics_add(METRIC_module_events_total, call->entry->metric, n > INT64_MAX ? INT64_MAX : (int64_t)n);
    log_debug("module.event", event ? event : "", LOG_STR("module", call->entry->name), LOG_INT("count", n));
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int hmac_sha256(const void *key, size_t key_length, const void *data, size_t data_length,
                       char ret_hex[65])
{
    return digest_hmac_sha256(key, key_length, data, data_length, ret_hex) == OK ? 0 : -1;
}

const struct fulfill_host module_services = {
    .abi = FULFILL_ABI,
    .size = sizeof(struct fulfill_host),
    .text = get_text,
    .number = get_number,
    .attribute = get_attribute,
    .attribute_flag = get_attribute_flag,
    .option = get_option,
    .state = get_state,
    .http = module_call_http,
    .wait = module_call_wait,
    .finish = module_call_finish,
    .finish_by_answer = finish_by_answer,
    .log = write_log,
    .count = count_event,
    .now_us = now_us,
    .judge = module_call_judge,
    .option_at = get_option_at,
    .secret = get_secret,
    .hmac_sha256 = hmac_sha256,
};
