// Credentials in the scheme "Basic" (RFC 7617): a name and a password in base64, for all to read.
#ifndef CV_PROTO_BASIC_AUTH_H
#define CV_PROTO_BASIC_AUTH_H

#include "base/text.h"
#include "base/wire.h"

enum { CV_LIMIT_BASIC_AUTH_BYTES = 1024 }; // name, colon and password

// Writes the header field `name` ("Proxy-Authorization"). With credentials that are too long the
// writer fails as in proto/http1_write.h.
void cv_basic_auth_write(struct cv_wr *wr, const char *name, struct cv_text user,
                         struct cv_text password);

#endif
