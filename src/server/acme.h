// Certificates from an authority, asked for and renewed by ourselves: RFC 8555, with HTTP-01
// (section 8.3) on the port that is ours anyway.
//
// The protocol is spoken by a client program, lego, which runs as a child process for a few seconds
// every two months. It leaves its answers to challenges in a folder, from which server/challenge.h
// serves them. When to ask is decided by server/acme_plan.h, what is kept where by
// server/acme_files.h. All of it is for the main thread.
#ifndef CV_SERVER_ACME_H
#define CV_SERVER_ACME_H

#include "base/err.h"
#include "server/config.h"

struct cv_acme;
struct cv_loop;

// `folder`: STATE/acme, made when it is needed. `obtained` is called when the certificate in it is
// a new one. 0, and *out is the caller's; or CV_E_STORE, CV_E_NOMEM with *why.
int cv_acme_new(struct cv_acme **out, struct cv_loop *loop, const char *folder,
                void (*obtained)(void *arg), void *arg, struct cv_why *why);
// At the start, and after each reload: asks for what this configuration wants, soon. What is under
// way for the same goes on.
void cv_acme_set(struct cv_acme *acme, struct cv_config *config);
// Ends what runs. *acme is cleared; NULL in it is allowed.
void cv_acme_free(struct cv_acme **acme);

// The folder of answers to challenges. Borrowed.
const char *cv_acme_challenges(const struct cv_acme *acme);

#endif
