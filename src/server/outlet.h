// An outlet: the viewers of one stream on one thread, and the log that they read.
//
// On the stream's home thread that is the stream's own log; on other threads a log of the outlet's,
// fed with batches of references to the same blocks. Exists while it has viewers.
#ifndef CV_SERVER_OUTLET_H
#define CV_SERVER_OUTLET_H

#include "io/loop.h"
#include "media/streamlog.h"
#include "server/note.h"
#include "server/table.h"

struct cv_seat;
struct cv_stream;
struct cv_worker;

struct cv_outlet {
    UT_hash_handle hh;
    struct cv_worker *worker;
    uint64_t id; // on this thread: what is on its way to an outlet is not for the next of its path
    struct cv_path path;
    struct cv_stream *stream;     // when its home is this thread and it has answered; or NULL
    struct cv_stream_log *log;    // the stream's, or own_log
    struct cv_stream_log own_log; //
    struct cv_seat *seats;        // list: its viewers
    uint32_t seat_count;          // of them
    struct cv_note *unsubscribe;  // made in advance: saying goodbye cannot fail
    struct cv_timer window;       // the next flush
    uint64_t flushed_us;          // when viewers were last flushed
    uint64_t flushed_seq;         // and the log's head then
    uint64_t waits_us;            // since when something waits for the next flush; 0: nothing does
    uint64_t epoch;               // the stream's; 0: players are not told positions
    uint64_t begins_at;           // own_log's first number; CV_LOG_NONE: as for any joiner
    uint64_t head;                // the stream's next number, when its home last said so
    bool answered;                // the stream's home has: the three above are known
    bool live;                    // a publisher is there, or may return in its grace time
    bool paced;                   // as the stream's, when its home is another thread
    bool dirty;
    struct cv_outlet *prev, *next; // in the worker's dirty list
};

// The outlet of this path, made (and subscribed to its home) when there is none. `wanted`: where
// its first viewer was before. NULL: no memory.
struct cv_outlet *cv_outlet_get(struct cv_worker *worker, const struct cv_path *path,
                                const struct cv_log_limits *limits,
                                const struct cv_position *wanted);
// Whether a viewer can go on at this position: 1 and where that is in the log; 0: not yet, what
// lies before it is on its way; negative: it cannot.
int cv_outlet_find(const struct cv_outlet *outlet, const struct cv_position *wanted,
                   uint64_t *out_seq);
// After a viewer has left; frees the outlet when it was the last.
void cv_outlet_release(struct cv_outlet *outlet);

// Something new for its viewers: they are flushed at the end of the turn, or with the next window.
void cv_outlet_mark(struct cv_outlet *outlet);
// The end of the turn: flushes, or sets the window's timer.
void cv_outlet_turn(struct cv_outlet *outlet);

// This thread is the stream's home: the outlet that has subscribed, if it is still there, reads the
// stream's log.
void cv_outlet_attach(struct cv_worker *worker, struct cv_stream *stream, uint64_t outlet_id);
// From the stream's home.
void cv_outlet_on_state(struct cv_worker *worker, const struct cv_note *note);
void cv_outlet_on_batch(struct cv_worker *worker, const struct cv_batch *batch);
// At the worker's end, when no viewers are left.
void cv_outlet_free(struct cv_outlet *outlet);

#endif
