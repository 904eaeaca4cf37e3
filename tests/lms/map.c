/*
 * Text → pointer, hashed with chains. Decides nothing but where a key lives; the state of the
 * stand-in (users, courses, enrollments, entitlements, tokens) is kept in these.
 */
#include "map.h"

#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
    void *value;
    char key[];
};

static uint64_t hash_of(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return hash ^ (hash >> 29);
}

/* Where the pointer to key's node is, or would be. */
static struct map_node **slot_of(const struct map *map, const char *key, uint64_t hash)
{
    struct map_node **slot = &map->buckets[hash & (map->bucket_count - 1)];

    while (*slot && ((*slot)->hash != hash || strcmp((*slot)->key, key) != 0))
        slot = &(*slot)->next;
    return slot;
}

static void grow(struct map *map)
{
    size_t count = map->bucket_count ? map->bucket_count * 2 : 16;
    struct map_node **buckets = mem_new(count * sizeof(struct map_node *));

    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_node *node = map->buckets[i];

        while (node) {
            struct map_node *next = node->next;
            struct map_node **head = &buckets[node->hash & (count - 1)];

            node->next = *head;
            *head = node;
            node = next;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
}

void *map_get(const struct map *map, const char *key)
{
    struct map_node *node;

    if (!map->count)
        return NULL;
    node = *slot_of(map, key, hash_of(key));
    return node ? node->value : NULL;
}

void *map_put(struct map *map, const char *key, void *value)
{
    uint64_t hash = hash_of(key);
    struct map_node **slot;
    struct map_node *node;
    size_t bytes = strlen(key) + 1;

    if (map->count >= map->bucket_count)
        grow(map);
    slot = slot_of(map, key, hash);
    if (*slot) {
        void *former = (*slot)->value;

        (*slot)->value = value;
        return former;
    }
    node = mem_new(sizeof(*node) + bytes);
    node->hash = hash;
    node->value = value;
    memcpy(node->key, key, bytes);
    *slot = node;
    map->count++;
    return NULL;
}

void *map_take(struct map *map, const char *key)
{
    struct map_node **slot;
    struct map_node *node;
    void *value;

    if (!map->count)
        return NULL;
    slot = slot_of(map, key, hash_of(key));
    node = *slot;
    if (!node)
        return NULL;
    value = node->value;
    *slot = node->next;
    free(node);
    map->count--;
    return value;
}

void map_each(const struct map *map, map_visit_fn *visit, void *arg)
{
    for (size_t i = 0; i < map->bucket_count; i++)
        for (struct map_node *node = map->buckets[i]; node; node = node->next)
            visit(node->key, node->value, arg);
}

void map_clear(struct map *map, void (*free_value)(void *value))
{
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_node *node = map->buckets[i];

        while (node) {
            struct map_node *next = node->next;

            if (free_value)
                free_value(node->value);
            free(node);
            node = next;
        }
    }
    free(map->buckets);
    *map = (struct map){0};
}
