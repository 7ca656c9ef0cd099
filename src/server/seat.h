// A seat: a place in the audience of a stream, at the outlet of this thread. Who sits there is the
// kind's business: an RTMP player (server/viewer.h), a player of FLV (server/flv_viewer.h).
//
// The seat is the first member of its owner's struct. On the thread of the outlet.
#ifndef CV_SERVER_SEAT_H
#define CV_SERVER_SEAT_H

#include "media/cursor.h"
#include "server/policy.h"
#include "server/resume.h"

struct cv_outlet;
struct cv_seat;
struct cv_send;
struct cv_send_batch;
struct cv_worker;

// None of these frees a seat: the outlet walks its list.
struct cv_seat_kind {
    // There may be something to send.
    void (*flush)(struct cv_seat *seat);
    // The same as part of a batch, with the seat as the owner of what is added, if anything is; and
    // its result.
    void (*join)(struct cv_seat *seat, struct cv_send_batch *batch);
    void (*joined)(struct cv_seat *seat, const struct cv_send *send);
    // The outlet went live or over, or has told again what it is.
    void (*on_state)(struct cv_seat *seat);
    // Hints, before a flush: brings what it needs towards the processor, behind the seat itself. In
    // steps, from 0: each may use what the one before has brought.
    void (*prefetch)(const struct cv_seat *seat, unsigned step);
    unsigned steps; // how many it has: CV_SEAT_STEPS_PLAIN, or inside TLS CV_SEAT_STEPS
};

enum { CV_SEAT_STEPS_PLAIN = 2, CV_SEAT_STEPS = 5 };

// The right to sit there, and since when: what no flush touches.
struct cv_pass {
    struct cv_policy *policy; // one reference; app points into it
    const struct cv_config_app *app;
    struct cv_path path;
    struct cv_position wanted; // where it was before a cut; none: all zero
    uint64_t waiting_us;       // since when it waits for a publisher; UINT64_MAX: it does not
};

enum { CV_SEAT_HOT_BYTES = 128 }; // at the beginning of the owner: what a flush touches

struct cv_seat {
    const struct cv_seat_kind *kind;
    struct cv_outlet *outlet;
    struct cv_seat *prev, *next; // in the outlet's list
    struct cv_pass *pass;        // a member of the owner, too
    struct cv_cursor cursor;
    uint64_t messages; // taken from the log
};

// Sits down at the path's outlet; kind, pass and pass->wanted are set, the rest is zero. `policy`
// and `app` (in its configuration): whose tallies have been entered for this seat; it takes a
// reference and leaves them at its end. 0, or CV_E_NOMEM: then the tallies are still the caller's.
int cv_seat_take(struct cv_seat *seat, struct cv_worker *worker, const struct cv_path *path,
                 struct cv_policy *policy, const struct cv_config_app *app);
void cv_seat_leave(struct cv_seat *seat);

// As cv_cursor_next, and counted.
int cv_seat_next(struct cv_seat *seat, struct cv_msg *out);
// The number of what cv_seat_next gave last, as cv_cursor_last_number.
uint64_t cv_seat_last_number(const struct cv_seat *seat);
// Goes to where it wants to go on, before its first read. True: that is decided, and if it cannot
// be, it will join as usual. False: call again when something has come.
bool cv_seat_find_place(struct cv_seat *seat);
// The outlet's log has something that this one has not looked at.
bool cv_seat_behind(const struct cv_seat *seat);

// For on_state: the wait for a publisher begins or ends.
void cv_seat_on_state(struct cv_seat *seat);
// The outlet reads another log from now on.
void cv_seat_on_log(struct cv_seat *seat);
// When the wait for a publisher is over, by the loop's clock; UINT64_MAX: does not wait.
uint64_t cv_seat_deadline_us(const struct cv_seat *seat);

#endif
