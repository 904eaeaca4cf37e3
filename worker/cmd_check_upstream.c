/*
 * `fulfilld check` of modules and upstreams: whether secrets, CA files and plug-ins can be used, and whether
 * each upstream answers and takes our credentials. Decides which request proves that without doing anything:
 * of the LMS the enrollment of a learner who does not exist, which only those may read who may act for
 * learners; of any other upstream its first page. Called by cmd_check.c.
 */
#include "worker/cmd_check.h"
#include "worker/commands.h"
#include "worker/module_host.h"

#include <stdio.h>
#include <string.h>

static const char lms_probe[] =
    "/api/enrollment/v1/enrollment/fulfilld-check,course-v1:fulfilld%2Bcheck%2Bcheck";

struct upstream_check {
    struct check *check;
    const struct upstream_settings *settings;
    struct upstream *upstream;
    struct upstream_call call;
    char what[96];
};

static bool is_lms(const struct upstream_check *self)
{
    return strcmp(self->settings->name, "lms") == 0;
}

static const char *transport_text(enum fulfill_transport transport)
{
    switch (transport) {
    case FULFILL_NO_NAME:
        return "its name is not found";
    case FULFILL_NO_CONNECTION:
        return "no connection";
    case FULFILL_NO_TLS:
        return "no TLS, or its certificate is not trusted";
    case FULFILL_TIMED_OUT:
        return "no answer in time";
    case FULFILL_INVALID:
        return "what it answers is not HTTP";
    case FULFILL_FORBIDDEN_ADDRESS:
        return "it is at a private address, which forbid_private_addresses refuses";
    case FULFILL_TRUNCATED:
    case FULFILL_TOO_BIG:
        return "its answer broke off or is too big";
    case FULFILL_ANSWERED:
    case FULFILL_NOT_SENT:
    case FULFILL_NO_ANSWER:
    case FULFILL_NO_CREDENTIALS:
    case FULFILL_TOKEN_FAILED:
    case FULFILL_TOKEN_REFUSED:
    case FULFILL_HOST_FAILED:
        break;
    }
    return "the connection broke";
}

static void judge_answer(struct upstream_check *self, int status)
{
    const struct upstream_settings *settings = self->settings;
    bool has_credentials = settings->api_key_file || settings->oauth_token_url;

    if (has_credentials && (status == 401 || status == 403))
        check_fail(self->check, self->what,
                   "see api_key_file and the oauth_* settings, or mend them at the API",
                   "%s refuses our credentials (%d)", settings->base_url, status);
    else if (is_lms(self) && status == 404)
        check_fail(self->check, self->what,
                   "see lms.base_url; the service user must be staff at the LMS when no API key is used",
                   "%s answers 404: it has no Enrollment API, or these credentials may not act for learners",
                   settings->base_url);
    else if (status >= 500 || status == 429)
        check_fail(self->check, self->what, "orders wait until it is well; see its own logs", "%s answers %d",
                   settings->base_url, status);
    else if (status >= 300 && status < 400)
        check_fail(self->check, self->what,
                   "set base_url to where it redirects to; redirects are never followed", "%s answers %d",
                   settings->base_url, status);
    else
        check_ok(self->check, self->what, "%s answers%s%s", settings->base_url,
                 settings->oauth_token_url ? ", it gives and takes a token" : "",
                 settings->api_key_file ? ", the API key is not refused" : "");
}

static void fail_token(struct upstream_check *self, const struct fulfill_answer *answer, const char *remedy)
{
    char status[16] = "";

    if (answer->status > 0)
        snprintf(status, sizeof(status), " (%d)", answer->status);
    check_fail(self->check, self->what, remedy, "%s gives no token%s: %s", self->settings->oauth_token_url,
               status, answer->body);
}

static void on_answer(struct upstream_call *call, const struct fulfill_answer *answer)
{
    struct upstream_check *self = container_of(call, struct upstream_check, call);
    const char *url = self->settings->base_url;

    switch (answer->transport) {
    case FULFILL_ANSWERED:
        judge_answer(self, answer->status);
        break;
    case FULFILL_TOKEN_REFUSED:
        fail_token(self, answer, "see oauth_client_id and oauth_client_secret_file");
        break;
    case FULFILL_TOKEN_FAILED:
        fail_token(self, answer, "see oauth_token_url, or wait until it is well");
        break;
    case FULFILL_NO_CREDENTIALS:
        check_fail(self->check, self->what, "set api_key_file or the oauth_* settings",
                   "no credentials are configured");
        break;
    case FULFILL_NO_NAME:
    case FULFILL_NO_CONNECTION:
    case FULFILL_NO_TLS:
    case FULFILL_NOT_SENT:
    case FULFILL_NO_ANSWER:
    case FULFILL_TIMED_OUT:
    case FULFILL_TRUNCATED:
    case FULFILL_TOO_BIG:
    case FULFILL_INVALID:
    case FULFILL_FORBIDDEN_ADDRESS:
    case FULFILL_HOST_FAILED:
        check_fail(self->check, self->what, "see its base_url and ca_file, the network, and whether it runs",
                   "%s: %s%s%s", url, transport_text(answer->transport), call->http.detail[0] ? ": " : "",
                   call->http.detail);
        break;
    }
    upstream_free(TAKE(self->upstream));
}

/* Orders of this API fail at once without credentials: worth a word before the first one does. */
static const uint32_t lms_credentials = FULFILL_WITH_API_KEY | FULFILL_WITH_TOKEN;

static void ask(struct upstream_check *self)
{
    const struct fulfill_request request = {
        .size = sizeof(request),
        .method = "GET",
        .path = is_lms(self) ? lms_probe : "/",
        .credentials = is_lms(self) ? lms_credentials : 0,
    };
    enum err err = upstream_call_init(self->upstream, &self->call, &request, NULL, 0);

    if (err == OK) {
        upstream_call_start(&self->call, true, on_answer);
        return;
    }
    check_fail(self->check, self->what, "see its base_url", "%s", err_text(err));
    upstream_free(TAKE(self->upstream));
}

/* Opens every upstream, and the modules on top of them; the checks run when the loop does. */
static void open_all(struct check *check, struct loop *loop, struct upstream_check *checks)
{
    const struct settings *settings = check->settings;
    const struct upstream_common common = {
        .loop = loop,
        .redis_prefix = settings->redis_prefix,
        .retry_max_delay_ms = settings->retry_max_delay_ms,
    };
    struct upstream **opened = calloc(settings->upstream_count, sizeof(struct upstream *));
    struct fault fault = fault_of(ERR_NOMEM);
    struct module_host *modules;
    size_t count = 0;
    bool all = opened != NULL;

    for (size_t i = 0; opened && i < settings->upstream_count; i++) {
        if (!settings->upstreams[i].base_url)
            continue;
        checks[i] = (struct upstream_check){.check = check, .settings = &settings->upstreams[i]};
        snprintf(checks[i].what, sizeof(checks[i].what), "upstream %s", settings->upstreams[i].name);
        checks[i].upstream = upstream_new(&common, &settings->upstreams[i], &fault);
        if (checks[i].upstream) {
            opened[count++] = checks[i].upstream;
            continue;
        }
        all = false;
        check_fail(check, checks[i].what, "see the files of its section and who may read them", "%s",
                   fault.detail);
        check->status = EXIT_USAGE;
    }
    if (all) {
        modules = module_host_new(loop, settings, opened, count, &fault);
        if (modules) {
            check_ok(check, "modules", "secrets, CA files, modules and plug-ins can be used");
        } else {
            check_fail(check, "modules", "see [modules], [module NAME] and plugins.directory", "%s",
                       fault.detail);
            check->status = EXIT_USAGE;
        }
        module_host_free(modules);
    }
    free(opened);
}

void check_upstreams(struct check *check)
{
    const struct settings *settings = check->settings;
    struct upstream_check *checks = calloc(settings->upstream_count, sizeof(*checks));
    struct loop *loop = loop_new();

    if (!checks || !loop) {
        check_fail(check, "upstreams", "free memory", "%s", err_text(ERR_NOMEM));
    } else {
        open_all(check, loop, checks);
        for (size_t i = 0; i < settings->upstream_count; i++) {
            if (checks[i].upstream)
                ask(&checks[i]);
        }
        loop_run(loop);
    }
    if (loop)
        loop_free(loop);
    free(checks);
}
