/*
 * Digests by OpenSSL's libcrypto. Decides nothing. Called by upstream (which credentials are these?) and by
 * the module host (idempotency keys, signatures of webhooks).
 */
#include "common/digest.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { SHA256_BYTES = 32 };

static enum err to_hex(const unsigned char *bytes, unsigned length, char ret_hex[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    ret_hex[0] = '\0';
    if (length != SHA256_BYTES)
        return ERR_NOMEM;
    for (unsigned i = 0; i < SHA256_BYTES; i++) {
        ret_hex[2 * i] = digits[bytes[i] >> 4];
        ret_hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_hex[DIGEST_HEX_BYTES - 1] = '\0';
    return OK;
}

enum err digest_sha256(const void *data, size_t length, char ret_hex[DIGEST_HEX_BYTES])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned count = 0;

    if (EVP_Digest(data, length, bytes, &count, EVP_sha256(), NULL) != 1)
        count = 0;
    return to_hex(bytes, count, ret_hex);
}

enum err digest_hmac_sha256(const void *key, size_t key_length, const void *data, size_t length,
                            char ret_hex[DIGEST_HEX_BYTES])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned count = 0;

    if (key_length > INT_MAX || !HMAC(EVP_sha256(), key, (int)key_length, data, length, bytes, &count))
        count = 0;
    return to_hex(bytes, count, ret_hex);
}
