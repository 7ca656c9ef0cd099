// A way that is held: connections by it are kept open one after the other, to see whether and when
// they are cut. Pings keep them busy, so that no idle time-out is meant and silence is noticed.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_HOLD_H
#define CV_CLIENT_HOLD_H

#include "client/attempt.h"

struct cv_hold;

struct cv_hold_config {
    enum cv_way way;
    bool secure;
    struct cv_tls_trust *trust;     // for that; borrowed for its life
    const struct cv_target *target; // the same
    const struct cv_proxy *proxy;   // the same, the one for this way; NULL or no host: none
    const struct cv_addr *addrs;    // the server's; borrowed for its life
    unsigned addr_count;
    bool ipv4_first;
    uint32_t seconds;
    void (*on_cut)(void *arg, uint32_t age_ms); // must not free it
    // Its time is over, or it could not be begun again: so long it was held in all. May free it.
    void (*on_done)(void *arg, uint32_t held_ms);
    void *arg;
};

// NULL: no memory. Nothing is called inside.
struct cv_hold *cv_hold_start(struct cv_attempt_room *room, const struct cv_hold_config *config);
// *hold is cleared; NULL inside is allowed.
void cv_hold_free(struct cv_hold **hold);

#endif
