// The sending half of the chunk stream: messages in, vectors out (RTMP 1.0, section 5.3).
//
// A queue of messages by reference. Headers are not stored: pull writes them into the gather's
// scratch, from the message and from how much of it has left already. That works because each
// message starts with a type 0 header, which needs nothing of the messages before it; it costs four
// bytes a message and no receiver can misread it (protocol traps of type 3 headers do not arise).
#ifndef CV_PROTO_CHUNK_OUT_H
#define CV_PROTO_CHUNK_OUT_H

#include "base/err.h"
#include "base/gather.h"
#include "proto/message.h"

struct cv_chunk_item {
    struct cv_block *payload; // one reference
    uint32_t ts_ms;
    uint32_t stream_id;
    uint32_t chunk_bytes; // the chunk size in force for this message
    uint8_t type;
    uint8_t csid;
};

struct cv_chunk_out {
    struct cv_chunk_item *ring; // capacity is a power of two
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
    uint32_t chunk_bytes; // for messages that are pushed from now on
    size_t head_sent;     // wire bytes of the first message that have left
    size_t bytes;         // payload bytes in the queue
    size_t bytes_max;     // cap of that
};

void cv_chunk_out_init(struct cv_chunk_out *out, size_t bytes_max);
void cv_chunk_out_done(struct cv_chunk_out *out);

// Queues a message on the chunk stream; takes a reference of its own to the payload. A Set Chunk
// Size message changes the size for the messages after it. 0, CV_E_QUEUE_FULL or CV_E_NOMEM.
int cv_chunk_out_push(struct cv_chunk_out *out, const struct cv_msg *msg, enum cv_csid csid);

// Lends as much as the gather takes. What it lends stays valid until the next call of sent or done.
void cv_chunk_out_pull(const struct cv_chunk_out *out, struct cv_gather *gather);

// `len` wire bytes of what was pulled have left. Returns how many bytes belong to others (a caller
// that lent bytes of its own behind them); 0 otherwise.
size_t cv_chunk_out_sent(struct cv_chunk_out *out, size_t len);

// How many messages from the first one on are together not longer than `bytes_max` on the wire; 1
// if the first one alone is longer. *bytes: how long they are. Nothing of them may have left yet.
uint32_t cv_chunk_out_fit(const struct cv_chunk_out *out, size_t bytes_max, size_t *bytes);
// Moves the first `count` messages into `items`, with their references.
void cv_chunk_out_take(struct cv_chunk_out *out, struct cv_chunk_item *items, uint32_t count);
// What a message is on the wire, and its bytes behind the first `skip` ones. False when the gather
// is full before the message ends.
size_t cv_chunk_item_bytes(const struct cv_chunk_item *item);
bool cv_chunk_item_pull(const struct cv_chunk_item *item, size_t skip, struct cv_gather *gather);

static inline bool cv_chunk_out_empty(const struct cv_chunk_out *out)
{
    return out->count == 0;
}

#endif
