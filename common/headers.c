/*
 * Keeps each value in its AMQP wire form (kind byte and payload), so that kinds we know nothing of survive a
 * round trip and copying is a memcpy. Reads strings and integers out of that form. Does not recurse: nested
 * tables and arrays carry their length and are skipped as a whole, however deep they are.
 * Called by the broker adapter (both directions) and by whoever looks at a message's headers.
 */
#include "common/headers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct entry {
    char *name;         /* owned, NUL-terminated */
    uint8_t *value;     /* owned: kind byte, payload, and a NUL that is not counted */
    size_t value_bytes; /* kind byte and payload */
};

struct headers {
    struct entry *entries;
    size_t count;
    size_t capacity;
    size_t bytes; /* encoded size of all entries */
};

static uint64_t read_big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void write_big_endian(uint8_t *out, uint64_t value, size_t count)
{
    for (size_t i = count; i > 0; i--, value >>= 8)
        out[i - 1] = (uint8_t)value;
}

static size_t entry_bytes(size_t name_bytes, size_t value_bytes)
{
    return 1 + name_bytes + value_bytes;
}

struct headers *headers_new(void)
{
    return calloc(1, sizeof(struct headers));
}

void headers_free(struct headers *headers)
{
    if (!headers)
        return;
    for (size_t i = 0; i < headers->count; i++) {
        free(headers->entries[i].name);
        free(headers->entries[i].value);
    }
    free(headers->entries);
    free(headers);
}

static struct entry *find(const struct headers *headers, const char *name)
{
    if (!headers)
        return NULL;
    for (size_t i = 0; i < headers->count; i++) {
        if (strcmp(headers->entries[i].name, name) == 0)
            return &headers->entries[i];
    }
    return NULL;
}

void headers_remove(struct headers *headers, const char *name)
{
    struct entry *entry = find(headers, name);

    if (!entry)
        return;
    headers->bytes -= entry_bytes(strlen(entry->name), entry->value_bytes);
    free(entry->name);
    free(entry->value);
    /* The order stays: a person compares what two copies of a message carry. */
    memmove(entry, entry + 1, (size_t)(headers->entries + headers->count - (entry + 1)) * sizeof(*entry));
    headers->count--;
}

static enum err reserve_entry(struct headers *headers)
{
    size_t capacity = headers->capacity ? headers->capacity * 2 : 8;
    struct entry *entries;

    if (headers->count < headers->capacity)
        return OK;
    entries = realloc(headers->entries, capacity * sizeof(*entries));
    if (!entries)
        return ERR_NOMEM;
    headers->entries = entries;
    headers->capacity = capacity;
    return OK;
}

/* Adds or replaces an entry whose value is in wire form. */
static enum err put(struct headers *headers, const char *name, size_t name_bytes, const uint8_t *value,
                    size_t value_bytes)
{
    AUTO_FREE char *name_copy = strndup(name, name_bytes);
    AUTO_FREE uint8_t *value_copy = malloc(value_bytes + 1);
    const struct entry *old;
    size_t bytes = headers->bytes + entry_bytes(name_bytes, value_bytes);
    size_t count = headers->count + 1;

    if (!name_copy || !value_copy)
        return ERR_NOMEM;
    if (name_bytes > UINT8_MAX)
        return ERR_TOO_BIG;
    old = find(headers, name_copy);
    if (old) {
        bytes -= entry_bytes(name_bytes, old->value_bytes);
        count--;
    }
    if (bytes > HEADERS_MAX_BYTES || count > HEADERS_MAX_COUNT)
        return ERR_TOO_BIG;
    if (!old && reserve_entry(headers) != OK)
        return ERR_NOMEM;
    memcpy(value_copy, value, value_bytes);
    value_copy[value_bytes] = '\0';
    headers_remove(headers, name_copy);
    headers->entries[headers->count] = (struct entry){.value_bytes = value_bytes};
    headers->entries[headers->count].name = TAKE(name_copy);
    headers->entries[headers->count].value = TAKE(value_copy);
    headers->count++;
    headers->bytes = bytes;
    return OK;
}

struct headers *headers_copy(const struct headers *headers, bool *ret_ok)
{
    struct headers *copy;

    *ret_ok = true;
    if (!headers)
        return NULL;
    copy = headers_new();
    for (size_t i = 0; copy && i < headers->count; i++) {
        const struct entry *entry = &headers->entries[i];

        if (put(copy, entry->name, strlen(entry->name), entry->value, entry->value_bytes) != OK) {
            headers_free(copy);
            copy = NULL;
        }
    }
    *ret_ok = copy != NULL;
    return copy;
}

const char *headers_str(const struct headers *headers, const char *name)
{
    const struct entry *entry = find(headers, name);
    const char *text;

    if (!entry || entry->value[0] != 'S')
        return NULL;
    text = (const char *)entry->value + 5;
    /* A NUL inside would make the rest invisible to whoever reads it as a C string. */
    return strlen(text) == entry->value_bytes - 5 ? text : NULL;
}

static int64_t parse_decimal(const char *text, int64_t otherwise)
{
    char *end;
    long long value;

    if (!text || !*text || strspn(text + (*text == '-'), "0123456789") != strlen(text) - (*text == '-'))
        return otherwise;
    errno = 0;
    value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' ? value : otherwise;
}

int64_t headers_int(const struct headers *headers, const char *name, int64_t otherwise)
{
    const struct entry *entry = find(headers, name);
    const uint8_t *payload;

    if (!entry)
        return otherwise;
    payload = entry->value + 1;
    switch (entry->value[0]) {
    case 'b':
        return (int8_t)payload[0];
    case 'B':
        return payload[0];
    case 's':
        return (int16_t)read_big_endian(payload, 2);
    case 'u':
        return (int64_t)read_big_endian(payload, 2);
    case 'I':
        return (int32_t)read_big_endian(payload, 4);
    case 'i':
        return (int64_t)read_big_endian(payload, 4);
    case 'l':
        return (int64_t)read_big_endian(payload, 8);
    case 'L':
        return read_big_endian(payload, 8) <= INT64_MAX ? (int64_t)read_big_endian(payload, 8) : otherwise;
    case 'S':
        return parse_decimal(headers_str(headers, name), otherwise);
    default:
        return otherwise;
    }
}

bool headers_has(const struct headers *headers, const char *name)
{
    return find(headers, name) != NULL;
}

enum err headers_set_str(struct headers *headers, const char *name, const char *value)
{
    size_t length = strlen(value);
    AUTO_FREE uint8_t *bytes = NULL;

    if (length > HEADERS_MAX_BYTES)
        return ERR_TOO_BIG;
    bytes = malloc(5 + length);
    if (!bytes)
        return ERR_NOMEM;
    bytes[0] = 'S';
    write_big_endian(bytes + 1, length, 4);
    memcpy(bytes + 5, value, length);
    return put(headers, name, strlen(name), bytes, 5 + length);
}

enum err headers_set_int(struct headers *headers, const char *name, int64_t value)
{
    uint8_t bytes[9];

    if (value >= INT32_MIN && value <= INT32_MAX) {
        bytes[0] = 'I';
        write_big_endian(bytes + 1, (uint64_t)value, 4);
        return put(headers, name, strlen(name), bytes, 5);
    }
    bytes[0] = 'l';
    write_big_endian(bytes + 1, (uint64_t)value, 8);
    return put(headers, name, strlen(name), bytes, 9);
}

enum err headers_set_bool(struct headers *headers, const char *name, bool value)
{
    const uint8_t bytes[2] = {'t', value};

    return put(headers, name, strlen(name), bytes, sizeof(bytes));
}

enum err headers_set_table(struct headers *headers, const char *name, const struct headers *value)
{
    size_t length = headers_encoded_bytes(value, true);
    AUTO_FREE uint8_t *bytes = malloc(5 + length);

    if (!bytes)
        return ERR_NOMEM;
    bytes[0] = 'F';
    write_big_endian(bytes + 1, length, 4);
    headers_encode(value, true, bytes + 5);
    return put(headers, name, strlen(name), bytes, 5 + length);
}

bool headers_is_brokers_own(const char *name)
{
    static const char *const prefixes[] = {"x-first-death-", "x-last-death-", "x-opt-"};

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return strcmp(name, "x-death") == 0 || strcmp(name, "x-delivery-count") == 0 ||
           strcmp(name, "x-acquired-count") == 0;
}

/* Payload bytes of the value at `kind`, or SIZE_MAX when unknown or cut off. */
static size_t payload_bytes(const uint8_t *kind, size_t left)
{
    size_t bytes;

    switch (kind[0]) {
    case 'V':
        bytes = 0;
        break;
    case 't':
    case 'b':
    case 'B':
        bytes = 1;
        break;
    case 's':
    case 'u':
        bytes = 2;
        break;
    case 'I':
    case 'i':
    case 'f':
        bytes = 4;
        break;
    case 'D':
        bytes = 5;
        break;
    case 'l':
    case 'L':
    case 'd':
    case 'T':
        bytes = 8;
        break;
    case 'S':
    case 'x':
    case 'A':
    case 'F':
        if (left < 5)
            return SIZE_MAX;
        bytes = 4 + (size_t)read_big_endian(kind + 1, 4);
        break;
    default:
        return SIZE_MAX;
    }
    return bytes <= left - 1 ? bytes : SIZE_MAX;
}

enum err headers_decode(const uint8_t *bytes, size_t length, struct headers **ret_headers)
{
    struct headers *headers = headers_new();
    enum err err = OK;
    size_t at = 0;

    if (!headers)
        return ERR_NOMEM;
    while (at < length) {
        size_t name_bytes = bytes[at];
        const uint8_t *name = bytes + at + 1;
        size_t payload;

        if (length - at < 2 + name_bytes) {
            err = ERR_MALFORMED;
            break;
        }
        at += 1 + name_bytes;
        payload = payload_bytes(bytes + at, length - at);
        if (payload == SIZE_MAX) {
            err = ERR_MALFORMED;
            break;
        }
        /* A name with a NUL inside could pass for another one: it is left out. */
        if (!memchr(name, '\0', name_bytes) &&
            put(headers, (const char *)name, name_bytes, bytes + at, 1 + payload) == ERR_NOMEM) {
            headers_free(headers);
            return ERR_NOMEM;
        }
        at += 1 + payload;
    }
    *ret_headers = headers;
    return err;
}

size_t headers_encoded_bytes(const struct headers *headers, bool with_brokers_own)
{
    size_t bytes = 0;

    for (size_t i = 0; headers && i < headers->count; i++) {
        const struct entry *entry = &headers->entries[i];

        if (with_brokers_own || !headers_is_brokers_own(entry->name))
            bytes += entry_bytes(strlen(entry->name), entry->value_bytes);
    }
    return bytes;
}

void headers_encode(const struct headers *headers, bool with_brokers_own, uint8_t *out)
{
    for (size_t i = 0; headers && i < headers->count; i++) {
        const struct entry *entry = &headers->entries[i];
        size_t name_bytes = strlen(entry->name);

        if (!with_brokers_own && headers_is_brokers_own(entry->name))
            continue;
        *out++ = (uint8_t)name_bytes;
        memcpy(out, entry->name, name_bytes);
        memcpy(out + name_bytes, entry->value, entry->value_bytes);
        out += name_bytes + entry->value_bytes;
    }
}
