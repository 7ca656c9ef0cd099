// Writing HTTP/1 messages: heads, fields, chunks, and small whole responses. RFC 9112.
//
// The spelling is part of the contract: librtmp looks for "HTTP/1.1 200 " and "Content-Length: N",
// with exactly this case and one blank. No Date, no Server: nothing that nobody asked for.
// A text with a byte that must not stand in its place (CR, LF, NUL, ...) makes the writer fail for
// good: wr->err is CV_E_USAGE then, and nothing of the text was written.
#ifndef CV_PROTO_HTTP1_WRITE_H
#define CV_PROTO_HTTP1_WRITE_H

#include "base/wire.h"
#include "proto/http1_fields.h"

// The usual words for a status ("Not Found"); "Unknown" for others. Static.
const char *cv_http1_reason(uint32_t status);

// "HTTP/1.1 200 OK". An empty reason: the usual one.
void cv_http1_write_status(struct cv_wr *wr, uint32_t status, struct cv_text reason);
// "POST /open/1 HTTP/1.1". The target has no blanks and no fragment.
void cv_http1_write_request(struct cv_wr *wr, struct cv_text method, struct cv_text target);
// "name: value"
void cv_http1_write_field(struct cv_wr *wr, struct cv_text name, struct cv_text value);
// The same with literals.
void cv_http1_write_header(struct cv_wr *wr, const char *name, const char *value);
// "Content-Length: len"
void cv_http1_write_length(struct cv_wr *wr, uint64_t len);
// The empty line behind the last field.
void cv_http1_write_head_end(struct cv_wr *wr);

// A chunk is head, `len` bytes (> 0), tail; the last chunk ends the body.
void cv_http1_write_chunk_head(struct cv_wr *wr, uint64_t len);
void cv_http1_write_chunk_tail(struct cv_wr *wr);
void cv_http1_write_last_chunk(struct cv_wr *wr);

// A complete response that must not be cached. type: Content-Type, may be NULL when there is no
// body. keep_alive false adds "Connection: close". For 1xx, 204 and 304 there is no Content-Length
// and must be no body.
struct cv_http1_pair {
    const char *name;
    const char *value;
};

struct cv_http1_answer {
    uint32_t status;
    const struct cv_http1_pair *fields; // more header fields, field_count of them
    size_t field_count;
    const char *type;
    const void *body;
    size_t len;
    bool keep_alive;
    bool says_keep_alive; // for HTTP/1.0, where staying is not the rule
    bool head_only;       // answers HEAD: the length is told, the body is not sent
};
void cv_http1_write_answer(struct cv_wr *wr, const struct cv_http1_answer *answer);

#endif
