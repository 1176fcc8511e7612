/* SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), for the greeting. */
#ifndef MG_SHA256_H
#define MG_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define MG_DIGEST 32 /* bytes */

void mg_sha256(uint8_t digest[MG_DIGEST], const uint8_t *bytes, size_t count);

/* The key may have at most 64 bytes, the message at most 128. */
void mg_hmac_sha256(uint8_t digest[MG_DIGEST], const uint8_t *key, size_t key_size, const uint8_t *message, size_t size);

#endif
