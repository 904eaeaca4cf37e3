/*
 * The settings of fulfilld: rows of settings.def as one struct, the upstreams and the modules. Read-only once
 * loaded; a reload makes a new one. Called by every process at its start and by the master on SIGHUP.
 */
#ifndef FULFILLD_WORKER_SETTINGS_H
#define FULFILLD_WORKER_SETTINGS_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* How each type of settings.def is stored; durations are milliseconds and sizes bytes (in its name). */
#define SETTINGS_FIELD_COUNT(field)    int64_t field;
#define SETTINGS_FIELD_RATE(field)     double field;
#define SETTINGS_FIELD_DURATION(field) int64_t field##_ms;
#define SETTINGS_FIELD_SIZE(field)     int64_t field##_bytes;
#define SETTINGS_FIELD_BOOLEAN(field)  bool field;
#define SETTINGS_FIELD_TEXT(field)     char *field; /* NULL = empty */
#define SETTINGS_FIELD_PATH(field)     char *field; /* NULL = empty */
#define SETTINGS_FIELD_LIST(field)     char *field; /* "a,b,c" */
#define SETTINGS_FIELD_CHOICE(field)   int field;   /* an enum named in the row's comment */
#define SETTINGS_FIELD_ADDRESS(field)  char *field; /* NULL = empty */

/* One [lms] or [upstream NAME]. */
struct upstream_settings {
    char *name; /* "lms" or NAME */
#define SECTION(name, doc)
#define SETTING(section, key, type, initial, min, max, choices, reload, doc)
#define UPSTREAM_SETTING(key, type, initial, min, max, choices, doc) SETTINGS_FIELD_##type(key)
#include "worker/settings.def"
#undef SECTION
#undef SETTING
#undef UPSTREAM_SETTING
};

struct settings_pair {
    char *key;
    char *value;
    int line; /* of the file; 0 = a default */
};

/* One [module NAME]: a module of its own, made from a built-in or plugged-in type. */
struct module_settings {
    char *name;
    char *type; /* "webhook", "enrollment", or the name of a plug-in; NAME itself when not given */
    struct settings_pair *pairs; /* all other keys, in the file's order; not checked here */
    size_t pair_count;
};

struct settings {
#define SECTION(name, doc)
#define SETTING(section, key, type, initial, min, max, choices, reload, doc)                                 \
    SETTINGS_FIELD_##type(section##_##key)
#define UPSTREAM_SETTING(key, type, initial, min, max, choices, doc)
#include "worker/settings.def"
#undef SECTION
#undef SETTING
#undef UPSTREAM_SETTING
    struct upstream_settings *upstreams; /* [0] is the LMS's; its base_url may be NULL */
    size_t upstream_count;
    struct module_settings *modules;
    size_t module_count;
    struct settings_pair *mappings; /* [modules]: product class → module, defaults included */
    size_t mapping_count;
};

enum { SETTINGS_SECRET_MAX_BYTES = 65536 };

/**
 * Reads and checks a file together with the environment.
 * @return NULL with ret_fault: ERR_CONFIG naming file, line, key, value and what is allowed; ERR_NOMEM
 */
struct settings *settings_load(const char *path, struct fault *ret_fault);
/** The same from text; `name` stands in faults for the file. */
struct settings *settings_load_text(const char *name, const char *text, size_t length,
                                    struct fault *ret_fault);
void settings_free(struct settings *settings);

/** The module of a product class, or NULL when there is none. */
const char *settings_module_for(const struct settings *settings, const char *product_class);
/** By name ("lms" or that of an [upstream NAME]), or NULL. */
const struct upstream_settings *settings_upstream(const struct settings *settings, const char *name);
/** A key's value in a [module NAME], or NULL. */
const char *settings_module_value(const struct module_settings *module, const char *key);

/**
 * Reads a secret file: at most SETTINGS_SECRET_MAX_BYTES, line ends at its end dropped, not empty, no NUL.
 * Without a path there is none: ret_secret stays as it is.
 * The caller frees it (explicit_bzero first is welcome) and never logs it.
 */
MUST_CHECK enum err settings_read_secret(const char *path, char **ret_secret, struct fault *ret_fault);

/** The reference as an INI file in which every key stands with its default, commented out. */
void settings_print_reference(FILE *out);
/** The same as Markdown: docs/configuration.md. */
void settings_print_markdown(FILE *out);

#endif
