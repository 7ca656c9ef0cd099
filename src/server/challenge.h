// The proof that a host's name is ours, for the authority that gives out certificates: RFC 8555,
// section 8.3 (HTTP-01).
//
// GET /.well-known/acme-challenge/TOKEN is answered from a small file of that name, which an ACME
// client has put into one of the folders: ours (server/acme.h), or the administrator's
// (tls.challenge_folder). A token that is in none is none of ours: the site may have its own.
#ifndef CV_SERVER_CHALLENGE_H
#define CV_SERVER_CHALLENGE_H

#include "base/limits.h"
#include "base/text.h"

struct cv_http1_head;
struct cv_web;

// Takes GET and HEAD of such a path, where there are folders. 1, 0, or CV_E_NOMEM.
int cv_challenge_route(struct cv_web *web, const struct cv_http1_head *head);
// The token in the path of a request, or an empty text when it is no such path: letters, digits,
// '-' and '_' only (base64url), 1 to CV_LIMIT_ACME_TOKEN_BYTES of them.
struct cv_text cv_challenge_token(struct cv_text path);

#endif
