/*
 * Which modules there are: built-in types, plugged-in types, and from them the modules that [module NAME] and
 * [modules] name, each with its upstream, options and secrets. Decides what of the configuration is unusable.
 * Called by the worker at start; what happens to a line is module_call.c.
 */
#include "worker/module_parts.h"

#include "common/metrics.h"

#include <stdio.h>
#include <string.h>

static const struct fulfill_module *const builtins[] = {&module_enrollment, &module_entitlement, &module_none,
                                                        &module_webhook};

/* ---- types ---- */

static bool good_name(const char *name)
{
    size_t length = name ? strnlen(name, LINE_MODULE_BYTES) : 0;

    return length > 0 && length < LINE_MODULE_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

static const struct module_type *find_type(const struct module_host *host, const char *name)
{
    for (size_t i = 0; i < host->type_count; i++)
        if (strcmp(host->types[i].table.name, name) == 0)
            return &host->types[i];
    return NULL;
}

enum err module_host_add_type(struct module_host *host, const struct fulfill_module *table, const char *from,
                              struct fault *ret_fault)
{
    struct module_type type = {.from = from};

    if (table->abi > FULFILL_ABI) {
        *ret_fault =
            fault_make(ERR_CONFIG,
                       "%s: built for plug-in interface %u, this fulfilld has %u: update fulfilld or "
                       "build it against this version's fulfill/module.h",
                       from, table->abi, FULFILL_ABI);
        return ERR_CONFIG;
    }
    if (table->abi == 0 || table->size < offsetof(struct fulfill_module, cancel)) {
        *ret_fault = fault_make(ERR_CONFIG,
                                "%s: its table has abi %u and size %u, which no version of the interface has",
                                from, table->abi, table->size);
        return ERR_CONFIG;
    }
    memcpy(&type.table, table, table->size < sizeof(type.table) ? table->size : sizeof(type.table));
    if (!good_name(type.table.name) || !type.table.fulfill_product || !type.table.refund_product) {
        *ret_fault = fault_make(ERR_CONFIG,
                                "%s: expected a name of a-z, 0-9, _ and - (at most 32), fulfill_product and "
                                "refund_product",
                                from);
        return ERR_CONFIG;
    }
    const struct module_type *other = find_type(host, type.table.name);
    if (other) {
        *ret_fault = fault_make(ERR_CONFIG, "%s: there is a module %s already (%s)", from, type.table.name,
                                other->from);
        return ERR_CONFIG;
    }
    struct module_type *types = realloc(host->types, (host->type_count + 1) * sizeof(*types));
    if (!types) {
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    host->types = types;
    host->types[host->type_count++] = type;
    return OK;
}

/* ---- modules ---- */

static struct module_entry *find_entry(const struct module_host *host, const char *name)
{
    for (size_t i = 0; i < host->entry_count; i++)
        if (strcmp(host->entries[i].name, name) == 0)
            return &host->entries[i];
    return NULL;
}

static struct upstream *find_upstream(const struct module_host *host, const char *name)
{
    for (size_t i = 0; i < host->upstream_count; i++)
        if (strcmp(upstream_name(host->upstreams[i]), name) == 0)
            return host->upstreams[i];
    return NULL;
}

static enum err add_pair(struct module_pair **pairs, size_t *count, const char *key, const char *value)
{
    struct module_pair *more = realloc(*pairs, (*count + 1) * sizeof(*more));

    if (!more)
        return ERR_NOMEM;
    *pairs = more;
    more[*count] = (struct module_pair){.key = strdup(key), .value = strdup(value)};
    (*count)++;
    return more[*count - 1].key && more[*count - 1].value ? OK : ERR_NOMEM;
}

/* Keys that end in _file, or begin with header_file., name a file that is read now. */
static bool names_file(const char *key)
{
    size_t length = strlen(key);

    return strncmp(key, "header_file.", 12) == 0 || (length > 5 && strcmp(key + length - 5, "_file") == 0);
}

/* What the module itself says of a key. `upstream` is the host's. */
static enum err check_option(const struct module_entry *entry, const struct settings_pair *pair,
                             struct fault *ret_fault)
{
    const char *wrong = entry->table.check_option && strcmp(pair->key, "upstream") != 0
                            ? entry->table.check_option(pair->key, pair->value)
                            : NULL;

    if (!wrong)
        return OK;
    *ret_fault = fault_make(ERR_CONFIG, "line %d: [module %s]: %.60s = %.60s: %s", pair->line, entry->name,
                            pair->key, pair->value, wrong);
    return ERR_CONFIG;
}

static enum err take_options(struct module_entry *entry, const struct module_settings *settings,
                             struct fault *ret_fault)
{
    enum err err = OK;

    for (size_t i = 0; i < settings->pair_count && err == OK; i++) {
        const struct settings_pair *pair = &settings->pairs[i];
        char *secret = NULL;

        err = check_option(entry, pair, ret_fault);
        if (err != OK)
            break;
        err = add_pair(&entry->options, &entry->option_count, pair->key, pair->value);
        if (err == OK && names_file(pair->key)) {
            err = settings_read_secret(pair->value, &secret, ret_fault);
            if (err == OK)
                err = add_pair(&entry->secrets, &entry->secret_count, pair->key, secret);
        }
        free(secret);
    }
    return err;
}

/* Its upstream: the section's `upstream`, else the LMS. A name that no section has is a mistake. */
static enum err take_upstream(struct module_host *host, struct module_entry *entry,
                              const struct module_settings *settings, struct fault *ret_fault)
{
    const char *name = settings ? settings_module_value(settings, "upstream") : NULL;

    if (name && !settings_upstream(host->settings, name)) {
        *ret_fault = fault_make(ERR_CONFIG, "module %s: upstream = %s: there is no [upstream %s]",
                                entry->name, name, name);
        return ERR_CONFIG;
    }
    entry->upstream = find_upstream(host, name ? name : "lms");
    return OK;
}

static bool sends_sku(const struct module_host *host, const struct module_entry *entry)
{
    const struct upstream_settings *settings =
        settings_upstream(host->settings, entry->upstream ? upstream_name(entry->upstream) : "lms");

    return !settings || settings->send_sku;
}

static void list_types(const struct module_host *host, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < host->type_count && used + LINE_MODULE_BYTES < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", host->types[i].table.name);
}

static enum err add_entry(struct module_host *host, const char *name, const char *type_name,
                          const struct module_settings *settings, struct fault *ret_fault)
{
    const struct module_type *type = find_type(host, type_name);
    struct module_entry *entry = &host->entries[host->entry_count];
    char known[160];
    enum err err;

    if (!type || !good_name(name)) {
        list_types(host, known, sizeof(known));
        *ret_fault = fault_make(ERR_CONFIG,
                                "module %.40s: expected a name of a-z, 0-9, _ and -, and a type there is: %s",
                                name, known);
        return ERR_CONFIG;
    }
    *entry = (struct module_entry){.table = type->table, .metric = metrics_name_find(name)};
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    host->entry_count++;
    err = take_upstream(host, entry, settings, ret_fault);
    if (err == OK && settings)
        err = take_options(entry, settings, ret_fault);
    if (err == OK && !sends_sku(host, entry))
        err = add_pair(&entry->options, &entry->option_count, "send_sku", "no");
    return err;
}

/* Every [module NAME], and every name in [modules] that is a type's own. */
static enum err add_entries(struct module_host *host, struct fault *ret_fault)
{
    const struct settings *settings = host->settings;
    enum err err = OK;

    host->entries = calloc(settings->module_count + settings->mapping_count + 1, sizeof(*host->entries));
    if (!host->entries)
        return ERR_NOMEM;
    for (size_t i = 0; i < settings->module_count && err == OK; i++)
        err = add_entry(host, settings->modules[i].name, settings->modules[i].type, &settings->modules[i],
                        ret_fault);
    for (size_t i = 0; i < settings->mapping_count && err == OK; i++)
        if (settings->mappings[i].value[0] != '\0' && !find_entry(host, settings->mappings[i].value))
            err = add_entry(host, settings->mappings[i].value, settings->mappings[i].value, NULL, ret_fault);
    return err;
}

struct module_entry *module_host_find(struct module_host *host, const char *product_class)
{
    const char *name = product_class ? settings_module_for(host->settings, product_class) : NULL;

    return name ? find_entry(host, name) : NULL;
}

/* ---- life ---- */

struct module_host *module_host_new(struct loop *loop, const struct settings *settings,
                                    struct upstream *const *upstreams, size_t upstream_count,
                                    struct fault *ret_fault)
{
    struct module_host *host = calloc(1, sizeof(*host));
    struct fault fault = fault_of(ERR_NOMEM);
    enum err err = host ? OK : ERR_NOMEM;

    if (err == OK) {
        host->loop = loop;
        host->settings = settings;
        host->upstreams = upstreams;
        host->upstream_count = upstream_count;
    }
    for (size_t i = 0; i < ARRAY_LEN(builtins) && err == OK; i++)
        err = module_host_add_type(host, builtins[i], "built in", &fault);
    if (err == OK && settings->plugins_directory)
        err = module_plugins_load(host, settings->plugins_directory, &fault);
    if (err == OK)
        err = add_entries(host, &fault);
    if (err != OK) {
        *ret_fault = fault;
        module_host_free(host);
        return NULL;
    }
    return host;
}

static void free_pairs(struct module_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].value)
            explicit_bzero(pairs[i].value, strlen(pairs[i].value));
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

void module_host_free(struct module_host *host)
{
    if (!host)
        return;
    for (size_t i = 0; i < host->entry_count; i++) {
        free_pairs(host->entries[i].options, host->entries[i].option_count);
        free_pairs(host->entries[i].secrets, host->entries[i].secret_count);
    }
    free(host->entries);
    free(host->types);
    module_plugins_unload(host);
    free(host);
}
