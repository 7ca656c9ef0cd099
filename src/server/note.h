// What threads tell each other: control notes and batches of media. Both are mail (io/mailbox.h).
//
// A stream's home thread is chosen by its name. Publishers ask it, on whatever thread they are, and
// send it their media; it sends media on to every thread that has viewers, one batch for all of
// them.
#ifndef CV_SERVER_NOTE_H
#define CV_SERVER_NOTE_H

#include "base/path.h"
#include "io/addr.h"
#include "io/channel.h"
#include "io/mailbox.h"
#include "server/policy.h"
#include "server/resume.h"

// Who publishes: a number of its thread's, which is never used again.
struct cv_publisher_id {
    unsigned thread;
    uint64_t serial; // 0: nobody
};

enum cv_note_kind {
    CV_NOTE_PUBLISH,     // to home: may I publish this? path, publisher, identity, settings, resume
    CV_NOTE_PUBLISHED,   // to the publisher: code, resume
    CV_NOTE_UNPUBLISH,   // to home: I have stopped; clean: on purpose
    CV_NOTE_KICK,        // to the publisher: kick
    CV_NOTE_PROBE,       // to the publisher: when was your client heard last?
    CV_NOTE_HEARD,       // to home: then
    CV_NOTE_SUBSCRIBE,   // to home: this thread has viewers of path; position: where one was
    CV_NOTE_UNSUBSCRIBE, // to home: it has none any more
    CV_NOTE_STATE,       // to a thread with viewers: live, or over; position
    CV_NOTE_POLICY,      // to all: use this policy from now on
    CV_NOTE_STOP,        // to all: end all connections, then stop
    CV_NOTE_STATS,       // to all: send your counters to the main thread
    CV_NOTE_MOVED,       // to a thread: this connection is yours
    CV_NOTE_KINDS,
};

// Why a publisher has to go.
enum cv_kick {
    CV_KICK_TAKEOVER, // somebody else has the stream
    CV_KICK_GHOST,    // its client has it, on another connection
    CV_KICK_YIELD,    // its client wants it: first what is here goes home, then UNPUBLISH
};

// Counters of one worker; the reader sums them up.
struct cv_worker_stats {
    uint64_t connections; // now
    uint64_t accepted;
    uint64_t refused;
    uint64_t moved;      // connections that came from another thread
    uint64_t publishers; // now
    uint64_t viewers;    // now
    uint64_t messages_in;
    uint64_t messages_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t writes;
    uint64_t batched; // of these, by io_uring, many at once
    uint64_t flushes; // of viewers that had something to send
    uint64_t jumps;   // viewers that fell behind
    uint64_t skipped; // messages they lost by it, and threads whose mailbox was full too long
    uint64_t lost;    // messages that were lost for all, for want of memory or at a publisher's end
    uint64_t secured; // TLS handshakes that were done
    uint64_t resumed; // of these, by a ticket
    uint64_t kernel_tls; // of these, with a kernel that encrypts
    uint64_t tls_failed; // handshakes that failed
    uint64_t allocs;
};

// A connection on its way from one thread to another.
struct cv_moved {
    struct cv_channel_ends ends; // owned; fd -1 once it has been taken
    struct cv_addr peer;
    struct cv_block *bytes; // one reference: what was read of it
};

struct cv_note {
    struct cv_mail mail;
    struct cv_note *next; // while it waits for room in the mailbox
    enum cv_note_kind kind;
    unsigned from;
    int code;
    bool flag;          // UNPUBLISH: clean. STATE: live
    enum cv_kick kick;  // KICK
    uint64_t outlet_id; // SUBSCRIBE: whose; STATE: for whom
    struct cv_publisher_id publisher;
    struct cv_identity identity; // PUBLISH: who asks
    struct cv_resume resume;     // PUBLISH: what is presented; PUBLISHED: what is given
    uint64_t heard_us;           // HEARD: monotonic, the same clock on all threads
    // SUBSCRIBE: wanted. STATE: the epoch, and with what the thread's copy of the log begins, or
    // CV_LOG_NONE: as for any joiner.
    struct cv_position position;
    uint64_t head; // STATE: the number that the stream's next message will have
    struct cv_stream_settings settings;
    struct cv_moved *moved;                   // owned
    struct cv_policy *policy;                 // one reference
    void (*answer)(struct cv_mail *, void *); // STATS: how the main thread takes the answer
    struct cv_worker_stats stats;             // that answer
    struct cv_path path;
};

struct cv_batch_item {
    struct cv_block *payload; // one reference
    uint64_t number;          // from home: as cv_cursor_last_number
    uint32_t ts_ms;
    uint8_t type;
};

enum { CV_BATCH_ITEMS_MAX = 256 };

// Media on its way to a stream's home (publisher set) or to a thread with viewers (nobody).
struct cv_batch {
    struct cv_mail mail;
    struct cv_publisher_id publisher;
    uint64_t outlet_id; // for whom, when it comes from home
    bool paced;         // its publisher is read at a pace (server/pace.h)
    bool started;       // from home: viewers may join, though there may be headers only so far
    struct cv_path path;
    size_t bytes; // of all payloads
    uint32_t count;
    uint32_t capacity;
    struct cv_batch_item items[];
};

// An empty batch for this path; NULL: no memory.
struct cv_batch *cv_batch_new(const struct cv_path *path, const struct cv_publisher_id *publisher);
// Appends a message, taking a reference of its own to its payload. The batch may move. 0,
// CV_E_QUEUE_FULL at CV_BATCH_ITEMS_MAX, or CV_E_NOMEM.
int cv_batch_add(struct cv_batch **batch, const struct cv_msg *msg, uint64_t number);
// Empties it for the next use. A large one is freed instead: *batch is NULL then.
void cv_batch_clear(struct cv_batch **batch);
// Frees it with the references that are left in it; *batch may be NULL.
void cv_batch_free(struct cv_batch **batch);
// NULL is allowed.
void cv_note_free(struct cv_note *note);

#endif
