/* Plug-ins that cannot be loaded; which one is chosen when it is compiled. */
#include "fulfill/module.h"

#include <stddef.h>

static void fulfill_product(const struct fulfill_host *host, struct fulfill_call *call)
{
    (void)host;
    (void)call;
}

#ifndef ODD_ABI
#define ODD_ABI FULFILL_ABI
#endif
#ifndef ODD_SIZE
#define ODD_SIZE sizeof(struct fulfill_module)
#endif
#ifndef ODD_NAME
#define ODD_NAME "odd"
#endif
#ifndef ODD_TABLE
#define ODD_TABLE &table
#endif

static const struct fulfill_module table __attribute__((unused)) = {
    .abi = ODD_ABI,
    .size = ODD_SIZE,
    .name = ODD_NAME,
    .fulfill_product = fulfill_product,
    .refund_product = fulfill_product,
};

#ifndef ODD_NO_ENTRY
const struct fulfill_module *fulfill_module_entry(const struct fulfill_host *host)
{
    (void)host;
    return ODD_TABLE;
}
#endif
