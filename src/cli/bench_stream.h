// The synthetic stream of `culvert bench`: AVC and AAC messages that look real to a server and can
// be checked by a player: each carries its number, size, send time and a pattern.
#ifndef CV_CLI_BENCH_STREAM_H
#define CV_CLI_BENCH_STREAM_H

#include "proto/message.h"

struct cv_bench_shape {
    uint32_t bitrate_kbps; // audio included
    uint32_t fps;
    uint32_t audio_kbps; // 0: no audio
    uint32_t gop_s;
};

// One publisher's stream. Its clock starts at 0.
struct cv_bench_source {
    struct cv_bench_shape shape;
    uint32_t id;       // travels in every message: streams must not be mixed
    uint64_t sequence; // of the next message
    uint64_t video;    // frames made
    uint64_t audio;
};

// When the next message is due, in microseconds of the stream's clock.
uint64_t cv_bench_source_due_us(const struct cv_bench_source *source);
// Makes it, stamped with `now_us`. The caller owns the payload. CV_E_NOMEM.
int cv_bench_source_next(struct cv_bench_source *source, uint64_t now_us, struct cv_msg *out);
// The codec headers and the metadata's body, each a block that the caller owns, or NULL.
struct cv_block *cv_bench_video_header(void);
struct cv_block *cv_bench_audio_header(void);
struct cv_block *cv_bench_metadata(const struct cv_bench_shape *shape);

// What one player has seen. Zeroed at first, but for the id of the stream it expects.
struct cv_bench_checker {
    uint32_t id;
    bool begun;    // has had its first key frame
    uint64_t next; // the sequence number that must come
    uint64_t messages;
    uint64_t bytes;
    uint64_t gaps;    // messages that never came
    uint64_t doubles; // came twice, or too late
    uint64_t damaged; // wrong size, pattern or stream
};

enum cv_bench_seen {
    CV_BENCH_HEADER,  // a codec header: nothing to check
    CV_BENCH_KEY,     // a key frame
    CV_BENCH_OTHER,   // any other stamped message
    CV_BENCH_DAMAGED, // its stamp is of no use
};

// Checks an audio or video message. *sent_us is its stamp, for KEY and OTHER.
enum cv_bench_seen cv_bench_check(struct cv_bench_checker *checker, const struct cv_msg *msg,
                                  uint64_t *sent_us);

#endif
