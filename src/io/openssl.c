#include "io/openssl.h"

#include "base/err.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

// Looking an algorithm up by name costs more than hashing a short message, so it is done once. They
// stay NULL when OpenSSL cannot (no memory, no provider): then every call fails. Never freed: they
// serve until the process ends.
static EVP_MD *sha1;
static EVP_MD *sha256;
static EVP_MAC_CTX *hmac_model; // keyed with nothing of use; each call works on a copy
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *hmac_model_new(void)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *model = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); // the context holds its own reference
    char digest[] = OSSL_DIGEST_NAME_SHA2_256;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    static const uint8_t any_key[1];
    if (model && EVP_MAC_init(model, any_key, sizeof any_key, params))
        return model;
    EVP_MAC_CTX_free(model);
    return NULL;
}

static void fetch_all(void)
{
    sha1 = EVP_MD_fetch(NULL, OSSL_DIGEST_NAME_SHA1, NULL);
    sha256 = EVP_MD_fetch(NULL, OSSL_DIGEST_NAME_SHA2_256, NULL);
    hmac_model = hmac_model_new();
}

static bool hmac_run(EVP_MAC_CTX *context, const void *data1, size_t len1, const void *data2,
                     size_t len2, uint8_t result[CV_SHA256_BYTES])
{
    size_t result_len = 0;
    return (len1 == 0 || EVP_MAC_update(context, data1, len1)) &&
           (len2 == 0 || EVP_MAC_update(context, data2, len2)) &&
           EVP_MAC_final(context, result, &result_len, CV_SHA256_BYTES) &&
           result_len == CV_SHA256_BYTES;
}

static int hmac_sha256(const void *key, size_t key_len, const void *data1, size_t len1,
                       const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    pthread_once(&fetched, fetch_all);
    EVP_MAC_CTX *context = hmac_model ? EVP_MAC_CTX_dup(hmac_model) : NULL;
    uint8_t result[CV_SHA256_BYTES];
    // OpenSSL takes a NULL key for "the old one", so an empty key needs an address.
    bool made = context && EVP_MAC_init(context, key_len ? key : "", key_len, NULL) &&
                hmac_run(context, data1, len1, data2, len2, result);
    EVP_MAC_CTX_free(context);
    if (!made)
        return CV_E_SYSTEM;
    memcpy(out, result, sizeof result);
    return CV_OK;
}

// `result_len` is how much `algorithm` (may be NULL) gives.
static int digest(const EVP_MD *algorithm, const void *data, size_t len, uint8_t *out,
                  size_t result_len)
{
    uint8_t result[EVP_MAX_MD_SIZE];
    if (!algorithm || !EVP_Digest(len ? data : "", len, result, NULL, algorithm, NULL))
        return CV_E_SYSTEM;
    memcpy(out, result, result_len);
    return CV_OK;
}

static int hash_sha1(const void *data, size_t len, uint8_t out[CV_SHA1_BYTES])
{
    pthread_once(&fetched, fetch_all);
    return digest(sha1, data, len, out, CV_SHA1_BYTES);
}

static int random_bytes(void *out, size_t len)
{
    if (len > INT_MAX)
        return CV_E_SYSTEM;
    return RAND_bytes(out, (int)len) == 1 ? CV_OK : CV_E_SYSTEM;
}

const struct cv_crypto cv_crypto_openssl = {
    .hmac_sha256 = hmac_sha256,
    .sha1 = hash_sha1,
    .random = random_bytes,
};

int cv_sha256(const void *data, size_t len, uint8_t out[CV_SHA256_BYTES])
{
    pthread_once(&fetched, fetch_all);
    return digest(sha256, data, len, out, CV_SHA256_BYTES);
}
