// The pace of a recording that is sent as if it were live: which time its messages get, and when
// each one is due.
//
// Times go out as one line from 0 on, whatever comes in: a first time that is not 0, a wrap of 32
// bits, a track that goes back because the recording begins again (in a loop, or behind a seam of
// two files), a hole of more than CV_PACE_GAP_MS. What is late is due at once: nothing is ever
// delayed to keep a distance. No clock: time is a parameter.
#ifndef CV_MEDIA_PACER_H
#define CV_MEDIA_PACER_H

#include <stdbool.h>
#include <stdint.h>

struct cv_pacer {
    uint64_t ahead_us;
    uint64_t zero_us; // when media time 0 is due
    bool running;     // zero_us is known
    // the line of time
    bool based;         // an audio or video message has come
    bool again;         // the next one follows the newest: cv_pacer_again
    uint32_t last_in;   // its time as it came in,
    int64_t last_ms;    // and unwrapped
    int64_t offset_ms;  // added to that
    int64_t newest_ms;  // latest time that went out
    int64_t kind_ms[2]; // the same of audio, of video
    int64_t step_ms;    // between the last two frames of a kind
};

// Messages are due `ahead_ms` before their time by the clock.
struct cv_pacer cv_pacer_new(uint32_t ahead_ms);
// Media time 0 is `now_us`. Only once.
void cv_pacer_start(struct cv_pacer *pacer, uint64_t now_us);
// The time with which a message of this type (enum cv_msg_type) goes out, in milliseconds from the
// start; on the wire it is modulo 2^32. Data messages never move the line.
uint64_t cv_pacer_stamp(struct cv_pacer *pacer, uint8_t type, uint32_t ts_ms);
// The recording begins again: the next message follows the newest one.
void cv_pacer_again(struct cv_pacer *pacer);
// When a message with this outgoing time may be sent, by the clock of cv_pacer_start; 0 before it.
uint64_t cv_pacer_due_us(const struct cv_pacer *pacer, uint64_t at_ms);
// The newest outgoing time.
uint64_t cv_pacer_time_ms(const struct cv_pacer *pacer);

#endif
