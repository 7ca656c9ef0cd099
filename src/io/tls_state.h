// What the files of TLS share. Not for others.
#ifndef CV_IO_TLS_STATE_H
#define CV_IO_TLS_STATE_H

#include "base/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_tls;
struct cv_tls_server;
struct cv_tls_trust;

// Borrowed: as long as their owners live. A connection holds a reference to its context by itself.
SSL_CTX *cv__tls_server_context(struct cv_tls_server *server);
SSL_CTX *cv__tls_trust_context(struct cv_tls_trust *trust);

// The end of a connection that `context` is made for; cv_tls_accept and cv_tls_connect without the
// rest. NULL: no memory.
struct cv_tls *cv__tls_new(SSL_CTX *context, int fd, bool server);

// ---- words (tls_why.c): what failed, for people. All return a code, as cv_why_set does.

// What a peer has begun with.
struct cv_tls_start {
    uint8_t bytes[48];
    size_t len;
};

// True while it may be TLS: a handshake record or an alert of any version.
bool cv__tls_start_fits(const struct cv_tls_start *start);
int cv__tls_why_not_tls(struct cv_why *why, const struct cv_tls_start *start, bool server);
// The certificate at which the verification of `store` has stopped.
int cv__tls_why_certificate(struct cv_why *why, X509_STORE_CTX *store, const char *host);
// The first of OpenSSL's errors of this thread.
int cv__tls_why_queue(struct cv_why *why, bool server);

#endif
