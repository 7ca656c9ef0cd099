// What the files of certificates share with those of the server. Not for others.
#ifndef CV_IO_TLS_CERT_STATE_H
#define CV_IO_TLS_CERT_STATE_H

#include "base/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct cv_tls_cert;

// Puts the certificate, its chain and its key into the context, beside those of other kinds of
// keys. 0 or CV_E_SYSTEM.
int cv__tls_cert_use(const struct cv_tls_cert *cert, SSL_CTX *context);
// How well it fits the host that a client asks for.
enum cv__tls_match { CV__TLS_OTHER, CV__TLS_WILDCARD, CV__TLS_EXACT };
enum cv__tls_match cv__tls_cert_match(const struct cv_tls_cert *cert, const char *host);
// True when `other` is for all the names of `cert`, with a key of another kind (RSA, ECDSA): then
// clients may choose between the two.
bool cv__tls_cert_is_pair(const struct cv_tls_cert *cert, const struct cv_tls_cert *other);

// A PEM file in memory. Ended by cv__tls_pem_done, which leaves nothing of it.
struct cv__tls_pem {
    const char *file;
    char *text;
    size_t len;
};
// `what` the file should be, for messages: "certificate" or "key". 0, CV_E_CONFIG or CV_E_NOMEM
// with *why.
int cv__tls_pem_read(struct cv__tls_pem *pem, const char *file, const char *what,
                     struct cv_why *why);
void cv__tls_pem_done(struct cv__tls_pem *pem);
// "FILE: text" into *why; of a name for which there is no room, its end. Returns CV_E_CONFIG.
int cv__tls_pem_fail(struct cv_why *why, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
