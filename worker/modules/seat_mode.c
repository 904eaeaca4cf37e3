/*
 * Derives the mode that is bought from the product's attributes. Called by enrollment and entitlement.
 */
#include "seat_mode.h"

#include <string.h>

const char *seat_attribute(const struct fulfill_host *host, const struct fulfill_call *call, const char *name)
{
    const char *value = host->attribute(call, name);

    return value && value[0] != '\0' ? value : NULL;
}

const char *seat_mode(const struct fulfill_host *host, const struct fulfill_call *call)
{
    const char *mode = seat_attribute(host, call, "certificate_type");

    if (!mode)
        mode = seat_attribute(host, call, "seat_type");
    if (!mode)
        return "audit";
    if (strcmp(mode, "professional") == 0 && host->attribute_flag(call, "id_verification_required") != 1)
        return "no-id-professional";
    return mode;
}
