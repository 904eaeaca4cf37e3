/*
 * What only makes sense together: URLs, pairs of keys, order of limits, upstreams that modules need. Whether
 * a module's name is known is module_host.c's to say. Called by settings.c, last.
 */
#include "worker/settings_table.h"

#include "common/broker_uri.h"
#include "common/store_uri.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The variable that overrides section.key, if it is set. Named sections, which have a blank, and [modules]
 * are not read from the environment. */
static bool is_overridden(const char *section, const char *key, char *name, size_t size)
{
    return !strchr(section, ' ') && strcmp(section, "modules") != 0 &&
           config_environment(section, key, name, size);
}

/* A fault about section.key, with its value where the file has it. */
static MUST_CHECK enum err refuse(struct config *config, const char *section, const char *key,
                                  const char *words, struct fault *ret_fault)
{
    const struct config_entry *entry = config_find(config, section, key);
    char variable[160];

    if (is_overridden(section, key, variable, sizeof(variable)))
        *ret_fault = fault_make(ERR_CONFIG, "environment %s (%s.%s): %s", variable, section, key, words);
    else if (entry)
        *ret_fault = config_fault(config, entry, "%s", words);
    else
        *ret_fault = fault_make(ERR_CONFIG, "%s: %s.%s: %s", config->name, section, key, words);
    return ERR_CONFIG;
}

/* http(s)://host… without blanks, query or fragment. */
static bool is_http_url(const char *url)
{
    const char *host = NULL;

    if (strncasecmp(url, "http://", 7) == 0)
        host = url + 7;
    else if (strncasecmp(url, "https://", 8) == 0)
        host = url + 8;
    if (!host || *host == '\0' || strchr("/:?#", *host))
        return false;
    for (const char *at = host; *at != '\0'; at++) {
        if (isspace((unsigned char)*at) || iscntrl((unsigned char)*at) || *at == '?' || *at == '#')
            return false;
    }
    return true;
}

static bool has_scheme(const char *uri, size_t length, const char *const *schemes)
{
    for (; *schemes; schemes++) {
        if (length > strlen(*schemes) && strncasecmp(uri, *schemes, strlen(*schemes)) == 0)
            return true;
    }
    return false;
}

/* What an adapter's reader says of an address, with its place. The address itself would leave no room for it.
 */
static enum err refuse_address(struct config *config, const char *section, const char *key,
                               const struct fault *fault, struct fault *ret_fault)
{
    const struct config_entry *entry = config_find(config, section, key);
    char variable[160];

    if (is_overridden(section, key, variable, sizeof(variable)))
        *ret_fault =
            fault_make(ERR_CONFIG, "environment %s (%s.%s): %s", variable, section, key, fault->detail);
    else if (entry && entry->line > 0)
        *ret_fault = fault_make(ERR_CONFIG, "%s:%d: %s.%s: %s", config->name, entry->line, section, key,
                                fault->detail);
    else
        *ret_fault = fault_make(ERR_CONFIG, "%s: %s.%s: %s", config->name, section, key, fault->detail);
    return ERR_CONFIG;
}

static MUST_CHECK enum err check_broker_uris(const char *uris, struct config *config, struct fault *ret_fault)
{
    static const char *const schemes[] = {"amqp://", "amqps://", NULL};
    struct broker_uri *list;
    struct fault fault;
    size_t count;

    if (!uris)
        return refuse(config, "amqp", "uris", "expected one URI or more", ret_fault);
    for (const char *at = uris; *at != '\0';) {
        size_t length = strcspn(at, ",");

        if (!has_scheme(at, length, schemes))
            return refuse(config, "amqp", "uris", "expected URIs that begin with amqp:// or amqps://",
                          ret_fault);
        at += length + (at[length] == ',');
    }
    if (broker_uri_list_new(uris, &list, &count, &fault) != OK)
        return refuse_address(config, "amqp", "uris", &fault, ret_fault);
    broker_uri_list_free(list, count);
    return OK;
}

static MUST_CHECK enum err check_redis_uri(const char *uri, struct config *config, struct fault *ret_fault)
{
    static const char *const schemes[] = {"redis://", "redis+unix://", NULL};
    struct store_uri parts;
    struct fault fault;

    if (!uri || !has_scheme(uri, strlen(uri), schemes))
        return refuse(config, "redis", "uri", "expected redis:// or redis+unix:// and where it is",
                      ret_fault);
    if (store_uri_parse(uri, &parts, &fault) != OK)
        return refuse_address(config, "redis", "uri", &fault, ret_fault);
    store_uri_fini(&parts);
    return OK;
}

static MUST_CHECK enum err check_links(const struct settings *settings, struct config *config,
                                       struct fault *ret_fault)
{
    enum err err = check_broker_uris(settings->amqp_uris, config, ret_fault);

    if (err == OK)
        err = check_redis_uri(settings->redis_uri, config, ret_fault);
    if (err != OK)
        return err;
    if (settings->amqp_management_uri && !is_http_url(settings->amqp_management_uri))
        return refuse(config, "amqp", "management_uri", "expected http:// or https:// and a host", ret_fault);
    if (!settings->amqp_prefix)
        return refuse(config, "amqp", "prefix", "expected a name that is not empty", ret_fault);
    if (settings->amqp_password_file && !settings->amqp_username)
        return refuse(config, "amqp", "password_file", "amqp.username is missing", ret_fault);
    if (!settings->amqp_tls_cert_file != !settings->amqp_tls_key_file)
        return refuse(config, "amqp", settings->amqp_tls_cert_file ? "tls_cert_file" : "tls_key_file",
                      "tls_cert_file and tls_key_file go together", ret_fault);
    if (settings->redis_username && !settings->redis_password_file)
        return refuse(config, "redis", "username", "redis.password_file is missing", ret_fault);
    if (settings->redis_prefix && strpbrk(settings->redis_prefix, "{}"))
        return refuse(config, "redis", "prefix", "expected no { or }: they are the hash tag of an order",
                      ret_fault);
    return OK;
}

/* Less than a worker needs to begin with would have each replaced as soon as it is there. */
static MUST_CHECK enum err check_worker(const struct settings *settings, struct config *config,
                                        struct fault *ret_fault)
{
    enum { LEAST_MEMORY_BYTES = 64 * 1024 * 1024 };

    if (settings->worker_max_memory_bytes != 0 && settings->worker_max_memory_bytes < LEAST_MEMORY_BYTES)
        return refuse(config, "worker", "max_memory", "expected 64m or more, or 0", ret_fault);
    return OK;
}

static MUST_CHECK enum err check_url(const char *url, struct config *config, const char *section,
                                     const char *key, struct fault *ret_fault)
{
    const char *host;

    if (!url)
        return OK;
    if (!is_http_url(url))
        return refuse(config, section, key, "expected http:// or https://, a host, no query", ret_fault);
    host = strstr(url, "://") + strlen("://");
    if (memchr(host, '@', strcspn(host, "/")))
        return refuse(config, section, key, "expected no login: credentials stand in files", ret_fault);
    return OK;
}

static MUST_CHECK enum err check_upstream(const struct upstream_settings *upstream, const char *section,
                                          struct config *config, struct fault *ret_fault)
{
    int oauth_keys = (upstream->oauth_token_url ? 1 : 0) + (upstream->oauth_client_id ? 1 : 0) +
                     (upstream->oauth_client_secret_file ? 1 : 0);
    enum err err = check_url(upstream->base_url, config, section, "base_url", ret_fault);

    if (err == OK)
        err = check_url(upstream->oauth_token_url, config, section, "oauth_token_url", ret_fault);
    if (err != OK)
        return err;
    if (oauth_keys != 0 && oauth_keys != 3)
        return refuse(config, section,
                      !upstream->oauth_token_url   ? "oauth_token_url"
                      : !upstream->oauth_client_id ? "oauth_client_id"
                                                   : "oauth_client_secret_file",
                      "is missing: oauth_token_url, oauth_client_id and oauth_client_secret_file go together",
                      ret_fault);
    return OK;
}

static void write_section(const struct upstream_settings *upstream, char *out, size_t size)
{
    bool is_lms = strcmp(upstream->name, "lms") == 0;

    (void)snprintf(out, size, "%s%s", is_lms ? "" : "upstream ", upstream->name);
}

static MUST_CHECK enum err check_upstreams(const struct settings *settings, struct config *config,
                                           struct fault *ret_fault)
{
    for (size_t i = 0; i < settings->upstream_count; i++) {
        char section[64];
        enum err err;

        write_section(&settings->upstreams[i], section, sizeof(section));
        err = check_upstream(&settings->upstreams[i], section, config, ret_fault);
        if (err != OK)
            return err;
    }
    return OK;
}

static const struct module_settings *find_module(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->module_count; i++) {
        if (strcmp(settings->modules[i].name, name) == 0)
            return &settings->modules[i];
    }
    return NULL;
}

/* The built-in modules that cannot work without an upstream. */
static bool needs_upstream(const char *type)
{
    return strcmp(type, "enrollment") == 0 || strcmp(type, "entitlement") == 0;
}

/* A product class whose module needs an upstream needs its address. */
static MUST_CHECK enum err check_mapping(const struct settings *settings, const struct settings_pair *mapping,
                                         struct config *config, struct fault *ret_fault)
{
    const struct module_settings *module = find_module(settings, mapping->value);
    const char *named = module ? settings_module_value(module, "upstream") : NULL;
    const struct upstream_settings *upstream = settings_upstream(settings, named ? named : "lms");
    char section[64];

    if (!needs_upstream(module ? module->type : mapping->value) || !upstream || upstream->base_url)
        return OK;
    write_section(upstream, section, sizeof(section));
    *ret_fault = fault_make(ERR_CONFIG,
                            "%s: %s.base_url is required, since products of class \"%s\" go to module %s; "
                            "as in base_url = https://lms.example.org",
                            config->name, section, mapping->key, mapping->value);
    return ERR_CONFIG;
}

static MUST_CHECK enum err check_modules(const struct settings *settings, struct config *config,
                                         struct fault *ret_fault)
{
    for (size_t i = 0; i < settings->module_count; i++) {
        const struct module_settings *module = &settings->modules[i];
        const char *upstream = settings_module_value(module, "upstream");
        char section[64];

        (void)snprintf(section, sizeof(section), "module %s", module->name);
        if (module->type[0] == '\0')
            return refuse(config, section, "type", "expected the name of a module type", ret_fault);
        if (upstream && !settings_upstream(settings, upstream))
            return refuse(config, section, "upstream",
                          "expected lms or the NAME of an [upstream NAME] section", ret_fault);
    }
    for (size_t i = 0; i < settings->mapping_count; i++) {
        enum err err = check_mapping(settings, &settings->mappings[i], config, ret_fault);

        if (err != OK)
            return err;
    }
    return OK;
}

MUST_CHECK enum err settings_check(const struct settings *settings, struct config *config,
                                   struct fault *ret_fault)
{
    enum err err = check_links(settings, config, ret_fault);

    if (err == OK)
        err = check_worker(settings, config, ret_fault);
    if (err == OK)
        err = check_upstreams(settings, config, ret_fault);
    if (err == OK)
        err = check_modules(settings, config, ret_fault);
    return err;
}
