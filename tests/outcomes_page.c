/* Prints the table of outcomes as Markdown, for docs/failures.md. Run by tests/outcomes-page. */
#include "worker/outcome.h"

#include <stdbool.h>
#include <stdio.h>

static const char *decision_words(const struct outcome_row *row)
{
    switch (row->decision) {
    case FULFILL_DONE:
        return "done";
    case FULFILL_RETRY:
        return row->look == FULFILL_LOOK_NOW    ? "look now, else again"
               : row->look == FULFILL_LOOK_NEXT ? "again, looking first"
                                                : "again";
    case FULFILL_RETRY_FEW:
        return row->look == FULFILL_LOOK_NOW ? "look now, else a few times" : "a few times";
    case FULFILL_FINAL:
        return row->look == FULFILL_LOOK_NOW ? "look now, else final" : "final";
    case FULFILL_WAIT:
        return "the pool waits";
    case FULFILL_PAUSE:
        return "breaker opens";
    }
    return "";
}

static const char *status_words(enum fulfill_status status)
{
    switch (status) {
    case FULFILL_STATUS_COMPLETE:
        return "Complete";
    case FULFILL_STATUS_CONFIGURATION:
        return "Configuration Error";
    case FULFILL_STATUS_NETWORK:
        return "Network Error";
    case FULFILL_STATUS_TIMEOUT:
        return "Timeout Error";
    case FULFILL_STATUS_SERVER:
        return "Server Error";
    }
    return "";
}

static const char *operation_words(unsigned operations)
{
    switch (operations) {
    case OUTCOME_OP_FULFILL:
        return "fulfil";
    case OUTCOME_OP_REFUND:
        return "refund";
    case OUTCOME_OP_LOOKUP:
        return "look-up";
    case OUTCOME_OP_BOTH:
        return "fulfil, refund";
    default:
        return "all";
    }
}

/* What the row looks for, beside its words. */
static void print_where(const struct outcome_row *row)
{
    if (row->where == OUTCOME_SENT_NOTHING) {
        printf("no request");
        return;
    }
    if (row->transport == FULFILL_TOKEN_FAILED || row->transport == FULFILL_TOKEN_REFUSED)
        printf("token endpoint");
    else if (row->transport != FULFILL_ANSWERED)
        printf("no answer");
    else if (row->from == row->to)
        printf("%d", row->from);
    else
        printf("%d–%d", row->from, row->to);
    if (row->match == OUTCOME_SAYS)
        printf(" “%s”", row->text);
    if (row->match == OUTCOME_AFTER)
        printf(" with Retry-After");
}

int main(void)
{
    const char *module = "";

    for (size_t i = 0; i < outcome_row_count; i++) {
        const struct outcome_row *row = &outcome_rows[i];
        if (row->module != module && (i == 0 || row->module[0] != module[0] || row->module[1] != module[1])) {
            module = row->module;
            printf("\n### %s\n\n", module);
            printf("| row | for | answer | means | becomes | reason | line status | attempt | breaker | what "
                   "to do | test |\n");
            printf("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
        }
        bool costs =
            row->decision != FULFILL_DONE && row->decision != FULFILL_WAIT && row->decision != FULFILL_PAUSE;
        printf("| `%s` | %s | ", row->id, operation_words(row->operations));
        print_where(row);
        printf(" | %s | %s | %s%s%s | %s | %s | %s | %s | @%s@ |\n", row->when, decision_words(row),
               row->reason[0] ? "`" : "", row->reason, row->reason[0] ? "`" : "", status_words(row->status),
               costs ? "1" : "0",
               row->decision == FULFILL_PAUSE          ? "opens"
               : row->decision == FULFILL_WAIT         ? "–"
               : row->health == FULFILL_HEALTH_BAD     ? "counts"
               : row->health == FULFILL_HEALTH_UNKNOWN ? "–"
                                                       : "good",
               row->remedy, row->id);
    }
    return 0;
}
