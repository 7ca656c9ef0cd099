// Runs bytes through the HTTP/1 engine and writes down what came out, so that two runs compare.
#ifndef CV_TEST_HTTP1_KIT_H
#define CV_TEST_HTTP1_KIT_H

#include "harness.h"

#include "proto/http1.h"

enum { HTTP1_RECORD_MAX = 65536 };

struct http1_run {
    enum cv_http1_role role;
    const char *methods; // responses: what each answers, a letter each: G, H(ead), C(onnect),
                         // U(pgrade asked); after the last one the engine stays paused
    uint64_t body_max;   // 0: as it is
    bool stop_at_end;    // requests: do not resume behind END
    bool open_end;       // do not tell that the peer has closed
    char text[HTTP1_RECORD_MAX]; // "HEAD ... | body:... | END", one message per line
    char left[1024];             // what unread gave back, at the end
    int err;
    uint32_t refusal;
    enum cv_http1_phase phase;
};

// Feeds the bytes in two pieces, the second one cut to pieces of `piece` bytes. Each piece ends at
// an unreadable page.
void http1_run(struct http1_run *run, const void *data, size_t len, size_t first, size_t piece);
// The same in one piece.
void http1_run_whole(struct http1_run *run, const char *text);
// In one piece, in two for every cut, and byte by byte: the same record each time, or the test
// fails. The record is left in *run.
void http1_run_split(struct http1_run *run, const void *data, size_t len);

#endif
