// Whom a client trusts on its way to one target.
#ifndef CV_CLIENT_TRUST_H
#define CV_CLIENT_TRUST_H

#include "client/target.h"
#include "io/tls_trust.h"

// One reference in *out, the caller's; NULL in there: the target is never reached inside TLS, or
// need not be and the system has no certificates. CV_OK, or what cv_tls_trust_new said, with *why.
int cv_trust_load(struct cv_tls_trust **out, const struct cv_target *target,
                  const struct cv_tls_trust_config *config, struct cv_why *why);

#endif
