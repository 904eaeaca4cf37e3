/* Allocation that cannot fail: a test server has nothing better to do than to end. */
#ifndef LMS_MEM_H
#define LMS_MEM_H

#include <stddef.h>

/** Zeroed memory; ends the program with a message when there is none. Free with free(). */
void *mem_new(size_t bytes) __attribute__((malloc, warn_unused_result));

/** Grows or shrinks; ends the program when there is no memory. */
void *mem_resize(void *old, size_t bytes) __attribute__((warn_unused_result));

/** A copy of text, or NULL for NULL. */
char *mem_copy(const char *text) __attribute__((warn_unused_result));

#endif
