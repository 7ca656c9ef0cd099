#include "io/tls_state.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static const char place[] = "tls";

// ---- not TLS at all ---------------------------------------------------------------------------

bool cv__tls_start_fits(const struct cv_tls_start *start)
{
    enum { ALERT = 21, HANDSHAKE = 22, MAJOR = 3 }; // RFC 8446, 5.1
    return (start->len < 1 || start->bytes[0] == ALERT || start->bytes[0] == HANDSHAKE) &&
           (start->len < 2 || start->bytes[1] == MAJOR);
}

static bool is_text(const struct cv_tls_start *start)
{
    return start->len >= 4 && memchr(start->bytes, 0, start->len) == NULL &&
           start->bytes[0] >= ' ' && start->bytes[0] < 0x7f;
}

int cv__tls_why_not_tls(struct cv_why *why, const struct cv_tls_start *start, bool server)
{
    if (server)
        return cv_why_set(why, CV_E_NOT_TLS, place, "the client does not speak TLS");
    if (!is_text(start))
        return cv_why_set(why, CV_E_NOT_TLS, place, "the server does not speak TLS on this port");
    char text[sizeof start->bytes + 1] = "";
    memcpy(text, start->bytes, start->len);
    text[strcspn(text, "\r\n")] = 0;
    return cv_why_set(why, CV_E_NOT_TLS, place,
                      "the server does not speak TLS on this port (it answered \"%s\")", text);
}

// ---- certificates -----------------------------------------------------------------------------

enum { NAME_BYTES = 64, NAMES_BYTES = 80, DATE_BYTES = 16 };

// What people would call it.
static void name_print(const X509_NAME *name, char out[NAME_BYTES])
{
    static const int kinds[] = {NID_commonName, NID_organizationalUnitName, NID_organizationName};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (X509_NAME_get_text_by_NID(name, kinds[i], out, NAME_BYTES) > 0)
            return;
    }
    snprintf(out, NAME_BYTES, "an authority without a name");
}

static int untrusted(struct cv_why *why, const X509 *cert, const char *host)
{
    char issuer[NAME_BYTES];
    name_print(X509_get_issuer_name(cert), issuer);
    return cv_why_set(why, CV_E_CERT_UNTRUSTED, place,
                      "the certificate of %.40s is issued by \"%.50s\", whom this computer does "
                      "not trust",
                      host, issuer);
}

static int self_signed(struct cv_why *why, const char *host)
{
    return cv_why_set(why, CV_E_CERT_UNTRUSTED, place,
                      "the certificate of %.60s is self-signed: nobody that this computer trusts "
                      "vouches for it",
                      host);
}

static void date_print(const ASN1_TIME *time, char out[DATE_BYTES])
{
    struct tm tm;
    if (!ASN1_TIME_to_tm(time, &tm) || !strftime(out, DATE_BYTES, "%Y-%m-%d", &tm))
        snprintf(out, DATE_BYTES, "?");
}

static int out_of_time(struct cv_why *why, const X509 *cert, bool is_leaf, const char *host,
                       bool expired)
{
    char name[NAME_BYTES], date[DATE_BYTES];
    name_print(X509_get_subject_name(cert), name);
    date_print(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), date);
    return cv_why_set(why, CV_E_CERT_TIME, place, "the certificate of %.60s %s %s%s",
                      is_leaf ? host : name, expired ? "expired on" : "is not valid before", date,
                      expired ? "" : ": is the clock of this computer right?");
}

// A name that people know: of a host, or its IPv4 address. False: it is of another kind.
static bool host_print(const GENERAL_NAME *name, char out[NAME_BYTES])
{
    if (name->type == GEN_DNS) {
        const ASN1_STRING *value = name->d.dNSName;
        snprintf(out, NAME_BYTES, "%.*s", ASN1_STRING_length(value), ASN1_STRING_get0_data(value));
        return true;
    }
    if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4) {
        const uint8_t *ip = ASN1_STRING_get0_data(name->d.iPAddress);
        snprintf(out, NAME_BYTES, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
        return true;
    }
    return false;
}

static void names_print(const X509 *cert, char out[NAMES_BYTES])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    snprintf(out, NAMES_BYTES, "nobody by name");
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char text[NAME_BYTES];
        if (!host_print(sk_GENERAL_NAME_value(names, i), text))
            continue;
        bool fits = used + strlen(text) + sizeof ", , ..." <= NAMES_BYTES;
        used += (size_t)snprintf(out + used, NAMES_BYTES - used, "%s%s", used ? ", " : "",
                                 fits ? text : "...");
        if (!fits)
            break;
    }
    GENERAL_NAMES_free(names);
}

static int wrong_name(struct cv_why *why, const X509 *cert, const char *host)
{
    char names[NAMES_BYTES];
    names_print(cert, names);
    return cv_why_set(why, CV_E_CERT_NAME, place, "the certificate is for %s, not for %.40s", names,
                      host);
}

int cv__tls_why_certificate(struct cv_why *why, X509_STORE_CTX *store, const char *host)
{
    const X509 *cert = X509_STORE_CTX_get_current_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    bool is_leaf = X509_STORE_CTX_get_error_depth(store) == 0;
    if (!cert)
        cert = X509_STORE_CTX_get0_cert(store);
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return untrusted(why, cert, host);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return self_signed(why, host);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return wrong_name(why, cert, host);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return out_of_time(why, cert, is_leaf, host, error == X509_V_ERR_CERT_HAS_EXPIRED);
    case X509_V_ERR_OUT_OF_MEM:
        return cv_why_set(why, CV_E_NOMEM, place, "no memory to check the certificate");
    default:
        return cv_why_set(why, CV_E_CERT_INVALID, place,
                          "the certificate of %.60s cannot be accepted: %s", host,
                          X509_verify_cert_error_string(error));
    }
}

// ---- OpenSSL's own ----------------------------------------------------------------------------

// RFC 8446, 6.2; what nobody would understand keeps its name.
static const struct {
    int alert;
    const char *text;
} alert_rows[] = {
    {SSL_AD_UNEXPECTED_MESSAGE, "unexpected message"},
    {SSL_AD_BAD_RECORD_MAC, "bad record: something on the way changes what is sent"},
    {SSL_AD_RECORD_OVERFLOW, "record overflow"},
    {SSL_AD_HANDSHAKE_FAILURE, "handshake failure: no cipher or way to sign in common"},
    {SSL_AD_BAD_CERTIFICATE, "it does not accept our certificate"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "it cannot use our certificate"},
    {SSL_AD_CERTIFICATE_REVOKED, "it holds our certificate for revoked"},
    {SSL_AD_CERTIFICATE_EXPIRED, "it holds our certificate for expired"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "it does not accept our certificate"},
    {SSL_AD_ILLEGAL_PARAMETER, "illegal parameter"},
    {SSL_AD_UNKNOWN_CA, "it does not trust the authority of our certificate"},
    {SSL_AD_ACCESS_DENIED, "access denied"},
    {SSL_AD_DECODE_ERROR, "it cannot read what was sent"},
    {SSL_AD_DECRYPT_ERROR, "decrypt error"},
    {SSL_AD_PROTOCOL_VERSION, "protocol version: it speaks neither TLS 1.2 nor 1.3"},
    {SSL_AD_INSUFFICIENT_SECURITY, "insufficient security: it wants stronger ciphers"},
    {SSL_AD_INTERNAL_ERROR, "internal error of its own"},
    {SSL_AD_INAPPROPRIATE_FALLBACK, "inappropriate fallback"},
    {SSL_AD_USER_CANCELLED, "canceled"},
    {SSL_AD_NO_RENEGOTIATION, "no renegotiation"},
    {SSL_AD_MISSING_EXTENSION, "missing extension"},
    {SSL_AD_UNSUPPORTED_EXTENSION, "unsupported extension"},
    {SSL_AD_UNRECOGNIZED_NAME, "it does not know the name it was asked for"},
    {SSL_AD_UNKNOWN_PSK_IDENTITY, "unknown identity"},
    {SSL_AD_CERTIFICATE_REQUIRED, "it requires a certificate of the client"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "it does not speak HTTP/1.1 here"},
};

static int alert_told(struct cv_why *why, int alert, bool server)
{
    const char *peer = server ? "client" : "server";
    for (size_t i = 0; i < sizeof alert_rows / sizeof alert_rows[0]; i++) {
        if (alert_rows[i].alert == alert)
            return cv_why_set(why, CV_E_TLS_ALERT, place, "the %s refused: %s", peer,
                              alert_rows[i].text);
    }
    return cv_why_set(why, CV_E_TLS_ALERT, place, "the %s refused: TLS alert %d", peer, alert);
}

int cv__tls_why_queue(struct cv_why *why, bool server)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    if (reason == ERR_R_MALLOC_FAILURE)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory for TLS");
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET)
        return alert_told(why, reason - SSL_AD_REASON_OFFSET, server);
    const char *text = ERR_reason_error_string(error);
    return cv_why_set(why, CV_E_TLS, place, "TLS failed: %s", text ? text : "for no known reason");
}
