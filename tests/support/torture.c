/* See torture.h. */
#include "support/torture.h"

#include <stdlib.h>
#include <string.h>

static long left = -1;
static bool failed;

void torture_fail(long nth)
{
    left = nth;
    failed = false;
}

bool torture_failed(void)
{
    return failed;
}

static bool fails(void)
{
    if (left < 0)
        return false;
    failed = failed || left == 0;
    return left-- == 0;
}

void *torture_malloc(size_t bytes)
{
    return fails() ? NULL : malloc(bytes);
}

void *torture_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : calloc(count, bytes);
}

void *torture_realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : realloc(memory, bytes);
}

char *torture_strdup(const char *text)
{
    return fails() ? NULL : strdup(text);
}
