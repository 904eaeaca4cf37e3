/*
 * Configuration files: INI text into entries, and rows of a table that say which keys exist, their types,
 * ranges and defaults. Every fault names file, line, section.key, the value and what is allowed.
 *
 * The table of fulfilld is worker/settings.def; nothing here knows a setting.
 */
#ifndef FULFILLD_COMMON_CONFIG_H
#define FULFILLD_COMMON_CONFIG_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

/* What a value may be, and the field it is stored in. */
enum config_type {
    CONFIG_COUNT,    /* int64_t: an integer from min to max; a row's `choices` is a word that stands for 0 */
    CONFIG_RATE,     /* double: a decimal number from min to max */
    CONFIG_DURATION, /* int64_t milliseconds: 200ms, 5s, 10m, 48h, 90d; min and max in milliseconds */
    CONFIG_SIZE,     /* int64_t bytes: 512, 64k, 1m, 2g; min and max in bytes */
    CONFIG_BOOLEAN,  /* bool: yes, no, true, false, on, off */
    CONFIG_TEXT,     /* char *: any text; NULL when empty; max is its length in bytes, 0 = no limit */
    CONFIG_PATH,     /* char *: a path, relative to the working directory; NULL when empty */
    CONFIG_LIST,     /* char *: items without blanks, stored as "a,b,c"; NULL when empty */
    CONFIG_CHOICE,   /* int: the position of the value among `choices` */
    CONFIG_ADDRESS   /* char *: host:port or [IPv6]:port; NULL when empty */
};

struct config_row {
    const char *section;
    const char *key;
    enum config_type type;
    const char *initial; /* the default, as it would stand in the file; NULL = none (numbers: stored as -1),
                          and the value may be left empty */
    int64_t min, max;
    const char *choices; /* "a|b|c"; NULL = none */
    bool reloadable;     /* SIGHUP is enough; otherwise a restart is needed */
    const char *doc;     /* one or more sentences */
    size_t offset;       /* of the field in the target struct */
};

/* One key = value of the file, or the head of a section. */
struct config_entry {
    char *section;      /* as written, e.g. "amqp", "upstream partner" */
    char *key;          /* NULL = this is the section's head */
    char *value;        /* a value that goes on on indented lines is joined by single spaces */
    int line;           /* from 1 */
    int continued_line; /* the first line it goes on on, 0 = none; only lists may */
    bool used;          /* some row or some caller has taken it */
};

struct config {
    char *name; /* of the file, for faults */
    struct config_entry *entries;
    size_t count;
};

/** The whole file, at most 1 MiB, NUL-terminated. ERR_CONFIG names the file and why. */
MUST_CHECK enum err config_read_file(const char *path, char **ret_text, size_t *ret_length,
                                     struct fault *ret_fault);

/** Entries in the file's order. ERR_CONFIG for what is no INI, a key given twice … */
MUST_CHECK enum err config_parse(const char *name, const char *text, size_t length,
                                 struct config **ret_config, struct fault *ret_fault);
void config_free(struct config *config);

/**
 * Sets the fields of `target` from the rows' defaults, the entries of `section`, and (when `environment`) the
 * variables FULFILLD_<SECTION>_<KEY>, which win. Strings are new; config_clear() frees them.
 * @param rows     those whose section equals `row_section`
 * @param section  the name in the file, e.g. "upstream partner" for rows of "lms"
 */
MUST_CHECK enum err config_apply(struct config *config, const struct config_row *rows, size_t row_count,
                                 const char *row_section, const char *section, bool environment, void *target,
                                 struct fault *ret_fault);
/** Frees the strings of rows of that section (NULL = of every section). */
void config_clear(const struct config_row *rows, size_t row_count, const char *row_section, void *target);

/* Sections that several may have of, "[upstream NAME]", with the rows they take. */
struct config_named {
    const char *prefix;      /* "upstream" */
    const char *shown;       /* "upstream NAME" */
    const char *row_section; /* "lms"; NULL = any key, or (no named section) the caller's own */
};

/** ERR_CONFIG when an entry was not used: an unknown section or key, with the nearest name there is. */
MUST_CHECK enum err config_check_unused(const struct config *config, const struct config_row *rows,
                                        size_t row_count, const struct config_named *named,
                                        size_t named_count, struct fault *ret_fault);

/** Fault "NAME:LINE: SECTION.KEY = VALUE: WORDS" about an entry; passwords in URLs are hidden. */
struct fault config_fault(const struct config *config, const struct config_entry *entry, const char *format,
                          ...) PRINTF_LIKE(3, 4);

/** The value of FULFILLD_<SECTION>_<KEY> in upper case, or NULL; what is no letter or digit becomes "_".
 * @param name  receives the variable's name */
const char *config_environment(const char *section, const char *key, char *name, size_t size);

/** The entry (key NULL: the section's first head), marked as used, or NULL. */
struct config_entry *config_find(struct config *config, const char *section, const char *key);

/**
 * Reads one value by its row into `field` (what the type says above); nothing is freed.
 * On ERR_CONFIG ret_allowed says what is allowed ("a duration from 1s to 1h, as in 200ms, 5s, 10m, 48h,
 * 90d").
 */
MUST_CHECK enum err config_value_read(const struct config_row *row, const char *value, void *field,
                                      struct fault *ret_allowed);
/** What a row allows, in words; written into out. */
void config_value_allowed(const struct config_row *row, char *out, size_t size);
/** A copy of `value` for a fault: cut, printable, without user information in a URL. */
void config_value_redact(const char *value, char *out, size_t size);

#endif
