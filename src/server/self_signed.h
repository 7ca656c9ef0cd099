// A certificate of our own making, for trials: kept in the state folder, so that clients that were
// given it know the server again.
#ifndef CV_SERVER_SELF_SIGNED_H
#define CV_SERVER_SELF_SIGNED_H

#include "io/tls_cert.h"
#include "server/config.h"

// Its files, in the state folder of the configuration.
struct cv_self_signed {
    char cert_file[CV_LIMIT_FOLDER_BYTES + 1];
    char key_file[CV_LIMIT_FOLDER_BYTES + 1];
};

// 0 or CV_E_STORE with *why.
int cv_self_signed_files(struct cv_self_signed *out, const struct cv_config *config,
                         struct cv_why *why);
// Then it is made anew.
bool cv_self_signed_ends_soon(const struct cv_tls_cert *cert, int64_t now_s);
// The certificate; made where there is none that can be used, or it ends soon: for localhost and
// this machine's name and addresses. One reference in *out; or CV_E_SYSTEM or CV_E_NOMEM with *why.
// The folder must exist.
int cv_self_signed_load(struct cv_tls_cert **out, const struct cv_self_signed *files, int64_t now_s,
                        struct cv_why *why);

#endif
