// Whom a client trusts: the certificate authorities by which servers are known (RFC 5280, RFC
// 6125).
#ifndef CV_IO_TLS_TRUST_H
#define CV_IO_TLS_TRUST_H

#include "base/err.h"

#include <stdbool.h>

struct cv_tls_trust;

struct cv_tls_trust_config {
    const char *ca_file; // PEM: these, and no others. NULL or empty: the system's store
    bool insecure;       // anybody is believed to be whom he says
};

// Loads what is needed. One reference in *out, the caller's; or CV_E_USAGE with *why, which names
// the file and says what is wrong with it, or CV_E_NOMEM.
int cv_tls_trust_new(struct cv_tls_trust **out, const struct cv_tls_trust_config *config,
                     struct cv_why *why);
// References are atomic.
struct cv_tls_trust *cv_tls_trust_ref(struct cv_tls_trust *trust);
void cv_tls_trust_unref(struct cv_tls_trust **trust);

#endif
