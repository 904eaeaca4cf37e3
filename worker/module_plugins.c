/*
 * Plug-ins: the shared objects of plugins.directory, loaded in the order of their names. Decides which files
 * may be trusted to be loaded at all; what a table must have is module_host.c's affair.
 * Called by module_host.c, and by the test kit for one file.
 */
#include "worker/module_parts.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What anybody could write must not run with our rights. */
static enum err check_owner(const char *path, const char *what, struct fault *ret_fault)
{
    struct stat info;

    if (stat(path, &info) != 0) {
        *ret_fault = fault_make(ERR_CONFIG, "%s %s: %s", what, path, strerror(errno));
        return ERR_CONFIG;
    }
    if ((info.st_uid != 0 && info.st_uid != geteuid()) || (info.st_mode & S_IWOTH)) {
        *ret_fault =
            fault_make(ERR_CONFIG,
                       "%s %s: must belong to root or to the user of fulfilld, and others must not be "
                       "able to write it",
                       what, path);
        return ERR_CONFIG;
    }
    return OK;
}

static enum err keep_plugin(struct module_host *host, void *library, const char *path)
{
    struct module_plugin *plugins = realloc(host->plugins, (host->plugin_count + 1) * sizeof(*plugins));
    char *copy = strdup(path);

    if (plugins)
        host->plugins = plugins;
    if (!plugins || !copy) {
        free(copy);
        return ERR_NOMEM;
    }
    host->plugins[host->plugin_count++] = (struct module_plugin){.library = library, .path = copy};
    return OK;
}

enum err module_plugins_load_file(struct module_host *host, const char *path, struct fault *ret_fault)
{
    fulfill_module_entry_fn *entry = NULL;
    enum err err = check_owner(path, "plug-in", ret_fault);

    if (err != OK)
        return err;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        *ret_fault = fault_make(ERR_CONFIG, "plug-in: %s", dlerror());
        return ERR_CONFIG;
    }
    if (keep_plugin(host, library, path) != OK) {
        dlclose(library);
        *ret_fault = fault_of(ERR_NOMEM);
        return ERR_NOMEM;
    }
    void *symbol = dlsym(library, FULFILL_MODULE_ENTRY);
    if (!symbol) {
        *ret_fault = fault_make(ERR_CONFIG, "plug-in %s: it does not export %s", path, FULFILL_MODULE_ENTRY);
        return ERR_CONFIG;
    }
    memcpy(&entry, &symbol, sizeof(entry)); /* ISO C has no cast from an object's pointer to a function's */
    const struct fulfill_module *table = entry(&module_services);
    if (!table) {
        *ret_fault = fault_make(ERR_CONFIG, "plug-in %s: it refuses to be loaded", path);
        return ERR_CONFIG;
    }
    return module_host_add_type(host, table, host->plugins[host->plugin_count - 1].path, ret_fault);
}

enum err module_host_probe(const char *path, char ret_name[LINE_MODULE_BYTES], struct fault *ret_fault)
{
    struct module_host host = {0};
    enum err err = module_plugins_load_file(&host, path, ret_fault);

    if (err == OK)
        snprintf(ret_name, LINE_MODULE_BYTES, "%s", host.types[0].table.name);
    free(host.types);
    module_plugins_unload(&host);
    return err;
}

static int is_library(const struct dirent *file)
{
    size_t length = strlen(file->d_name);

    return file->d_name[0] != '.' && length > 3 && strcmp(file->d_name + length - 3, ".so") == 0;
}

enum err module_plugins_load(struct module_host *host, const char *directory, struct fault *ret_fault)
{
    struct dirent **files = NULL;
    enum err err = check_owner(directory, "plugins.directory", ret_fault);

    if (err != OK)
        return err;
    int count = scandir(directory, &files, is_library, alphasort);
    if (count < 0) {
        *ret_fault = fault_make(ERR_CONFIG, "plugins.directory %s: %s", directory, strerror(errno));
        return ERR_CONFIG;
    }
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (err == OK && asprintf(&path, "%s/%s", directory, files[i]->d_name) < 0) {
            *ret_fault = fault_of(ERR_NOMEM);
            err = ERR_NOMEM;
        } else if (err == OK) {
            err = module_plugins_load_file(host, path, ret_fault);
            free(path);
        }
        free(files[i]);
    }
    free(files);
    return err;
}

void module_plugins_unload(struct module_host *host)
{
    for (size_t i = 0; i < host->plugin_count; i++) {
        dlclose(host->plugins[i].library);
        free(host->plugins[i].path);
    }
    free(host->plugins);
}
