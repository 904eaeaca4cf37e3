/*
 * Finds an embedded script by name. The table itself is generated from worker/scripts/ at build time.
 * Called by the ledger and by whoever else runs a script.
 */
#include "worker/scripts.h"

#include <assert.h>
#include <string.h>

const struct store_script *scripts_find(const char *name)
{
    for (size_t i = 0; i < scripts_count; i++) {
        if (strcmp(scripts_table[i].name, name) == 0)
            return &scripts_table[i];
    }
    assert(!"a script of this name exists");
    return NULL;
}
