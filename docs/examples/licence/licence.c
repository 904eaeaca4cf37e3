/*
 * An example plug-in: licence keys from a vendor's API, which wants a session token first, then an order, and
 * is asked until the key is there. What each step does is in docs/modules.md.
 */
#include <fulfill/module.h>

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 2000, LAST_MOMENT_MS = 10000 };

/* Kept for one line from its first exchange to its end; the host frees it. */
struct licence {
    char token[128];
    char order[64]; /* the vendor's number */
};

static const struct fulfill_host *host; /* the same for every call */

static void on_token(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_order(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_poll_due(struct fulfill_call *call, void *context);
static void on_key(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);
static void on_returned(struct fulfill_call *call, const struct fulfill_answer *answer, void *context);

/* The text of "name": "…" in a body, as far as it fits. A real plug-in would use a JSON library. */
static int find_text(const struct fulfill_answer *answer, const char *name, char *out, size_t size)
{
    char wanted[40];
    const char *at;
    size_t length;

    snprintf(wanted, sizeof(wanted), "\"%s\":\"", name);
    at = strstr(answer->body, wanted);
    if (!at)
        return 0;
    at += strlen(wanted);
    length = strcspn(at, "\"\\");
    if (length == 0 || length >= size || at[length] != '"')
        return 0;
    memcpy(out, at, length);
    out[length] = '\0';
    return 1;
}

static int answered(const struct fulfill_answer *answer, int status)
{
    return answer->transport == FULFILL_ANSWERED && answer->status == status;
}

/* The vendor answered what it should not: try again later. */
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
    host->finish(call, &result);
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

/* One request; `done` runs later, once. What cannot even be started ends the line. */
static void ask(struct fulfill_call *call, const char *method, const char *path, const char *body,
                fulfill_answer_fn *done)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    struct fulfill_header headers[] = {
        {"Content-Type", body ? "application/json" : NULL},
        {"X-Session", licence && licence->token[0] ? licence->token : NULL},
        /* The vendor makes one licence for one key, however often it is asked. */
        {"Idempotency-Key", host->text(call, FULFILL_IDEMPOTENCY_KEY)},
    };
    struct fulfill_request request = {0};

    request.size = sizeof(request);
    request.method = method;
    request.path = path;
    request.headers = headers;
    request.header_count = sizeof(headers) / sizeof(headers[0]);
    request.body = body;
    request.body_length = body ? strlen(body) : 0;
    if (!licence || host->http(call, &request, done, NULL) != 0) {
        struct fulfill_answer failed = {0};
        failed.size = sizeof(failed);
        failed.transport = FULFILL_HOST_FAILED;
        failed.body = "";
        failed.retry_after_s = -1;
        host->finish_by_answer(call, &failed);
    }
}

/* ---- fulfilling: session, order, key ---- */

static void fulfill_product(const struct fulfill_host *same, struct fulfill_call *call)
{
    const char *secret = host->secret(call, "password_file");
    char body[256];

    (void)same;
    snprintf(body, sizeof(body), "{\"password\":\"%s\"}", secret ? secret : "");
    ask(call, "POST", "/session", body, on_token);
}

static void on_token(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    const char *sku = host->text(call, FULFILL_SKU);
    char body[256];

    (void)context;
    if (!answered(answer, 200)) {
        host->finish_by_answer(call, answer); /* 401, 429, 5xx, time-outs …: the host knows */
        return;
    }
    if (!find_text(answer, "token", licence->token, sizeof(licence->token))) {
        finish_odd(call, answer, "the vendor's session has no token");
        return;
    }
    snprintf(body, sizeof(body), "{\"product\":\"%.60s\",\"reference\":\"%.100s\"}", sku ? sku : "",
             host->text(call, FULFILL_ORDER_NUMBER));
    ask(call, "POST", "/licences", body, on_order);
}

static void on_order(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));

    (void)context;
    if (!answered(answer, 202))
        host->finish_by_answer(call, answer);
    else if (!find_text(answer, "id", licence->order, sizeof(licence->order)))
        finish_odd(call, answer, "the vendor's order has no id");
    else
        on_poll_due(call, NULL);
}

static void on_poll_due(struct fulfill_call *call, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    char path[128];

    (void)context;
    snprintf(path, sizeof(path), "/licences/%s", licence->order);
    ask(call, "GET", path, NULL, on_key);
}

static void on_key(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    struct licence *licence = host->state(call, sizeof(*licence));
    char key[128], result[300];

    (void)context;
    if (!answered(answer, 200)) {
        host->finish_by_answer(call, answer);
    } else if (find_text(answer, "key", key, sizeof(key))) {
        snprintf(result, sizeof(result), "{\"licence\":\"%s\",\"key\":\"%s\"}", licence->order, key);
        host->count(call, "keys", 1);
        finish_done(call, result);
    } else if (host->number(call, FULFILL_DEADLINE_MS) < LAST_MOMENT_MS ||
               host->wait(call, POLL_MS, on_poll_due, NULL) != 0) {
        finish_odd(call, answer, "the vendor is still working on it");
    }
}

/* ---- refunding: the licence that fulfilment returned is given back ---- */

static void refund_product(const struct fulfill_host *same, struct fulfill_call *call)
{
    const char *known = host->text(call, FULFILL_RESULT_JSON);
    struct fulfill_answer kept = {0};
    char order[64], path[128];

    (void)same;
    kept.body = known ? known : "";
    if (!find_text(&kept, "licence", order, sizeof(order))) {
        finish_done(call, NULL); /* nothing was ever made */
        return;
    }
    snprintf(path, sizeof(path), "/licences/%s", order);
    ask(call, "DELETE", path, NULL, on_returned);
}

static void on_returned(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    (void)context;
    if (answered(answer, 404)) /* returned already */
        finish_done(call, NULL);
    else
        host->finish_by_answer(call, answer);
}

/* ---- the plug-in ---- */

static int supports(const struct fulfill_host *same, const struct fulfill_call *call)
{
    (void)same;
    return host->text(call, FULFILL_SKU) != NULL;
}

static const struct fulfill_module licence_module = {
    FULFILL_ABI, sizeof(struct fulfill_module), "licence", supports, fulfill_product, refund_product, NULL,
};

FULFILL_EXPORT const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered);
FULFILL_EXPORT const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered)
{
    host = offered;
    return &licence_module;
}
