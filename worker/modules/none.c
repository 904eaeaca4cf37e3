/*
 * Products whose goods are made elsewhere (coupons, donations): nothing is asked, every line completes.
 */
#include "fulfill/module.h"
#include "options.h"

static void complete(const struct fulfill_host *host, struct fulfill_call *call)
{
    const struct fulfill_result done = {
        .size = sizeof(done),
        .decision = FULFILL_DONE,
        .status = FULFILL_STATUS_COMPLETE,
        .health = FULFILL_HEALTH_UNKNOWN,
        .retry_after_s = -1,
    };

    host->finish(call, &done);
}

extern const struct fulfill_module module_none;
const struct fulfill_module module_none = {
    .abi = FULFILL_ABI,
    .size = sizeof(struct fulfill_module),
    .name = "none",
    .fulfill_product = complete,
    .refund_product = complete,
    .check_option = options_check_none,
};
