// Cryptography by OpenSSL 3: what base/crypto.h asks for, and hashes. Safe on any thread.
#ifndef CV_IO_OPENSSL_H
#define CV_IO_OPENSSL_H

#include "base/crypto.h"

// Failures are CV_E_SYSTEM.
extern const struct cv_crypto cv_crypto_openssl;

// SHA-256 of `len` bytes (data may be NULL when len is 0). 0 or CV_E_SYSTEM, then `out` is
// untouched.
int cv_sha256(const void *data, size_t len, uint8_t out[CV_SHA256_BYTES]);

#endif
