// FLV framing, both directions (FLV 10.1 annex E.2, E.3): the file header and the tags.
//
// The same tag layout is used by aggregate messages (proto/aggregate.h) and by HTTP-FLV. What is in
// a tag is an RTMP message's payload; its type is an RTMP message type (8, 9, 15, 18).
#ifndef CV_PROTO_FLV_H
#define CV_PROTO_FLV_H

#include "base/block.h"
#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CV_FLV_HEADER_BYTES = 13, // with the 0 that stands for "no tag before"
    CV_FLV_TAG_HEAD_BYTES = 11,
    CV_FLV_TAG_TAIL_BYTES = 4,
};

// ---- one tag head ---------------------------------------------------------------------------

struct cv_flv_head {
    uint8_t type; // enum cv_msg_type when known
    bool encrypted;
    uint32_t len;   // bytes of payload, 24 bits
    uint32_t ts_ms; // 32 bits; players want it below 2^31
};

// Reads 11 bytes; the tag's stream id is skipped. Errors stick in the cursor.
struct cv_flv_head cv_flv_read_head(struct cv_rd *rd);

// ---- writing --------------------------------------------------------------------------------

// File header and first back pointer: CV_FLV_HEADER_BYTES.
void cv_flv_write_header(struct cv_wr *wr, bool has_audio, bool has_video);
// What stands before and behind a payload of `len` bytes (24 bits), for writers that gather.
void cv_flv_write_tag_head(uint8_t out[CV_FLV_TAG_HEAD_BYTES], uint8_t type, uint32_t ts_ms,
                           uint32_t len);
void cv_flv_write_tag_tail(uint8_t out[CV_FLV_TAG_TAIL_BYTES], uint32_t len);
// A whole tag with a copy of the payload. Errors stick in the cursor.
void cv_flv_write_tag(struct cv_wr *wr, uint8_t type, uint32_t ts_ms, const void *data,
                      uint32_t len);

// ---- reading --------------------------------------------------------------------------------

enum cv_flv_event_kind {
    CV_FLV_HEADER, // has_audio, has_video: only a hint, files lie
    CV_FLV_TAG,    // type, ts_ms, payload
};

struct cv_flv_event {
    enum cv_flv_event_kind kind;
    bool has_audio;
    bool has_video;
    uint8_t type; // CV_MSG_AUDIO, VIDEO, DATA_AMF0 or DATA_AMF3; other tags are skipped
    uint32_t ts_ms;
    struct cv_block *payload; // the caller's reference; NULL for the header
};

struct cv_flv_reader;

// A reader at the start of a file. media_max: the most bytes of one audio or video tag; data tags
// have their own cap (cv_msg_limit). NULL: no memory.
struct cv_flv_reader *cv_flv_reader_new(uint32_t media_max);
// NULL is allowed.
void cv_flv_reader_free(struct cv_flv_reader *reader);
// Lends the next bytes of the file. They must stay valid until cv_flv_reader_next has returned 0 or
// less; until then nothing more may be fed. Returns 0, or the error that ended the reader.
int cv_flv_reader_feed(struct cv_flv_reader *reader, const void *data, size_t len);
// 1: *out is the next event. 0: feed more. Negative, for good: CV_E_FLV, TOO_LONG, NOMEM.
int cv_flv_reader_next(struct cv_flv_reader *reader, struct cv_flv_event *out);
// What was fed and not read, when its owner wants to wait. It is given back: the reader forgets it.
struct cv_rd cv_flv_reader_unread(struct cv_flv_reader *reader);
// To be called where the file ends: 0 when that is between tags, else CV_E_TRUNCATED, or the error
// that ended the reader.
int cv_flv_reader_end(struct cv_flv_reader *reader);
// The first failure. Borrowed from the reader.
const struct cv_why *cv_flv_reader_why(const struct cv_flv_reader *reader);

#endif
