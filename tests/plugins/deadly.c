/*
 * A plug-in that harms its worker: the attribute `does` of a line says how. "crash": the process dies of a
 * fault. "hang": the loop never turns again. "leak": 300 MB are
 * never freed. All only while the file of its attribute `while` exists, if it
 * names one. Any other: done at once. With $DEADLY_LOADING set, loading it is deadly already. For
 * test_poison.py and test_supervisor.py of tests/integration.
 */
#include "fulfill/module.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAK_BYTES = 300 * 1000 * 1000 };

static int does(const struct fulfill_host *host, const struct fulfill_call *call, const char *what)
{
    const char *attribute = host->attribute(call, "does");
    const char *file = host->attribute(call, "while");

    return attribute && strcmp(attribute, what) == 0 && (!file || access(file, F_OK) == 0);
}

static void leak(void)
{
    static char *volatile lost;

    lost = malloc(LEAK_BYTES);
    if (lost)
        memset(lost, 1, LEAK_BYTES);
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
        pause();
    if (does(host, call, "leak"))
        leak();
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

const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *offered)
{
    (void)offered;
    if (getenv("DEADLY_LOADING"))
        raise(SIGSEGV);
    return &table;
}
