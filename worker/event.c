/*
 * Writes the status event. Decides its id, its fields and their order; what is said (outcome, states, times)
 * comes from the stages. Written straight into a buffer: every attempt of every order passes here.
 * Called by the stages through publishing_add_event() and stage_record.
 */
#include "worker/event.h"

#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* Appends a string literal. */
#define PUT(text, literal) text_append((text), (literal), sizeof(literal) - 1)

enum {
    ID_NUMBER_BYTES = 100,     /* an order number longer than this is cut, and its digest appended */
    ID_DISTINGUISH_BYTES = 48, /* a distinguishing part longer than this is replaced by its digest */
    ID_LIMIT_BYTES = 255,      /* AMQP's message-id is a short string */
    TIME_BYTES = 32
};

const char *event_outcome_name(enum event_outcome outcome)
{
    switch (outcome) {
    case EVENT_COMPLETE:
        return "complete";
    case EVENT_RETRYING:
        return "retrying";
    case EVENT_DEAD:
        return "dead";
    case EVENT_REQUEUED:
        return "requeued";
    case EVENT_IGNORED:
        return "ignored";
    case EVENT_INVALID:
        break;
    }
    return "invalid";
}

/* ---- the id ---- */

static uint64_t digest_of(const char *text)
{
    return order_digest(ORDER_DIGEST_SEED, text, strlen(text));
}

/* Bytes that may stand in an id as they are; '/' separates its parts. */
static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~' || *text == '/')
            return false;
    }
    return true;
}

/* What tells it from all others of the order: its sequence, or what stands in for one that is not kept. */
static void write_last_part(char *part, size_t size, const struct event_facts *facts)
{
    const char *distinguish = facts->distinguish;

    if (!distinguish)
        snprintf(part, size, "%" PRId64, facts->sequence);
    else if (strlen(distinguish) <= ID_DISTINGUISH_BYTES && is_plain(distinguish))
        snprintf(part, size, "%s", distinguish);
    else
        snprintf(part, size, "~%016" PRIx64, digest_of(distinguish));
}

static void write_id(char *id, const struct event_facts *facts)
{
    const char *number = facts->order_number;
    size_t length = strlen(number);
    char number_part[ID_NUMBER_BYTES + 20], last_part[ID_DISTINGUISH_BYTES + 1];

    if (length <= ID_NUMBER_BYTES && text_utf8_valid(number, length)) {
        memcpy(number_part, number, length + 1);
    } else {
        size_t cut = text_utf8_copy(number_part, ID_NUMBER_BYTES + 1, number, length);

        snprintf(number_part + cut, sizeof(number_part) - cut, "~%016" PRIx64, digest_of(number));
    }
    write_last_part(last_part, sizeof(last_part), facts);
    snprintf(id, ID_LIMIT_BYTES + 1, "%s/%s/%.16s/%" PRId64 "/%" PRId64 "/%s/%s", number_part,
             order_action_name(facts->action), facts->item_id, facts->generation, facts->attempt,
             event_outcome_name(facts->outcome), last_part);
}

/* ---- pieces ---- */

/* "2026-01-02T03:04:05", without what follows the seconds. A time beyond year 9999 is shown as its last
 * second. */
static void put_seconds(struct text *text, int64_t seconds)
{
    static const int64_t last_second = INT64_C(253402300799);
    time_t when = (time_t)(seconds < 0 ? 0 : seconds > last_second ? last_second : seconds);
    char written[TIME_BYTES];
    struct tm utc = {0};

    gmtime_r(&when, &utc);
    text_append(text, written, strftime(written, sizeof(written), "%Y-%m-%dT%H:%M:%S", &utc));
}

static void put_time_us(struct text *text, int64_t time_us)
{
    int milliseconds = (int)(time_us / 1000 % 1000);
    char fraction[] = {'.', (char)('0' + milliseconds / 100), (char)('0' + milliseconds / 10 % 10),
                       (char)('0' + milliseconds % 10), 'Z'};

    put_seconds(text, time_us / 1000000);
    text_append(text, fraction, sizeof(fraction));
}

static void put_reason(struct text *text, const char *code, const char *message, int http_status)
{
    PUT(text, "{\"code\":");
    text_json(text, code);
    PUT(text, ",\"message\":");
    text_json(text, message);
    PUT(text, ",\"http_status\":");
    if (http_status > 0)
        text_integer(text, http_status);
    else
        PUT(text, "null");
    PUT(text, "}");
}

static void put_line(struct text *text, const struct order_line *line, const struct line_outcome *outcome,
                     bool refund)
{
    PUT(text, "{\"id\":");
    text_integer(text, line->id);
    PUT(text, ",\"sku\":");
    text_json(text, line->sku);
    PUT(text, ",\"status\":");
    text_json(text, line_status_text(outcome, refund));
    PUT(text, ",\"module\":");
    text_json(text, outcome->module[0] ? outcome->module : NULL);
    PUT(text, ",\"reason\":");
    if (outcome->reason[0] && !line_finished(outcome))
        put_reason(text, outcome->reason, outcome->message, outcome->http_status);
    else
        PUT(text, "null");
    PUT(text, ",\"result\":");
    text_puts(text, outcome->result_json ? outcome->result_json : "null");
    PUT(text, "}");
}

static const char *order_status(const struct event_facts *facts)
{
    if (facts->no_status)
        return NULL;
    if (facts->order_complete)
        return "Complete";
    return facts->action == ORDER_REFUND ? "Revocation Error" : "Fulfillment Error";
}

static void put_data(struct text *text, const struct event_facts *facts)
{
    size_t line_count = facts->no_status || !facts->order ? 0 : facts->order->line_count;

    PUT(text, "{\"order_number\":");
    text_json(text, facts->order_number);
    PUT(text, ",\"action\":");
    text_json(text, order_action_name(facts->action));
    PUT(text, ",\"refund_number\":");
    text_json(text, facts->refund_number);
    PUT(text, ",\"sequence\":");
    text_integer(text, facts->sequence);
    PUT(text, ",\"generation\":");
    text_integer(text, facts->generation);
    PUT(text, ",\"attempt\":");
    text_integer(text, facts->attempt);
    PUT(text, ",\"status\":");
    text_json(text, order_status(facts));
    PUT(text, ",\"final\":");
    text_puts(text, facts->outcome == EVENT_COMPLETE || facts->outcome == EVENT_DEAD ? "true" : "false");
    PUT(text, ",\"next_attempt_at\":");
    if (facts->next_attempt_ms > 0) {
        PUT(text, "\"");
        put_seconds(text, facts->next_attempt_ms / 1000);
        PUT(text, "Z\"");
    } else {
        PUT(text, "null");
    }
    PUT(text, ",\"lines\":[");
    for (size_t i = 0; i < line_count; i++) {
        if (i > 0)
            PUT(text, ",");
        put_line(text, &facts->order->lines[i], &facts->lines[i], facts->action == ORDER_REFUND);
    }
    PUT(text, "]");
    if (facts->outcome == EVENT_INVALID) {
        PUT(text, ",\"reason\":");
        put_reason(text, "invalid_message", facts->detail, 0);
    }
    PUT(text, "}");
}

/* ---- the whole ---- */

enum err event_build(const struct event_facts *facts, struct event *ret_event)
{
    /* What goes in is bounded already: the message, and what modules may leave with a line. */
    AUTO_TEXT struct text text = TEXT_EMPTY(SIZE_MAX / 4);
    struct event event = {.json = NULL};

    write_id(event.id, facts);
    snprintf(event.routing_key, sizeof(event.routing_key), "order.%s.%s", order_action_name(facts->action),
             event_outcome_name(facts->outcome));
    PUT(&text, "{\"specversion\":\"1.0\",\"id\":");
    text_json(&text, event.id);
    PUT(&text,
        ",\"source\":\"fulfilld/fulfillment\",\"type\":\"fulfillment.order.status_changed.v1\",\"subject\":");
    text_json(&text, facts->order_number);
    PUT(&text, ",\"time\":\"");
    put_time_us(&text, facts->time_us);
    PUT(&text, "\",\"datacontenttype\":\"application/json\"");
    if (facts->traceparent) {
        PUT(&text, ",\"traceparent\":");
        text_json(&text, facts->traceparent);
    }
    PUT(&text, ",\"data\":");
    put_data(&text, facts);
    PUT(&text, "}");
    if (text_take(&text, &event.json, &event.length) != OK)
        return ERR_NOMEM;
    *ret_event = event;
    return OK;
}

void event_fini(struct event *event)
{
    free(event->json);
    event->json = NULL;
    event->length = 0;
}
