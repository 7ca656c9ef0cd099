// What ACME keeps in the folder "acme" of the state folder; all of it for our user only. Blocking:
// for the main thread.
//
//   certificate.pem   what is shown to clients: key, certificate and chain; replaced in one step
//   past              failures (server/acme_plan.h)
//   client/           the client program's own: account, and what it was given last
//   webroot/          where it puts its answers, below .well-known/acme-challenge
#ifndef CV_SERVER_ACME_FILES_H
#define CV_SERVER_ACME_FILES_H

#include "base/err.h"
#include "server/acme_plan.h"
#include "server/config.h"

#define CV_ACME_CERTIFICATE "certificate.pem"

struct cv_acme_files {
    char folder[CV_LIMIT_FOLDER_BYTES + 1]; // STATE/acme
    char client[CV_LIMIT_FOLDER_BYTES + 1];
    char webroot[CV_LIMIT_FOLDER_BYTES + 1];
    char challenges[CV_LIMIT_FOLDER_BYTES + 1]; // in webroot
    char certificate[CV_LIMIT_FOLDER_BYTES + 1];
    char past[CV_LIMIT_FOLDER_BYTES + 1];
};

// The names, in this folder. 0, or CV_E_STORE with *why (too long).
int cv_acme_files_of(struct cv_acme_files *out, const char *folder, struct cv_why *why);
// Makes the folders (0700) where they are not there, and takes old answers away. 0 or CV_E_STORE
// with *why.
int cv_acme_files_make(const struct cv_acme_files *files, struct cv_why *why);

// The certificate that is in use, as far as these domains are concerned.
struct cv_acme_have cv_acme_files_have(const struct cv_acme_files *files,
                                       const struct cv_config_acme *acme, int64_t now_s);
// Takes what the client has been given for these domains, checks it, and puts it in the place of
// the certificate. 0; or CV_E_CONFIG (it cannot be used), CV_E_STORE, CV_E_NOMEM with *why.
int cv_acme_files_take(const struct cv_acme_files *files, const struct cv_config_acme *acme,
                       int64_t now_s, struct cv_why *why);

// `asked`: as in server/acme_plan.h. What cannot be read is a past without failures.
struct cv_acme_past cv_acme_files_past(const struct cv_acme_files *files, const char *asked);
// 0 or CV_E_STORE with *why.
int cv_acme_files_keep(const struct cv_acme_files *files, const struct cv_acme_past *past,
                       const char *asked, struct cv_why *why);

#endif
