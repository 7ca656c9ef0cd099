// What several fuzz targets share.
#ifndef CV_FUZZ_KIT_H
#define CV_FUZZ_KIT_H

#include "base/crypto.h"
#include "base/err.h"
#include "base/gather.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void must(int promise)
{
    if (!promise)
        abort();
}

// ---- sums -------------------------------------------------------------------------------------

// FNV-1a: two sums are equal when what was added is.
static inline void sum_bytes(uint64_t *hash, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
}

static volatile uint8_t sink;

// Each vector is there to be read up to its end.
static inline void touch_ends(const struct cv_gather *gather)
{
    for (int i = 0; i < gather->count; i++)
        sink ^= ((const uint8_t *)gather->vectors[i].iov_base)[gather->vectors[i].iov_len - 1];
}

// ---- pieces -----------------------------------------------------------------------------------

// The input comes in pieces whose sizes are used in turn; with `sizes` NULL in one.
enum { PIECE_SIZES = 2 };

// The bytes of the n-th piece, of `left` that are still to come.
static inline size_t piece_in(const uint8_t *sizes, size_t n, size_t left)
{
    if (!sizes)
        return left;
    size_t len = 1 + (size_t)sizes[n % PIECE_SIZES] * sizes[n % PIECE_SIZES] / 16;
    return len < left ? len : left;
}

// How many bytes may leave behind it.
static inline size_t piece_out(const uint8_t *sizes, size_t n)
{
    return sizes ? 1 + (size_t)sizes[n % PIECE_SIZES] * 8 : SIZE_MAX;
}

// A copy of a piece in memory of its own, so that a read past it is seen. The caller's to free.
static inline uint8_t *piece_copy(const uint8_t *data, size_t len)
{
    uint8_t *piece = malloc(len ? len : 1);
    must(piece != NULL);
    if (len)
        memcpy(piece, data, len);
    return piece;
}

// ---- crypto -----------------------------------------------------------------------------------

// So weak that a fuzzer finds digests: 32 times the length of the key.
static inline int weak_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                            const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    (void)key, (void)data1, (void)len1, (void)data2, (void)len2;
    memset(out, (int)key_len, CV_SHA256_BYTES);
    return CV_OK;
}

static inline int weak_random(void *out, size_t len)
{
    memset(out, 0x55, len);
    return CV_OK;
}

static const struct cv_crypto weak = {.hmac_sha256 = weak_hmac, .random = weak_random};

#endif
