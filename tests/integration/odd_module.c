/*
 * A plug-in for test_failure_matrix.py: does what no well-made module does. The key `does` of its section
 * says what: "nonsense" finishes with a result that means nothing, "refuse" takes no line, anything else is a
 * path that it posts to, leaving all answers but 200 to the host's table.
 */
#include "fulfill/module.h"

#include <string.h>

static const struct fulfill_host *host;

static void on_answer(struct fulfill_call *call, const struct fulfill_answer *answer, void *context)
{
    const struct fulfill_result done = {.size = sizeof(done), .decision = FULFILL_DONE, .retry_after_s = -1};

    (void)context;
    if (answer->status == 200)
        host->finish(call, &done);
    else
        host->finish_by_answer(call, answer);
}

static int supports(const struct fulfill_host *unused, const struct fulfill_call *call)
{
    (void)unused;
    return strcmp(host->option(call, "does"), "refuse") != 0;
}

static void run(const struct fulfill_host *unused, struct fulfill_call *call)
{
    const char *does = host->option(call, "does");
    const struct fulfill_result nonsense = {.size = sizeof(nonsense), .decision = (enum fulfill_decision)77};
    const struct fulfill_request request = {.size = sizeof(request), .method = "POST", .path = does};

    (void)unused;
    if (strcmp(does, "nonsense") == 0)
        host->finish(call, &nonsense);
    else
        host->http(call, &request, on_answer, NULL);
}

static const struct fulfill_module odd = {
    .abi = FULFILL_ABI,
    .size = sizeof(struct fulfill_module),
    .name = "odd",
    .supports = supports,
    .fulfill_product = run,
    .refund_product = run,
};

const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered)
{
    host = offered;
    return &odd;
}
