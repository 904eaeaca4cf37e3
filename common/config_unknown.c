/*
 * Entries that nobody took: which section or key was probably meant, and what there is. Called last, by
 * worker/settings.c through config_check_unused().
 */
#include "common/config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 48, NEAR_ENOUGH = 3, WORDS_BYTES = 140 };

/* How many letters must be added, dropped or changed to get from one name to the other, in any case. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1], a_length = strlen(a), b_length = strlen(b);

    if (a_length > NAME_MAX_BYTES || b_length > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            size_t best = diagonal + (same ? 0 : 1);

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b_length];
}

/* Names met so far: the nearest to what was written, and all of them as a list. */
struct names {
    const char *written;
    const char *nearest;
    size_t nearest_distance;
    char list[WORDS_BYTES];
    bool cut; /* there are more */
};

static void consider(struct names *names, const char *name, const char *shown)
{
    size_t away = distance(names->written, name), length = strlen(names->list);
    bool fits = length + strlen(shown) + sizeof(", , …") <= sizeof(names->list);

    if (away <= NEAR_ENOUGH && away < names->nearest_distance) {
        names->nearest = shown;
        names->nearest_distance = away;
    }
    if (names->cut)
        return;
    names->cut = !fits;
    (void)snprintf(names->list + length, sizeof(names->list) - length, "%s%s", length > 0 ? ", " : "",
                   fits ? shown : "…");
}

static struct fault tell(const struct config *config, const struct config_entry *entry,
                         const struct names *names, const char *kind)
{
    if (names->nearest)
        return config_fault(config, entry, "unknown %s; did you mean %s? Known are %s", kind, names->nearest,
                            names->list);
    return config_fault(config, entry, "unknown %s; known are %s", kind, names->list);
}

/* The rows' section that the entry's section takes its keys from, or NULL when there is no such section. */
static const char *find_row_section(const char *section, const struct config_row *rows, size_t row_count,
                                    const struct config_named *named, size_t named_count)
{
    for (size_t i = 0; i < named_count; i++) {
        size_t length = strlen(named[i].prefix);

        if (named[i].row_section && strncmp(section, named[i].prefix, length) == 0 && section[length] == ' ')
            return named[i].row_section;
    }
    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].section, section) == 0)
            return rows[i].section;
    }
    return NULL;
}

MUST_CHECK enum err config_check_unused(const struct config *config, const struct config_row *rows,
                                        size_t row_count, const struct config_named *named,
                                        size_t named_count, struct fault *ret_fault)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct config_entry *entry = &config->entries[i];
        const char *row_section = find_row_section(entry->section, rows, row_count, named, named_count);
        struct names names = {.written = entry->key && row_section ? entry->key : entry->section,
                              .nearest_distance = NAME_MAX_BYTES};

        if (entry->used || (!entry->key && row_section))
            continue;
        for (size_t j = 0; j < row_count; j++) {
            bool first = j == 0 || strcmp(rows[j].section, rows[j - 1].section) != 0;

            if (row_section && strcmp(rows[j].section, row_section) == 0)
                consider(&names, rows[j].key, rows[j].key);
            else if (!row_section && first)
                consider(&names, rows[j].section, rows[j].section);
        }
        for (size_t j = 0; !row_section && j < named_count; j++)
            consider(&names, named[j].prefix, named[j].shown);
        *ret_fault = tell(config, entry, &names, row_section ? "key" : "section");
        return ERR_CONFIG;
    }
    return OK;
}
