/* A plug-in as an older header would have made it: a table and a result that end sooner. */
#include "fulfill/module.h"

#include <stddef.h>

/* The table before `cancel` was added, the result before `look_first` was. */
struct older_module {
    uint32_t abi, size;
    const char *name;
    int (*supports)(const struct fulfill_host *host, const struct fulfill_call *call);
    void (*fulfill_product)(const struct fulfill_host *host, struct fulfill_call *call);
    void (*refund_product)(const struct fulfill_host *host, struct fulfill_call *call);
};

static void fulfill_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    /* look_first would be nonsense if the host read beyond the size that is given here. */
    const struct fulfill_result done = {.size = offsetof(struct fulfill_result, look_first),
                                        .decision = FULFILL_DONE,
                                        .look_first = 77,
                                        .result_json = "not json"};

    host->finish(call, &done);
}

static const struct older_module table = {
    .abi = 1,
    .size = sizeof(table),
    .name = "older",
    .fulfill_product = fulfill_product,
    .refund_product = fulfill_product,
};

const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *host)
{
    (void)host;
    return (const struct fulfill_module *)(const void *)&table;
}
