/*
 * The way of one request: digest, ledger, script or real answer, bytes. Decides who answers and
 * whether the real effect is done; how the resources answer is theirs, and how bytes leave (late,
 * one by one, cut off, never) is conn.c's, which calls this.
 */
#include "exchange.h"

#include "admin.h"
#include "enrollment.h"
#include "entitlement.h"

#include <string.h>
#include <strings.h>

/* The real answer, effect included. */
static void answer_really(struct lms *lms, struct request *request, struct reply *reply)
{
    switch (request->resource) {
    case RESOURCE_ENROLLMENT:
        enrollment_answer(&lms->world, &lms->gate, lms->old_release, request, reply);
        break;
    case RESOURCE_ENROLLMENT_ONE:
        enrollment_answer_one(&lms->world, &lms->gate, request, reply);
        break;
    case RESOURCE_ENROLLMENTS:
        enrollment_answer_list(&lms->world, &lms->gate, request, reply);
        break;
    case RESOURCE_COURSE:
        enrollment_answer_course(&lms->world, request, reply);
        break;
    case RESOURCE_ENTITLEMENTS:
        entitlement_answer(&lms->world, &lms->gate, request, reply);
        break;
    case RESOURCE_ENTITLEMENT:
        entitlement_answer_one(&lms->world, &lms->gate, request, reply);
        break;
    case RESOURCE_ENTITLEMENT_UNSLASHED:
        entitlement_answer_unslashed(request, reply);
        break;
    case RESOURCE_TOKEN:
        tokens_answer(&lms->gate.tokens, request, reply);
        break;
    case RESOURCE_HOOK:
        buf_text(&reply->body, "{}");
        reply->applied = true;
        break;
    case RESOURCE_ADMIN:
        admin_answer(lms, request, reply);
        break;
    case RESOURCE_UNKNOWN:
        reply_page(reply, 404, "Not Found");
        break;
    }
}

static void fake_body(const struct step *step, struct reply *reply)
{
    if (step->big_bytes) {
        buf_reset(&reply->body);
        buf_text(&reply->body, "{\"message\": \"");
        if (step->big_bytes > reply->body.len + 2)
            buf_fill(&reply->body, 'x', step->big_bytes - reply->body.len - 2);
        buf_text(&reply->body, "\"}");
    } else if (step->body) {
        buf_reset(&reply->body);
        buf_text(&reply->body, step->body);
    } else if (step->way == WAY_TRUNCATE && reply->body.len <= step->truncate_at) {
        /* there has to be more than arrives */
        buf_fill(&reply->body, ' ', step->truncate_at + 64 - reply->body.len);
    }
}

/* Puts what the step says over the real answer, or over an empty one. */
static void apply_step(const struct step *step, bool real, struct reply *reply)
{
    const char *name;
    json_t *value;

    if (step->faked && (step->status || step->body || step->big_bytes || !real)) {
        bool applied = reply->applied;

        reply_reset(reply);
        reply->applied = applied;
        if (step->status)
            reply->status = step->status;
        if (step->body && *step->body == '<')
            reply->content_type = "text/html; charset=utf-8";
    }
    fake_body(step, reply);
    json_object_foreach(step->headers, name, value)
    {
        if (strcasecmp(name, "Content-Type") == 0)
            reply->content_type = ""; /* the script's own line comes instead */
        reply_header(reply, name, json_string_value(value));
    }
}

static void write_bytes(const struct step *step, const struct reply *reply, bool with_body,
                        struct delivery *delivery)
{
    reply_write(reply, reply->body.len, with_body, &delivery->bytes);
    if (delivery->way == WAY_TRUNCATE && with_body) {
        size_t head_len = delivery->bytes.len - reply->body.len;

        delivery->bytes.len = head_len + step->truncate_at;
    } else if (delivery->way == WAY_GARBAGE) {
        buf_reset(&delivery->bytes);
        buf_text(&delivery->bytes, step->garbage);
    }
}

static const char *fault_of(const struct step *step, const struct lms *lms)
{
    const char *way = step ? script_way_name(step->way) : NULL;

    if (way)
        return way;
    if (step && step->dribble_ms)
        return "dribble";
    if (step && step->big_bytes)
        return "big";
    if (step && step->faked)
        return "faked";
    if ((step && step->delay_ms) || lms->script.latency_ms)
        return "delay";
    return NULL;
}

static bool key_is_good(const struct lms *lms, const struct request *request)
{
    const char *key = request_header(request, "X-Edx-Api-Key");

    return key && lms->gate.api_key && strcmp(key, lms->gate.api_key) == 0;
}

void exchange_run(struct lms *lms, struct request *request, uint64_t connection, uint64_t nth,
                  bool keep_alive, struct delivery *delivery)
{
    static struct reply reply; /* kept between calls for its memory */
    const struct step *step = NULL;
    const char *rule = NULL;
    bool is_admin;

    request_digest(request);
    reply_reset(&reply);
    is_admin = request->resource == RESOURCE_ADMIN;
    buf_reset(&delivery->bytes);
    delivery->seq = 0;
    if (!is_admin) {
        delivery->seq = ledger_open(&lms->ledger, request, key_is_good(lms, request), connection, nth);
        step = script_take(&lms->script, request, &rule);
    }
    if (request->too_big)
        reply_page(&reply, 413, "Payload Too Large");
    else if (!step || !step->faked || step->apply)
        answer_really(lms, request, &reply);
    if (step)
        apply_step(step, step->apply || !step->faked, &reply);
    if (!keep_alive)
        reply_header(&reply, "Connection", "close");
    delivery->way = step ? step->way : WAY_WHOLE;
    delivery->delay_ms = is_admin ? 0 : lms->script.latency_ms + (step ? step->delay_ms : 0);
    delivery->dribble_ms = step ? step->dribble_ms : 0;
    write_bytes(step, &reply, strcmp(request->method, "HEAD") != 0, delivery);
    if (!is_admin)
        ledger_plan(&lms->ledger, delivery->seq, reply.status, reply.applied, fault_of(step, lms), rule);
}

void exchange_end(struct lms *lms, const struct delivery *delivery, bool answered)
{
    if (delivery->seq)
        ledger_close(&lms->ledger, delivery->seq, answered);
}
