// Sessions that a client may resume (RFC 8446, 2.2; RFC 5077): the last one of each of a few hosts,
// kept by the context that has checked their certificates. In TLS 1.3 each serves one connection
// (RFC 8446, C.4). Safe on any thread.
//
// Part of io/tls_trust.h; not for others.
#ifndef CV_IO_TLS_SESSIONS_H
#define CV_IO_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdbool.h>

// Lets the connections of `context` keep their sessions there; they end with it. False: no memory.
bool cv__tls_sessions_keep(SSL_CTX *context);
// Offers what is kept for its server name, if anything is. Before the handshake.
void cv__tls_sessions_offer(SSL *ssl);
// The handshake has failed: the next one begins anew.
void cv__tls_sessions_forget(SSL *ssl);

#endif
