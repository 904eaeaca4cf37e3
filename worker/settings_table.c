/*
 * settings.def as rows for common/config.h, and the default modules. Data only; read by settings.c (to load)
 * and settings_print.c (to document).
 */
#include "worker/settings_table.h"

#define YES true
#define NO  false

/* The name of the field that settings.h made of a row. */
#define FIELD_COUNT(field)    field
#define FIELD_RATE(field)     field
#define FIELD_DURATION(field) field##_ms
#define FIELD_SIZE(field)     field##_bytes
#define FIELD_BOOLEAN(field)  field
#define FIELD_TEXT(field)     field
#define FIELD_PATH(field)     field
#define FIELD_LIST(field)     field
#define FIELD_CHOICE(field)   field
#define FIELD_ADDRESS(field)  field

const struct config_row settings_table_rows[] = {
#define SECTION(name, words)
#define SETTING(section_name, key_name, kind, value, low, high, words, reload, text)                         \
    {.section = #section_name,                                                                               \
     .key = #key_name,                                                                                       \
     .type = CONFIG_##kind,                                                                                  \
     .initial = value,                                                                                       \
     .min = low,                                                                                             \
     .max = high,                                                                                            \
     .choices = words,                                                                                       \
     .reloadable = reload,                                                                                   \
     .doc = text,                                                                                            \
     .offset = offsetof(struct settings, FIELD_##kind(section_name##_##key_name))},
#define UPSTREAM_SETTING(key_name, kind, value, low, high, words, text)
#include "worker/settings.def"
#undef SETTING
#undef UPSTREAM_SETTING
#define SETTING(section_name, key_name, kind, value, low, high, words, reload, text)
#define UPSTREAM_SETTING(key_name, kind, value, low, high, words, text)                                      \
    {.section = "lms",                                                                                       \
     .key = #key_name,                                                                                       \
     .type = CONFIG_##kind,                                                                                  \
     .initial = value,                                                                                       \
     .min = low,                                                                                             \
     .max = high,                                                                                            \
     .choices = words,                                                                                       \
     .reloadable = true,                                                                                     \
     .doc = text,                                                                                            \
     .offset = offsetof(struct upstream_settings, FIELD_##kind(key_name))},
#include "worker/settings.def"
#undef SECTION
#undef SETTING
#undef UPSTREAM_SETTING
};
const size_t settings_table_count = ARRAY_LEN(settings_table_rows);

const size_t settings_table_general_count = 0
#define SECTION(name, words)
#define SETTING(section_name, key_name, kind, value, low, high, words, reload, text) +1
#define UPSTREAM_SETTING(key_name, kind, value, low, high, words, text)
#include "worker/settings.def"
#undef SECTION
#undef SETTING
#undef UPSTREAM_SETTING
    ;

const struct settings_section settings_table_sections[] = {
#define SECTION(section_name, words) {#section_name, words},
#define SETTING(section_name, key_name, kind, value, low, high, words, reload, text)
#define UPSTREAM_SETTING(key_name, kind, value, low, high, words, text)
#include "worker/settings.def"
#undef SECTION
#undef SETTING
#undef UPSTREAM_SETTING
};
const size_t settings_table_section_count = ARRAY_LEN(settings_table_sections);

const struct settings_default_mapping settings_table_mappings[] = {
    {"Seat", "enrollment"}, {"Course Entitlement", "entitlement"}, {"Coupon", "none"},
    {"Donation", "none"},   {"Enrollment Code", "none"},
};
const size_t settings_table_mapping_count = ARRAY_LEN(settings_table_mappings);
