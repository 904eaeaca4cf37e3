/* A plug-in that does what its section's key `does` says: mostly what no module should. */
#include "fulfill/module.h"

#include <stdlib.h>
#include <string.h>

static const struct fulfill_result done = {.size = sizeof(done),
                                           .decision = FULFILL_DONE,
                                           .status = FULFILL_STATUS_COMPLETE,
                                           .retry_after_s = -1,
                                           .result_json = "{\"key\":\"K-1\"}"};
static const struct fulfill_request get = {.size = sizeof(get), .method = "GET", .path = "/thing"};
static const struct fulfill_request post = {.size = sizeof(post), .method = "POST", .path = "/thing"};

static const struct fulfill_host *host;

static int does(const struct fulfill_call *call, const char *what)
{
    const char *option = host->option(call, "does");

    return option && strcmp(option, what) == 0;
}

static void on_answer(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    int *left = host->state(call, sizeof(*left));

    (void)context;
    if (does(call, "twice"))
        host->finish(call, &done);
    if (left && *left > 1) {
        (*left)--;
        return;
    }
    if (answer->transport == FULFILL_ANSWERED && answer->status == 200)
        host->finish(call, &done);
    else
        host->finish_by_answer(call, answer);
    if (host->http(call, &get, on_answer, NULL) == 0) /* after the end: refused */
        abort();
}

static void on_wait(struct fulfill_call *call, void *context)
{
    (void)context;
    host->finish(call, &done);
}

static void finish_with(struct fulfill_call *call, int decision, int status, const char *json)
{
    struct fulfill_result result = done;

    result.decision = (enum fulfill_decision)decision;
    result.status = (enum fulfill_status)status;
    result.result_json = json;
    host->finish(call, &result);
}

static void own_words(struct fulfill_call *call)
{
    struct fulfill_result result = done;

    result.decision = FULFILL_FINAL;
    result.status = FULFILL_STATUS_SERVER;
    result.reason = "sold out";
    result.message = "bell\a and \xff";
    result.result_json = NULL;
    host->finish(call, &result);
}

static void several(struct fulfill_call *call)
{
    int *left = host->state(call, sizeof(*left));

    if (left)
        *left = 3;
    for (int i = 0; i < 3; i++)
        host->http(call, &get, on_answer, NULL);
}

static void fulfill_product(const struct fulfill_host *same, struct fulfill_call *call)
{
    (void)same;
    if (does(call, "nothing"))
        return;
    if (does(call, "leak") && malloc(64) == NULL)
        return;
    if (does(call, "nonsense decision"))
        finish_with(call, 99, FULFILL_STATUS_SERVER, NULL);
    else if (does(call, "nonsense status"))
        finish_with(call, FULFILL_RETRY, FULFILL_STATUS_COMPLETE, NULL);
    else if (does(call, "nonsense json"))
        finish_with(call, FULFILL_DONE, FULFILL_STATUS_COMPLETE, "[1]");
    else if (does(call, "no result"))
        host->finish(call, NULL);
    else if (does(call, "own words"))
        own_words(call);
    else if (does(call, "wait"))
        host->wait(call, 1000, on_wait, NULL);
    else if (does(call, "several"))
        several(call);
    else if (does(call, "post and forget"))
        host->http(call, &post, on_answer, NULL), host->wait(call, 100, on_wait, NULL);
    else
        host->http(call, &post, on_answer, NULL);
}

static void cancel(const struct fulfill_host *same, struct fulfill_call *call)
{
    /* Nothing may be called any more; whoever does is refused. */
    same->finish(call, &done);
}

static int supports(const struct fulfill_host *same, const struct fulfill_call *call)
{
    (void)same;
    return !does(call, "refuse");
}

static const struct fulfill_module table = {
    .abi = FULFILL_ABI,
    .size = sizeof(table),
    .name = "misbehave",
    .supports = supports,
    .fulfill_product = fulfill_product,
    .refund_product = fulfill_product,
    .cancel = cancel,
};

const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered)
{
    host = offered;
    return &table;
}
