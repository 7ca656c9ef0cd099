// The state of a tunnel session, shared by proto/rtmpt.c (requests) and proto/rtmpt_reply.c
// (replies and time). Private to these two.
#ifndef CV_PROTO_RTMPT_STATE_H
#define CV_PROTO_RTMPT_STATE_H

#include "base/limits.h"
#include "proto/rtmpt.h"

enum state {
    OPEN,
    FINISHING, // by the server: what waits is still delivered
    CLOSED,    // what is owed is still answered
    FAILED,    // whoever waits gets a 404
};

// A request that is not served yet: it comes in, it came too early, or it comes again.
struct request {
    uint64_t ticket;
    uint64_t n;
    enum cv_rtmpt_kind kind;
    bool has_n;
    bool ended;
    bool gone;               // complete, but its connection is not there any more
    size_t len;              // bytes of the body so far
    struct cv_block *parked; // those that were not given out; from the first one on
};

// Replies that are owed to one connection for numbers in a row.
struct run {
    uint64_t ticket;
    uint64_t count;
};

enum poll { POLL_END = 0, POLL_SOON = 1 };

enum answer { NOT_SERVED, OWED, MADE, DROPPED };

// A request that was served, for the case that it comes again. A client that sends several without
// waiting, or on two connections, cannot know which of them were served when a connection is lost.
struct served {
    uint64_t n;
    uint64_t ticket; // to which its reply goes, or went
    enum cv_rtmpt_kind kind;
    size_t len;
    enum answer answer;
    bool kept; // MADE, and the reply can be given again: poll and parcel
    uint8_t poll;
    struct cv_parcel *parcel; // one reference, or NULL
};

// Answered outside of the order: a request that came again, or an idle before the first number.
struct again {
    bool used;
    bool ready; // poll and parcel are known; until then the reply is still owed to another
    bool empty; // no reply of ours is repeated
    uint8_t poll;
    uint64_t n;
    uint64_t ticket;
    struct cv_parcel *parcel; // one reference, or NULL
};

// Replies that have not left yet, all of them to one connection.
struct writing {
    bool on;
    bool data;        // the newest of them carries some
    bool old_data;    // one before it does
    uint64_t first_n; // of the oldest of them; UINT64_MAX: not known any more
    uint64_t ticket;
};

struct cv_rtmpt {
    struct cv_rtmp *rtmp;
    uint64_t hold_us;
    uint64_t window_us;
    enum cv_rtmpt_mode mode;
    enum state state;
    bool ended_told;
    struct cv_why why;

    // requests
    struct request requests[CV_LIMIT_TUNNEL_REQUESTS]; // in the order of their coming
    uint32_t request_count;
    size_t parked_bytes; // of all of them
    bool started;        // the first number is known
    bool late_zero;      // it was 1: an idle with 0 may follow
    uint64_t next;       // the number to be served
    size_t given_bytes;  // of its body that were given out
    struct cv_rd lent;   // to be given out
    struct cv_block *lent_block;

    // replies
    struct run runs[CV_LIMIT_TUNNEL_RUNS]; // the first one is answered next
    uint32_t run_count;
    uint64_t owed; // sum of the runs
    struct served last;
    struct served older[CV_LIMIT_TUNNEL_KEPT]; // those before it, the newest first
    uint32_t older_count;
    struct again again;
    struct writing writing;
    bool lost; // a reply was cut off: the session lives as long as it can be asked for again
    uint64_t lost_n;
    bool hurried;             // the idle that was served last is not to be held
    bool streaming;           // the reply that is due is a chunked one which has begun
    bool keeps;               // chunked replies that begin are kept
    bool stream_kept;         // the one that has begun is, up to now
    size_t stream_bytes;      // of it
    struct cv_parcel *stream; // what is kept of it; NULL: nothing

    // time
    uint64_t now_us;
    uint64_t request_us; // something came
    uint64_t served_us;  // the last one was served
    uint64_t stream_us;  // the chunked reply ends
    uint64_t gap_us;     // since then a request is missing; 0: none is
};

// OPEN or FINISHING: requests are taken.
bool cv__rtmpt_serving(const struct cv_rtmpt *t);
// The session is over. Returns the code of its first failure.
int cv__rtmpt_failed(struct cv_rtmpt *t, int code, const char *text);
// Forgets what is owed to this connection.
void cv__rtmpt_drop_runs(struct cv_rtmpt *t, uint64_t ticket);
// The same, and its requests.
void cv__rtmpt_forget(struct cv_rtmpt *t, uint64_t ticket);
// The request with this number, if it was served not long ago; NULL: it was not, or is forgotten.
struct served *cv__rtmpt_served(struct cv_rtmpt *t, uint64_t n);
// Its reply was cut off: the session lives as long as it can be asked for again.
void cv__rtmpt_lose(struct cv_rtmpt *t, uint64_t n);
// The oldest one whose reply is to be made, if it is remembered: the next reply is for it.
struct served *cv__rtmpt_owed(struct cv_rtmpt *t);
// The connection of the chunked reply that has begun is gone: it ends there.
void cv__rtmpt_cut_stream(struct cv_rtmpt *t);
// The reply that was asked for again has been made. It can be given if it was kept.
int cv__rtmpt_ready_again(struct cv_rtmpt *t, const struct served *served);

#endif
