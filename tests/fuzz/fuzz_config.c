/*
 * Any bytes as a configuration file: refused with clean words, or read.
 * One input is one file.
 */
#include "common/text.h"
#include "worker/settings.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct fault fault = fault_of(OK);
    struct settings *settings = settings_load_text("fulfilld.ini", (const char *)bytes, length, &fault);

    if (!settings && (fault.code != ERR_CONFIG || !fault.detail[0] ||
                      !text_utf8_valid(fault.detail, strlen(fault.detail))))
        abort();
    settings_free(settings);
    return 0;
}
