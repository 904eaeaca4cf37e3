/*
 * Small helpers for ownership inside one function: locals that free themselves, handing over, and the
 * attribute for results that must be looked at. Everybody may include this.
 */
#ifndef FULFILLD_COMMON_SCOPE_H
#define FULFILLD_COMMON_SCOPE_H

#include <stddef.h>
#include <stdlib.h>

#define MUST_CHECK                           __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that embeds `member`; `pointer` points at that member. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void scope_free(void *slot)
{
    free(*(void **)slot);
}

/* A pointer from malloc that is freed when it leaves its scope, unless TAKE()n. */
#define AUTO_FREE __attribute__((cleanup(scope_free)))

/* Hands a pointer over and empties the variable, so that its cleanup frees nothing. */
#define TAKE(variable)                                                                                       \
    __extension__({                                                                                          \
        __typeof__(variable) scope_taken = (variable);                                                       \
        (variable) = NULL;                                                                                   \
        scope_taken;                                                                                         \
    })

#endif
