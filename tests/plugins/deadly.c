/*
 * A plug-in that harms its worker: the attribute `does` of a line says how. "crash": the process dies of a fault.
 * "hang": the loop never turns again. Any other: done at once. For tests/integration/test_poison.py.
 */
#include "fulfill/module.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static int does(const struct fulfill_host *host, const struct fulfill_call *call, const char *what)
{
    const char *attribute = host->attribute(call, "does");

    return attribute && strcmp(attribute, what) == 0;
}

static void fulfill_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    static const struct fulfill_result done = {.size = sizeof(done),
                                               .decision = FULFILL_DONE,
                                               .status = FULFILL_STATUS_COMPLETE,
                                               .retry_after_s = -1};

    if (does(host, call, "crash"))
        raise(SIGSEGV);
    while (does(host, call, "hang"))
        sleep(1000);
    host->finish(call, &done);
}

static int supports(const struct fulfill_host *host, const struct fulfill_call *call)
{
    (void)host, (void)call;
    return 1;
}

static const struct fulfill_module table = {
    .abi = FULFILL_ABI,
    .size = sizeof(table),
    .name = "deadly",
    .supports = supports,
    .fulfill_product = fulfill_product,
    .refund_product = fulfill_product,
};

FULFILL_EXPORT fulfill_module_entry_fn fulfill_module_entry;
const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered)
{
    (void)offered;
    return &table;
}
