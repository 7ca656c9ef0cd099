// The watchdog: is the way in use still alive, and when is another one to be opened beside it?
//
// A pure state machine, as the ladder is (client/ladder.h), for the time behind it: a firewall that
// cuts connections after a while does so with a RST for whoever sends next, and in silence for the
// other one; a dead mobile link says nothing at all. Samples of the way and time go in, actions
// come out. A way that shows any sign of life is never given up; what is opened beside it takes
// over before the old one is dropped.
//
// One watchdog serves all the ways of a connection, one after the other, and so learns after how
// long they are cut here.
#ifndef CV_CLIENT_WATCHDOG_H
#define CV_CLIENT_WATCHDOG_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CV_WATCHDOG_PING_MIN_MS = 250,    // for the answer, before another way is opened; or 3 RTT
    CV_WATCHDOG_LOST_MS = 10000,      // behind a ping without a sign: TCP is not waited for
    CV_WATCHDOG_AGAIN_MS = 5000,      // another way is asked for again when none has come
    CV_WATCHDOG_KEEPALIVE_MS = 10000, // nothing came for so long, though nothing was due: a ping
    CV_WATCHDOG_LOOK_MS = 1000,       // looks are at most so far apart,
    CV_WATCHDOG_CLOSE_LOOK_MS = 100,  // and this while something is to be acknowledged
    CV_WATCHDOG_CUT_MIN_MS = 5000,    // shorter lives are no period, but failures
    CV_WATCHDOG_EARLY_MIN_MS = 1000,  // before a period's end, or a tenth of it
    CV_WATCHDOG_BEHIND_MS = 3000,     // a stream that is so far behind the clock,
    CV_WATCHDOG_STARVED_MS = 10000,   // for so long, is starved
};

enum cv_watchdog_act {
    CV_WATCHDOG_PING,    // ask for a sign of life: any answer counts
    CV_WATCHDOG_RENEW,   // open another way beside this one, unless that is under way
    CV_WATCHDOG_WELL,    // it lives after all: what is opened and is not through yet may be dropped
    CV_WATCHDOG_LOST,    // it is dead: close it
    CV_WATCHDOG_STARVED, // less passes than the stream needs: for the user to know. Once
};

// What is known of the way in use.
struct cv_watchdog_sample {
    uint64_t heard_us;      // when anything came last; 0: nothing yet
    uint64_t acked_bytes;   // that the other end of TCP has acknowledged, in all
    uint32_t unacked_bytes; // written and not acknowledged
    uint32_t rtt_us;        // 0: not known
    uint32_t behind_ms;     // how far the stream is behind the clock: the age of the oldest message
                            // that waits, or the clock's lead over the media that came
    bool due;               // something should be coming: a player's media; a publisher's, when the
                            // server tells what it has taken and there is something to tell
    bool answers;           // the server answers pings: it is ours, or has done so. With others an
                            // acknowledgement counts as the answer
};

// Members are for cv_watchdog_* alone.
struct cv_watchdog {
    uint32_t cut_ms;      // ways are cut at this age; 0: not known
    uint32_t last_cut_ms; // the age at the last cut; 0: there was none
    // of the way in use
    bool watching;
    struct cv_watchdog_sample sample;
    uint64_t since_us;  // it has been connected
    uint64_t begun_us;  // it has been in use
    uint64_t due_us;    // something has been due; UINT64_MAX: nothing is
    uint64_t gain_us;   // the last progress of acknowledgements
    uint64_t acked_us;  // the same, or nothing was owed
    uint64_t look_us;   // the last look
    uint64_t ping_us;   // a ping without a sign since; 0: none
    uint64_t pinged_us; // the last ping; 0: there was none
    uint64_t sign_us;   // the last ping was answered, in whatever way
    uint64_t renew_us;  // RENEW was told last; 0: it was not
    uint64_t behind_us; // it has been far behind; 0: it is not
    bool silent;        // RENEW was told because of silence
    bool lost;          // LOST was told
    bool starved;       // STARVED was told
    enum cv_watchdog_act acts[8];
    uint32_t act_count;
    uint32_t act_next;
};

// cut_ms: what the memory knows of this network (client/memory.h); 0: nothing.
void cv_watchdog_init(struct cv_watchdog *watchdog, uint32_t cut_ms);
// Another way is in use from now on; its TCP connection stands since `since_us`.
void cv_watchdog_begin(struct cv_watchdog *watchdog, uint64_t since_us, uint64_t now_us);
// The way has been cut: reset, closed out of turn, or replaced because it was silent. Not: closed
// or renewed by us while it was alive.
void cv_watchdog_cut(struct cv_watchdog *watchdog, uint64_t now_us);
// Looks at the way: at the deadline, and whenever it suits.
void cv_watchdog_look(struct cv_watchdog *watchdog, const struct cv_watchdog_sample *sample,
                      uint64_t now_us);
// When look must be called; UINT64_MAX: no way is in use.
uint64_t cv_watchdog_deadline_us(const struct cv_watchdog *watchdog);
// 1 and the next action; 0: none. To be pulled after each look.
int cv_watchdog_next(struct cv_watchdog *watchdog, enum cv_watchdog_act *out);
// RENEW was told because nothing comes: what is replaced then counts as cut.
bool cv_watchdog_is_silent(const struct cv_watchdog *watchdog);
// After how long ways are cut here, for the memory; 0: not known.
uint32_t cv_watchdog_cut_ms(const struct cv_watchdog *watchdog);

#endif
