/* Where a byte of a JSON text stands, as a path. For faults of a text that did not become a document. */
#ifndef FULFILLD_COMMON_JSONX_PLACE_H
#define FULFILLD_COMMON_JSONX_PLACE_H

#include <stddef.h>

/**
 * Writes the path of what was being read when the text had been read up to `end`: "lines[0].sku"; "" at the
 * top, or where brackets do not match or nest deeper than JSONX_MAX_DEPTH. A key that does not look like a
 * field's name ends the path: it may be data, perhaps a learner's.
 * @param end   at most the text's length
 * @param out   gets at most `size` bytes with the NUL; a longer path is cut
 */
void jsonx_place(const char *bytes, size_t end, char *out, size_t size);

#endif
