// What a server shows its clients: certificates with their keys, chosen by the name that the client
// asks for (SNI, RFC 6066). Immutable: renewed files make a new one, and connections keep theirs.
//
// TLS 1.2 and 1.3; no renegotiation, no compression; ALPN http/1.1; tickets instead of a session
// cache. Safe on any thread.
#ifndef CV_IO_TLS_SERVER_H
#define CV_IO_TLS_SERVER_H

#include "base/err.h"
#include "io/tls_cert.h"

struct cv_tls_server;

// References of its own to `count` (> 0) certificates are kept; the first one is for clients that
// ask for no name, or for none of theirs. `previous` (may be NULL): tickets that it gave are taken
// still. One reference in *out; or CV_E_NOMEM or CV_E_SYSTEM with *why.
int cv_tls_server_new(struct cv_tls_server **out, struct cv_tls_cert *const *certs, unsigned count,
                      struct cv_tls_server *previous, struct cv_why *why);
// References are atomic.
struct cv_tls_server *cv_tls_server_ref(struct cv_tls_server *server);
void cv_tls_server_unref(struct cv_tls_server **server);

#endif
