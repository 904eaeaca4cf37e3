/*
 * Reads JSON past what nobody asked for. Decides what is well-formed (as strictly as jansson, but for numbers
 * too large for a machine, which are numbers here); what members mean is the module's. Called by modules for
 * answers whose tree would cost more than the rest of the order.
 */
#include "members.h"

#include <stdint.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

struct scan {
    const char *at, *end;
    struct member *wanted; /* of the object at the top */
    size_t wanted_count;
    bool empty; /* the last object or array that ended has no members */
};

static bool skip_value(struct scan *scan, unsigned depth, enum member_kind *ret_kind);

/* The byte here, or a NUL behind the end: no JSON has that outside of what skip_string() looks at. */
static unsigned char peek(const struct scan *scan)
{
    return scan->at < scan->end ? (unsigned char)*scan->at : 0;
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static bool skip_word(struct scan *scan, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return true;
}

/* ---- numbers ---- */

static bool skip_digits(struct scan *scan)
{
    const char *first = scan->at;

    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return scan->at > first;
}

static bool skip_number(struct scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && !skip_digits(scan))
        return false;
    if (take(scan, '.') && !skip_digits(scan))
        return false;
    if (peek(scan) != 'e' && peek(scan) != 'E')
        return true;
    scan->at++;
    if (!take(scan, '+'))
        (void)take(scan, '-');
    return skip_digits(scan);
}

/* ---- strings ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits; -1 when they are not all there. */
static int32_t take_hex(struct scan *scan)
{
    int32_t value = 0;

    if (scan->end - scan->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*scan->at++);

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* What stands behind "\u": a character, perhaps of two surrogates. 0 = not allowed (NUL is not either). */
static uint32_t take_unicode(struct scan *scan)
{
    int32_t high = take_hex(scan), low;

    if (high < 0xd800 || high > 0xdfff)
        return high > 0 ? (uint32_t)high : 0;
    if (high > 0xdbff || !skip_word(scan, "\\u"))
        return 0;
    low = take_hex(scan);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    return 0x10000u + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

/* The character that an escape stands for, the backslash taken already; 0 = there is no such escape. */
static uint32_t take_escape(struct scan *scan)
{
    static const char names[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    const char *found = scan->at < scan->end ? memchr(names, *scan->at, sizeof(names) - 1) : NULL;

    if (found) {
        scan->at++;
        return (unsigned char)characters[found - names];
    }
    return take(scan, 'u') ? take_unicode(scan) : 0;
}

/* One character of two to four bytes: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool skip_utf8(struct scan *scan)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = peek(scan);
    int length = first >= 0xc0 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : 4;
    uint32_t character = first & (0xffu >> (length + 1));

    if (first < 0xc0 || first >= 0xf8 || scan->end - scan->at < length)
        return false;
    for (int i = 1; i < length; i++) {
        unsigned char byte = (unsigned char)scan->at[i];

        if ((byte & 0xc0) != 0x80)
            return false;
        character = character << 6 | (byte & 0x3fu);
    }
    scan->at += length;
    return character >= least[length] && character <= 0x10ffff && (character < 0xd800 || character > 0xdfff);
}

/* From the opening quote to behind the closing one. */
static bool skip_string(struct scan *scan, const char **ret_raw, size_t *ret_length)
{
    if (!take(scan, '"'))
        return false;
    *ret_raw = scan->at;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at;

        if (c == '"') {
            *ret_length = (size_t)(scan->at++ - *ret_raw);
            return true;
        }
        if (c >= 0x80) {
            if (!skip_utf8(scan))
                return false;
        } else if (c == '\\') {
            scan->at++;
            if (take_escape(scan) == 0)
                return false;
        } else if (c < 0x20) {
            return false;
        } else {
            scan->at++;
        }
    }
    return false;
}

static size_t put_utf8(uint32_t character, char out[4])
{
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;

    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    out[0] = (char)(marks[length] | character);
    return length;
}

/* Raw bytes of a string that has been read once: its escapes are known to be good. */
static bool says(const char *raw, size_t length, const char *string)
{
    struct scan scan = {.at = raw, .end = raw + length};
    size_t left = strlen(string);

    if (!memchr(raw, '\\', length))
        return left == length && memcmp(raw, string, length) == 0;
    while (scan.at < scan.end) {
        char bytes[4] = {*scan.at++};
        size_t taken = bytes[0] == '\\' ? put_utf8(take_escape(&scan), bytes) : 1;

        if (left < taken || memcmp(bytes, string, taken) != 0)
            return false;
        string += taken;
        left -= taken;
    }
    return left == 0;
}

/* ---- objects and arrays ---- */

static void note(struct scan *scan, const char *key, size_t key_length, const struct member *value)
{
    for (size_t i = 0; i < scan->wanted_count; i++) {
        const char *name = scan->wanted[i].name;

        if (says(key, key_length, name)) {
            scan->wanted[i] = *value;
            scan->wanted[i].name = name;
        }
    }
}

static bool skip_member(struct scan *scan, unsigned depth)
{
    const char *key = NULL;
    size_t key_length = 0;
    struct member value = {.name = NULL};
    const char *start;

    if (!skip_string(scan, &key, &key_length))
        return false;
    skip_space(scan);
    if (!take(scan, ':'))
        return false;
    skip_space(scan);
    start = scan->at;
    if (!skip_value(scan, depth, &value.kind))
        return false;
    if (depth > 1)
        return true;
    if (value.kind == MEMBER_STRING) {
        value.raw = start + 1;
        value.raw_length = (size_t)(scan->at - start) - 2;
    }
    note(scan, key, key_length, &value);
    return true;
}

static bool skip_element(struct scan *scan, unsigned depth)
{
    enum member_kind kind;

    return skip_value(scan, depth, &kind);
}

/* From behind the opening bracket to behind the closing one; `depth` is that of the members, 1 at the top. */
static bool skip_members(struct scan *scan, char closing, unsigned depth,
                         bool (*skip)(struct scan *scan, unsigned depth))
{
    if (depth > MAX_DEPTH)
        return false;
    skip_space(scan);
    scan->empty = take(scan, closing);
    if (scan->empty)
        return true;
    do {
        skip_space(scan);
        if (!skip(scan, depth))
            return false;
        skip_space(scan);
    } while (take(scan, ','));
    scan->empty = false;
    return take(scan, closing);
}

static bool skip_value(struct scan *scan, unsigned depth, enum member_kind *ret_kind)
{
    const char *raw;
    size_t length;

    switch (peek(scan)) {
    case '{':
        scan->at++;
        *ret_kind = MEMBER_OBJECT;
        return skip_members(scan, '}', depth + 1, skip_member);
    case '[':
        scan->at++;
        *ret_kind = MEMBER_ARRAY;
        return skip_members(scan, ']', depth + 1, skip_element);
    case '"':
        *ret_kind = MEMBER_STRING;
        return skip_string(scan, &raw, &length);
    case 't':
        *ret_kind = MEMBER_TRUE;
        return skip_word(scan, "true");
    case 'f':
        *ret_kind = MEMBER_FALSE;
        return skip_word(scan, "false");
    case 'n':
        *ret_kind = MEMBER_NULL;
        return skip_word(scan, "null");
    default:
        *ret_kind = MEMBER_NUMBER;
        return skip_number(scan);
    }
}

/* ---- the whole ---- */

static void forget(struct member *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct member){.name = wanted[i].name};
}

enum members_text members_read(const char *text, size_t length, struct member *wanted, size_t count)
{
    struct scan scan = {.at = text, .end = text + length, .wanted = wanted, .wanted_count = count};
    enum member_kind kind = MEMBER_MISSING;
    bool whole;

    forget(wanted, count);
    skip_space(&scan);
    whole = skip_value(&scan, 0, &kind);
    skip_space(&scan);
    if (!whole || scan.at != scan.end) {
        forget(wanted, count);
        return MEMBERS_GARBAGE;
    }
    if (kind == MEMBER_OBJECT)
        return scan.empty ? MEMBERS_EMPTY : MEMBERS_OBJECT;
    return kind == MEMBER_NULL ? MEMBERS_NULL : MEMBERS_OTHER;
}

bool members_say(const struct member *member, const char *string)
{
    return member->kind == MEMBER_STRING && says(member->raw, member->raw_length, string);
}
