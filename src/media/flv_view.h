// A live stream as FLV for one viewer: HTTP-FLV, WebSocket-FLV (FLV 10.1 annex E; E-RTMP v2).
//
// Players in a page (mpegts.js, flv.js) end at what they do not know. For them the view
//   - tells in the file header and in onMetaData which tracks there really are,
//   - writes avc1 as legacy H.264, mp4a as legacy AAC, .mp3 as legacy MP3; keeps hvc1, av01, Opus
//     and fLaC as they are; drops other codecs,
//   - takes the default track out of multitrack messages and drops the others,
//   - takes ModEx off; drops colour info, channel layouts, video commands, empty messages and what
//     cannot be read.
// For tools that take everything (FFmpeg) a plain view forwards messages as they are.
// Time starts at 0 for each viewer. Payloads are never copied, but for metadata that changes.
// One thread at a time, the log's.
#ifndef CV_MEDIA_FLV_VIEW_H
#define CV_MEDIA_FLV_VIEW_H

#include "media/streamlog.h"

enum {
    CV_FLV_PREFIX_MAX = 5,   // longest codec header that is written anew
    CV_FLV_TRACKS_MS = 2000, // the second track may come so much later than the first
};

// One FLV tag: head (11 bytes), prefix, a part of the payload, tail (4 bytes).
struct cv_flv_tag {
    struct cv_block *payload; // one reference
    uint32_t offset;          // the part of it that is sent
    uint32_t len;             //
    uint32_t ts_ms;           // below 2^31
    uint8_t type;             // CV_MSG_AUDIO, VIDEO, DATA_AMF0
    uint8_t prefix_len;
    uint8_t prefix[CV_FLV_PREFIX_MAX]; // in place of the codec header that is left out
};

struct cv_flv_view {
    bool plain;
    bool has_audio; // for the file header
    bool has_video;
    // time
    bool based; // the first audio or video tag has come
    uint32_t last_ts_ms;
    int64_t elapsed_ms;
    // counters
    uint64_t tags;
    uint64_t unsupported; // messages of codecs that the player does not know
    uint64_t dropped;     // other messages that are not for it
};

// The tracks of this log are known: both kinds have come, or it holds so much time that the second
// one would have.
bool cv_flv_tracks_known(const struct cv_stream_log *log);

// A view of this log, whose tracks are looked up now: the caller waits for the second one, if it
// wants to, before.
struct cv_flv_view cv_flv_view_new(const struct cv_stream_log *log, bool plain);

// What becomes of a message that the cursor gave: 1 and a tag, whose reference is the caller's; 0
// when the viewer is not to have it; CV_E_NOMEM.
int cv_flv_view_tag(struct cv_flv_view *view, const struct cv_msg *msg, struct cv_flv_tag *out);

#endif
