// The header of an audio or video message: what it carries, for which track, and where.
//
// Legacy headers (FLV 10.1 annex E.4.2, E.4.3) and Enhanced RTMP v2 ("Enhanced Audio", "Enhanced
// Video", multitrack, ModEx) come out as the same struct. Nothing is allocated or changed; the
// message itself is always forwarded as it came.
#ifndef CV_MEDIA_AVTAG_H
#define CV_MEDIA_AVTAG_H

#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a message is. All tracks of one message share it.
enum cv_av_role {
    CV_AV_OTHER,    // a reserved packet type: forward it, know nothing
    CV_AV_FRAME,    // coded media
    CV_AV_CONFIG,   // sequence header: the codec configuration a player needs first
    CV_AV_CHANNELS, // MultichannelConfig: the audio speaker layout
    CV_AV_COLOR,    // Metadata packet: AMF0 "colorInfo", HDR
    CV_AV_END,      // end of sequence
    CV_AV_COMMAND,  // video command frame (seek start, seek end): no codec, no body, no tracks
    CV_AV_EMPTY,    // message of length 0. Audio: silence from here. No tracks
};

struct cv_avtag_track {
    uint32_t fourcc;        // enum cv_fourcc, or one we do not know
    int32_t composition_ms; // presentation time minus the message's time; 0 when not given
    uint32_t body_offset;   // bytes from the start of the message
    uint32_t body_len;
    uint8_t id; // 0 is the default track
};

struct cv_avtag {
    bool video;           // else audio
    bool enhanced;        // E-RTMP header
    bool multitrack;      // E-RTMP multitrack packet
    bool key;             // role FRAME and a key frame (frame type 1 or 4); video only
    bool disposable;      // role FRAME and nothing refers to it (frame type 3); video only
    enum cv_av_role role; //
    uint8_t frame_type;   // as written: 1 key, 2 inter, 3 disposable, 4 generated key; video only
    uint8_t packet_type;  // as written, behind ModEx and multitrack; 0 where there is none
    uint8_t command;      // role COMMAND: 0 seek start, 1 seek end
    uint32_t nano_offset_ns; // ModEx TimestampOffsetNano, 0-999999: add to presentation time
    uint32_t track_count;    // 0 for COMMAND and EMPTY, else at least 1
    struct cv_avtag_track tracks[CV_LIMIT_MESSAGE_TRACKS];
};

// Parses a message's payload. Returns 0, or CV_E_TRUNCATED, CV_E_SYNTAX or CV_E_TOO_MANY with `why`
// filled and *out untouched. A message that cannot be parsed may still mean something to a player:
// forward it, cache nothing of it.
int cv_avtag_parse(struct cv_avtag *out, bool video, const void *data, size_t len,
                   struct cv_why *why);

// True for what must be kept for later viewers: one slot per (kind, track, role).
static inline bool cv_avtag_is_header(const struct cv_avtag *tag)
{
    return tag->role == CV_AV_CONFIG || tag->role == CV_AV_CHANNELS || tag->role == CV_AV_COLOR;
}

// The track with this id, or NULL. Borrowed from the tag. When an id comes twice, the first one.
const struct cv_avtag_track *cv_avtag_find(const struct cv_avtag *tag, uint8_t track_id);

// True when decoding of the default video track can start here.
bool cv_avtag_starts_gop(const struct cv_avtag *tag);

// "config", "frame", ...: for logs. Static.
const char *cv_av_role_name(enum cv_av_role role);

#endif
