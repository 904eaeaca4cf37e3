/*
 * Memory for a test server: every allocation either succeeds or ends the program with one line.
 * Decides nothing else; everybody here calls it.
 */
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *require(void *got)
{
    if (!got) {
        fputs("fulfill-lms: out of memory\n", stderr);
        exit(1);
    }
    return got;
}

void *mem_new(size_t bytes)
{
    return require(calloc(1, bytes ? bytes : 1));
}

void *mem_resize(void *old, size_t bytes)
{
    return require(realloc(old, bytes ? bytes : 1));
}

char *mem_copy(const char *text)
{
    return text ? require(strdup(text)) : NULL;
}
