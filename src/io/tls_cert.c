#include "io/tls_cert.h"

#include "base/check.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/tls_cert_state.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char place[] = "tls";

enum { BITS_MIN = 112 }; // of security (NIST SP 800-57): RSA with 2048, SHA-224

// Whom a certificate is for.
struct name {
    struct cv_ip ip; // family 0: it is a host
    char *host;      // owned
};

struct cv_tls_cert {
    atomic_uint refs;
    X509 *leaf;
    STACK_OF(X509) * chain; // what stands behind it in the file
    EVP_PKEY *key;
    struct name *names; // owned
    unsigned name_count;
};

// ---- the file of the certificate ---------------------------------------------------------------

// Nobody is asked for a passphrase; *arg says that one was wanted.
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    bool *wanted = arg;
    *wanted = true;
    return -1;
}

static BIO *open_pem(const struct cv__tls_pem *pem)
{
    CV_ASSERT(pem->len <= INT_MAX);
    return BIO_new_mem_buf(pem->text, (int)pem->len);
}

static int fail_nomem(struct cv_why *why)
{
    return cv_why_set(why, CV_E_NOMEM, place, "no memory for a certificate");
}

// What OpenSSL says when there is no further piece of that kind in the file.
static bool is_end(void)
{
    unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

static int read_chain(struct cv_tls_cert *cert, BIO *bio, const char *file, struct cv_why *why)
{
    bool wanted = false;
    cert->chain = sk_X509_new_null();
    if (!cert->chain)
        return fail_nomem(why);
    X509 *next;
    while ((next = PEM_read_bio_X509(bio, NULL, no_passphrase, &wanted))) {
        if (sk_X509_push(cert->chain, next) > 0)
            continue;
        X509_free(next);
        return fail_nomem(why);
    }
    if (is_end())
        return CV_OK;
    return cv__tls_pem_fail(why, file, "a certificate in it is damaged; get the file again");
}

static int read_certificates(struct cv_tls_cert *cert, const struct cv__tls_pem *pem,
                             struct cv_why *why)
{
    bool wanted = false;
    BIO *bio = open_pem(pem);
    if (!bio)
        return fail_nomem(why);
    int err;
    cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &wanted);
    if (cert->leaf)
        err = read_chain(cert, bio, pem->file, why);
    else if (is_end())
        err = cv__tls_pem_fail(why, pem->file,
                               "there is no certificate in it (BEGIN CERTIFICATE); name its file");
    else
        err = cv__tls_pem_fail(why, pem->file, "the certificate is damaged; get the file again");
    BIO_free(bio);
    return err;
}

// ---- the file of the key -----------------------------------------------------------------------

static bool has(const struct cv__tls_pem *pem, const char *text)
{
    return memmem(pem->text, pem->len, text, strlen(text)) != NULL;
}

static int fail_key(const struct cv__tls_pem *pem, bool encrypted, struct cv_why *why)
{
    if (encrypted)
        return cv__tls_pem_fail(
            why, pem->file,
            "the key is encrypted; write it without a passphrase: openssl pkey -in OLD -out NEW");
    if (has(pem, "PRIVATE KEY-----"))
        return cv__tls_pem_fail(why, pem->file, "the key is damaged, or of an unknown kind");
    return cv__tls_pem_fail(why, pem->file,
                            "there is no key in it (BEGIN PRIVATE KEY); name its file");
}

static int read_key(struct cv_tls_cert *cert, const struct cv__tls_pem *pem, struct cv_why *why)
{
    bool wanted = false;
    BIO *bio = open_pem(pem);
    if (!bio)
        return fail_nomem(why);
    cert->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &wanted);
    int err = cert->key ? CV_OK : fail_key(pem, wanted, why);
    BIO_free(bio);
    return err;
}

// ---- is it good enough? ------------------------------------------------------------------------

static bool key_is_in_chain(const struct cv_tls_cert *cert)
{
    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        if (X509_check_private_key(sk_X509_value(cert->chain, i), cert->key) == 1)
            return true;
    }
    return false;
}

static const char *basename_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

static int check_match(const struct cv_tls_cert *cert, const char *cert_file, const char *key_file,
                       struct cv_why *why)
{
    if (X509_check_private_key(cert->leaf, cert->key) == 1)
        return CV_OK;
    if (key_is_in_chain(cert))
        return cv__tls_pem_fail(why, cert_file,
                                "the server's own certificate must be the first one in the file");
    return cv__tls_pem_fail(why, key_file,
                            "not the key of the certificate in %.30s; name two that belong "
                            "together",
                            basename_of(cert_file));
}

// The digest's name and strength of a signature; 0 where they are unknown.
static int signature_bits(X509 *x509, const char **out_name)
{
    int digest = NID_undef;
    int bits = 0;
    if (!X509_get_signature_info(x509, &digest, NULL, &bits, NULL))
        return 0;
    *out_name = digest == NID_undef ? "an unknown digest" : OBJ_nid2sn(digest);
    return bits;
}

static int check_key_bits(X509 *x509, const char *file, const char *whose, struct cv_why *why)
{
    const EVP_PKEY *key = X509_get0_pubkey(x509);
    if (key && EVP_PKEY_get_security_bits(key) >= BITS_MIN)
        return CV_OK;
    bool rsa = key && EVP_PKEY_is_a(key, "RSA");
    return cv__tls_pem_fail(why, file, "%s key of %d bits is too weak; get one of %s", whose,
                            key ? EVP_PKEY_get_bits(key) : 0,
                            rsa ? "2048 or more" : "ECDSA P-256, or RSA with 2048 bits");
}

// Clients do not look at the signature of a certificate that is its own issuer.
static int check_signature(X509 *x509, const char *file, const char *whose, struct cv_why *why)
{
    const char *digest = "an unknown digest";
    bool own = (X509_get_extension_flags(x509) & EXFLAG_SS) != 0;
    if (own || signature_bits(x509, &digest) >= BITS_MIN)
        return CV_OK;
    return cv__tls_pem_fail(why, file,
                            "%s certificate is signed with %s, which is too weak; get "
                            "a new one",
                            whose, digest);
}

static int check_strength(const struct cv_tls_cert *cert, const char *file, struct cv_why *why)
{
    int err = check_key_bits(cert->leaf, file, "its", why);
    if (err == CV_OK)
        err = check_signature(cert->leaf, file, "the", why);
    for (int i = 0; i < sk_X509_num(cert->chain) && err == CV_OK; i++) {
        X509 *issuer = sk_X509_value(cert->chain, i);
        err = check_key_bits(issuer, file, "an issuer's", why);
        if (err == CV_OK)
            err = check_signature(issuer, file, "an issuer's", why);
    }
    return err;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) ? (int64_t)timegm(&parts) : 0;
}

static void day_of(int64_t time_s, char out[16])
{
    time_t time = (time_t)time_s;
    struct tm parts;
    if (!gmtime_r(&time, &parts) || strftime(out, 16, "%Y-%m-%d", &parts) == 0)
        snprintf(out, 16, "?");
}

static int check_time(const struct cv_tls_cert *cert, const char *file, int64_t now_s,
                      struct cv_why *why)
{
    char day[16];
    int64_t before = seconds_of(X509_get0_notBefore(cert->leaf));
    int64_t after = seconds_of(X509_get0_notAfter(cert->leaf));
    if (now_s > after) {
        day_of(after, day);
        return cv__tls_pem_fail(why, file, "the certificate has expired on %s; renew it", day);
    }
    if (now_s >= before)
        return CV_OK;
    day_of(before, day);
    return cv__tls_pem_fail(
        why, file, "the certificate is not valid before %s; is the clock of this machine right?",
        day);
}

static int check_use(const struct cv_tls_cert *cert, const char *file, struct cv_why *why)
{
    if (X509_get_extended_key_usage(cert->leaf) & XKU_SSL_SERVER)
        return CV_OK;
    return cv__tls_pem_fail(why, file,
                            "the certificate is not for servers; get one for TLS servers");
}

// ---- names -------------------------------------------------------------------------------------

// Printable, and of a length that a name can have.
static bool is_host(const unsigned char *text, int len)
{
    if (len <= 0 || len > CV_LIMIT_HOST_BYTES)
        return false;
    for (int i = 0; i < len; i++) {
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    }
    return true;
}

static int add_host(struct cv_tls_cert *cert, const ASN1_STRING *string)
{
    const unsigned char *text = ASN1_STRING_get0_data(string);
    int len = ASN1_STRING_length(string);
    if (!is_host(text, len))
        return CV_OK; // no client asks for it
    char *host = cv_mem_text((const char *)text, (size_t)len);
    if (!host)
        return CV_E_NOMEM;
    cert->names[cert->name_count++] = (struct name){.host = host};
    return CV_OK;
}

static void add_ip(struct cv_tls_cert *cert, const ASN1_STRING *string)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(string);
    int len = ASN1_STRING_length(string);
    if (len == 4)
        cert->names[cert->name_count++] = (struct name){.ip = cv_ip_v4(bytes)};
    else if (len == 16)
        cert->names[cert->name_count++] = (struct name){.ip = cv_ip_v6(bytes)};
}

static int add_alternatives(struct cv_tls_cert *cert, const GENERAL_NAMES *found)
{
    int err = CV_OK;
    for (int i = 0; i < sk_GENERAL_NAME_num(found) && err == CV_OK; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(found, i);
        if (name->type == GEN_DNS)
            err = add_host(cert, name->d.dNSName);
        else if (name->type == GEN_IPADD)
            add_ip(cert, name->d.iPAddress);
    }
    return err;
}

// The subject's common name, where nothing else says whom the certificate is for (RFC 6125, 6.4.4).
static int add_common_name(struct cv_tls_cert *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert->leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return CV_OK;
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, at);
    return add_host(cert, X509_NAME_ENTRY_get_data(entry));
}

static int read_names(struct cv_tls_cert *cert, struct cv_why *why)
{
    GENERAL_NAMES *found = X509_get_ext_d2i(cert->leaf, NID_subject_alt_name, NULL, NULL);
    size_t count = found ? (size_t)sk_GENERAL_NAME_num(found) : 0;
    cert->names = cv_mem_zero(count + 1, sizeof *cert->names);
    int err = cert->names ? CV_OK : CV_E_NOMEM;
    if (err == CV_OK && found)
        err = add_alternatives(cert, found);
    if (err == CV_OK && cert->name_count == 0)
        err = add_common_name(cert);
    GENERAL_NAMES_free(found);
    return err == CV_OK ? CV_OK : fail_nomem(why);
}

// "*.example.com" is for one label more (RFC 6125, 6.4.3).
static enum cv__tls_match match_host(const char *name, const char *host)
{
    if (strcasecmp(name, host) == 0)
        return CV__TLS_EXACT;
    const char *dot = strchr(host, '.');
    bool wildcard = strncmp(name, "*.", 2) == 0 && dot && dot > host;
    return wildcard && strcasecmp(name + 1, dot) == 0 ? CV__TLS_WILDCARD : CV__TLS_OTHER;
}

enum cv__tls_match cv__tls_cert_match(const struct cv_tls_cert *cert, const char *host)
{
    struct cv_ip ip = {.family = 0};
    enum cv__tls_match best = CV__TLS_OTHER;
    bool is_ip = cv_ip_parse(cv_text_of(host), &ip) == CV_OK;
    for (unsigned i = 0; i < cert->name_count; i++) {
        const struct name *name = &cert->names[i];
        enum cv__tls_match match = CV__TLS_OTHER;
        if (is_ip && name->ip.family && cv_ip_equal(&name->ip, &ip))
            match = CV__TLS_EXACT;
        else if (!is_ip && name->host)
            match = match_host(name->host, host);
        if (match > best)
            best = match;
    }
    return best;
}

bool cv_tls_cert_is_for(const struct cv_tls_cert *cert, const char *host)
{
    return cv__tls_cert_match(cert, host) != CV__TLS_OTHER;
}

static bool has_name(const struct cv_tls_cert *cert, const struct name *name)
{
    for (unsigned i = 0; i < cert->name_count; i++) {
        const struct name *own = &cert->names[i];
        if (name->host && own->host && match_host(own->host, name->host) != CV__TLS_OTHER)
            return true;
        if (name->ip.family && cv_ip_equal(&own->ip, &name->ip))
            return true;
    }
    return false;
}

bool cv__tls_cert_is_pair(const struct cv_tls_cert *cert, const struct cv_tls_cert *other)
{
    if (EVP_PKEY_get_base_id(cert->key) == EVP_PKEY_get_base_id(other->key))
        return false;
    for (unsigned i = 0; i < cert->name_count; i++) {
        if (!has_name(other, &cert->names[i]))
            return false;
    }
    return true;
}

// ---- loading -----------------------------------------------------------------------------------

static void cert_free(struct cv_tls_cert *cert)
{
    X509_free(cert->leaf);
    sk_X509_pop_free(cert->chain, X509_free);
    EVP_PKEY_free(cert->key);
    for (unsigned i = 0; i < cert->name_count; i++)
        cv_mem_free(cert->names[i].host);
    cv_mem_free(cert->names);
    cv_mem_free(cert);
}

static int load_files(struct cv_tls_cert *cert, const char *cert_file, const char *key_file,
                      struct cv_why *why)
{
    struct cv__tls_pem pem;
    int err = cv__tls_pem_read(&pem, cert_file, "certificate", why);
    if (err != CV_OK)
        return err;
    err = read_certificates(cert, &pem, why);
    cv__tls_pem_done(&pem);
    if (err == CV_OK)
        err = cv__tls_pem_read(&pem, key_file, "key", why);
    if (err != CV_OK)
        return err;
    err = read_key(cert, &pem, why);
    cv__tls_pem_done(&pem);
    return err;
}

static int check(const struct cv_tls_cert *cert, const char *cert_file, const char *key_file,
                 int64_t now_s, struct cv_why *why)
{
    int err = check_match(cert, cert_file, key_file, why);
    if (err == CV_OK)
        err = check_strength(cert, cert_file, why);
    if (err == CV_OK)
        err = check_use(cert, cert_file, why);
    return err == CV_OK ? check_time(cert, cert_file, now_s, why) : err;
}

int cv_tls_cert_load(struct cv_tls_cert **out, const char *cert_file, const char *key_file,
                     int64_t now_s, struct cv_why *why)
{
    struct cv_tls_cert *cert = cv_mem_zero(1, sizeof *cert);
    if (!cert)
        return fail_nomem(why);
    atomic_init(&cert->refs, 1);
    int err = load_files(cert, cert_file, key_file, why);
    if (err == CV_OK)
        err = check(cert, cert_file, key_file, now_s, why);
    if (err == CV_OK)
        err = read_names(cert, why);
    ERR_clear_error(); // it would be taken for a connection's
    if (err != CV_OK) {
        cert_free(cert);
        return err;
    }
    *out = cert;
    return CV_OK;
}

struct cv_tls_cert *cv_tls_cert_ref(struct cv_tls_cert *cert)
{
    atomic_fetch_add_explicit(&cert->refs, 1, memory_order_relaxed);
    return cert;
}

void cv_tls_cert_unref(struct cv_tls_cert **cert)
{
    struct cv_tls_cert *gone = *cert;
    *cert = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) > 1)
        return;
    cert_free(gone);
}

int cv__tls_cert_use(const struct cv_tls_cert *cert, SSL_CTX *context)
{
    int used = SSL_CTX_use_cert_and_key(context, cert->leaf, cert->key, cert->chain, 1);
    ERR_clear_error();
    return used == 1 ? CV_OK : CV_E_SYSTEM;
}

// ---- for people --------------------------------------------------------------------------------

static void tell_name(const struct name *name, char *out, size_t size)
{
    const uint8_t *bytes = name->ip.bytes;
    if (name->ip.family == 0)
        snprintf(out, size, "%s", name->host);
    else
        inet_ntop(name->ip.family == 4 ? AF_INET : AF_INET6, bytes, out, (socklen_t)size);
}

static void tell_names(const struct cv_tls_cert *cert, char *out, size_t size)
{
    size_t len = 0;
    for (unsigned i = 0; i < cert->name_count && len < size; i++) {
        char text[CV_LIMIT_HOST_BYTES + 1];
        tell_name(&cert->names[i], text, sizeof text);
        len += (size_t)snprintf(out + len, size - len, "%s%s", i ? ", " : "", text);
    }
}

// The organisation or the common name, whichever is there.
static void tell_issuer(const struct cv_tls_cert *cert, char *out, size_t size)
{
    const X509_NAME *issuer = X509_get_issuer_name(cert->leaf);
    if (X509_NAME_get_text_by_NID(issuer, NID_organizationName, out, (int)size) <= 0 &&
        X509_NAME_get_text_by_NID(issuer, NID_commonName, out, (int)size) <= 0)
        snprintf(out, size, "?");
    for (; *out; out++) {
        if (*out < 0x20 || *out > 0x7e)
            *out = '?';
    }
}

static void tell_fingerprint(const struct cv_tls_cert *cert, char *out, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!X509_digest(cert->leaf, EVP_sha256(), digest, &len))
        len = 0;
    size_t at = 0;
    for (unsigned i = 0; i < len && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%02X", i ? ":" : "", digest[i]);
}

void cv_tls_cert_info(const struct cv_tls_cert *cert, struct cv_tls_cert_info *out)
{
    *out = (struct cv_tls_cert_info){
        .not_before_s = seconds_of(X509_get0_notBefore(cert->leaf)),
        .not_after_s = seconds_of(X509_get0_notAfter(cert->leaf)),
        .self_signed = (X509_get_extension_flags(cert->leaf) & EXFLAG_SS) != 0,
        .chain_count = (unsigned)sk_X509_num(cert->chain),
    };
    tell_names(cert, out->names, sizeof out->names);
    tell_issuer(cert, out->issuer, sizeof out->issuer);
    tell_fingerprint(cert, out->fingerprint, sizeof out->fingerprint);
}
