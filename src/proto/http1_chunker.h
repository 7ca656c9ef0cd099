// The chunked body of HTTP/1.1 on its way out (RFC 9112, section 7.1), around the bytes of another
// engine: its vectors are lent by reference, sizes are put between them. For bodies whose end is
// not known when they begin, and whose clean end must be told from a cut.
//
// No memory of its own: nothing to free. One thread at a time.
#ifndef CV_PROTO_HTTP1_CHUNKER_H
#define CV_PROTO_HTTP1_CHUNKER_H

#include "base/gather.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CV_CHUNK_HEAD_MAX = 18 }; // 16 hex digits and CRLF

// Zeroed: at the beginning of a body. The members are the engine's.
struct cv_http1_chunker {
    // The chunk that was pulled last, or has begun to leave. head_len 0: none.
    uint8_t head[CV_CHUNK_HEAD_MAX];
    uint8_t head_len;
    uint8_t head_at;   // bytes of it that have left
    uint8_t tail_left; // bytes that are still owed behind a chunk's data
    uint8_t last_left; // bytes of the last chunk that have not left
    bool ending;
    bool pulling; // between begin and end
    size_t len;   // data of the chunk
    size_t at;    // bytes of it that have left
    // the last pull
    size_t lent_tail; // before the chunk
    int slot;         // place of the head in the gather; -1: none
    size_t before;    // bytes in the gather before the data
};

// Output, as with proto/ws.h:
//
//     if (cv_http1_chunker_pull_begin(chunker, gather))
//         inner_pull(inner, gather);
//     cv_http1_chunker_pull_end(chunker, gather);
//     ... write the gather; n bytes have left ...
//     inner_sent(inner, cv_http1_chunker_sent(chunker, n));
//
// Each turn makes at most one chunk of what the inner engine lends. Bytes that it has once lent it
// must lend again, first, until they are sent: a chunk that has begun to leave has told its length.
// What is lent is valid until the next call of sent or end.
bool cv_http1_chunker_pull_begin(struct cv_http1_chunker *chunker, struct cv_gather *gather);
void cv_http1_chunker_pull_end(struct cv_http1_chunker *chunker, struct cv_gather *gather);
// `len` bytes of what was pulled last have left. Returns how many of them are the inner engine's.
size_t cv_http1_chunker_sent(struct cv_http1_chunker *chunker, size_t len);

// The body is complete: no chunk begins any more; the one that has begun to leave is finished, and
// the last chunk follows.
void cv_http1_chunker_end(struct cv_http1_chunker *chunker);

// Nothing of its own waits to be sent, and no chunk is half sent.
bool cv_http1_chunker_out_empty(const struct cv_http1_chunker *chunker);

#endif
