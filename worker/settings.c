/*
 * Loads the settings: file and environment into struct settings, with the upstreams, modules and mappings of
 * the named sections. What only makes sense together is checked in settings_check.c; documents are made in
 * settings_print.c. Called by every process at its start and by the master on SIGHUP.
 */
#include "worker/settings_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 40 };

/* The name in "[KIND name]", or NULL when the section is of another kind. */
static const char *name_of(const char *section, const char *kind)
{
    size_t length = strlen(kind);

    if (strncmp(section, kind, length) != 0 || section[length] != ' ')
        return NULL;
    return section + length + strspn(section + length, " ");
}

static bool is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= NAME_MAX_BYTES && name[length] == '\0';
}

static MUST_CHECK enum err fail_memory(struct fault *ret_fault)
{
    *ret_fault = fault_of(ERR_NOMEM);
    return ERR_NOMEM;
}

/* ---- upstreams ---- */

static MUST_CHECK enum err add_upstream(struct settings *settings, struct config *config, const char *section,
                                        const char *name, bool environment, struct fault *ret_fault)
{
    struct upstream_settings *upstreams =
        reallocarray(settings->upstreams, settings->upstream_count + 1, sizeof(*upstreams));
    struct upstream_settings *upstream;
    enum err err;

    if (!upstreams)
        return fail_memory(ret_fault);
    settings->upstreams = upstreams;
    upstream = &upstreams[settings->upstream_count++];
    *upstream = (struct upstream_settings){.name = strdup(name)};
    if (!upstream->name)
        return fail_memory(ret_fault);
    err = config_apply(config, SETTINGS_UPSTREAM_ROWS, SETTINGS_UPSTREAM_ROW_COUNT, "lms", section,
                       environment, upstream, ret_fault);
    if (err != OK)
        return err;
    if (upstream->breaker_failures < 0)
        upstream->breaker_failures = settings->breaker_failures;
    if (upstream->breaker_open_for_ms < 0)
        upstream->breaker_open_for_ms = settings->breaker_open_for_ms;
    if (upstream->breaker_max_open_for_ms < 0)
        upstream->breaker_max_open_for_ms = settings->breaker_max_open_for_ms;
    /* Paths are appended to it, and they begin with a slash. */
    for (size_t end = upstream->base_url ? strlen(upstream->base_url) : 0;
         end > 0 && upstream->base_url[end - 1] == '/'; end--)
        upstream->base_url[end - 1] = '\0';
    return OK;
}

static void clear_upstream(struct upstream_settings *upstream)
{
    config_clear(SETTINGS_UPSTREAM_ROWS, SETTINGS_UPSTREAM_ROW_COUNT, NULL, upstream);
    free(upstream->name);
}

/* ---- pairs: mappings, and what a module is told ---- */

static MUST_CHECK enum err add_pair(struct settings_pair **pairs, size_t *count, const char *key,
                                    const char *value)
{
    struct settings_pair *grown = reallocarray(*pairs, *count + 1, sizeof(*grown));

    if (!grown)
        return ERR_NOMEM;
    *pairs = grown;
    grown[*count] = (struct settings_pair){.key = strdup(key), .value = strdup(value)};
    (*count)++;
    return grown[*count - 1].key && grown[*count - 1].value ? OK : ERR_NOMEM;
}

static void free_pairs(struct settings_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

/* An entry of [modules] replaces the default of its product class; an empty one takes it away. */
static MUST_CHECK enum err map_class(struct settings *settings, const char *product_class, const char *module)
{
    for (size_t i = 0; i < settings->mapping_count; i++) {
        struct settings_pair *mapping = &settings->mappings[i];
        char *value;

        if (strcmp(mapping->key, product_class) != 0)
            continue;
        value = strdup(module);
        if (!value)
            return ERR_NOMEM;
        free(mapping->value);
        mapping->value = value;
        return OK;
    }
    return add_pair(&settings->mappings, &settings->mapping_count, product_class, module);
}

static MUST_CHECK enum err load_mappings(struct settings *settings, struct config *config,
                                         struct fault *ret_fault)
{
    for (size_t i = 0; i < settings_table_mapping_count; i++) {
        if (map_class(settings, settings_table_mappings[i].product_class,
                      settings_table_mappings[i].module) != OK)
            return fail_memory(ret_fault);
    }
    for (size_t i = 0; i < config->count; i++) {
        struct config_entry *entry = &config->entries[i];

        if (strcmp(entry->section, "modules") != 0)
            continue;
        entry->used = true;
        if (entry->key && map_class(settings, entry->key, entry->value) != OK)
            return fail_memory(ret_fault);
    }
    return OK;
}

/* ---- modules ---- */

static MUST_CHECK enum err add_module(struct settings *settings, struct config *config, const char *section,
                                      const char *name, struct fault *ret_fault)
{
    struct module_settings *modules =
        reallocarray(settings->modules, settings->module_count + 1, sizeof(*modules));
    const struct config_entry *type = config_find(config, section, "type");
    struct module_settings *module;

    if (!modules)
        return fail_memory(ret_fault);
    settings->modules = modules;
    module = &modules[settings->module_count++];
    *module = (struct module_settings){.name = strdup(name), .type = strdup(type ? type->value : name)};
    if (!module->name || !module->type)
        return fail_memory(ret_fault);
    for (size_t i = 0; i < config->count; i++) {
        struct config_entry *entry = &config->entries[i];

        if (strcmp(entry->section, section) != 0)
            continue;
        entry->used = true;
        if (!entry->key || entry == type)
            continue;
        if (add_pair(&module->pairs, &module->pair_count, entry->key, entry->value) != OK)
            return fail_memory(ret_fault);
        module->pairs[module->pair_count - 1].line = entry->line;
    }
    return OK;
}

static void clear_module(struct module_settings *module)
{
    free(module->name);
    free(module->type);
    free_pairs(module->pairs, module->pair_count);
}

/* ---- loading ---- */

/* The heads [upstream NAME] and [module NAME]; the same head may come again. */
static MUST_CHECK enum err load_named(struct settings *settings, struct config *config,
                                      struct fault *ret_fault)
{
    for (size_t i = 0; i < config->count; i++) {
        struct config_entry *head = &config->entries[i];
        const char *upstream = name_of(head->section, "upstream"), *module = name_of(head->section, "module");
        enum err err = OK;

        if (head->key || head->used || (!upstream && !module))
            continue;
        head->used = true;
        if (!is_name(upstream ? upstream : module) || (upstream && strcmp(upstream, "lms") == 0)) {
            *ret_fault =
                config_fault(config, head, "expected a name of at most %d letters a-z, digits, _ and -%s",
                             NAME_MAX_BYTES, upstream ? ", not lms (it has its own section)" : "");
            return ERR_CONFIG;
        }
        if (upstream && !settings_upstream(settings, upstream))
            err = add_upstream(settings, config, head->section, upstream, false, ret_fault);
        else if (module)
            err = add_module(settings, config, head->section, module, ret_fault);
        if (err != OK)
            return err;
    }
    return OK;
}

static MUST_CHECK enum err load_all(struct settings *settings, struct config *config, struct fault *ret_fault)
{
    static const struct config_named named[] = {
        {"upstream", "upstream NAME", "lms"}, {"module", "module NAME", NULL}, {"modules", "modules", NULL}};
    enum err err = OK;

    for (size_t i = 0; err == OK && i < settings_table_section_count; i++)
        err = config_apply(config, settings_table_rows, settings_table_general_count,
                           settings_table_sections[i].name, settings_table_sections[i].name, true, settings,
                           ret_fault);
    if (err == OK)
        err = add_upstream(settings, config, "lms", "lms", true, ret_fault);
    if (err == OK)
        err = load_named(settings, config, ret_fault);
    if (err == OK)
        err = load_mappings(settings, config, ret_fault);
    if (err == OK)
        err = config_check_unused(config, settings_table_rows, settings_table_count, named, ARRAY_LEN(named),
                                  ret_fault);
    return err == OK ? settings_check(settings, config, ret_fault) : err;
}

struct settings *settings_load_text(const char *name, const char *text, size_t length,
                                    struct fault *ret_fault)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    struct config *config = NULL;
    enum err err;

    if (!settings) {
        *ret_fault = fault_of(ERR_NOMEM);
        return NULL;
    }
    err = config_parse(name, text, length, &config, ret_fault);
    if (err == OK)
        err = load_all(settings, config, ret_fault);
    config_free(config);
    if (err == OK)
        return settings;
    settings_free(settings);
    return NULL;
}

struct settings *settings_load(const char *path, struct fault *ret_fault)
{
    AUTO_FREE char *text = NULL;
    size_t length = 0;

    if (config_read_file(path, &text, &length, ret_fault) != OK)
        return NULL;
    return settings_load_text(path, text, length, ret_fault);
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->upstream_count; i++)
        clear_upstream(&settings->upstreams[i]);
    free(settings->upstreams);
    for (size_t i = 0; i < settings->module_count; i++)
        clear_module(&settings->modules[i]);
    free(settings->modules);
    free_pairs(settings->mappings, settings->mapping_count);
    config_clear(settings_table_rows, settings_table_general_count, NULL, settings);
    free(settings);
}

/* ---- asking ---- */

const char *settings_module_for(const struct settings *settings, const char *product_class)
{
    for (size_t i = 0; i < settings->mapping_count; i++) {
        if (strcmp(settings->mappings[i].key, product_class) == 0)
            return settings->mappings[i].value[0] != '\0' ? settings->mappings[i].value : NULL;
    }
    return NULL;
}

const struct upstream_settings *settings_upstream(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->upstream_count; i++) {
        if (strcmp(settings->upstreams[i].name, name) == 0)
            return &settings->upstreams[i];
    }
    return NULL;
}

const char *settings_module_value(const struct module_settings *module, const char *key)
{
    for (size_t i = 0; i < module->pair_count; i++) {
        if (strcmp(module->pairs[i].key, key) == 0)
            return module->pairs[i].value;
    }
    return NULL;
}

/* ---- secrets ---- */

/* Reads until the end or `size` bytes; -1 with errno. */
static ssize_t read_all(const char *path, char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = 0;
    size_t length = 0;
    int error;

    if (fd < 0)
        return -1;
    do {
        count = read(fd, bytes + length, size - length);
        length += count > 0 ? (size_t)count : 0;
    } while ((count > 0 && length < size) || (count < 0 && errno == EINTR));
    error = errno;
    close(fd);
    errno = error;
    return count < 0 ? -1 : (ssize_t)length;
}

MUST_CHECK enum err settings_read_secret(const char *path, char **ret_secret, struct fault *ret_fault)
{
    AUTO_FREE char *bytes = path ? calloc(1, SETTINGS_SECRET_MAX_BYTES + 2) : NULL;
    const char *problem = NULL;
    ssize_t length;

    if (!path)
        return OK;
    if (!bytes)
        return fail_memory(ret_fault);
    length = read_all(path, bytes, SETTINGS_SECRET_MAX_BYTES + 1);
    if (length < 0) {
        *ret_fault = fault_make(ERR_CONFIG, "secret file %s: %s", path, strerror(errno));
        return ERR_CONFIG;
    }
    if (length > SETTINGS_SECRET_MAX_BYTES)
        problem = "is larger than 64 KiB";
    while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
        bytes[--length] = '\0';
    if (!problem && length == 0)
        problem = "is empty";
    else if (!problem && memchr(bytes, '\0', (size_t)length))
        problem = "holds a NUL byte";
    if (problem) {
        explicit_bzero(bytes, SETTINGS_SECRET_MAX_BYTES + 2);
        *ret_fault = fault_make(ERR_CONFIG, "secret file %s: %s", path, problem);
        return ERR_CONFIG;
    }
    *ret_secret = strdup(bytes);
    explicit_bzero(bytes, SETTINGS_SECRET_MAX_BYTES + 2);
    return *ret_secret ? OK : fail_memory(ret_fault);
}
