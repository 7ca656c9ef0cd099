// Conditional requests: does the client have it already? RFC 9110, sections 8.8 and 13.
#ifndef CV_PROTO_HTTP1_COND_H
#define CV_PROTO_HTTP1_COND_H

#include "proto/http1_fields.h"

// What tells one version of a representation from another.
struct cv_http1_version {
    struct cv_text etag; // a strong one, in its quotes; not empty
    int64_t modified_s;  // as it is sent in Last-Modified
    int64_t now_s;       // for years of two digits
};

enum cv_http1_cond {
    CV_HTTP1_COND_SEND,         // as if no condition had been there
    CV_HTTP1_COND_NOT_MODIFIED, // 304
    CV_HTTP1_COND_FAILED,       // 412
};

// A GET or HEAD of a representation that exists: If-Match, If-Unmodified-Since, If-None-Match and
// If-Modified-Since, in the order and with the precedence of 13.2.2. A date that is none is as if
// it had not been sent; a list of tags that is malformed matches nothing more.
enum cv_http1_cond cv_http1_cond_check(struct cv_http1_fields fields,
                                       const struct cv_http1_version *version);
// True when Range is to be obeyed: no If-Range, or exactly this version by a strong tag or by its
// date (13.1.5).
bool cv_http1_cond_if_range(struct cv_http1_fields fields, const struct cv_http1_version *version);

#endif
