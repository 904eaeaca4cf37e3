/*
 * UTF-8: what is valid, where it may be cut, and a copy that is safe to show. Decides which characters an
 * operator never sees raw. Called where text from outside enters a log line, a fault, a header or a document.
 */
#include "common/text_utf8.h"

#include "common/text.h"

size_t text_utf8_sequence(const char *bytes, size_t left)
{
    const unsigned char *at = (const unsigned char *)bytes;
    unsigned char first = at[0];
    /* The range of the second byte excludes overlong forms, surrogates and values over U+10FFFF. */
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

bool text_utf8_valid(const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t taken = text_utf8_sequence(bytes + at, length - at);

        if (taken == 0)
            return false;
        at += taken;
    }
    return true;
}

size_t text_utf8_cut(const char *bytes, size_t length, size_t max)
{
    if (length <= max)
        return length;
    while (max > 0 && ((unsigned char)bytes[max] & 0xc0) == 0x80)
        max--;
    return max;
}

size_t text_utf8_prefix(const char *bytes, size_t length, size_t characters)
{
    size_t at = 0;

    for (; at < length && characters > 0; characters--) {
        size_t taken = text_utf8_sequence(bytes + at, length - at);

        at += taken > 0 ? taken : 1;
    }
    return at;
}

/* C0 and C1 controls, DEL, line and paragraph separators, and marks that turn the direction of a line. */
static bool is_unprintable(const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes;

    if (length == 1)
        return at[0] < 0x20 || at[0] == 0x7f;
    if (length == 2)
        return at[0] == 0xc2 && at[1] < 0xa0;
    if (length == 3 && at[0] == 0xe2 && at[1] == 0x80)
        return at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae);
    if (length == 3 && at[0] == 0xe2 && at[1] == 0x81)
        return at[2] >= 0xa6 && at[2] <= 0xa9;
    return false;
}

size_t text_utf8_copy(char *out, size_t size, const char *bytes, size_t length)
{
    size_t written = 0;

    for (size_t at = 0; at < length;) {
        const char *piece = bytes + at;

        if (*piece >= ' ' && *piece <= '~' && written + 2 <= size) { /* most are */
            out[written++] = *piece;
            at++;
            continue;
        }

        size_t taken = text_utf8_sequence(piece, length - at);
        size_t piece_length = taken;

        if (taken == 0) {
            piece = TEXT_UTF8_REPLACEMENT;
            piece_length = strlen(TEXT_UTF8_REPLACEMENT);
            taken = 1;
        } else if (is_unprintable(piece, taken)) {
            piece = " ";
            piece_length = 1;
        }
        if (written + piece_length + 1 > size)
            break;
        memcpy(out + written, piece, piece_length);
        written += piece_length;
        at += taken;
    }
    out[written] = '\0';
    return written;
}
