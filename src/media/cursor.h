// A viewer's place in a stream log: what it gets next.
//
// A new viewer gets metadata and codec headers with the time of its first frame, then the newest
// key frame and what follows. One that fell off the log's tail jumps to the newest key frame, and
// the jump is counted. No memory, no copies. On the thread of the log.
#ifndef CV_MEDIA_CURSOR_H
#define CV_MEDIA_CURSOR_H

#include "media/streamlog.h"

struct cv_cursor {
    uint64_t seq;             // next entry to read
    uint64_t early_seq;       // early: the log's head when it came
    uint32_t headers_version; // the log's, when headers were last sent
    uint8_t headers_left;     // metadata and headers still to be sent before entries
    bool joined;              // the start has been chosen
    bool early;               // was here before the first frame: misses nothing
    bool wants_key;           // video is held back until a key frame
    bool audio_off;           // receiveAudio(false)
    bool video_off;           // receiveVideo(false)
    bool from_log;            // what was given last is an entry, not a header before entries
    uint32_t jumps;           // how often it fell behind
    uint64_t skipped;         // messages lost by that
};

// A cursor that will join at its first read.
struct cv_cursor cv_cursor_new(void);

// The next message for this viewer: 1 with *out, whose payload is lent until the log changes; 0
// when there is nothing new. out->stream_id is 0.
int cv_cursor_next(struct cv_cursor *cursor, const struct cv_stream_log *log, struct cv_msg *out);

// The number of what cv_cursor_next gave last, before the log changes. CV_LOG_NONE: it has none, or
// something beside it is held back from this viewer. From a number on the viewer gets everything
// that follows, as long as there are numbers, each one more than the one before.
uint64_t cv_cursor_last_number(const struct cv_cursor *cursor, const struct cv_stream_log *log);

// Before its first read: the viewer was here before, in a log or its copy, and has everything
// before this position. What it receives stays as it was set.
void cv_cursor_resume_at(struct cv_cursor *cursor, const struct cv_stream_log *log, uint64_t seq);

// A new viewer that gets metadata and codec headers, then everything from this position on.
void cv_cursor_start_at(struct cv_cursor *cursor, const struct cv_stream_log *log, uint64_t seq);

// Says that the viewer is there: when the log has not started, it will get everything from the
// first frame on, however late it reads. cv_cursor_next says so, too.
void cv_cursor_wait(struct cv_cursor *cursor, const struct cv_stream_log *log);

// True when cv_cursor_next has something to look at (it may still find nothing for this viewer).
bool cv_cursor_behind(const struct cv_cursor *cursor, const struct cv_stream_log *log);

// What comes next is the log's entries as they stand, from cursor->seq on, and there are some: they
// may be given to the viewer by another way. cv_cursor_pass: that was done with those before `to`.
bool cv_cursor_is_plain(const struct cv_cursor *cursor, const struct cv_stream_log *log);
void cv_cursor_pass(struct cv_cursor *cursor, uint64_t to);

// Switches a kind of media on or off; video comes back at a key frame.
void cv_cursor_receive_audio(struct cv_cursor *cursor, bool on);
void cv_cursor_receive_video(struct cv_cursor *cursor, bool on);

// Goes on after a pause: at the newest key frame if that came since, else at the live edge, video
// at a key frame. Headers come again if they have changed.
void cv_cursor_rejoin(struct cv_cursor *cursor);

#endif
