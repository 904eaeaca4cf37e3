/* The rows of settings.def as data; private to settings*.c. */
#ifndef FULFILLD_WORKER_SETTINGS_TABLE_H
#define FULFILLD_WORKER_SETTINGS_TABLE_H

#include "common/config.h"
#include "worker/settings.h"

struct settings_section {
    const char *name;
    const char *doc;
};

/* General rows (fields of struct settings) first, then those of an upstream (section "lms", fields of struct
 * upstream_settings). Rows of one section stand together. */
extern const struct config_row settings_table_rows[];
extern const size_t settings_table_general_count;
extern const size_t settings_table_count;

extern const struct settings_section settings_table_sections[];
extern const size_t settings_table_section_count;

/* The product classes that have a module unless [modules] says otherwise. */
extern const struct settings_default_mapping {
    const char *product_class;
    const char *module;
} settings_table_mappings[];
extern const size_t settings_table_mapping_count;

#define SETTINGS_UPSTREAM_ROWS      (settings_table_rows + settings_table_general_count)
#define SETTINGS_UPSTREAM_ROW_COUNT (settings_table_count - settings_table_general_count)

/** Checks what no single row can; fault as settings_load(). `config` says on which lines things stand. */
MUST_CHECK enum err settings_check(const struct settings *settings, struct config *config,
                                   struct fault *ret_fault);

#endif
