// The crypto door: what the protocol engines need of cryptography, as functions.
//
// Engines do not know the library behind it. The real one is cv_crypto_openssl (io/openssl.h);
// tests and fuzz targets bring a deterministic one.
#ifndef CV_BASE_CRYPTO_H
#define CV_BASE_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

enum { CV_SHA256_BYTES = 32, CV_SHA1_BYTES = 20 };

// HMAC-SHA256 (RFC 2104) over data1 followed by data2. A piece of length 0 may be NULL.
// 0, or a negative code, then `out` is untouched.
typedef int cv_hmac_sha256_fn(const void *key, size_t key_len, const void *data1, size_t len1,
                              const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES]);
// SHA-1 (FIPS 180) of `len` bytes; only where a protocol asks for it. data may be NULL when len is
// 0. 0, or a negative code, then `out` is untouched.
typedef int cv_sha1_fn(const void *data, size_t len, uint8_t out[CV_SHA1_BYTES]);
// Fills `out` with bytes that nobody can guess. 0, or a negative code.
typedef int cv_random_fn(void *out, size_t len);

// Any thread may call the functions at any time. Static, or outliving every engine that holds it.
struct cv_crypto {
    cv_hmac_sha256_fn *hmac_sha256; // NULL: none, features that need it are off
    cv_sha1_fn *sha1;               // NULL: none, no WebSocket
    cv_random_fn *random;           // never NULL
};

#endif
