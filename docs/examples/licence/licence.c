/*
 * An example plug-in: licence keys from a vendor's API, which wants a session first, then an order, and is
 * asked until the key is there. The vendor's API:
 *
 *   POST   /session {"password"}                          200 {"token"}
 *   POST   /licences {"product", "quantity", "reference"} 202 {"id"}: one licence for one Idempotency-Key
 *   GET    /licences/ID                                   200 {"key"}, or {"state"} while there is none yet
 *   GET    /licences?reference=REFERENCE                  200 {"id"}, or 404
 *   DELETE /licences/ID                                   204, or 404 when it is gone
 */
#include <fulfill/module.h>

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 2000, LAST_MOMENT_MS = 10000, MAX_SKU = 80 };

/* Kept for one line from its first exchange to its end; the host frees it. */
struct licence {
    int refund;
    char token[128];
    char id[64]; /* the vendor's number; "" = not known */
};

static const struct fulfill_host *host; /* the same for every call */

static void on_session(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_order(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_poll_due(struct fulfill_call *call, void *context);
static void on_key(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_found(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_returned(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);

/* ---- texts ---- */

/* The text of "name": "…" in a body, as far as it fits. A real plug-in would use a JSON library. */
static int find_text(const char *body, const char *name, char *out, size_t size)
{
    char wanted[40];
    const char *at;
    size_t length;

    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    at = strstr(body, wanted);
    if (!at)
        return 0;
    at += strlen(wanted);
    at += strspn(at, " ");
    if (*at++ != '"')
        return 0;
    length = strcspn(at, "\"\\");
    if (length == 0 || length >= size || at[length] != '"')
        return 0;
    memcpy(out, at, length);
    out[length] = '\0';
    return 1;
}

/* Appends a text of the shop's with every byte that is not plain written as `escape` says: "%%%02X" for a
 * path, "\\u%04X" for JSON, where UTF-8 may stay. What does not fit is left out. */
static void add_escaped(char *out, size_t size, const char *text, const char *escape)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    size_t used = strlen(out);

    for (; *text && used + 7 < size; text++) {
        if (strchr(plain, *text) || (escape[0] == '\\' && (unsigned char)*text >= 0x80))
            snprintf(out + used, size - used, "%c", *text);
        else
            snprintf(out + used, size - used, escape, (unsigned)(unsigned char)*text);
        used += strlen(out + used);
    }
}

/* What the vendor knows this line by: the same for its fulfilment and its refund. */
static void add_reference(const struct fulfill_call *call, char *out, size_t size, const char *escape)
{
    char line[24];

    snprintf(line, sizeof(line), "-%lld", (long long)host->number(call, FULFILL_LINE_ID));
    add_escaped(out, size, host->text(call, FULFILL_ORDER_NUMBER), escape);
    add_escaped(out, size, line, escape);
}

/* ---- the end ---- */

static int answered(const struct fulfill_answer *answer, int status)
{
    return answer->transport == FULFILL_ANSWERED && answer->status == status;
}

static void finish_done(struct fulfill_call *call, const char *result_json)
{
    struct fulfill_result result = {0};

    result.size = sizeof(result);
    result.decision = FULFILL_DONE;
    result.status = FULFILL_STATUS_COMPLETE;
    result.health = FULFILL_HEALTH_GOOD;
    result.retry_after_s = -1;
    result.result_json = result_json; /* goes into the event, and comes back with a refund */
    host->finish(call, &result);
}

/* The vendor answered what we cannot use: try again later. */
static void finish_odd(struct fulfill_call *call, const struct fulfill_answer *answer, const char *words)
{
    struct fulfill_result result = {0};

    result.size = sizeof(result);
    result.decision = FULFILL_RETRY;
    result.status = FULFILL_STATUS_SERVER;
    result.health = FULFILL_HEALTH_GOOD;
    result.reason = "bad_response";
    result.message = words;
    result.http_status = answer->status;
    result.retry_after_s = -1;
    result.look_first = FULFILL_LOOK_NEXT; /* the vendor may have made it: keep the Idempotency-Key */
    host->finish(call, &result);
}

/* The order is taken, asking for it went wrong: what the host's table says, and the order may be there. */
static void finish_ordered(struct fulfill_call *call, const struct fulfill_answer *answer)
{
    struct fulfill_result result;

    host->judge(call, FULFILL_OPERATION_LOOKUP, answer, NULL, &result);
    result.look_first = FULFILL_LOOK_NEXT;
    host->finish(call, &result);
}

/* Nothing could be started: memory is out, or a request is unusable. */
static void finish_unstarted(struct fulfill_call *call)
{
    struct fulfill_answer failed = {0};

    failed.size = sizeof(failed);
    failed.transport = FULFILL_HOST_FAILED;
    failed.body = "";
    failed.retry_after_s = -1;
    host->finish_by_answer(call, &failed);
}

/* One request; `done` runs later, once. What cannot even be started ends the line. */
static void ask(struct fulfill_call *call, const char *method, const char *path, const char *body,
                fulfill_answer_fn *done)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    struct fulfill_header headers[] = {
        {"Content-Type", body ? "application/json" : NULL},
        {"X-Session", licence->token[0] ? licence->token : NULL},
        {"Idempotency-Key", body ? host->text(call, FULFILL_IDEMPOTENCY_KEY) : NULL},
    };
    struct fulfill_request request = {0};

    request.size = sizeof(request);
    request.method = method;
    request.path = path;
    request.headers = headers;
    request.header_count = sizeof(headers) / sizeof(headers[0]);
    request.body = body;
    request.body_length = body ? strlen(body) : 0;
    if (host->http(call, &request, done, NULL) != 0)
        finish_unstarted(call);
}

/* ---- the session, for fulfilment and refund ---- */

static void start(struct fulfill_call *call, int refund)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    const char *secret = host->secret(call, "password_file"), *known = host->text(call, FULFILL_RESULT_JSON);
    char body[512] = "{\"password\":\"";

    if (!licence) { /* from here on it is there */
        finish_unstarted(call);
        return;
    }
    licence->refund = refund;
    if (known && !find_text(known, "licence", licence->id, sizeof(licence->id)))
        licence->id[0] = '\0';
    add_escaped(body, sizeof(body) - 2, secret ? secret : "", "\\u%04X");
    strcat(body, "\"}");
    ask(call, "POST", "/session", body, on_session);
}

static void send_order(struct fulfill_call *call)
{
    const char *sku = host->text(call, FULFILL_SKU);
    char body[2048] = "{\"product\":\"", *end;

    add_escaped(body, 512, sku ? sku : "", "\\u%04X");
    end = body + strlen(body);
    snprintf(end, 128, "\",\"quantity\":%lld,\"reference\":\"",
             (long long)host->number(call, FULFILL_QUANTITY));
    add_reference(call, body, sizeof(body) - 2, "\\u%04X");
    strcat(body, "\"}");
    ask(call, "POST", "/licences", body, on_order);
}

static void send_return(struct fulfill_call *call)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    char path[256] = "/licences/";

    add_escaped(path, sizeof(path), licence->id, "%%%02X");
    ask(call, "DELETE", path, NULL, on_returned);
}

static void on_session(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    char path[1024] = "/licences?reference=";

    (void)context;
    if (!answered(answer, 200)) {
        host->finish_by_answer(call, answer); /* 401, 429, 5xx, time-outs …: the host knows */
    } else if (!find_text(answer->body, "token", licence->token, sizeof(licence->token))) {
        finish_odd(call, answer, "the vendor's session has no token");
    } else if (!licence->refund) {
        send_order(call);
    } else if (licence->id[0]) {
        send_return(call);
    } else { /* nobody knows whether there is one: an answer was lost before the refund came */
        add_reference(call, path, sizeof(path), "%%%02X");
        ask(call, "GET", path, NULL, on_found);
    }
}

/* ---- fulfilling: order, key ---- */

static void fulfill_product(const struct fulfill_host *same, struct fulfill_call *call)
{
    (void)same;
    start(call, 0);
}

static void on_order(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));

    (void)context;
    if (!answered(answer, 202))
        host->finish_by_answer(call, answer);
    else if (!find_text(answer->body, "id", licence->id, sizeof(licence->id)))
        finish_odd(call, answer, "the vendor's order has no id");
    else
        on_poll_due(call, NULL);
}

static void on_poll_due(struct fulfill_call *call, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    char path[256] = "/licences/";

    (void)context;
    add_escaped(path, sizeof(path), licence->id, "%%%02X");
    ask(call, "GET", path, NULL, on_key);
}

static void on_key(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    char key[128], result[300];

    (void)context;
    if (!answered(answer, 200)) {
        finish_ordered(call, answer);
    } else if (find_text(answer->body, "key", key, sizeof(key))) {
        snprintf(result, sizeof(result), "{\"licence\":\"%s\",\"key\":\"%s\"}", licence->id, key);
        host->count(call, "keys", 1);
        finish_done(call, result);
    } else if (host->number(call, FULFILL_DEADLINE_MS) < LAST_MOMENT_MS ||
               host->wait(call, POLL_MS, on_poll_due, NULL) != 0) {
        finish_odd(call, answer, "the vendor is still working on it");
    }
}

/* ---- refunding: the licence is given back ---- */

static void refund_product(const struct fulfill_host *same, struct fulfill_call *call)
{
    (void)same;
    start(call, 1);
}

static void on_found(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));

    (void)context;
    if (answered(answer, 404)) /* it was never made */
        finish_done(call, NULL);
    else if (!answered(answer, 200))
        host->finish_by_answer(call, answer);
    else if (!find_text(answer->body, "id", licence->id, sizeof(licence->id)))
        finish_odd(call, answer, "the vendor's licence has no id");
    else
        send_return(call);
}

static void on_returned(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    (void)context;
    if (answered(answer, 204) || answered(answer, 404)) /* 404: returned already */
        finish_done(call, NULL);
    else
        host->finish_by_answer(call, answer);
}

/* ---- the plug-in ---- */

static int supports(const struct fulfill_host *same, const struct fulfill_call *call)
{
    const char *sku = host->text(call, FULFILL_SKU);

    (void)same;
    return sku && strlen(sku) <= MAX_SKU;
}

/* A slip of the pen in [module NAME] is told at the start, not by the first order. */
static const char *check_option(const char *key, const char *value)
{
    if (strcmp(key, "password_file") != 0)
        return "there is no such key: it has password_file";
    return value[0] ? NULL : "expected the path of a file";
}

static const struct fulfill_module licence_module = {
    FULFILL_ABI,  sizeof(struct fulfill_module), "licence", supports, fulfill_product, refund_product, NULL,
    check_option,
};

const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered)
{
    host = offered;
    return &licence_module;
}
