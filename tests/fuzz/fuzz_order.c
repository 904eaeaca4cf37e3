/*
 * Any bytes as an order message: refused with clean words, or read and told as an event that is JSON.
 * One input is one message body.
 */
#include "common/text.h"
#include "worker/event.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Outcomes of all kinds, taken from the ids: the same message always gives the same event. */
static struct line_outcome *outcomes_for(const struct order *order)
{
    struct line_outcome *lines = calloc(order->line_count + 1, sizeof(*lines));

    must(lines != NULL);
    for (size_t i = 0; i < order->line_count; i++) {
        lines[i].id = order->lines[i].id;
        lines[i].state = (enum line_state)(order->lines[i].id % (LINE_FINAL + 1));
        lines[i].status = (enum fulfill_status)(order->lines[i].id % (FULFILL_STATUS_SERVER + 1));
        lines[i].http_status = (int)(order->lines[i].id % 600);
        if (order->lines[i].id % 2)
            strcpy(lines[i].reason, "server_error");
        /* Cut in the middle of characters on purpose. */
        if (order->lines[i].title)
            strncpy(lines[i].message, order->lines[i].title, sizeof(lines[i].message) - 1);
    }
    return lines;
}

static void check_event(const struct event_facts *facts)
{
    struct event event;
    json_t *json;

    must(event_build(facts, &event) == OK);
    json = json_loadb(event.json, event.length, JSON_REJECT_DUPLICATES, NULL);
    must(json != NULL);
    must(strlen(event.id) <= 255);
    must(strcmp(json_string_value(json_object_get(json, "id")), event.id) == 0);
    must(strcmp(json_string_value(json_object_get(json, "subject")), facts->order_number) == 0);
    json_decref(json);
    event_fini(&event);
}

static void check_order(const struct order *order)
{
    struct line_outcome *lines = outcomes_for(order);
    const struct event_facts facts = {
        .outcome = EVENT_RETRYING,
        .order_number = order->number,
        .action = order->action,
        .refund_number = order->refund_number,
        .item_id = order->item_id,
        .distinguish = order->ga_client_id,
        .generation = 1,
        .attempt = 2,
        .sequence = 3,
        .time_us = 4,
        .next_attempt_ms = 5,
        .order = order,
        .lines = lines,
    };

    must(order->line_count > 0 || order->by_number);
    must((order->refund_number != NULL) == (order->action == ORDER_REFUND));
    check_event(&facts);
    free(lines);
}

/* What was read, written out and read again, is the same item. */
static void check_again(const struct order *order)
{
    char *body = json_dumps(order->document, JSON_COMPACT);
    char number[ORDER_MAX_NUMBER + 1];
    struct order *again = NULL;
    struct fault fault;

    must(body != NULL);
    /* Escapes may have made it longer than allowed, never invalid. */
    if (strlen(body) <= ORDER_MAX_BYTES) {
        must(order_parse(body, strlen(body), &again, number, &fault) == OK);
        must(strcmp(again->item_id, order->item_id) == 0 && strcmp(again->number, order->number) == 0);
        must(strcmp(again->date_placed, order->date_placed) == 0);
        order_free(again);
    }
    free(body);
}

static void check_refusal(const char *number, const struct fault *fault)
{
    const struct event_facts facts = {.outcome = EVENT_INVALID,
                                      .order_number = number,
                                      .item_id = "",
                                      .no_status = true,
                                      .detail = fault->detail};

    must(fault->code == ERR_MALFORMED && fault->detail[0]);
    must(text_utf8_valid(fault->detail, strlen(fault->detail)));
    must(strlen(number) <= ORDER_MAX_NUMBER && text_utf8_valid(number, strlen(number)));
    check_event(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char number[ORDER_MAX_NUMBER + 1];
    struct order *order = NULL;
    struct fault fault;

    if (order_parse((const char *)bytes, length, &order, number, &fault) != OK) {
        check_refusal(number, &fault);
        return 0;
    }
    check_order(order);
    check_again(order);
    order_free(order);
    return 0;
}
