/*
 * Course seats: the LMS' Enrollment API. Decides what is sent for a seat and whether what the LMS has matches
 * what was bought; what every other answer means is decided by the host's table (outcomes.def).
 *
 * A call is one to three exchanges: GET when an earlier attempt may have succeeded, then POST, then GET again
 * when the POST's answer leaves it open (the table says LOOK_NOW).
 */
#include "fulfill/module.h"
#include "options.h"
#include "members.h"
#include "request_text.h"
#include "seat_mode.h"

#include <string.h>

/* What a body says of an enrollment. */
enum finding { FOUND_NOTHING, FOUND_MATCH, FOUND_INACTIVE, FOUND_DIFFERENT, FOUND_GARBAGE };

/* Kept between the exchanges of one call. */
struct state {
    const struct fulfill_host *host;
    int refund;
    int judged; /* a POST has been answered with LOOK_NOW: this is what it came to */
    struct fulfill_result result;
    char message[501];
};

static void on_written(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_looked(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);

static enum fulfill_operation operation(const struct state *state)
{
    return state->refund ? FULFILL_OPERATION_REFUND : FULFILL_OPERATION_FULFILL;
}

static void finish_found(struct state *state, struct fulfill_call *call, const struct fulfill_answer *answer,
                         const char *finding)
{
    struct fulfill_result result;

    state->host->judge(call, operation(state), answer, finding, &result);
    state->host->finish(call, &result);
}

static void finish_done(struct state *state, struct fulfill_call *call)
{
    const struct fulfill_result done = {
        .size = sizeof(done),
        .decision = FULFILL_DONE,
        .status = FULFILL_STATUS_COMPLETE,
        .health = FULFILL_HEALTH_GOOD,
        .retry_after_s = -1,
    };

    state->host->finish(call, &done);
}

/* For what cannot be built or started: memory is out. Nothing was sent. */
static void finish_failed(struct state *state, struct fulfill_call *call)
{
    const struct fulfill_answer answer = {
        .size = sizeof(answer), .transport = FULFILL_HOST_FAILED, .body = "", .retry_after_s = -1};

    finish_found(state, call, &answer, NULL);
}

/* ---- reading ---- */

/* `mode` and `is_active` are looked at only where they are present. */
static enum finding read_enrollment(const struct state *state, const struct fulfill_call *call,
                                    const struct fulfill_answer *answer)
{
    struct member wanted[] = {{.name = "mode"}, {.name = "is_active"}};
    const struct member *mode = &wanted[0], *active = &wanted[1];

    if (strspn(answer->body, " \t\r\n") == answer->body_length)
        return FOUND_NOTHING;
    switch (members_read(answer->body, answer->body_length, wanted, 2)) {
    case MEMBERS_NULL:
    case MEMBERS_EMPTY:
        return FOUND_NOTHING;
    case MEMBERS_GARBAGE:
    case MEMBERS_OTHER:
        return FOUND_GARBAGE;
    case MEMBERS_OBJECT:
        break;
    }
    if (mode->kind == MEMBER_STRING && !members_say(mode, seat_mode(state->host, call)))
        return FOUND_DIFFERENT;
    return active->kind == MEMBER_FALSE ? FOUND_INACTIVE : FOUND_MATCH;
}

/* ---- writing ---- */

static void add_attribute(struct request_text *body, const char *namespace, const char *name,
                          const char *value)
{
    if (!value)
        return;
    request_text_add(body, body->length > 0 && body->bytes[body->length - 1] == '[' ? "{" : ",{");
    request_text_member(body, "namespace", namespace);
    request_text_member(body, "name", name);
    request_text_member(body, "value", value);
    request_text_add(body, "}");
}

/* In this order; the LMS replaces all attributes of the enrollment with these. */
static void add_attributes(const struct state *state, struct fulfill_call *call, struct request_text *body)
{
    const struct fulfill_host *host = state->host;
    const char *send_sku = host->option(call, "send_sku");
    int is_credit = strcmp(seat_mode(host, call), "credit") == 0;

    request_text_add(body, ",\"enrollment_attributes\":[");
    add_attribute(body, "order", "order_number", host->text(call, FULFILL_ORDER_NUMBER));
    add_attribute(body, "order", "date_placed", host->text(call, FULFILL_DATE_PLACED));
    add_attribute(body, "credit", "provider_id",
                  is_credit ? seat_attribute(host, call, "credit_provider") : NULL);
    if (!send_sku || strcmp(send_sku, "no") != 0)
        add_attribute(body, "order", "sku", host->text(call, FULFILL_SKU));
    request_text_add(body, "]");
}

static void build_body(const struct state *state, struct fulfill_call *call, struct request_text *body)
{
    const struct fulfill_host *host = state->host;
    const char *enterprise = host->text(call, FULFILL_ENTERPRISE_CUSTOMER_UUID);

    request_text_add(body, "{");
    request_text_member(body, "user", host->text(call, FULFILL_USERNAME));
    request_text_add(body, state->refund ? ",\"is_active\":false" : ",\"is_active\":true");
    request_text_member(body, "mode", seat_mode(host, call));
    request_text_add(body, ",\"course_details\":{");
    request_text_member(body, "course_id", seat_attribute(host, call, "course_key"));
    request_text_add(body, "}");
    if (!state->refund) {
        add_attributes(state, call, body);
        if (enterprise)
            request_text_member(body, "linked_enterprise_customer", enterprise);
    }
    request_text_add(body, "}");
}

/* A value from outside that cannot stand in a header is left out. */
static const char *header_value(const char *value)
{
    return value && request_text_header_safe(value) ? value : NULL;
}

static void write_enrollment(struct state *state, struct fulfill_call *call)
{
    const struct fulfill_host *host = state->host;
    struct request_text body = {0};
    const struct fulfill_header headers[] = {
        {"Content-Type", "application/json"},
        {"Accept", "application/json"},
        {"X-Edx-Ga-Client-Id", header_value(host->text(call, FULFILL_GA_CLIENT_ID))},
        {"X-Forwarded-For", header_value(host->text(call, FULFILL_LMS_IP))},
    };

    build_body(state, call, &body);
    const struct fulfill_request request = {
        .size = sizeof(request),
        .method = "POST",
        .path = "/api/enrollment/v1/enrollment",
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .body = body.bytes,
        .body_length = body.length,
        .credentials = FULFILL_WITH_API_KEY | FULFILL_WITH_TOKEN,
    };
    if (body.failed || host->http(call, &request, on_written, state) != 0)
        finish_failed(state, call);
    request_text_free(&body);
}

static void look_up(struct state *state, struct fulfill_call *call)
{
    const struct fulfill_host *host = state->host;
    static const struct fulfill_header headers[] = {{"Accept", "application/json"}};
    struct request_text path = {0};

    request_text_add(&path, "/api/enrollment/v1/enrollment/");
    request_text_percent(&path, host->text(call, FULFILL_USERNAME));
    request_text_add(&path, ",");
    request_text_percent(&path, seat_attribute(host, call, "course_key"));
    const struct fulfill_request request = {
        .size = sizeof(request),
        .method = "GET",
        .path = path.bytes,
        .headers = headers,
        .header_count = 1,
        .credentials = FULFILL_WITH_API_KEY | FULFILL_WITH_TOKEN,
    };
    if (path.failed || host->http(call, &request, on_looked, state) != 0)
        finish_failed(state, call);
    request_text_free(&path);
}

/* ---- answers ---- */

static void finish_written(struct state *state, struct fulfill_call *call,
                           const struct fulfill_answer *answer)
{
    if (state->refund) {
        finish_found(state, call, answer, NULL);
        return;
    }
    switch (read_enrollment(state, call, answer)) {
    case FOUND_NOTHING:
    case FOUND_MATCH:
        finish_found(state, call, answer, NULL);
        break;
    case FOUND_INACTIVE:
    case FOUND_DIFFERENT:
        finish_found(state, call, answer, "different");
        break;
    case FOUND_GARBAGE:
        finish_found(state, call, answer, "unusable");
        break;
    }
}

static void on_written(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;
    struct fulfill_result result;

    if (answer->transport == FULFILL_ANSWERED && answer->status == 200) {
        finish_written(state, call, answer);
        return;
    }
    state->host->judge(call, operation(state), answer, NULL, &result);
    if (result.look_first != FULFILL_LOOK_NOW) {
        state->host->finish(call, &result);
        return;
    }
    state->judged = 1;
    state->result = result;
    state->result.look_first = FULFILL_LOOK_NO;
    if (result.message)
        strncpy(state->message, result.message, sizeof(state->message) - 1);
    state->result.message = state->message;
    look_up(state, call);
}

/* The look-up could not be read: what it was for is still open. */
static void finish_unseen(struct state *state, struct fulfill_call *call, const struct fulfill_answer *answer,
                          const char *finding)
{
    struct fulfill_result result;

    state->host->judge(call, FULFILL_OPERATION_LOOKUP, answer, finding, &result);
    result.look_first = FULFILL_LOOK_NEXT;
    /* A revocation is not given up by a look-up, unless nothing could be asked at all. */
    if (state->refund && (result.decision == FULFILL_FINAL || result.decision == FULFILL_RETRY_FEW) &&
        result.health != FULFILL_HEALTH_UNKNOWN)
        result.decision = FULFILL_RETRY;
    state->host->finish(call, &result);
}

static void on_looked(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;
    enum finding finding;
    int done;

    if (answer->transport != FULFILL_ANSWERED || answer->status != 200) {
        finish_unseen(state, call, answer, NULL);
        return;
    }
    finding = read_enrollment(state, call, answer);
    if (finding == FOUND_GARBAGE) {
        finish_unseen(state, call, answer, "unusable");
        return;
    }
    /* Refunds: whatever is there now, what was bought is not: none, inactive, or another mode since. */
    done = state->refund ? finding != FOUND_MATCH : finding == FOUND_MATCH;
    if (done)
        finish_done(state, call);
    else if (state->judged)
        state->host->finish(call, &state->result);
    else
        write_enrollment(state, call);
}

/* ---- the module ---- */

static void start(const struct fulfill_host *host, struct fulfill_call *call, int refund)
{
    struct state *state = host->state(call, sizeof(*state));
    struct fulfill_result result;

    if (!state || !host->text(call, FULFILL_USERNAME) || !seat_attribute(host, call, "course_key")) {
        const char *finding = !state                                ? "nonsense"
                              : !host->text(call, FULFILL_USERNAME) ? "no_user"
                                                                    : "missing_attribute";
        host->judge(call, FULFILL_OPERATION_FULFILL, NULL, finding, &result);
        if (state && strcmp(finding, "missing_attribute") == 0)
            result.message = "attributes.course_key is missing";
        host->finish(call, &result);
        return;
    }
    state->host = host;
    state->refund = refund;
    if (host->number(call, FULFILL_LOOK_FIRST))
        look_up(state, call);
    else
        write_enrollment(state, call);
}

static void fulfill_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    start(host, call, 0);
}

static void refund_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    start(host, call, 1);
}

extern const struct fulfill_module module_enrollment;
const struct fulfill_module module_enrollment = {
    .abi = FULFILL_ABI,
    .size = sizeof(struct fulfill_module),
    .name = "enrollment",
    .fulfill_product = fulfill_product,
    .refund_product = refund_product,
    .check_option = options_check_none,
};
