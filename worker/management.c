/*
 * Reads the documents of RabbitMQ's management API, one after the other, and hands them to
 * management_judge(). Decides which credentials are shown to the API (those of its URI, else those of the
 * AMQP login) and whether an answer can be used: the API knows a new queue by its declaration alone until the
 * queue's first statistics come, within RabbitMQ's collect_statistics_interval (5 s). Called by
 * cmd_check_broker.c and worker_look.c.
 */
#include "worker/management.h"

#include "common/broker_uri.h"
#include "common/jsonx.h"
#include "common/text.h"
#include "worker/topology.h"

#include <stdio.h>
#include <string.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    TIMEOUT_MS = 20 * 1000,
    MAX_ANSWER_BYTES = 32 * 1024 * 1024, /* a virtual host may hold much that is not ours */
    MAX_URL_BYTES = 8192,
    MAX_LOGIN_BYTES = 4096,
    STATISTICS_AGAIN_MS = 500,
    STATISTICS_TRIES = 20, /* twice the interval */
};

struct management {
    const struct settings *settings;
    struct http *http;
    struct http_op op;
    char *base;          /* the URI without its user and last slashes */
    char *vhost;         /* percent-encoded */
    char *authorization; /* the header's value */
    enum management_document document;
    struct loop_timer again; /* asks for the queues again */
    int tries;               /* for the queues' statistics */
    bool canceled;
    json_t *documents[MANAGEMENT_DOCUMENT_COUNT];
    management_finding_fn *on_finding;
    management_done_fn *done;
    void *context;
};

static const struct {
    const char *path;
    bool in_vhost;
    const char *columns; /* NULL: all of it */
    bool privileged;     /* a refusal is no fault */
} documents[] = {
    [MANAGEMENT_OVERVIEW] = {"/api/overview", .columns = "rabbitmq_version"},
    [MANAGEMENT_EXCHANGES] = {"/api/exchanges", true, "name,type,durable,arguments", false},
    [MANAGEMENT_QUEUES] =
        {"/api/queues", true,
         "name,type,durable,state,arguments,policy,operator_policy,effective_policy_definition", false},
    [MANAGEMENT_BINDINGS] = {"/api/bindings", true, "source,destination,destination_type,routing_key", false},
    [MANAGEMENT_NODES] = {"/api/nodes", .columns = "name,running,mem_alarm,disk_free_alarm",
                          .privileged = true},
    [MANAGEMENT_FEATURE_FLAGS] = {"/api/feature-flags", .privileged = true},
};

static void management_free(struct management *management)
{
    if (!management)
        return;
    for (size_t i = 0; i < MANAGEMENT_DOCUMENT_COUNT; i++)
        json_decref(management->documents[i]);
    loop_timer_stop(&management->again);
    http_close(management->http);
    if (management->authorization)
        explicit_bzero(management->authorization, strlen(management->authorization));
    free(management->authorization);
    free(management->base);
    free(management->vhost);
    free(management);
}

/* ---- the address and the login ---- */

static void put_base64(struct text *text, const char *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < length; i += 3) {
        uint32_t three = 0;

        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < length ? (unsigned char)bytes[i + k] : 0U);
        for (size_t k = 0; k < 4; k++)
            text_putc(text, i + k <= length ? digits[three >> (18 - 6 * k) & 63U] : '=');
    }
}

static enum err make_authorization(const char *username, const char *password, char **ret_authorization)
{
    AUTO_TEXT struct text login = TEXT_EMPTY(MAX_LOGIN_BYTES);
    AUTO_TEXT struct text header = TEXT_EMPTY(2 * MAX_LOGIN_BYTES);

    text_printf(&login, "%s:%s", username, password);
    text_puts(&header, "Basic ");
    put_base64(&header, text_peek(&login), login.length);
    if (login.data)
        explicit_bzero(login.data, login.length);
    return login.failed != OK ? login.failed : text_take(&header, ret_authorization, NULL);
}

static enum err encode(const char *text, char **ret_encoded)
{
    AUTO_TEXT struct text encoded = TEXT_EMPTY(MAX_URL_BYTES);

    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
            strchr("-._~", *c))
            text_putc(&encoded, (char)*c);
        else
            text_printf(&encoded, "%%%02X", *c);
    }
    return text_take(&encoded, ret_encoded, NULL);
}

static void decode(char *text)
{
    char *out = text;
    unsigned int byte;

    for (const char *in = text; *in != '\0'; in++, out++) {
        if (*in == '%' && sscanf(in + 1, "%2x", &byte) == 1) {
            *out = (char)byte;
            in += 2;
        } else {
            *out = *in;
        }
    }
    *out = '\0';
}

/* Cuts "user:password@" out of the URI. ret_login: NULL when there is none; owned by the caller. */
static enum err split_uri(struct management *management, char **ret_login)
{
    const char *uri = management->settings->amqp_management_uri;
    const char *host = strstr(uri, "://") + 3; /* settings_check.c has seen to that */
    size_t authority = strcspn(host, "/");
    const char *at = memrchr(host, '@', authority);
    size_t length;

    *ret_login = at ? strndup(host, (size_t)(at - host)) : NULL;
    if (at && !*ret_login)
        return ERR_NOMEM;
    if (asprintf(&management->base, "%.*s%s", (int)(host - uri), uri, at ? at + 1 : host) < 0) {
        management->base = NULL;
        return ERR_NOMEM;
    }
    for (length = strlen(management->base); length > 0 && management->base[length - 1] == '/'; length--)
        management->base[length - 1] = '\0';
    return OK;
}

/* The management URI's own user, else that of amqp.username, else that of the first AMQP URI. */
static enum err login(struct management *management, char *own, const struct broker_uri *broker,
                      struct fault *ret_fault)
{
    const struct settings *settings = management->settings;
    AUTO_FREE char *secret = NULL;
    const char *username = broker->username, *password = broker->password;
    enum err err = OK;

    if (own) {
        char *colon = strchr(own, ':');

        if (colon)
            *colon = '\0';
        decode(own);
        if (colon)
            decode(colon + 1);
        username = own;
        password = colon ? colon + 1 : "";
    } else if (settings->amqp_username) {
        username = settings->amqp_username;
        password = "";
        if (settings->amqp_password_file)
            err = settings_read_secret(settings->amqp_password_file, &secret, ret_fault);
        if (secret)
            password = secret;
    }
    if (err == OK)
        err = make_authorization(username, password, &management->authorization);
    if (secret)
        explicit_bzero(secret, strlen(secret));
    return err;
}

static enum err prepare(struct management *management, struct fault *ret_fault)
{
    AUTO_FREE char *own = NULL;
    struct broker_uri *uris = NULL;
    size_t count = 0;
    enum err err = broker_uri_list_new(management->settings->amqp_uris, &uris, &count, ret_fault);

    if (err != OK)
        return err;
    err = encode(uris[0].vhost, &management->vhost);
    if (err == OK)
        err = split_uri(management, &own);
    if (err == OK)
        err = login(management, own, &uris[0], ret_fault);
    broker_uri_list_free(uris, count);
    if (own)
        explicit_bzero(own, strlen(own));
    return err;
}

/* ---- asking ---- */

static void on_answer(struct http_op *op);

static void ask(struct management *management)
{
    struct http_header headers[] = {{"Authorization", management->authorization},
                                    {"Accept", "application/json"}};
    AUTO_TEXT struct text url = TEXT_EMPTY(MAX_URL_BYTES);
    struct http_request request = {
        .method = "GET",
        .headers = headers,
        .header_count = ARRAY_LEN(headers),
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
    };

    text_printf(&url, "%s%s", management->base, documents[management->document].path);
    if (documents[management->document].in_vhost)
        text_printf(&url, "/%s", management->vhost);
    if (documents[management->document].columns)
        text_printf(&url, "?columns=%s", documents[management->document].columns);
    request.url = text_peek(&url); /* cut off where memory is out: the answer is then a 404 */
    http_start(management->http, &management->op, &request, on_answer);
}

static void end(struct management *management, const struct fault *fault)
{
    management_done_fn *done = management->done;
    void *context = management->context;

    management_free(management);
    done(context, fault);
}

static enum err print_expected(const struct settings *settings, json_t **ret_expected,
                               struct fault *ret_fault)
{
    AUTO_FREE char *bytes = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&bytes, &length);
    enum err err = file ? topology_print_json(file, settings->amqp_prefix, "/") : ERR_NOMEM;

    if (file && fclose(file) != 0 && err == OK)
        err = ERR_NOMEM;
    if (err == OK)
        err = jsonx_load(bytes, length, MAX_ANSWER_BYTES, ret_expected, ret_fault);
    else
        *ret_fault = fault_of(err);
    return err;
}

static void judge(struct management *management)
{
    AUTO_JSON json_t *expected = NULL;
    struct fault fault = fault_of(OK);

    if (print_expected(management->settings, &expected, &fault) == OK)
        management_judge(expected, management->settings->amqp_prefix, management->documents,
                         management->on_finding, management->context);
    end(management, &fault);
}

/* What is wrong with an answer; OK when it is a document. */
static struct fault fault_of_answer(const struct management *management, const struct http_op *op)
{
    const char *path = documents[management->document].path;

    if (management->canceled)
        return fault_make(ERR_CANCELED, "canceled");
    if (op->outcome != HTTP_ANSWERED)
        return fault_make(ERR_NETWORK, "%s%s%s", http_outcome_text(op->outcome), op->detail[0] ? ": " : "",
                          op->detail);
    if (op->status == 401)
        return fault_make(ERR_CONFIG,
                          "%s answers 401: user or password are wrong, or the user has no 'management' tag",
                          path);
    if (op->status != 200)
        return fault_make(ERR_REFUSED, "%s answers %d", path, op->status);
    return fault_of(OK);
}

/* Whether the policies of all of our queues show yet. */
static bool has_statistics(const struct management *management)
{
    const char *prefix = management->settings->amqp_prefix;
    size_t length = strlen(prefix), i;
    json_t *queue;

    json_array_foreach(management->documents[MANAGEMENT_QUEUES], i, queue)
    {
        const char *name = json_string_value(json_object_get(queue, "name"));

        if (name && strncmp(name, prefix, length) == 0 && name[length] == '.' &&
            !json_object_get(queue, "state"))
            return false;
    }
    return true;
}

static void on_again(struct loop_timer *timer)
{
    struct management *management = container_of(timer, struct management, again);
    struct fault fault = fault_make(ERR_CANCELED, "canceled");

    if (management->canceled) {
        end(management, &fault);
        return;
    }
    json_decref(TAKE(management->documents[MANAGEMENT_QUEUES]));
    ask(management);
}

static void on_answer(struct http_op *op)
{
    struct management *management = container_of(op, struct management, op);
    struct fault fault = fault_of_answer(management, op);
    bool not_for_us = fault.code != ERR_CANCELED && documents[management->document].privileged &&
                      op->outcome == HTTP_ANSWERED &&
                      (op->status == 401 || op->status == 403 || op->status == 404);

    if (!not_for_us && fault.code == OK) {
        json_t **slot = &management->documents[management->document];

        if (jsonx_load(op->body, op->body_length, MAX_ANSWER_BYTES, slot, &fault) != OK)
            fault = fault_make(ERR_MALFORMED, "%s does not answer JSON: is that RabbitMQ's management API?",
                               documents[management->document].path);
    }
    if (!not_for_us && fault.code != OK)
        end(management, &fault);
    else if (management->document == MANAGEMENT_QUEUES && !has_statistics(management) &&
             ++management->tries < STATISTICS_TRIES)
        loop_timer_start(&management->again, STATISTICS_AGAIN_MS);
    else if (++management->document < MANAGEMENT_DOCUMENT_COUNT)
        ask(management);
    else
        judge(management);
}

struct management *management_check_start(struct loop *loop, const struct settings *settings,
                                          management_finding_fn *on_finding, management_done_fn *done,
                                          void *context, struct fault *ret_fault)
{
    struct management *management = calloc(1, sizeof(*management));
    struct http_options options = {
        .max_connections = 1,
        .ca_file = settings->amqp_tls_ca_file,
        .max_response_bytes = MAX_ANSWER_BYTES,
    };
    enum err err = management ? OK : ERR_NOMEM;

    *ret_fault = fault_of(ERR_NOMEM);
    if (err == OK) {
        management->settings = settings;
        management->on_finding = on_finding;
        management->done = done;
        management->context = context;
        loop_timer_init(&management->again, loop, on_again);
        err = prepare(management, ret_fault);
    }
    if (err == OK) {
        management->http = http_open(loop, &options, ret_fault);
        err = management->http ? OK : ret_fault->code;
    }
    if (err != OK) {
        management_free(management);
        return NULL;
    }
    ask(management);
    return management;
}

void management_cancel(struct management *management)
{
    management->canceled = true;
    if (loop_timer_active(&management->again))
        loop_timer_start(&management->again, 0);
    else
        http_cancel(&management->op);
}
