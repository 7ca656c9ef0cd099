// Which bytes of a representation a request wants: Range. RFC 9110, section 14.
//
// Only one range is served: several would need a multipart body, which no player or browser asks
// for; a server may answer them with the whole (14.2), and so may it ignore whatever it does not
// understand.
#ifndef CV_PROTO_HTTP1_RANGE_H
#define CV_PROTO_HTTP1_RANGE_H

#include "base/text.h"

enum cv_http1_range_kind {
    CV_HTTP1_RANGE_WHOLE,   // everything: 200
    CV_HTTP1_RANGE_PART,    // 206
    CV_HTTP1_RANGE_OUTSIDE, // nothing of it is there: 416
};

// Bytes first to first + len - 1. PART: not empty, and inside the size.
struct cv_http1_range {
    enum cv_http1_range_kind kind;
    uint64_t first;
    uint64_t len;
};

// The value of Range (empty: there is none), for a representation of `size` bytes. Numbers of any
// length are understood. WHOLE has the whole as first and len; OUTSIDE has neither.
struct cv_http1_range cv_http1_range_parse(struct cv_text value, uint64_t size);

#endif
