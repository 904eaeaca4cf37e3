/*
 * Rows meet entries: sets the fields of a struct from defaults, file and environment, in that order. Decides
 * what wins and what is said when a value is wrong. Lines are config_file.c's, single values
 * config_value.c's. Called by worker/settings.c.
 */
#include "common/config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_SHOWN_BYTES = 80 };

struct fault config_fault(const struct config *config, const struct config_entry *entry, const char *format,
                          ...)
{
    char words[200], value[VALUE_SHOWN_BYTES];
    va_list args;

    va_start(args, format);
    if (vsnprintf(words, sizeof(words), format, args) < 0)
        words[0] = '\0';
    va_end(args);
    if (!entry->key)
        return fault_make(ERR_CONFIG, "%s:%d: [%s]: %s", config->name, entry->line, entry->section, words);
    config_value_redact(entry->value, value, sizeof(value));
    return fault_make(ERR_CONFIG, "%s:%d: %s.%s = %s: %s", config->name, entry->line, entry->section,
                      entry->key, value, words);
}

struct config_entry *config_find(struct config *config, const char *section, const char *key)
{
    for (size_t i = 0; i < config->count; i++) {
        struct config_entry *entry = &config->entries[i];
        bool same_key = key ? entry->key && strcmp(entry->key, key) == 0 : !entry->key;

        if (same_key && strcmp(entry->section, section) == 0) {
            entry->used = true;
            return entry;
        }
    }
    return NULL;
}

const char *config_environment(const char *section, const char *key, char *name, size_t size)
{
    (void)snprintf(name, size, "FULFILLD_%s_%s", section, key);
    for (char *at = name; *at != '\0'; at++)
        *at = isalnum((unsigned char)*at) ? (char)toupper((unsigned char)*at) : '_';
    return getenv(name);
}

static void *field_of(const struct config_row *row, void *target)
{
    return (char *)target + row->offset;
}

static bool is_owned(enum config_type type)
{
    return type == CONFIG_TEXT || type == CONFIG_PATH || type == CONFIG_LIST || type == CONFIG_ADDRESS;
}

/* The field of a row without default. */
static void set_none(const struct config_row *row, void *target)
{
    switch (row->type) {
    case CONFIG_COUNT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        *(int64_t *)field_of(row, target) = -1;
        break;
    case CONFIG_RATE:
        *(double *)field_of(row, target) = -1;
        break;
    case CONFIG_CHOICE:
        *(int *)field_of(row, target) = -1;
        break;
    case CONFIG_BOOLEAN:
        *(bool *)field_of(row, target) = false;
        break;
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_LIST:
    case CONFIG_ADDRESS:
        *(char **)field_of(row, target) = NULL;
        break;
    }
}

static MUST_CHECK enum err apply_entry(const struct config *config, const struct config_row *row,
                                       const struct config_entry *entry, void *target,
                                       struct fault *ret_fault)
{
    struct fault allowed;
    enum err err;

    if (entry->continued_line != 0 && row->type != CONFIG_LIST) {
        *ret_fault =
            config_fault(config, entry, "goes on on line %d, which begins with a blank; only lists may",
                         entry->continued_line);
        return ERR_CONFIG;
    }
    if (entry->value[0] == '\0' && !row->initial)
        return OK; /* what has no default may be left empty */
    err = config_value_read(row, entry->value, field_of(row, target), &allowed);
    if (err == ERR_CONFIG)
        *ret_fault = config_fault(config, entry, "expected %s", allowed.detail);
    else if (err != OK)
        *ret_fault = allowed;
    return err;
}

static MUST_CHECK enum err apply_row(struct config *config, const struct config_row *row, const char *section,
                                     bool environment, void *target, struct fault *ret_fault)
{
    const struct config_entry *entry = config_find(config, section, row->key);
    char name[160], shown[VALUE_SHOWN_BYTES];
    const char *value = environment ? config_environment(section, row->key, name, sizeof(name)) : NULL;
    struct fault allowed;
    enum err err;

    set_none(row, target);
    if (!value && entry)
        return apply_entry(config, row, entry, target, ret_fault);
    if (!row->initial && (!value || value[0] == '\0'))
        return OK;
    err = config_value_read(row, value ? value : row->initial, field_of(row, target), &allowed);
    if (err == OK)
        return OK;
    config_value_redact(value ? value : row->initial, shown, sizeof(shown));
    if (err == ERR_CONFIG)
        *ret_fault =
            fault_make(ERR_CONFIG, "%s %s = %s (%s.%s): expected %s", value ? "environment" : "default",
                       value ? name : "", shown, section, row->key, allowed.detail);
    else
        *ret_fault = allowed;
    return err;
}

MUST_CHECK enum err config_apply(struct config *config, const struct config_row *rows, size_t row_count,
                                 const char *row_section, const char *section, bool environment, void *target,
                                 struct fault *ret_fault)
{
    for (size_t i = 0; i < row_count; i++) {
        enum err err = OK;

        if (strcmp(rows[i].section, row_section) == 0)
            err = apply_row(config, &rows[i], section, environment, target, ret_fault);
        if (err != OK)
            return err;
    }
    return OK;
}

void config_clear(const struct config_row *rows, size_t row_count, const char *row_section, void *target)
{
    for (size_t i = 0; i < row_count; i++) {
        if (!is_owned(rows[i].type) || (row_section && strcmp(rows[i].section, row_section) != 0))
            continue;
        free(*(char **)field_of(&rows[i], target));
        *(char **)field_of(&rows[i], target) = NULL;
    }
}
