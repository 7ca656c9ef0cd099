// Any bytes into the handshake, in any pieces.
//
// Input: byte 0 picks the role, the mode and what fails; bytes 1..4 are the sizes of the pieces,
// used in turn; the rest is what the peer sends. The crypto is weak on purpose: a digest is 32
// times the length of its key (30 = 0x1e for a client's, 36 = 0x24 for a server's), so that the
// fuzzer can find one.
#include "base/err.h"
#include "proto/handshake.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENT = 1, DIGEST = 2, NO_HMAC = 4, HMAC_FAILS = 8, TAKE_LATE = 16 };
enum { SIZES = 4, HEAD_BYTES = 1 + SIZES };

static volatile uint8_t sink;

static void must(int promise)
{
    if (!promise)
        abort();
}

static void touch(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sink ^= data[i];
}

static int weak_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                     const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    touch(key, key_len);
    touch(data1, len1);
    touch(data2, len2);
    memset(out, (int)key_len, CV_SHA256_BYTES);
    return CV_OK;
}

static int failing_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                        const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    (void)weak_hmac(key, key_len, data1, len1, data2, len2, out);
    return CV_E_SYSTEM;
}

static int weak_random(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(i * 7);
    return CV_OK;
}

static const struct cv_crypto weak = {.hmac_sha256 = weak_hmac, .random = weak_random};
static const struct cv_crypto no_hmac = {.random = weak_random};
static const struct cv_crypto failing = {.hmac_sha256 = failing_hmac, .random = weak_random};

static struct cv_handshake *handshake_new(uint8_t mode)
{
    const struct cv_crypto *crypto = &weak;
    if (mode & NO_HMAC)
        crypto = &no_hmac;
    else if (mode & HMAC_FAILS)
        crypto = &failing;
    if (mode & CLIENT)
        return cv_handshake_new_client(crypto, 1, mode & DIGEST);
    return cv_handshake_new_server(crypto, 1);
}

static size_t take(struct cv_handshake *hs, uint8_t mode)
{
    int err = 1;
    struct cv_block *block = cv_handshake_take(hs, &err);
    must(err == CV_OK || (mode & HMAC_FAILS && !block));
    size_t len = block ? block->len : 0;
    if (block)
        touch(block->data, block->len);
    cv_block_unref(&block);
    return len;
}

static int feed(struct cv_handshake *hs, const uint8_t *data, size_t len, size_t *left)
{
    // A copy of its own, so that a read past the piece is seen.
    uint8_t *piece = malloc(len);
    must(piece != NULL);
    memcpy(piece, data, len);
    struct cv_rd rd = cv_rd_over(piece, len);
    struct cv_why why = {0};
    int err = cv_handshake_feed(hs, &rd, &why);
    must(why.code == err);
    *left = cv_rd_left(&rd);
    free(piece);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return 0;
    uint8_t mode = data[0];
    struct cv_handshake *hs = handshake_new(mode);
    must(hs != NULL);
    size_t sent = 0;
    size_t taken = 0;
    int err = CV_OK;
    for (size_t at = HEAD_BYTES, n = 0; at < size && err == CV_OK; n++) {
        size_t unit = data[1 + n % SIZES];
        size_t len = 1 + unit * unit / 16;
        len = len < size - at ? len : size - at;
        if (!(mode & TAKE_LATE))
            sent += take(hs, mode);
        size_t left;
        err = feed(hs, data + at, len, &left);
        must(err != CV_OK || left == 0 || taken + len - left == CV_HANDSHAKE_BYTES);
        taken += len - left;
        at += len;
    }
    sent += take(hs, mode);
    must(taken <= CV_HANDSHAKE_BYTES && sent <= CV_HANDSHAKE_BYTES);
    must(err != CV_E_HANDSHAKE_VERSION || data[HEAD_BYTES] != CV_HANDSHAKE_VERSION);
    must(err == CV_OK || err == CV_E_HANDSHAKE_VERSION || mode & HMAC_FAILS);
    if (cv_handshake_done(hs))
        must(taken == CV_HANDSHAKE_BYTES && sent == CV_HANDSHAKE_BYTES);
    cv_handshake_free(hs);
    return 0;
}
