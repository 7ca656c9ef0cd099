// The chunked transfer coding, decoded: RFC 9112, section 7.1, read strictly. Lines end in CR LF,
// a size is 1 to 15 hex digits directly behind the line's start, extensions and trailers are
// checked, bounded and dropped.
//
// http-parser could do it, but takes a bare LF inside of an extension and extensions without end:
// two known ways to smuggle a request past a proxy.
#ifndef CV_PROTO_HTTP1_CHUNKED_H
#define CV_PROTO_HTTP1_CHUNKED_H

#include "base/wire.h"
#include "proto/http1_head.h"

struct cv_chunked {
    int state;
    uint32_t digits; // of the size that is being read
    uint32_t extra;  // bytes of the chunk's extensions, then of the trailers
    uint64_t left;   // bytes of the chunk that are still to come
};

// All zero is the start.
enum cv_chunked_step {
    CV_CHUNKED_MORE, // the bytes are used up
    CV_CHUNKED_SIZE, // a chunk begins: left tells how long it is, 0 is the last one
    CV_CHUNKED_DATA, // *out_data: bytes of the body, lent from *in
    CV_CHUNKED_END,  // the body and its trailers are complete
    CV_CHUNKED_WRONG // *out_wrong: what, for good
};
enum cv_chunked_step cv_chunked_next(struct cv_chunked *chunked, struct cv_rd *in,
                                     struct cv_text *out_data, struct cv_http1_wrong *out_wrong);

#endif
