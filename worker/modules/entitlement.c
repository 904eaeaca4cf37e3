/*
 * Course entitlements: the LMS' Entitlements API. Decides what is created or ended and finds what is there
 * already; what every other answer means is decided by the host's table (outcomes.def).
 *
 * Creating is not idempotent: after a lost answer, and after "must make a unique set", the learner's
 * entitlements are looked through for this course and order.
 */
#include "fulfill/module.h"
#include "options.h"
#include "request_text.h"
#include "seat_mode.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COLLECTION "/api/entitlements/v1/entitlements/"

enum { MAX_PAGES = 40, UUID_BYTES = 128 };

/* Kept between the exchanges of one call. */
struct state {
    const struct fulfill_host *host;
    int refund;
    int page;
    int judged; /* creating was answered with LOOK_NOW: this is what it came to */
    struct fulfill_result result;
    char message[501];
    char uuid[UUID_BYTES]; /* of what is being ended */
};

static void on_created(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_ended(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_page(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);

static enum fulfill_operation operation(const struct state *state)
{
    return state->refund ? FULFILL_OPERATION_REFUND : FULFILL_OPERATION_FULFILL;
}

static void finish_answer(struct state *state, struct fulfill_call *call, const struct fulfill_answer *answer)
{
    struct fulfill_result result;

    state->host->judge(call, operation(state), answer, NULL, &result);
    state->host->finish(call, &result);
}

static void finish_failed(struct state *state, struct fulfill_call *call)
{
    const struct fulfill_answer answer = {
        .size = sizeof(answer), .transport = FULFILL_HOST_FAILED, .body = "", .retry_after_s = -1};

    finish_answer(state, call, &answer);
}

/* Done; the uuid (where it is known) goes into the event: revoking needs it. */
static void finish_done(struct state *state, struct fulfill_call *call, const char *uuid, int already_gone)
{
    struct request_text json = {0};
    struct fulfill_result done = {
        .size = sizeof(done),
        .decision = FULFILL_DONE,
        .status = FULFILL_STATUS_COMPLETE,
        .health = FULFILL_HEALTH_GOOD,
        .retry_after_s = -1,
    };

    request_text_add(&json, "{");
    if (uuid)
        request_text_member(&json, "uuid", uuid);
    if (already_gone)
        request_text_add(&json, uuid ? ",\"already_gone\":true" : "\"already_gone\":true");
    request_text_add(&json, "}");
    done.result_json = json.failed || (!uuid && !already_gone) ? NULL : json.bytes;
    state->host->finish(call, &done);
    request_text_free(&json);
}

/* The API takes the token only. */
static int send(struct state *state, struct fulfill_call *call, const char *method,
                const struct request_text *path, const struct request_text *body, fulfill_answer_fn *done)
{
    static const struct fulfill_header headers[] = {{"Accept", "application/json"},
                                                    {"Content-Type", "application/json"}};
    const struct fulfill_request request = {
        .size = sizeof(request),
        .method = method,
        .path = path->bytes,
        .headers = headers,
        .header_count = body ? 2 : 1,
        .body = body ? body->bytes : NULL,
        .body_length = body ? body->length : 0,
        .credentials = FULFILL_WITH_TOKEN,
    };

    if (path->failed || (body && body->failed))
        return -1;
    return state->host->http(call, &request, done, state);
}

/* ---- creating and ending ---- */

static void create(struct state *state, struct fulfill_call *call)
{
    const struct fulfill_host *host = state->host;
    struct request_text path = {0}, body = {0};

    request_text_add(&path, COLLECTION);
    request_text_add(&body, "{");
    request_text_member(&body, "user", host->text(call, FULFILL_USERNAME));
    request_text_member(&body, "course_uuid", seat_attribute(host, call, "UUID"));
    request_text_member(&body, "mode", seat_mode(host, call));
    request_text_member(&body, "order_number", host->text(call, FULFILL_ORDER_NUMBER));
    request_text_add(&body, host->number(call, FULFILL_EMAIL_OPT_IN) ? ",\"email_opt_in\":true}"
                                                                     : ",\"email_opt_in\":false}");
    if (send(state, call, "POST", &path, &body, on_created) != 0)
        finish_failed(state, call);
    request_text_free(&path);
    request_text_free(&body);
}

/* Ends that of state->uuid. */
static void end(struct state *state, struct fulfill_call *call)
{
    struct request_text path = {0};

    request_text_add(&path, COLLECTION);
    request_text_percent(&path, state->uuid);
    request_text_add(&path, "/");
    if (send(state, call, "DELETE", &path, NULL, on_ended) != 0)
        finish_failed(state, call);
    request_text_free(&path);
}

static void look_up(struct state *state, struct fulfill_call *call)
{
    struct request_text path = {0};
    char page[32];

    request_text_add(&path, COLLECTION "?user=");
    request_text_percent(&path, state->host->text(call, FULFILL_USERNAME));
    if (state->page > 1) {
        snprintf(page, sizeof(page), "&page=%d", state->page);
        request_text_add(&path, page);
    }
    if (send(state, call, "GET", &path, NULL, on_page) != 0)
        finish_failed(state, call);
    request_text_free(&path);
}

static void start_look_up(struct state *state, struct fulfill_call *call)
{
    state->page = 1;
    look_up(state, call);
}

/* ---- answers ---- */

static int usable_uuid(const char *uuid)
{
    return uuid && uuid[0] != '\0' && strlen(uuid) < UUID_BYTES;
}

static void on_created(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;
    struct fulfill_result result;
    const char *finding = NULL;
    json_t *document = NULL;

    if (answer->transport == FULFILL_ANSWERED && answer->status >= 200 && answer->status <= 299) {
        document = json_loadb(answer->body, answer->body_length, 0, NULL);
        const char *uuid = json_string_value(json_object_get(document, "uuid"));
        if (answer->status <= 201 && usable_uuid(uuid)) {
            finish_done(state, call, uuid, 0);
            json_decref(document);
            return;
        }
        finding = "unusable";
    }
    json_decref(document);
    state->host->judge(call, FULFILL_OPERATION_FULFILL, answer, finding, &result);
    if (result.look_first != FULFILL_LOOK_NOW) {
        state->host->finish(call, &result);
        return;
    }
    state->judged = 1;
    state->result = result;
    state->result.look_first = FULFILL_LOOK_NO;
    if (result.message)
        snprintf(state->message, sizeof(state->message), "%s", result.message);
    state->result.message = state->message;
    start_look_up(state, call);
}

static void on_ended(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;
    struct fulfill_result result;

    state->host->judge(call, FULFILL_OPERATION_REFUND, answer, NULL, &result);
    if (result.decision == FULFILL_DONE)
        finish_done(state, call, state->uuid, answer->status == 404);
    else
        state->host->finish(call, &result);
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

/* The entitlement of this course and order among a page's, or NULL. */
static const json_t *find_ours(const struct state *state, struct fulfill_call *call, const json_t *rows)
{
    const struct fulfill_host *host = state->host;
    const char *course = seat_attribute(host, call, "UUID"), *order = host->text(call, FULFILL_ORDER_NUMBER);

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *row_course = json_string_value(json_object_get(row, "course_uuid"));
        const char *row_order = json_string_value(json_object_get(row, "order_number"));
        if (row_course && row_order && strcasecmp(row_course, course) == 0 && strcmp(row_order, order) == 0 &&
            usable_uuid(json_string_value(json_object_get(row, "uuid"))))
            return row;
    }
    return NULL;
}

static void act_on_found(struct state *state, struct fulfill_call *call, const json_t *row)
{
    const char *uuid = json_string_value(json_object_get(row, "uuid"));
    const char *expired_at = json_string_value(json_object_get(row, "expired_at"));

    if (!state->refund) {
        finish_done(state, call, uuid, 0);
    } else if (expired_at) {
        finish_done(state, call, uuid, 1);
    } else {
        snprintf(state->uuid, sizeof(state->uuid), "%s", uuid);
        end(state, call);
    }
}

static void act_on_none(struct state *state, struct fulfill_call *call)
{
    if (state->refund && state->uuid[0] != '\0')
        end(state, call); /* known by what fulfilment returned, though not among the learner's */
    else if (state->refund)
        finish_done(state, call, NULL, 1);
    else if (state->judged)
        state->host->finish(call, &state->result);
    else
        create(state, call);
}

static void on_page(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct state *state = context;

    if (answer->transport != FULFILL_ANSWERED || answer->status != 200) {
        finish_unseen(state, call, answer, NULL);
        return;
    }
    json_t *document = json_loadb(answer->body, answer->body_length, 0, NULL);
    const json_t *rows = json_is_array(document) ? document : json_object_get(document, "results");
    const json_t *row = find_ours(state, call, rows);
    int more = json_is_string(json_object_get(document, "next"));
    if (row)
        act_on_found(state, call, row);
    else if (!json_is_array(rows) || (more && state->page >= MAX_PAGES))
        finish_unseen(state, call, answer, "unusable");
    else if (more) {
        state->page++;
        look_up(state, call);
    } else {
        act_on_none(state, call);
    }
    json_decref(document);
}

/* ---- the module ---- */

/* What fulfilment returned, copied into state->uuid; false when it is not known. */
static int known_uuid(struct state *state, struct fulfill_call *call)
{
    const char *known = state->host->text(call, FULFILL_RESULT_JSON);
    json_t *document = known ? json_loads(known, 0, NULL) : NULL;
    const char *uuid = json_string_value(json_object_get(document, "uuid"));
    int usable = usable_uuid(uuid);

    if (usable)
        snprintf(state->uuid, sizeof(state->uuid), "%s", uuid);
    json_decref(document);
    return usable;
}

static int can_look_up(const struct state *state, const struct fulfill_call *call)
{
    return state->host->text(call, FULFILL_USERNAME) && seat_attribute(state->host, call, "UUID");
}

/* The first attribute that is needed and not there; NULL = none. A mode is not guessed: it is what was paid
 * for. */
static const char *missing_attribute(const struct fulfill_host *host, const struct fulfill_call *call,
                                     int refund)
{
    if (!seat_attribute(host, call, "UUID"))
        return "attributes.UUID is missing";
    if (!refund && !seat_attribute(host, call, "certificate_type"))
        return "attributes.certificate_type is missing";
    return NULL;
}

static struct state *prepare(const struct fulfill_host *host, struct fulfill_call *call, int refund)
{
    struct state *state = host->state(call, sizeof(*state));
    const char *missing = missing_attribute(host, call, refund);
    const char *finding = NULL;
    struct fulfill_result result;

    if (!state)
        finding = "nonsense";
    else if (!host->text(call, FULFILL_USERNAME))
        finding = "no_user";
    else if (missing)
        finding = "missing_attribute";
    if (finding) {
        host->judge(call, FULFILL_OPERATION_FULFILL, NULL, finding, &result);
        if (strcmp(finding, "missing_attribute") == 0)
            result.message = missing;
        host->finish(call, &result);
        return NULL;
    }
    state->host = host;
    state->refund = refund;
    return state;
}

static void fulfill_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    struct state *state = prepare(host, call, 0);

    if (!state)
        return;
    if (host->number(call, FULFILL_LOOK_FIRST))
        start_look_up(state, call);
    else
        create(state, call);
}

/* What fulfilment returned is ended without asking, and nothing else of the line is needed; unless an earlier
 * attempt may have ended it: then it is looked for first. */
static void refund_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    struct state *state = host->state(call, sizeof(*state));

    if (state) {
        state->host = host;
        state->refund = 1;
        if (known_uuid(state, call) &&
            !(host->number(call, FULFILL_LOOK_FIRST) && can_look_up(state, call))) {
            end(state, call);
            return;
        }
    }
    state = prepare(host, call, 1);
    if (state)
        start_look_up(state, call);
}

extern const struct fulfill_module module_entitlement;
const struct fulfill_module module_entitlement = {
    .abi = FULFILL_ABI,
    .size = sizeof(struct fulfill_module),
    .name = "entitlement",
    .fulfill_product = fulfill_product,
    .refund_product = refund_product,
    .check_option = options_check_none,
};
