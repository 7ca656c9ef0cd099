// The certificates of a configuration, loaded together: what the server shows to clients that speak
// TLS, and what there is to tell about it. Immutable once loaded.
#ifndef CV_SERVER_CERTS_H
#define CV_SERVER_CERTS_H

#include "io/tls_server.h"
#include "server/config.h"

struct cv_certs;

// Loads everything that config->tls names; makes the self-signed one where that is due. Blocking.
// `previous` (may be NULL): tickets that it gave are taken still. *out is the caller's, and is
// empty where there is no TLS. 0; or CV_E_CONFIG, CV_E_STORE, CV_E_SYSTEM, CV_E_NOMEM with *why.
//
// An authority's certificate (acme) that is missing or cannot be used is left out: another one is
// on its way. Where there is no other, the self-signed one stands in.
int cv_certs_load(struct cv_certs **out, const struct cv_config *config,
                  const struct cv_certs *previous, int64_t now_s, struct cv_why *why);
// Whether the certificates that the administrator named can be loaded. Writes nothing. As above.
int cv_certs_check(const struct cv_config *config, int64_t now_s, struct cv_why *why);
// Clears the pointer; NULL in it is allowed.
void cv_certs_free(struct cv_certs **certs);

// Borrowed. NULL: there is none, or `certs` is NULL.
struct cv_tls_server *cv_certs_server(const struct cv_certs *certs);
// A number for the present state of all the files: another one when any has been changed.
uint64_t cv_certs_stamp(const struct cv_config *config);
// True when the authority's certificate was left out, and could be used now: the file need not have
// changed, for a machine without a battery wakes up in the past.
bool cv_certs_lack(const struct cv_certs *certs, const struct cv_config *config, int64_t now_s);
// True when the self-signed one is to be made anew.
bool cv_certs_due(const struct cv_certs *certs, int64_t now_s);

// Where the certificate of an authority (acme) and its key are kept: one file, see
// server/acme_files.h. 0 or CV_E_STORE with *why.
int cv_certs_acme_file(const struct cv_config *config, struct cv_config_certificate *out,
                       struct cv_why *why);

// Log lines: what was loaded, and what is odd about it; what is lacking as it was `before` (may be
// NULL) is not told again.
void cv_certs_log(const struct cv_certs *certs, const struct cv_certs *before);
// Which ones end soon, or have ended; each time that it is called.
void cv_certs_warn(const struct cv_certs *certs, int64_t now_s);

#endif
