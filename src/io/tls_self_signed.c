// Certificates of our own making, for trials.
#include "base/ip.h"
#include "base/limits.h"
#include "io/tls_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char place[] = "tls";

enum { DAY_S = 86400 };

// ---- the certificate ---------------------------------------------------------------------------

// A positive number that nobody else has chosen (RFC 5280, 4.1.2.2).
static bool set_serial(X509 *x509)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509));
    BN_free(number);
    return set;
}

// From a day ago, for clients whose clocks are behind.
static bool set_times(X509 *x509, int64_t now_s)
{
    time_t now = (time_t)now_s;
    return X509_time_adj_ex(X509_getm_notBefore(x509), -1, 0, &now) &&
           X509_time_adj_ex(X509_getm_notAfter(x509), CV_SELF_SIGNED_DAYS, 0, &now);
}

static bool set_subject(X509 *x509)
{
    static const unsigned char name[] = "Culvert, self-signed";
    X509_NAME *subject = X509_get_subject_name(x509);
    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, name, -1, -1, 0) &&
           X509_set_issuer_name(x509, subject);
}

static GENERAL_NAME *name_new(const char *text)
{
    struct cv_ip ip;
    bool is_ip = cv_ip_parse(cv_text_of(text), &ip) == CV_OK;
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *string = is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *data = is_ip ? (const void *)ip.bytes : text;
    int len = !is_ip ? (int)strlen(text) : ip.family == 4 ? 4 : 16;
    if (!name || !string || !ASN1_STRING_set(string, data, len)) {
        ASN1_STRING_free(string);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, is_ip ? GEN_IPADD : GEN_DNS, string);
    return name;
}

static bool set_names(X509 *x509, const char *const *names, unsigned count)
{
    GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
    bool made = list != NULL;
    for (unsigned i = 0; i < count && made; i++) {
        GENERAL_NAME *name = name_new(names[i]);
        made = name && sk_GENERAL_NAME_push(list, name) > 0;
        if (!made)
            GENERAL_NAME_free(name);
    }
    made = made && X509_add1_ext_i2d(x509, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(list);
    return made;
}

// It is its own authority because clients are given it as such. It signs nothing else: whoever
// trusts it trusts this server, and no other that its key might invent.
static bool set_uses(X509 *x509)
{
    static const struct {
        int nid;
        const char *value;
    } rows[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_key_identifier, "hash"},
    };
    X509V3_CTX context;
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &context, rows[i].nid, rows[i].value);
        bool added = made && X509_add_ext(x509, made, -1);
        X509_EXTENSION_free(made);
        if (!added)
            return false;
    }
    return true;
}

static X509 *certificate_new(EVP_PKEY *key, const char *const *names, unsigned count, int64_t now_s)
{
    X509 *x509 = X509_new();
    bool made = x509 && X509_set_version(x509, X509_VERSION_3) && set_serial(x509) &&
                set_times(x509, now_s) && set_subject(x509) && X509_set_pubkey(x509, key) &&
                set_names(x509, names, count) && set_uses(x509) &&
                X509_sign(x509, key, EVP_sha256()) > 0;
    if (made)
        return x509;
    X509_free(x509);
    return NULL;
}

// ---- the files ---------------------------------------------------------------------------------

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(fd, data, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        data += wrote;
        len -= (size_t)wrote;
    }
    return true;
}

// The whole file or none: under another name first.
static bool replace_file(const char *file, mode_t mode, const char *data, size_t len)
{
    char fresh[CV_LIMIT_FOLDER_BYTES + 16];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", file) >= sizeof fresh) {
        errno = ENAMETOOLONG;
        return false;
    }
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return false;
    bool wrote = write_all(fd, data, len) && fsync(fd) == 0;
    wrote = close(fd) == 0 && wrote;
    if (wrote && rename(fresh, file) == 0)
        return true;
    int error = errno;
    unlink(fresh);
    errno = error;
    return false;
}

static int write_pem(BIO *bio, const char *file, mode_t mode, struct cv_why *why)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    if (replace_file(file, mode, data, (size_t)len))
        return CV_OK;
    return cv_why_set(why, CV_E_SYSTEM, place, "%.64s cannot be written (%s)", file,
                      strerror(errno));
}

static int write_files(EVP_PKEY *key, X509 *x509, const char *cert_file, const char *key_file,
                       struct cv_why *why)
{
    BIO *key_pem = BIO_new(BIO_s_secmem());
    BIO *cert_pem = BIO_new(BIO_s_mem());
    int err = CV_E_NOMEM;
    if (key_pem && cert_pem && PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) &&
        PEM_write_bio_X509(cert_pem, x509))
        err = write_pem(key_pem, key_file, 0600, why);
    if (err == CV_OK)
        err = write_pem(cert_pem, cert_file, 0644, why);
    BIO_free(key_pem);
    BIO_free(cert_pem);
    return err;
}

int cv_tls_cert_make(const char *cert_file, const char *key_file, const char *const *names,
                     unsigned name_count, int64_t now_s, struct cv_why *why)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = key ? certificate_new(key, names, name_count, now_s) : NULL;
    int err = x509 ? write_files(key, x509, cert_file, key_file, why) : CV_E_NOMEM;
    X509_free(x509);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (err == CV_E_NOMEM)
        return cv_why_set(why, err, place, "no memory to make a certificate");
    return err;
}
