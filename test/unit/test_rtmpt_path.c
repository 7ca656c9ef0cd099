// Request targets and session ids of the tunnel.
#include "harness.h"

#include "base/err.h"
#include "io/openssl.h"
#include "proto/rtmpt_path.h"

#include <stdio.h>

#define LONGEST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// ---- targets --------------------------------------------------------------------------------

struct target_case {
    const char *path;
    int kind; // -1: not ours
    const char *id;
    int64_t n; // -1: none
};

static const struct target_case targets[] = {
    {"/open/1", CV_RTMPT_OPEN, "", -1},
    {"/fcs/ident", CV_RTMPT_IDENT, "", -1},
    {"/fcs/ident2", CV_RTMPT_IDENT2, "", -1},
    {"/send/aZ09-_/0", CV_RTMPT_SEND, "aZ09-_", 0},
    {"/send/a/007", CV_RTMPT_SEND, "a", 7},
    {"/idle/a/2147483648", CV_RTMPT_IDLE, "a", 2147483648},
    {"/idel/a/1", CV_RTMPT_IDLE, "a", 1},
    {"/send/" LONGEST "/1", CV_RTMPT_SEND, LONGEST, 1},
    {"/send/a/9007199254740992", CV_RTMPT_SEND, "a", 9007199254740992},
    {"/close/a", CV_RTMPT_CLOSE, "a", -1},
    {"/close/2", CV_RTMPT_CLOSE, "2", -1},
    {"/close/a/3", CV_RTMPT_CLOSE, "a", 3},

    {"", -1, NULL, 0},
    {"/", -1, NULL, 0},
    {"/open", -1, NULL, 0},
    {"/open/", -1, NULL, 0},
    {"/open/2", -1, NULL, 0},
    {"/open/1/", -1, NULL, 0},
    {"/open/11", -1, NULL, 0},
    {"/OPEN/1", -1, NULL, 0},
    {"open/1", -1, NULL, 0},
    {"/fcs/", -1, NULL, 0},
    {"/fcs/ident3", -1, NULL, 0},
    {"/fcs/ident2/", -1, NULL, 0},
    {"/send", -1, NULL, 0},
    {"/send/", -1, NULL, 0},
    {"/send/contact", -1, NULL, 0},
    {"/send/a/", -1, NULL, 0},
    {"/send//1", -1, NULL, 0},
    {"/send/a/1/", -1, NULL, 0},
    {"/send/a/1/2", -1, NULL, 0},
    {"/send/a/-1", -1, NULL, 0},
    {"/send/a/+1", -1, NULL, 0},
    {"/send/a/ 1", -1, NULL, 0},
    {"/send/a/1x", -1, NULL, 0},
    {"/send/a/0x1", -1, NULL, 0},
    {"/send/a/1?x", -1, NULL, 0},
    {"/send/a.b/1", -1, NULL, 0},
    {"/send/a%41/1", -1, NULL, 0},
    {"/send/" LONGEST "x/1", -1, NULL, 0},
    {"/send/a/9007199254740993", -1, NULL, 0},
    {"/send/a/18446744073709551616", -1, NULL, 0},
    {"/idles/a/1", -1, NULL, 0},
    {"/idle", -1, NULL, 0},
    {"/idle/a", -1, NULL, 0},
    {"/id/a/1", -1, NULL, 0},
    {"/close", -1, NULL, 0},
    {"/close/", -1, NULL, 0},
    {"/close/a/", -1, NULL, 0},
    {"/close/a/b", -1, NULL, 0},
};

static void targets_match_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        const struct target_case *c = &targets[i];
        struct guard path = guard_copy(c->path, strlen(c->path));
        struct cv_rtmpt_target target = {.n = 77};
        int err = cv_rtmpt_target_parse((struct cv_text){(char *)path.data, path.len}, &target);
        if (c->kind < 0) {
            assert_int_equal(err, CV_E_NOT_FOUND);
            assert_int_equal(target.n, 77);
        } else {
            assert_int_equal(err, CV_OK);
            assert_int_equal(target.kind, c->kind);
            assert_true(cv_text_is(target.id, c->id));
            assert_int_equal(target.has_n, c->n >= 0);
            assert_int_equal(target.n, c->n >= 0 ? c->n : 0);
        }
        guard_free(&path);
    }
}

static void zero_bytes_are_no_letters(void **state)
{
    (void)state;
    struct cv_rtmpt_target target;
    static const char path[] = "/send/a\0b/1";
    assert_int_equal(cv_rtmpt_target_parse((struct cv_text){path, sizeof path - 1}, &target),
                     CV_E_NOT_FOUND);
}

// ---- ids ------------------------------------------------------------------------------------

static const struct cv_rtmpt_secret secret = {&cv_crypto_openssl, {1, 2, 3}};

static struct cv_text text_of(const struct cv_rtmpt_id *id)
{
    return (struct cv_text){id->text, CV_RTMPT_ID_CHARS};
}

static void ids_are_known_again(void **state)
{
    (void)state;
    static const uint32_t owners[] = {0, 1, 63, 64, CV_RTMPT_OWNER_MAX};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        struct cv_rtmpt_id id;
        uint32_t owner = 9999;
        assert_int_equal(cv_rtmpt_id_make(&id, &secret, owners[i], 5000), CV_OK);
        assert_int_equal(strlen(id.text), CV_RTMPT_ID_CHARS);
        struct guard copy = guard_copy(id.text, CV_RTMPT_ID_CHARS);
        struct cv_text text = {(char *)copy.data, copy.len};
        assert_int_equal(cv_rtmpt_id_owner(text, &owner), CV_OK);
        assert_int_equal(owner, owners[i]);
        assert_int_equal(cv_rtmpt_id_check(text, &secret, 5000, 20), CV_OK);
        assert_int_equal(cv_rtmpt_id_check(text, &secret, 5020, 20), CV_OK);
        guard_free(&copy);
        // They are paths as they are.
        char path[64];
        struct cv_rtmpt_target target;
        snprintf(path, sizeof path, "/send/%s/0", id.text);
        assert_int_equal(cv_rtmpt_target_parse(cv_text_of(path), &target), CV_OK);
        assert_true(cv_text_is(target.id, id.text));
    }
}

static void bug_11_ids_expire_without_having_been_kept(void **state)
{
    (void)state;
    struct cv_rtmpt_id id;
    assert_int_equal(cv_rtmpt_id_make(&id, &secret, 1, 5000), CV_OK);
    assert_int_equal(cv_rtmpt_id_check(text_of(&id), &secret, 5021, 20), CV_E_NOT_FOUND);
    assert_int_equal(cv_rtmpt_id_check(text_of(&id), &secret, 4999, 20), CV_E_NOT_FOUND);
    // The time in it wraps.
    assert_int_equal(cv_rtmpt_id_make(&id, &secret, 1, (1 << 24) - 1), CV_OK);
    assert_int_equal(cv_rtmpt_id_check(text_of(&id), &secret, (1 << 24) + 5, 20), CV_OK);
}

static void bug_13_every_character_is_signed(void **state)
{
    (void)state;
    struct cv_rtmpt_id id;
    assert_int_equal(cv_rtmpt_id_make(&id, &secret, 1, 5000), CV_OK);
    for (size_t i = 0; i < CV_RTMPT_ID_CHARS; i++) {
        struct cv_rtmpt_id forged = id;
        forged.text[i] = forged.text[i] == 'A' ? 'B' : 'A';
        assert_int_equal(cv_rtmpt_id_check(text_of(&forged), &secret, 5000, UINT32_MAX),
                         CV_E_NOT_FOUND);
    }
    for (size_t len = 0; len < CV_RTMPT_ID_CHARS; len++) {
        struct cv_text text = {id.text, len};
        assert_int_equal(cv_rtmpt_id_check(text, &secret, 5000, 20), CV_E_NOT_FOUND);
    }
    struct cv_rtmpt_secret other = secret;
    other.key[CV_RTMPT_SECRET_BYTES - 1] ^= 1;
    assert_int_equal(cv_rtmpt_id_check(text_of(&id), &other, 5000, 20), CV_E_NOT_FOUND);
}

static void bug_13_ids_are_never_alike(void **state)
{
    (void)state;
    enum { IDS = 300 };
    static struct cv_rtmpt_id ids[IDS];
    for (size_t i = 0; i < IDS; i++) {
        assert_int_equal(cv_rtmpt_id_make(&ids[i], &secret, 1, 5000), CV_OK);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(ids[i].text + 6, ids[k].text + 6, 9);
            assert_memory_not_equal(ids[i].text + 15, ids[k].text + 15, 16);
        }
    }
}

static void foreign_ids_have_no_owner(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "",
        "2",
        "c4ca4238a0b92382",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "..AAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AA....AAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        uint32_t owner = 77;
        assert_int_equal(cv_rtmpt_id_owner(cv_text_of(ids[i]), &owner), CV_E_NOT_FOUND);
        assert_int_equal(owner, 77);
        assert_int_equal(cv_rtmpt_id_check(cv_text_of(ids[i]), &secret, 0, 20), CV_E_NOT_FOUND);
    }
}

static int no_random(void *out, size_t len)
{
    (void)out, (void)len;
    return CV_E_SYSTEM;
}

static int no_hmac(const void *key, size_t key_len, const void *data1, size_t len1,
                   const void *data2, size_t len2, uint8_t out[CV_SHA256_BYTES])
{
    (void)key, (void)key_len, (void)data1, (void)len1, (void)data2, (void)len2, (void)out;
    return CV_E_SYSTEM;
}

static void crypto_that_fails(void **state)
{
    (void)state;
    struct cv_crypto no[2] = {cv_crypto_openssl, cv_crypto_openssl};
    no[0].random = no_random;
    no[1].hmac_sha256 = no_hmac;
    for (int i = 0; i < 2; i++) {
        struct cv_rtmpt_secret bad = {&no[i], {0}};
        struct cv_rtmpt_id id = {"untouched"};
        assert_int_equal(cv_rtmpt_id_make(&id, &bad, 1, 1), CV_E_SYSTEM);
        assert_string_equal(id.text, "untouched");
    }
    struct cv_rtmpt_secret bad = {&no[1], {0}};
    assert_int_equal(cv_rtmpt_id_check(cv_text_of("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &bad, 1, 1),
                     CV_E_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_match_whole),
        cmocka_unit_test(zero_bytes_are_no_letters),
        cmocka_unit_test(ids_are_known_again),
        cmocka_unit_test(bug_11_ids_expire_without_having_been_kept),
        cmocka_unit_test(bug_13_every_character_is_signed),
        cmocka_unit_test(bug_13_ids_are_never_alike),
        cmocka_unit_test(foreign_ids_have_no_owner),
        cmocka_unit_test(crypto_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
