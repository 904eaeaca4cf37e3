/* The Lua scripts of worker/scripts/, embedded at build time (cmake/embed_scripts.cmake). */
#ifndef FULFILLD_WORKER_SCRIPTS_H
#define FULFILLD_WORKER_SCRIPTS_H

#include "common/store.h"

extern const struct store_script scripts_table[];
extern const size_t scripts_count;

/** The script of that name (file name without .lua). Asserts that it exists: names are ours. */
const struct store_script *scripts_find(const char *name);

#endif
