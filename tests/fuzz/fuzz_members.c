/*
 * Any bytes as an upstream's answer: the reader of single members and jansson see the same in them.
 */
#include "fuzz.h"

#include "support/members_oracle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (members_oracle((const char *)bytes, length))
        abort();
    return 0;
}
