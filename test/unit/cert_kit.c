#include "cert_kit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

static char folder[64];

// ---- keys --------------------------------------------------------------------------------------

static EVP_PKEY *make_key(const char *kind)
{
    if (strncmp(kind, "RSA-", 4) == 0)
        return EVP_RSA_gen((unsigned)strtoul(kind + 4, NULL, 10));
    if (strncmp(kind, "P-", 2) == 0)
        return EVP_EC_gen(kind);
    return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

// RSA keys take their time: each kind is made twice, for two certificates with different ones.
static EVP_PKEY *key_of(const char *kind)
{
    if (strncmp(kind, "RSA-", 4) != 0)
        return make_key(kind);
    static struct {
        const char *kind;
        EVP_PKEY *keys[2];
        unsigned turn;
    } made[8];
    size_t at = 0;
    while (made[at].kind && strcmp(made[at].kind, kind) != 0)
        at++;
    assert_true(at < sizeof made / sizeof made[0]);
    made[at].kind = kind;
    EVP_PKEY **key = &made[at].keys[made[at].turn++ % 2];
    if (!*key)
        *key = make_key(kind);
    assert_non_null(*key);
    EVP_PKEY_up_ref(*key);
    return *key;
}

// ---- certificates ------------------------------------------------------------------------------

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void add_names(X509 *x509, const char *names)
{
    char value[1024] = "";
    char list[1024];
    char *rest = list;
    char *name;
    snprintf(list, sizeof list, "%s", names);
    while ((name = strsep(&rest, ","))) {
        bool ip = strspn(name, "0123456789.") == strlen(name) || strchr(name, ':');
        append_text(value, sizeof value, value[0] ? "," : "");
        append_text(value, sizeof value, ip ? "IP:" : "DNS:");
        append_text(value, sizeof value, name);
    }
    add_extension(x509, x509, NID_subject_alt_name, value);
}

static void set_subject(X509 *x509, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(x509);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
}

static void set_times(X509 *x509, const struct cert_spec *spec)
{
    time_t now = CERT_NOW_S;
    bool any = spec->from_days || spec->until_days;
    X509_time_adj_ex(X509_getm_notBefore(x509), any ? spec->from_days : -1, 0, &now);
    X509_time_adj_ex(X509_getm_notAfter(x509), any ? spec->until_days : 90, 0, &now);
}

struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer)
{
    static long serial;
    const char *kind = spec->key ? spec->key : "P-256";
    struct cert cert = {X509_new(), key_of(kind)};
    X509 *x509 = cert.x509;
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    set_times(x509, spec);
    set_subject(x509, spec->common_name ? spec->common_name : "test");
    X509 *by = issuer ? issuer->x509 : x509;
    X509_set_issuer_name(x509, X509_get_subject_name(by));
    X509_set_pubkey(x509, cert.key);
    if (spec->names)
        add_names(x509, spec->names);
    if (spec->extended_use)
        add_extension(x509, by, NID_ext_key_usage, spec->extended_use);
    if (spec->authority)
        add_extension(x509, by, NID_basic_constraints, "critical,CA:TRUE");
    bool plain = strcmp(kind, "ED25519") == 0;
    const EVP_MD *digest = EVP_get_digestbyname(spec->digest ? spec->digest : "SHA256");
    assert_true(X509_sign(x509, issuer ? issuer->key : cert.key, plain ? NULL : digest) > 0);
    return cert;
}

void cert_done(struct cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    *cert = (struct cert){0};
}

// ---- files -------------------------------------------------------------------------------------

const char *cert_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/culvert-cert-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

void cert_folder_remove(void)
{
    if (folder[0])
        assert_int_equal(remove_tree(folder), 0);
    folder[0] = '\0';
}

const char *cert_path(const char *name)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", cert_folder(), name);
    return path;
}

void cert_write(const char *name, const struct cert *first, const struct cert *second)
{
    FILE *file = fopen(cert_path(name), "we");
    assert_non_null(file);
    if (first)
        assert_int_equal(PEM_write_X509(file, first->x509), 1);
    if (second)
        assert_int_equal(PEM_write_X509(file, second->x509), 1);
    fclose(file);
}

void key_write(const char *name, const struct cert *cert, const char *passphrase)
{
    FILE *file = fopen(cert_path(name), "we");
    assert_non_null(file);
    const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
    int len = passphrase ? (int)strlen(passphrase) : 0;
    assert_int_equal(PEM_write_PrivateKey(file, cert->key, cipher,
                                          (const unsigned char *)passphrase, len, NULL, NULL),
                     1);
    fclose(file);
}

void text_write(const char *name, const void *text, size_t len)
{
    FILE *file = fopen(cert_path(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

void pair_write(const char *name, const struct cert_spec *spec)
{
    char path[64];
    struct cert cert = cert_make(spec, NULL);
    snprintf(path, sizeof path, "%s.crt", name);
    cert_write(path, &cert, NULL);
    snprintf(path, sizeof path, "%s.key", name);
    key_write(path, &cert, NULL);
    cert_done(&cert);
}
