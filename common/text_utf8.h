/* One UTF-8 character at a time; private to text.c and text_utf8.c. */
#ifndef FULFILLD_COMMON_TEXT_UTF8_H
#define FULFILLD_COMMON_TEXT_UTF8_H

#include <stddef.h>

#define TEXT_UTF8_REPLACEMENT "\xef\xbf\xbd"

/** The length (1 to 4) of the character that begins at `bytes`, or 0 when it is not valid. `left` ≥ 1. */
size_t text_utf8_sequence(const char *bytes, size_t left);

#endif
