/*
 * Memory that runs out on demand. Compile the sources under test with malloc, calloc, realloc and strdup
 * redirected to these (fulfilld_tortured in tests/CMakeLists.txt).
 */
#ifndef FULFILLD_TESTS_SUPPORT_TORTURE_H
#define FULFILLD_TESTS_SUPPORT_TORTURE_H

#include <stdbool.h>
#include <stddef.h>

/** The n-th allocation from now on fails, counted from 0; -1: none does. */
void torture_fail(long nth);
/** Whether the allocation that was to fail has been asked for. */
bool torture_failed(void);

void *torture_malloc(size_t bytes);
void *torture_calloc(size_t count, size_t bytes);
void *torture_realloc(void *memory, size_t bytes);
char *torture_strdup(const char *text);

#endif
