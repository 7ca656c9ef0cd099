// The log of a live stream: a ring of references to published messages, with what a new viewer
// needs at hand (metadata, codec headers, the newest key frame).
//
// Viewers are cursors into it (media/cursor.h); nothing is copied for them. Positions are sequence
// numbers that never repeat. The log is bounded in bytes, in stream time and in messages; what
// falls off its tail is gone for those who have not read it. One thread at a time; the blocks in it
// may be shared with other threads.
//
// Numbers: an entry's number is its position in the original of a log, and the same in each copy
// of it, whatever its position there. So a viewer that was cut off can go on elsewhere. A copy may
// have gaps, and entries without a number; from `whole_from` on there are none.
#ifndef CV_MEDIA_STREAMLOG_H
#define CV_MEDIA_STREAMLOG_H

#include "base/err.h"
#include "base/limits.h"
#include "proto/message.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_log_limits {
    uint32_t bytes_max;
    uint32_t ms_max;     // stream time that a slow viewer may be behind
    uint32_t gop_ms_max; // stream time that is kept for the sake of its first key frame
    bool gop_cache;      // new viewers start at the newest key frame, else at the next one
};

enum cv_log_flags {
    CV_LOG_GOP = 1,     // decoding of video can start here
    CV_LOG_VIDEO = 2,   // a coded video frame
    CV_LOG_AUDIO = 4,   // a coded audio frame
    CV_LOG_HEADER = 8,  // codec header, colour info, channel layout, end of sequence
    CV_LOG_SCRIPT = 16, // data message
};

struct cv_log_entry {
    struct cv_block *payload; // one reference
    uint64_t number;          // CV_LOG_NONE: a copy's, and not in the original at this place
    uint32_t ts_ms;           // on the log's own timeline
    uint8_t type;
    uint8_t flags; // enum cv_log_flags
};

// A message that later viewers need first.
struct cv_log_header {
    struct cv_block *payload; // one reference
    uint8_t type;             // audio or video
    uint8_t role;             // enum cv_av_role
    bool ended;               // an end of sequence came: the same one again is news
    uint8_t track_count;
    uint8_t tracks[CV_LIMIT_MESSAGE_TRACKS];
};

#define CV_LOG_NONE UINT64_MAX

struct cv_stream_log {
    struct cv_log_limits limits;
    struct cv_log_entry *ring; // capacity is a power of two
    uint32_t capacity;
    uint64_t tail;  // oldest entry
    uint64_t head;  // where the next one goes
    uint64_t gop;   // newest key frame, or CV_LOG_NONE
    uint64_t first; // the first frame of the present publishing
    size_t bytes;
    struct cv_log_header headers[CV_LIMIT_TRACKS]; // in the order they came
    uint32_t header_count;
    uint32_t headers_version; // counts changes of headers and metadata
    uint64_t headers_at;      // where the last one was: entries behind this position need no other
    struct cv_block *metadata;
    bool has_video; // a video header or frame has been seen
    bool has_audio;
    bool ended;     // the publisher has gone; what is kept of it is for those who were there
    bool started;   // a frame (or a data message to pass on) has come: viewers may join
    bool wants_key; // from a publisher's start on: video frames are dropped until a key frame
    // numbers
    bool copy;            //
    bool continued;       // a copy that begins in the middle of things: nobody was here before
    uint64_t number;      // copy: of the message that is being appended
    uint64_t next_number; // copy: of the next one; CV_LOG_NONE: any
    uint64_t whole_from;  // nothing is missing from this number on; CV_LOG_NONE: all of them may
    // timeline
    uint32_t ts_offset_ms; // added to the publisher's time
    uint32_t last_ts_ms;   // of the latest frame; headers and metadata do not count
    bool timed;            // last_ts_ms is known
    bool restarted;        // the next frame decides ts_offset_ms
    bool has_floor;        // after a restart no frame lies before floor_ms
    uint32_t floor_ms;
    // counters
    uint64_t messages;
    uint64_t key_frames;
    uint64_t unparsed; // media messages that could not be understood, passed on all the same
    uint64_t dropped;  // video frames before a publisher's first key frame
};

void cv_stream_log_init(struct cv_stream_log *log, const struct cv_log_limits *limits);
// A copy of a log, elsewhere.
void cv_stream_log_init_copy(struct cv_stream_log *log, const struct cv_log_limits *limits);
void cv_stream_log_done(struct cv_stream_log *log);

// Appends an audio, video or data message (AMF0) of the publisher; takes references of its own.
// Unchanged repeated codec headers are swallowed, "@setDataFrame" is cut off. 0 or CV_E_NOMEM, then
// the message is lost and the log as it was.
int cv_stream_log_append(struct cv_stream_log *log, const struct cv_msg *msg);

// The same for what a cursor gave of the original, in order; `number`: as cv_cursor_last_number.
int cv_stream_log_append_copy(struct cv_stream_log *log, const struct cv_msg *msg, uint64_t number);
// The position from which on everything from this number on can be read; the head when that is
// still to come. False: something is missing.
bool cv_stream_log_find(const struct cv_stream_log *log, uint64_t number, uint64_t *out_seq);

// Viewers may join, though no frame has been appended: for a copy of a log that has started.
void cv_stream_log_start(struct cv_stream_log *log);

// A new publisher goes on in this log. A timeline that starts again is moved behind the last
// message; one that simply goes on is kept. Video waits for its next key frame.
void cv_stream_log_restart(struct cv_stream_log *log);

// The publisher has gone for good: later viewers wait for the next one, who goes on in this log.
// Those who were there before can still read what is in it, and join if they have not yet: headers
// and metadata are forgotten when the next publisher's first message comes.
void cv_stream_log_end(struct cv_stream_log *log);

// The entry at a position between tail and head.
const struct cv_log_entry *cv_stream_log_at(const struct cv_stream_log *log, uint64_t seq);

#endif
