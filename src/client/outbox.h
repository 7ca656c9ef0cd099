// The outbox: what is published, from its coming to its arrival at the server, so that nothing is
// lost when the way there changes.
//
// Messages are numbered by the server's count: the first one of a publishing is 1. What has arrived
// is let go, but for the newest group of pictures: a server that knows nothing of us any more (it
// was restarted) must begin at a key frame. When there is no room, the oldest goes, up to the next
// key frame. Blocks are shared, never copied. No I/O and no clock; one thread at a time.
#ifndef CV_CLIENT_OUTBOX_H
#define CV_CLIENT_OUTBOX_H

#include "base/err.h"
#include "base/limits.h"
#include "proto/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_outbox_entry {
    struct cv_block *payload; // one reference
    uint32_t ts_ms;
    uint8_t type;
    bool starts; // decoding can start here
    bool header; // kept in `headers`, too
};

// A codec header, or (type 18) the metadata: what a server that begins anew needs first.
struct cv_outbox_header {
    struct cv_block *payload; // one reference
    uint8_t type;
    uint8_t role;  // enum cv_av_role
    uint8_t track; // of the first one that it is for
};

struct cv_outbox {
    struct cv_outbox_entry *ring; // capacity is a power of two
    uint32_t capacity;
    uint64_t tail; // the oldest entry; positions never repeat
    uint64_t next; // to be sent
    uint64_t head; // where the next message goes
    size_t bytes;
    size_t bytes_max;
    bool keep_all;
    uint64_t count;          // how many the server has been sent of this publishing
    uint32_t headers_before; // so many of them are headers
    uint64_t arrived;        // position: everything before it is known to have arrived
    uint64_t lost;           // dropped unsent, or before they had surely arrived
    struct cv_outbox_header headers[CV_LIMIT_TRACKS + 1];
    uint32_t header_count;
    uint32_t headers_left; // to be sent before the entries
    bool wants_start;      // nothing but headers is taken before a key frame (or audio alone)
    bool has_video;
};

// keep_all: refuses what does not fit, instead of dropping.
void cv_outbox_init(struct cv_outbox *outbox, size_t bytes_max, bool keep_all);
void cv_outbox_done(struct cv_outbox *outbox);

// Takes a reference to the payload. CV_E_AGAIN: keep_all, and there is no room; CV_E_NOMEM.
int cv_outbox_add(struct cv_outbox *outbox, const struct cv_msg *msg);
// The next message to be sent, lent until anything else is called: 1, or 0 when there is none. It
// counts as sent only by cv_outbox_sent.
int cv_outbox_peek(const struct cv_outbox *outbox, struct cv_msg *out);
void cv_outbox_sent(struct cv_outbox *outbox);
// Every message has been sent; headers for a server that begins anew may still wait.
bool cv_outbox_all_sent(const struct cv_outbox *outbox);
// The server has so many messages of this publishing. More than were sent: CV_E_SEQUENCE.
int cv_outbox_taken(struct cv_outbox *outbox, uint64_t count);

// A new way to a server that goes on behind its first `taken` messages: CV_E_SEQUENCE when it says
// more than it was sent. What it would need and is not kept any more counts as lost.
int cv_outbox_resume(struct cv_outbox *outbox, uint64_t taken);
// A server that begins anew: metadata, headers, then from the newest key frame before what may not
// have arrived.
void cv_outbox_restart(struct cv_outbox *outbox);

// The time of the newest message; 0 when there is none.
uint32_t cv_outbox_newest_ts_ms(const struct cv_outbox *outbox);
// Bytes that are not known to have arrived.
size_t cv_outbox_waiting_bytes(const struct cv_outbox *outbox);

#endif
