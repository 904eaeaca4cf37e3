/* A map from text to pointer. Keys are copied, values are the caller's. */
#ifndef LMS_MAP_H
#define LMS_MAP_H

#include <stddef.h>

struct map_node;

struct map {
    struct map_node **buckets;
    size_t bucket_count; /* 0 or a power of two */
    size_t count;        /* keys held */
};

/** The value of key, or NULL. */
void *map_get(const struct map *map, const char *key);

/** Sets key to value (not NULL); answers the former value, or NULL. */
void *map_put(struct map *map, const char *key, void *value);

/** Removes key; answers the value it had, or NULL. */
void *map_take(struct map *map, const char *key);

typedef void map_visit_fn(const char *key, void *value, void *arg);

/** Calls visit for every key, in no order; visit must not change the map. */
void map_each(const struct map *map, map_visit_fn *visit, void *arg);

/** Empties it, giving each value to free_value (which may be NULL). */
void map_clear(struct map *map, void (*free_value)(void *value));

#endif
