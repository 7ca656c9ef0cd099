// The receiving half of the chunk stream: bytes in, messages out (RTMP 1.0, section 5.3).
//
// Accepts everything that real senders do: type-3 headers that start a message, extended timestamps
// in continuation chunks both written and left out (found by peeking), any chunk size from 1 on,
// timestamps that step back. Memory follows the bytes that arrived, never a length that was
// announced.
#ifndef CV_PROTO_CHUNK_IN_H
#define CV_PROTO_CHUNK_IN_H

#include "base/err.h"
#include "base/wire.h"
#include "proto/message.h"

enum { CV_CHUNK_HEADER_MAX = 3 + 11 + 4 };

// What the headers of one chunk stream inherit from each other, and its unfinished message.
struct cv_chunk_context {
    uint32_t csid;
    uint32_t ts_ms;    // of the current message
    uint32_t delta_ms; // what a type-3 header that starts a message adds
    uint32_t len;      // of the current message
    uint32_t stream_id;
    uint32_t extended; // the last extended timestamp field, as it was sent
    uint8_t type;
    bool has_extended;
    struct cv_block *partial; // the unfinished message, or NULL
};

struct cv_chunk_in {
    struct cv_chunk_context *contexts; // grows as chunk streams are opened
    uint32_t count;
    uint32_t capacity;
    uint32_t current;                   // index of the context of the chunk being read
    uint32_t chunk_bytes;               // the peer's chunk size
    uint32_t chunk_left;                // payload bytes left in the chunk being read
    uint32_t media_bytes_max;           // cap of one audio or video message
    size_t partial_bytes;               // in all unfinished messages
    uint8_t ahead[CV_CHUNK_HEADER_MAX]; // bytes that were looked at and not used up: first a header
    uint8_t ahead_len;
    bool in_payload;
};

void cv_chunk_in_init(struct cv_chunk_in *in, uint32_t media_bytes_max);
void cv_chunk_in_done(struct cv_chunk_in *in);

// Reads on from `rd`. Returns 1 and the next message, whose payload reference the caller then owns;
// 0 when all bytes are used up; or a negative code with `why` filled, after which the chunk stream
// is of no use: CHUNK_CONTEXT, CHUNK_HEADER, TOO_LONG, TOO_MANY, NOMEM.
int cv_chunk_in_next(struct cv_chunk_in *in, struct cv_rd *rd, struct cv_msg *out,
                     struct cv_why *why);

// Set Chunk Size (5.4.1): from the next chunk on. 0 or CV_E_CHUNK_SIZE.
int cv_chunk_in_set_size(struct cv_chunk_in *in, uint32_t chunk_bytes);

// Abort Message (5.4.2): drops what has arrived of the message on this chunk stream.
void cv_chunk_in_abort(struct cv_chunk_in *in, uint32_t csid);

#endif
