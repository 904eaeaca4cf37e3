/*
 * Any bytes as the header x-fulfillment-lines: whatever is believed of it can be written and read again.
 * One input is one header value.
 */
#include "common/jsonx.h"
#include "worker/verdict.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { LINES = 4, HEADER_MAX_BYTES = 1 << 20 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void merge(struct line_outcome *lines, const json_t *rows)
{
    for (size_t i = 0; i < LINES; i++)
        lines[i].id = (int64_t)(11 + i);
    line_outcomes_merge(lines, LINES, rows, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct line_outcome first[LINES] = {0}, second[LINES] = {0};
    json_t *rows = NULL, *written;
    char *text, *again;
    struct fault fault;

    if (jsonx_load((const char *)bytes, length, HEADER_MAX_BYTES, &rows, &fault) != OK)
        return 0;
    merge(first, rows);
    text = line_outcomes_text(first, LINES);
    must(text != NULL);
    written = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    must(written != NULL);
    merge(second, written);
    again = line_outcomes_text(second, LINES);
    must(again != NULL && strcmp(text, again) == 0);
    line_outcomes_free(first, LINES);
    line_outcomes_free(second, LINES);
    free(again);
    free(text);
    json_decref(written);
    json_decref(rows);
    return 0;
}
