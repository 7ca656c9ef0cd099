// The crypto door: published vectors, comparison, randomness.
#include "harness.h"

#include "base/err.h"
#include "base/secret.h"
#include "io/openssl.h"

static void expect_hex(const uint8_t *got, const char *hex)
{
    uint8_t want[CV_SHA256_BYTES];
    assert_int_equal(hex_bytes(hex, want, sizeof want), sizeof want);
    assert_memory_equal(got, want, sizeof want);
}

// HMAC of `data`, cut into two pieces in every way.
static void expect_hmac(const void *key, size_t key_len, const uint8_t *data, size_t len,
                        const char *hex)
{
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t out[CV_SHA256_BYTES];
        assert_int_equal(
            cv_crypto_openssl.hmac_sha256(key, key_len, data, cut, data + cut, len - cut, out),
            CV_OK);
        expect_hex(out, hex);
    }
}

static void hmac_vectors_of_rfc4231(void **state)
{
    (void)state;
    uint8_t key[131];
    memset(key, 0x0b, sizeof key);
    expect_hmac(key, 20, (const uint8_t *)"Hi There", 8,
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect_hmac("Jefe", 4, (const uint8_t *)"what do ya want for nothing?", 28,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    uint8_t data[50];
    memset(data, 0xdd, sizeof data);
    expect_hmac(key, 20, data, sizeof data,
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    expect_hmac(key, sizeof key, (const uint8_t *)text, strlen(text),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hmac_of_nothing(void **state)
{
    (void)state;
    uint8_t out[CV_SHA256_BYTES];
    assert_int_equal(cv_crypto_openssl.hmac_sha256(NULL, 0, NULL, 0, NULL, 0, out), CV_OK);
    expect_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void sha1_vectors(void **state)
{
    (void)state;
    uint8_t out[CV_SHA1_BYTES];
    uint8_t want[CV_SHA1_BYTES];
    assert_int_equal(cv_crypto_openssl.sha1("abc", 3, out), CV_OK);
    hex_bytes("a9993e364706816aba3e25717850c26c9cd0d89d", want, sizeof want);
    assert_memory_equal(out, want, sizeof want);
    assert_int_equal(cv_crypto_openssl.sha1(NULL, 0, out), CV_OK);
    hex_bytes("da39a3ee5e6b4b0d3255bfef95601890afd80709", want, sizeof want);
    assert_memory_equal(out, want, sizeof want);
}

static void sha256_vectors(void **state)
{
    (void)state;
    uint8_t out[CV_SHA256_BYTES];
    assert_int_equal(cv_sha256("abc", 3, out), CV_OK);
    expect_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(cv_sha256(NULL, 0, out), CV_OK);
    expect_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    assert_int_equal(cv_crypto_openssl.random(a, sizeof a), CV_OK);
    assert_int_equal(cv_crypto_openssl.random(b, sizeof b), CV_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(cv_crypto_openssl.random(a, (size_t)1 << 40), CV_E_SYSTEM);
}

static void compares_every_byte(void **state)
{
    (void)state;
    uint8_t a[64];
    uint8_t b[64];
    memset(a, 0x5a, sizeof a);
    memcpy(b, a, sizeof b);
    assert_true(cv_ct_equal(a, b, sizeof a));
    assert_true(cv_ct_equal(a, b, 0));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(cv_ct_equal(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_vectors_of_rfc4231),
        cmocka_unit_test(hmac_of_nothing),
        cmocka_unit_test(sha1_vectors),
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(compares_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
