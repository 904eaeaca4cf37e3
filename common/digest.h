/*
 * SHA-256 and HMAC-SHA256 as hex text. The one file that knows which library does it is digest.c.
 */
#ifndef FULFILLD_COMMON_DIGEST_H
#define FULFILLD_COMMON_DIGEST_H

#include "common/err.h"

#include <stddef.h>

enum { DIGEST_HEX_BYTES = 65 };

/** 64 lower-case hex digits and a NUL. ERR_NOMEM (ret_hex is "" then) when the library cannot. */
MUST_CHECK enum err digest_sha256(const void *data, size_t length, char ret_hex[DIGEST_HEX_BYTES]);
MUST_CHECK enum err digest_hmac_sha256(const void *key, size_t key_length, const void *data, size_t length,
                                       char ret_hex[DIGEST_HEX_BYTES]);

#endif
