/* The texts of a ledger entry, packed into one block. Between ledger.c and ledger_dump.c. */
#ifndef LMS_LEDGER_TEXT_H
#define LMS_LEDGER_TEXT_H

#include "ledger.h"

enum ledger_text {
    LEDGER_METHOD,
    LEDGER_URL,
    LEDGER_KIND,
    LEDGER_USER,
    LEDGER_COURSE,
    LEDGER_MODE,
    LEDGER_ORDER,
    LEDGER_HEADERS,
    LEDGER_BODY,
    LEDGER_RULE,
};

/** The text, or NULL when it was not said. */
static inline const char *ledger_text(const struct ledger_entry *entry, enum ledger_text which)
{
    return entry->at[which] ? entry->block + entry->at[which] : NULL;
}

#endif
