// Certificates from files: what is taken, and the sentence about each that is not.
#include "cert_kit.h"

#include "base/limits.h"
#include "io/tls_cert.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_files(void **state)
{
    (void)state;
    cert_folder_remove();
    return 0;
}

static struct cv_tls_cert *loaded(const char *cert_file, const char *key_file)
{
    struct cv_why why = {0};
    struct cv_tls_cert *cert = NULL;
    if (cv_tls_cert_load(&cert, cert_path(cert_file), cert_path(key_file), CERT_NOW_S, &why) != 0)
        fail_msg("%s", why.text);
    return cert;
}

// The sentence must begin with the file's name, and have these words.
static void refused(const char *cert_file, const char *key_file, const char *named,
                    const char *words)
{
    struct cv_why why = {0};
    struct cv_tls_cert *cert = NULL;
    int err = cv_tls_cert_load(&cert, cert_path(cert_file), cert_path(key_file), CERT_NOW_S, &why);
    assert_null(cert);
    assert_int_equal(err, CV_E_CONFIG);
    assert_int_equal(why.code, CV_E_CONFIG);
    char start[300];
    snprintf(start, sizeof start, "%s: ", cert_path(named));
    if (strncmp(why.text, start, strlen(start)) != 0 || !strstr(why.text, words))
        fail_msg("said: %s\nwant: %s%s", why.text, start, words);
    if (strlen(why.text) >= sizeof why.text - 1)
        fail_msg("cut: %s", why.text);
}

// ---- files -------------------------------------------------------------------------------------

static void files_that_are_not_there(void **state)
{
    (void)state;
    pair_write("a", &(struct cert_spec){.names = "a.example"});
    refused("none.crt", "a.key", "none.crt", "no such file; name the file of the certificate");
    refused("a.crt", "none.key", "none.key", "no such file; name the file of the key");
    refused("a.crt/x", "a.key", "a.crt/x", "there is no such file");
    refused("", "a.key", "", "not a file");
    text_write("empty", "", 0);
    refused("empty", "a.key", "empty", "the file is empty");
    refused("a.crt", "empty", "empty", "name the file of the key");
    assert_int_equal(mkfifo(cert_path("fifo"), 0600), 0);
    refused("fifo", "a.key", "fifo", "not a file");
    if (geteuid() == 0)
        return; // may read everything
    assert_int_equal(chmod(cert_path("a.key"), 0), 0);
    refused("a.crt", "a.key", "a.key", "this user may not read the key; allow that with chmod");
}

static void files_that_are_something_else(void **state)
{
    (void)state;
    static const char damaged[] = "-----BEGIN CERTIFICATE-----\nMIIBAA==\n"
                                  "-----END CERTIFICATE-----\n";
    static const char damaged_key[] = "-----BEGIN PRIVATE KEY-----\nMIIBAA==\n"
                                      "-----END PRIVATE KEY-----\n";
    struct cert cert = cert_make(&(struct cert_spec){.names = "a.example"}, NULL);
    uint8_t *der = NULL;
    int len = i2d_X509(cert.x509, &der);
    pair_write("a", &(struct cert_spec){.names = "a.example"});
    text_write("der", der, (size_t)len);
    text_write("damaged", damaged, sizeof damaged - 1);
    text_write("damaged.key", damaged_key, sizeof damaged_key - 1);
    text_write("text", "hello\n", 6);
    key_write("encrypted.key", &cert, "secret");
    refused("der", "a.key", "der", "convert it, as with openssl x509 -inform DER");
    refused("a.crt", "der", "der", "openssl pkey -inform DER");
    refused("damaged", "a.key", "damaged", "the certificate is damaged");
    refused("a.crt", "damaged.key", "damaged.key", "the key is damaged");
    refused("text", "a.key", "text", "no certificate in it");
    refused("a.key", "a.crt", "a.key", "no certificate in it");
    refused("a.crt", "a.crt", "a.crt", "no key in it");
    refused("a.crt", "encrypted.key", "encrypted.key", "the key is encrypted; write it without");
    OPENSSL_free(der);
    cert_done(&cert);
}

// The end of the file's name is what tells it apart, and the sentence is whole.
static void a_long_name_is_shown_by_its_end(void **state)
{
    (void)state;
    char path[600] = "/nonexistent";
    for (int i = 0; i < 20; i++)
        append_text(path, sizeof path, "/a-folder-with-a-long-name");
    append_text(path, sizeof path, "/privkey.pem");
    struct cv_tls_cert *cert = NULL;
    struct cv_why why = {0};
    assert_int_equal(cv_tls_cert_load(&cert, path, path, CERT_NOW_S, &why), CV_E_CONFIG);
    const char *end = "name/privkey.pem: there is no such file; name the file of the certificate";
    size_t len = strlen(why.text);
    assert_int_equal(strncmp(why.text, "...", 3), 0);
    assert_in_range(len, strlen(end), sizeof why.text - 1);
    assert_string_equal(why.text + len - strlen(end), end);
}

static void a_huge_file_is_not_read(void **state)
{
    (void)state;
    size_t len = CV_LIMIT_PEM_BYTES + 1;
    char *text = calloc(1, len);
    assert_non_null(text);
    memset(text, '\n', len);
    text_write("huge", text, len);
    refused("huge", "huge", "huge", "too long for a certificate");
    free(text);
}

// ---- certificates ------------------------------------------------------------------------------

static void a_key_of_another(void **state)
{
    (void)state;
    struct cert root =
        cert_make(&(struct cert_spec){.common_name = "root", .authority = true}, NULL);
    struct cert leaf = cert_make(&(struct cert_spec){.names = "a.example"}, &root);
    pair_write("b", &(struct cert_spec){.names = "b.example"});
    cert_write("chain.crt", &leaf, &root);
    cert_write("turned.crt", &root, &leaf);
    key_write("leaf.key", &leaf, NULL);
    refused("chain.crt", "b.key", "b.key", "not the key of the certificate in chain.crt");
    refused("turned.crt", "leaf.key", "turned.crt", "must be the first one in the file");
    struct cv_tls_cert *cert = loaded("chain.crt", "leaf.key");
    struct cv_tls_cert_info info;
    cv_tls_cert_info(cert, &info);
    assert_int_equal(info.chain_count, 1);
    assert_false(info.self_signed);
    assert_string_equal(info.issuer, "root");
    cv_tls_cert_unref(&cert);
    cert_done(&root);
    cert_done(&leaf);
}

static void weak_ones(void **state)
{
    (void)state;
    struct cert root =
        cert_make(&(struct cert_spec){.common_name = "root", .authority = true}, NULL);
    struct cert old = cert_make(
        &(struct cert_spec){.common_name = "old", .authority = true, .digest = "SHA1"}, &root);
    struct cert leaf =
        cert_make(&(struct cert_spec){.names = "a.example", .digest = "SHA1"}, &root);
    struct cert under_old = cert_make(&(struct cert_spec){.names = "a.example"}, &old);
    pair_write("rsa", &(struct cert_spec){.names = "a.example", .key = "RSA-1024"});
    pair_write("ec", &(struct cert_spec){.names = "a.example", .key = "P-192"});
    cert_write("sha1.crt", &leaf, &root);
    key_write("sha1.key", &leaf, NULL);
    cert_write("old.crt", &under_old, &old);
    key_write("old.key", &under_old, NULL);
    refused("rsa.crt", "rsa.key", "rsa.crt", "its key of 1024 bits is too weak; get one of 2048");
    refused("ec.crt", "ec.key", "ec.crt", "its key of 192 bits is too weak; get one of ECDSA");
    refused("sha1.crt", "sha1.key", "sha1.crt", "the certificate is signed with SHA1");
    refused("old.crt", "old.key", "old.crt", "an issuer's certificate is signed with SHA1");
    cert_done(&root);
    cert_done(&old);
    cert_done(&leaf);
    cert_done(&under_old);
}

static void times_and_uses(void **state)
{
    (void)state;
    pair_write("gone", &(struct cert_spec){.names = "a", .from_days = -90, .until_days = -1});
    pair_write("early", &(struct cert_spec){.names = "a", .from_days = 1, .until_days = 90});
    pair_write("client", &(struct cert_spec){.names = "a", .extended_use = "clientAuth"});
    pair_write("server", &(struct cert_spec){.names = "a", .extended_use = "serverAuth"});
    refused("gone.crt", "gone.key", "gone.crt", "the certificate has expired on 2026-12-31; renew");
    refused("early.crt", "early.key", "early.crt", "is not valid before 2027-01-02; is the clock");
    refused("client.crt", "client.key", "client.crt", "the certificate is not for servers");
    struct cv_tls_cert *cert = loaded("server.crt", "server.key");
    cv_tls_cert_unref(&cert);
}

// Signatures with their own key are looked at by nobody; RSA with 2048 bits, and other curves, are
// fine. The key may stand in the file of the certificate.
static void good_ones(void **state)
{
    (void)state;
    static const struct cert_spec specs[] = {
        {.names = "a.example", .key = "RSA-2048"},
        {.names = "a.example", .key = "P-384", .digest = "SHA384"},
        {.names = "a.example", .key = "ED25519"},
        {.names = "a.example", .digest = "SHA1"},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct cert made = cert_make(&specs[i], NULL);
        cert_write("x.crt", &made, NULL);
        key_write("x.key", &made, NULL);
        struct cv_tls_cert *cert = loaded("x.crt", "x.key");
        cv_tls_cert_unref(&cert);
        FILE *both = fopen(cert_path("x.crt"), "ae");
        FILE *key = fopen(cert_path("x.key"), "re");
        int c;
        while ((c = fgetc(key)) != EOF)
            fputc(c, both);
        fclose(key);
        fclose(both);
        cert = loaded("x.crt", "x.crt");
        cv_tls_cert_unref(&cert);
        cert_done(&made);
    }
}

// ---- names -------------------------------------------------------------------------------------

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool is_for;
    } rows[] = {
        {"a.example", true},       {"A.EXAMPLE", true},
        {"b.w.example", true},     {"c.b.w.example", false},
        {"w.example", false},      {".w.example", false},
        {"*.w.example", true},     {"b.example", false},
        {"a.example.", false},     {"", false},
        {"test", false},           {"192.0.2.1", true},
        {"192.0.2.2", false},      {"2001:db8::1", true},
        {"2001:db8:0:0::1", true}, {"2001:db8::2", false},
    };
    pair_write("a", &(struct cert_spec){.names = "a.example,*.w.example,192.0.2.1,2001:db8::1"});
    struct cv_tls_cert *cert = loaded("a.crt", "a.key");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cv_tls_cert_is_for(cert, rows[i].host) != rows[i].is_for)
            fail_msg("%s", rows[i].host);
    }
    struct cv_tls_cert_info info;
    cv_tls_cert_info(cert, &info);
    assert_string_equal(info.names, "a.example, *.w.example, 192.0.2.1, 2001:db8::1");
    assert_int_equal(info.not_before_s, CERT_NOW_S - 86400);
    assert_int_equal(info.not_after_s, CERT_NOW_S + 90 * 86400);
    assert_true(info.self_signed);
    assert_int_equal(strlen(info.fingerprint), 95);
    assert_int_equal(strspn(info.fingerprint, "0123456789ABCDEF:"), 95);
    cv_tls_cert_unref(&cert);
}

static void the_common_name_counts_where_there_is_no_other(void **state)
{
    (void)state;
    pair_write("a", &(struct cert_spec){.common_name = "a.example"});
    pair_write("b", &(struct cert_spec){.common_name = "a.example", .names = "b.example"});
    struct cv_tls_cert *cert = loaded("a.crt", "a.key");
    assert_true(cv_tls_cert_is_for(cert, "a.example"));
    cv_tls_cert_unref(&cert);
    cert = loaded("b.crt", "b.key");
    assert_false(cv_tls_cert_is_for(cert, "a.example"));
    cv_tls_cert_unref(&cert);
}

static void many_names_are_cut(void **state)
{
    (void)state;
    char list[1000] = "a.example";
    for (int i = 0; i < 30; i++)
        append_text(list, sizeof list, ",name.example");
    pair_write("many", &(struct cert_spec){.names = list});
    struct cv_tls_cert *cert = loaded("many.crt", "many.key");
    struct cv_tls_cert_info info;
    cv_tls_cert_info(cert, &info);
    assert_int_equal(strlen(info.names), sizeof info.names - 1);
    cv_tls_cert_unref(&cert);
}

// ---- made by ourselves -------------------------------------------------------------------------

static void self_signed(void **state)
{
    (void)state;
    static const char *const list[] = {"localhost", "127.0.0.1", "::1", "host.example"};
    struct cv_why why = {0};
    const char *cert_file = cert_path("own.crt");
    const char *key_file = cert_path("own.key");
    for (int i = 0; i < 2; i++) { // the second one replaces the first
        assert_int_equal(cv_tls_cert_make(cert_file, key_file, list, 4, CERT_NOW_S, &why), CV_OK);
        struct stat stat_key;
        assert_int_equal(stat(key_file, &stat_key), 0);
        assert_int_equal(stat_key.st_mode & 0777, 0600);
        struct cv_tls_cert *cert = loaded("own.crt", "own.key");
        for (size_t j = 0; j < 4; j++)
            assert_true(cv_tls_cert_is_for(cert, list[j]));
        struct cv_tls_cert_info info;
        cv_tls_cert_info(cert, &info);
        assert_true(info.self_signed);
        assert_int_equal(info.not_after_s, CERT_NOW_S + CV_SELF_SIGNED_DAYS * INT64_C(86400));
        cv_tls_cert_unref(&cert);
    }
    assert_int_equal(access(cert_path("own.key.new"), F_OK), -1);
}

static void self_signed_where_nothing_can_be_written(void **state)
{
    (void)state;
    static const char *const list[] = {"localhost"};
    struct cv_why why = {0};
    const char *nowhere = cert_path("none/own.key");
    int err = cv_tls_cert_make(cert_path("own.crt"), nowhere, list, 1, CERT_NOW_S, &why);
    assert_int_equal(err, CV_E_SYSTEM);
    assert_non_null(strstr(why.text, nowhere));
    assert_non_null(strstr(why.text, "cannot be written (No such file or directory)"));
}

// ---- memory ------------------------------------------------------------------------------------

static bool load_once(void *arg)
{
    (void)arg;
    struct cv_why why = {0};
    struct cv_tls_cert *cert = NULL;
    int err = cv_tls_cert_load(&cert, cert_path("a.crt"), cert_path("a.key"), CERT_NOW_S, &why);
    assert_true(err == CV_OK || err == CV_E_NOMEM);
    assert_int_equal(why.code, err);
    cv_tls_cert_unref(&cert);
    return err == CV_OK;
}

static void failing_memory(void **state)
{
    (void)state;
    pair_write("a", &(struct cert_spec){.names = "a.example,*.b.example,192.0.2.1"});
    fail_nth(load_once, NULL);
}

static void references(void **state)
{
    (void)state;
    pair_write("a", &(struct cert_spec){.names = "a.example"});
    struct cv_tls_cert *cert = loaded("a.crt", "a.key");
    struct cv_tls_cert *other = cv_tls_cert_ref(cert);
    cv_tls_cert_unref(&cert);
    assert_null(cert);
    assert_true(cv_tls_cert_is_for(other, "a.example"));
    cv_tls_cert_unref(&other);
    cv_tls_cert_unref(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_not_there),
        cmocka_unit_test(files_that_are_something_else),
        cmocka_unit_test(a_long_name_is_shown_by_its_end),
        cmocka_unit_test(a_huge_file_is_not_read),
        cmocka_unit_test(a_key_of_another),
        cmocka_unit_test(weak_ones),
        cmocka_unit_test(times_and_uses),
        cmocka_unit_test(good_ones),
        cmocka_unit_test(names),
        cmocka_unit_test(the_common_name_counts_where_there_is_no_other),
        cmocka_unit_test(many_names_are_cut),
        cmocka_unit_test(self_signed),
        cmocka_unit_test(self_signed_where_nothing_can_be_written),
        cmocka_unit_test(failing_memory),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, remove_files);
}
