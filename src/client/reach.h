// Reaching a server: the ladder's decisions carried out with real attempts.
//
// Looks the name up, starts and stops attempts as the ladder says, and hands the one that gets
// through to its owner. Every function is for the loop's thread.
#ifndef CV_CLIENT_REACH_H
#define CV_CLIENT_REACH_H

#include "client/attempt.h"

struct cv_reach;

struct cv_reach_result {
    struct cv_attempt *attempt; // the owner's now; NULL: none got through
    enum cv_way way;
    bool secure;
    uint32_t attempts;
    uint64_t since_us; // of cv_reach_start
    bool unknown_host;
    enum cv_obstacle obstacle; // what was in the way; behind success: of the other ways
    const struct cv_why *why;  // of a certificate that was not accepted; its code may be CV_OK
    const char *location;      // where a portal leads; empty when unknown. Lent for the call
};

// Borrowed for the reach's life, but for the texts in rtmp, which are copied.
struct cv_reach_config {
    const struct cv_target *target;
    const struct cv_proxies *proxies;
    struct cv_tls_trust *trust; // NULL: the ladder is PLAIN
    struct cv_ladder_config ladder;
    bool ipv4_first;
    struct cv_rtmp_client_config rtmp;
    // Right before the first attempt, behind the name look-up: the last chance to change the two.
    // May be NULL.
    void (*on_ladder)(void *arg, struct cv_ladder_config *ladder, bool *ipv4_first);
    // An attempt begins. May be NULL. May free the reach.
    void (*on_trying)(void *arg, enum cv_way way, bool secure, uint32_t attempts);
    // The end, once, never inside cv_reach_start. The attempt's owner must be set at once
    // (cv_attempt_set_owner): what the server says comes next. May free the reach.
    void (*on_done)(void *arg, const struct cv_reach_result *result);
    void *arg;
};

// NULL: no memory.
struct cv_reach *cv_reach_start(struct cv_attempt_room *room, const struct cv_reach_config *config);
// Ends what is under way. *reach is cleared; NULL inside is allowed.
void cv_reach_free(struct cv_reach **reach);

#endif
