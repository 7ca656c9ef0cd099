// What the files of TLS share. Not for others.
#ifndef CV_IO_TLS_STATE_H
#define CV_IO_TLS_STATE_H

#include <openssl/ssl.h>

struct cv_tls_server;
struct cv_tls_trust;

// Borrowed: as long as their owners live. A connection holds a reference to its context by itself.
SSL_CTX *cv__tls_server_context(struct cv_tls_server *server);
SSL_CTX *cv__tls_trust_context(struct cv_tls_trust *trust);

#endif
