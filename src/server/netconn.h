// A NetConnection (RTMP 1.0, 7.2.1): an RTMP engine, the session behind it, and its clock. Whatever
// carries its bytes (a TCP connection, later a tunnel or a WebSocket) is its carrier; what the
// client wants is decided in server/session.c.
//
// On the worker where it began. Nothing here frees a NetConnection at once: one that failed is
// doomed and goes at the end of the turn, so that lists can be walked while connections fail.
#ifndef CV_SERVER_NETCONN_H
#define CV_SERVER_NETCONN_H

#include "io/addr.h"
#include "io/loop.h"
#include "proto/rtmp.h"
#include "server/log.h"
#include "server/session.h"
#include "server/table.h"

struct cv_netconn;
struct cv_publisher;
struct cv_send;
struct cv_send_batch;
struct cv_worker;

// What a carrier does for its NetConnection. The carrier's struct holds the NetConnection's.
struct cv_carrier {
    const char *name; // for logs: "rtmp"
    // Something waits to be sent, or, while the NetConnection drains, may have left altogether.
    void (*flush)(struct cv_netconn *conn);
    // The same as part of a batch; `owner` is the batch's. False: it cannot be, and nothing has
    // been done. Where something was added, its result comes to `joined`. NULL, both: it never can.
    bool (*join)(struct cv_netconn *conn, struct cv_send_batch *batch, void *owner);
    void (*joined)(struct cv_netconn *conn, const struct cv_send *send);
    // Hints, before a flush, in steps as of cv_conn_prefetch. May be NULL.
    void (*prefetch)(const struct cv_netconn *conn, unsigned step);
    // conn->paused has changed: bytes are wanted, or not.
    void (*watch)(struct cv_netconn *conn);
    // Bytes are read by `read` from now on, or as before (server/pace.h). NULL: they cannot be.
    void (*pace)(struct cv_netconn *conn, bool on);
    void (*read)(struct cv_netconn *conn);
    // The NetConnection is done: frees the carrier and it.
    void (*free)(struct cv_netconn *conn);
};

enum cv_netconn_phase {
    CV_NETCONN_OPEN,
    CV_NETCONN_DRAIN,  // nothing more is read; what waits is sent
    CV_NETCONN_LINGER, // our side is closed; what comes is read away
};

struct cv_netconn {
    // What a flush touches, together.
    struct cv_worker *worker;
    struct cv_rtmp *rtmp;
    const struct cv_carrier *carrier;
    enum cv_netconn_phase phase;
    bool blocked; // the carrier takes no more for now
    bool doomed;
    bool dirty;
    bool paused;          // not read, because a publisher has too much on its way
    bool ready;           // the handshake is complete
    bool joined;          // it is part of a batch that has not been sent yet
    int doom_code;        // beside the flags: there is room
    uint64_t progress_us; // when bytes last went out, or had to begin waiting
    struct cv_session session;
    // The rest.
    UT_hash_handle hh;
    uint64_t id;
    struct cv_timer timer;  // at the earliest deadline, or before it
    struct cv_block *stash; // bytes that came and must wait; NULL: none
    struct cv_addr peer;
    uint64_t opened_us;
    uint64_t heard_us; // when bytes last came in
    uint64_t phase_us; // when the phase began
    const char *doom_place;
    const char *tls;                              // "TLSv1.3", for logs; NULL: plain text. Static
    struct cv_netconn *dirty_prev, *dirty_next;   // in the worker's list
    struct cv_netconn *doomed_prev, *doomed_next; // in the worker's list
    struct cv_netconn *paused_prev, *paused_next; // in the worker's list
};

// ---- for the carrier ----------------------------------------------------------------------------

// Where it comes from.
struct cv_origin {
    struct cv_addr peer;
    uint64_t id;        // unique in the process
    const char *tls;    // "TLSv1.3"; NULL: plain text. Static
    uint64_t opened_us; // since when the client is known, for the time that its handshake may take
};

// Begins one, in the carrier's zeroed struct. 0 or CV_E_NOMEM, then there is nothing to end.
int cv_netconn_init(struct cv_netconn *conn, struct cv_worker *worker,
                    const struct cv_carrier *carrier, const struct cv_origin *origin);
// Bytes of the client, in order. Not while doomed. Bytes that come later than the end of the open
// phase are ignored. Those that come while it is paused are kept: a carrier that unpacks them may
// pass on the rest of what it has read, and then reads no more.
void cv_netconn_take(struct cv_netconn *conn, const void *data, size_t len);
// Fills the engine from its viewers' logs; then the carrier pulls and sends. 1: there is more; 0;
// or an error, for which the carrier dooms.
int cv_netconn_fill(struct cv_netconn *conn);
// A carrier's flush, when it writes to a socket: write_once while it flows, up to a turn's share.
// It fills, pulls and writes once: bytes that left; 0: nothing waits; CV_E_AGAIN: the carrier takes
// no more for now; or an error, which dooms. True when all has left.
bool cv_netconn_write_out(struct cv_netconn *conn,
                          int (*write_once)(struct cv_netconn *conn, bool *more));
// The same behind a first write, which had this result.
bool cv_netconn_write_on(struct cv_netconn *conn,
                         int (*write_once)(struct cv_netconn *conn, bool *more), int sent,
                         bool more);
// The carrier takes no more for now; and again.
void cv_netconn_block(struct cv_netconn *conn);
void cv_netconn_unblock(struct cv_netconn *conn);
// Bytes have left.
void cv_netconn_progress(struct cv_netconn *conn);
// All has left, and our side is closed.
void cv_netconn_linger(struct cv_netconn *conn);

// ---- for the session and what belongs to it
// -------------------------------------------------------

// When its client was heard last, for telling whether it is still there.
uint64_t cv_netconn_heard_us(const struct cv_netconn *conn);
// conn=, peer=, and tls= where it is secure: what every line about a connection starts with.
void cv_netconn_log_fields(const struct cv_netconn *conn, struct cv_line *line);
// As in struct cv_publisher_owner.
bool cv_netconn_pace(struct cv_netconn *conn, bool on);
// Something waits to be sent: flushed at the end of the turn.
void cv_netconn_mark(struct cv_netconn *conn);
// Sends what waits, filled up from its viewers' logs.
void cv_netconn_flush(struct cv_netconn *conn);
// The same as part of a batch, where its carrier can; and once it was sent.
void cv_netconn_join(struct cv_netconn *conn, struct cv_send_batch *batch, void *owner);
void cv_netconn_joined(struct cv_netconn *conn, const struct cv_send *send);
// Brings what a flush needs towards the processor, step by step: the connection; once that is
// there, its engine and the first of its carrier; then the rest of that. Hints only.
void cv_netconn_prefetch(const struct cv_netconn *conn, unsigned step);
// A deadline may have changed.
void cv_netconn_rearm(struct cv_netconn *conn);
// Ends it politely: what waits is sent, then the sending side is closed, and what the client still
// sends is read away for a moment, so that it can read our last words.
void cv_netconn_finish(struct cv_netconn *conn);
// Ends it at the end of this turn. The first reason counts; it is logged. `place`: static text.
void cv_netconn_doom(struct cv_netconn *conn, int code, const char *place);

// ---- for the worker
// -------------------------------------------------------------------------------

struct cv_netconn *cv_netconn_find(struct cv_worker *worker, uint64_t id);
// Reading goes on after a pause, if it can: a publisher's answer came, a mailbox has room again.
void cv_netconn_resume(struct cv_netconn *conn);
// Frees it now, with its carrier. Outside of all lists but the worker's own.
void cv_netconn_free(struct cv_netconn *conn);
// The server stops: players are told, everybody is finished.
void cv_netconn_stop(struct cv_netconn *conn);

#endif
