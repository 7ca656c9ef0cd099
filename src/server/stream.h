// A stream at home: who publishes it, its log, and which threads have viewers.
//
// On the home thread. A stream exists while it has a publisher, a grace time, or viewers anywhere.
#ifndef CV_SERVER_STREAM_H
#define CV_SERVER_STREAM_H

#include "io/loop.h"
#include "media/cursor.h"
#include "server/note.h"
#include "server/table.h"

struct cv_outlet;
struct cv_worker;

enum cv_stream_state {
    CV_STREAM_WAITING, // viewers, but no publisher
    CV_STREAM_LIVE,
    CV_STREAM_GRACE, // the publisher went away without a word and may return
};

// A thread that has viewers; it reads the log with a cursor, as a viewer does.
struct cv_subscriber {
    bool on;
    uint64_t outlet_id; // there
    struct cv_cursor cursor;
    uint64_t begins_at; // its log's first number; CV_LOG_NONE: as for any joiner
};

struct cv_stream {
    UT_hash_handle hh;
    struct cv_worker *worker;
    struct cv_path path;
    enum cv_stream_state state;
    struct cv_publisher_id publisher; // serial 0: nobody
    struct cv_identity identity;      // its
    struct cv_resume resume;          // its; no token: it cannot resume, or has ended for good
    struct cv_stream_settings settings;
    struct cv_stream_log log;
    uint64_t epoch; // for players: positions in this log; 0: they are not told any
    struct cv_timer grace;
    struct cv_note
        *returning; // owned; asks for the stream while its own ghost may hold it; or NULL
    bool yielding;  // `publisher` has been told to go: its UNPUBLISH comes, and starts `returning`
    uint64_t returning_end_us; // that is how long it may wait
    struct cv_timer ghost;     // time to ask whether it is one
    struct cv_outlet *local;   // the viewers of this thread, who read the log itself; or NULL
    bool paced;                // its publisher is read at a pace (server/pace.h)
    bool dirty;
    struct cv_stream *prev, *next; // in the worker's dirty list
    unsigned subscribers;          // how many are on
    struct cv_subscriber threads[];
};

// Notes to the home thread.
void cv_stream_on_publish(struct cv_worker *worker, struct cv_note *note); // takes it over
void cv_stream_on_unpublish(struct cv_worker *worker, const struct cv_note *note);
// Its publisher was heard then.
void cv_stream_on_heard(struct cv_worker *worker, const struct cv_note *note);
void cv_stream_on_subscribe(struct cv_worker *worker, const struct cv_note *note);
void cv_stream_on_unsubscribe(struct cv_worker *worker, const struct cv_note *note);
// Media of a publisher; the batch stays the caller's. Ignored when it is not the stream's
// publisher.
void cv_stream_on_batch(struct cv_worker *worker, const struct cv_batch *batch);

// Passes on what has been appended in this turn. False: a mailbox is full, call again.
bool cv_stream_distribute(struct cv_stream *stream);
// At the worker's end.
void cv_stream_free(struct cv_stream *stream);

#endif
