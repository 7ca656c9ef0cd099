// Reading at a pace: on a thread with many publishers those that send often are read once in a
// flush window, not whenever a message comes. Its viewers get it no later, since they are flushed
// once in a window, too, at the end of that same turn; but fewer reads carry more, and a thread
// with many streams wakes a few times in a window, for a share of them each.
//
// Meanwhile the socket tells only of CV_PACE_BYTES or its end (SO_RCVLOWAT). On the publisher's
// thread.
#ifndef CV_SERVER_PACE_H
#define CV_SERVER_PACE_H

#include "io/loop.h"

struct cv_publisher;
struct cv_worker;

enum {
    CV_PACE_PUBLISHERS = 16,   // of a thread: fewer are read whenever they have sent something
    CV_PACE_PHASES = 4,        // a window's shares: its publishers are spread over them
    CV_PACE_BYTES = 32 * 1024, // as much is read at once: kernel memory, and the sender's window
};

// A publisher's.
struct cv_pace {
    bool on;
    uint8_t phase;
    uint32_t rounds;   // while on: windows since `count` was 0
    uint32_t count;    // messages
    uint64_t since_us; // while off: when `count` was 0
    struct cv_publisher *prev, *next;
};

// A worker's.
struct cv_pacer {
    struct cv_timer timer;
    uint64_t tick; // the last one that was served
    struct cv_publisher *phases[CV_PACE_PHASES];
    uint32_t counts[CV_PACE_PHASES];
};

// The beginning of the share of a window that this time lies in. All threads have the same.
uint64_t cv_pace_floor_us(uint64_t now_us, uint64_t window_us);

void cv_pacer_init(struct cv_worker *worker);
// A message has come: where they come often, a pace begins.
void cv_pace_count(struct cv_publisher *publisher);
// Its socket tells of everything again. Safe when there is no pace.
void cv_pace_stop(struct cv_publisher *publisher);

#endif
