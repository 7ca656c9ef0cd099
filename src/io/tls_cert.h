// A certificate with its chain and its private key, loaded from files and checked, or made by
// ourselves. Immutable; references are atomic.
#ifndef CV_IO_TLS_CERT_H
#define CV_IO_TLS_CERT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_tls_cert;

// PEM files: the certificate and its chain, and the key (not encrypted; it may stand in the same
// file). One reference in *out; or CV_E_CONFIG (unreadable, not PEM, mismatched, encrypted, too
// weak, expired, not valid yet) or CV_E_NOMEM, with *why: a sentence that names the file and says
// what to do, and quotes nothing of a key. `now_s`: seconds since 1970.
int cv_tls_cert_load(struct cv_tls_cert **out, const char *cert_file, const char *key_file,
                     int64_t now_s, struct cv_why *why);
// For trials: a new key (ECDSA P-256) and a certificate for these names, which is its own
// authority, written to two files (the key with mode 0600). 0, or CV_E_SYSTEM or CV_E_NOMEM with
// *why.
int cv_tls_cert_make(const char *cert_file, const char *key_file, const char *const *names,
                     unsigned name_count, int64_t now_s, struct cv_why *why);
struct cv_tls_cert *cv_tls_cert_ref(struct cv_tls_cert *cert);
void cv_tls_cert_unref(struct cv_tls_cert **cert);

struct cv_tls_cert_info {
    char names[256];      // "example.com, *.example.com"; cut where it is too long
    char issuer[128];     // for people
    char fingerprint[96]; // SHA-256, "AB:CD:..."
    int64_t not_before_s; // since 1970
    int64_t not_after_s;  //
    bool self_signed;
    unsigned chain_count; // certificates that stand behind it in the file
};
void cv_tls_cert_info(const struct cv_tls_cert *cert, struct cv_tls_cert_info *out);
// True when it is for this host name (or IP address), wildcards included (RFC 6125, 6.4).
bool cv_tls_cert_is_for(const struct cv_tls_cert *cert, const char *host);

#endif
