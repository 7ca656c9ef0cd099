// Networks for the ladder, and what becomes of it there, in virtual time.
#ifndef CV_TEST_NETWORK_KIT_H
#define CV_TEST_NETWORK_KIT_H

#include "client/ladder.h"

enum {
    RTT_MS = 40,
    STEPS_MAX = 6,
    END_MS = 60000,
    TURNS_MAX = 1000,
    SECURE = CV_WAYS,
    ROADS = 2 * CV_WAYS
};

// What one way meets: each step so long after the one before it. ACCEPTED, and LOST behind a
// handshake, wait for connect and are counted from there. Where a server of ours has taken an eager
// offer, the rest of its answers come at once.
struct step {
    uint32_t after_ms;
    struct cv_met_report report;
};

struct road {
    struct step steps[STEPS_MAX];
};

struct expected {
    unsigned winner; // a way, + SECURE inside TLS; NONE: it fails
    uint32_t ms;
    uint32_t attempts;
    uint32_t reached; // connects that a server got
    enum cv_obstacle obstacle;
};

struct network {
    const char *name;
    struct cv_ladder_config config;
    struct road roads[ROADS]; // of ways, and + SECURE inside TLS
    struct expected own;      // connect behind the handshake
    struct expected eager;    // all zero: the same
    bool ipv4;                // the last attempt is told to prefer it
};

struct walker {
    uint32_t next; // step
    uint64_t begun_us;
    uint64_t due_us;
    unsigned road;
    bool eager;
    bool walking;
    bool asked;
};

struct world {
    const struct network *network;
    struct cv_ladder_config config;
    struct cv_ladder ladder;
    struct walker walkers[CV_LADDER_ATTEMPTS_MAX];
    uint32_t attempts;
    uint32_t reached; // connects that have got to a server
    unsigned winner;
    bool ipv4;
    bool over;
    uint64_t now_us;
};

// The end of a road.
bool is_end(const struct step *step);
// What is expected of one that is eager, or is not.
const struct expected *expected_of(const struct network *network, bool eager);
// The ladder lives through the network to its end. Asserts that it keeps its promises meanwhile:
// never two connects at once, never plain text where only TLS is allowed, and the like.
void live_in(struct world *world, const struct network *network, enum cv_security security,
             bool eager);
bool is_as_expected(const struct network *network, enum cv_security security, bool eager);
// For people.
void print_world(const struct world *world);

// clang-format off
#define MET(ms, ...)       {(ms), {__VA_ARGS__}}
#define UP                 MET(RTT_MS, .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000)
#define UP_IN(ms)          MET((ms), .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000)
#define UP6                MET(RTT_MS, .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000, .ipv6 = true)
#define UP_100             MET(100, .met = CV_MET_CONNECTED, .rtt_us = 100000)
#define UP_FAR             MET(600, .met = CV_MET_CONNECTED, .rtt_us = 600000)
#define TLS                MET(RTT_MS, .met = CV_MET_SECURED)
#define TLS_IN(ms)         MET((ms), .met = CV_MET_SECURED)
#define CERTIFICATE(what)  MET(RTT_MS, .met = CV_MET_CERTIFICATE, .code = CV_E_CERT_ ## what)
#define CERTIFICATE_IN(ms, what) MET((ms), .met = CV_MET_CERTIFICATE, .code = CV_E_CERT_ ## what)
#define NOT_TLS            MET(RTT_MS, .met = CV_MET_NOT_TLS)
#define UPGRADED           MET(RTT_MS, .met = CV_MET_UPGRADED)
#define UPGRADED_IN(ms)    MET((ms), .met = CV_MET_UPGRADED)
#define OURS               MET(RTT_MS, .met = CV_MET_OPENED, .ours = true, .taken = true)
#define OURS_IN(ms)        MET((ms), .met = CV_MET_OPENED, .ours = true, .taken = true)
#define OURS_OLD           MET(RTT_MS, .met = CV_MET_OPENED, .ours = true)
#define OPENED_IN(ms)      MET((ms), .met = CV_MET_OPENED)
#define OPENED             MET(RTT_MS, .met = CV_MET_OPENED)
#define SHAKEN             MET(0, .met = CV_MET_HANDSHAKE)
#define SHAKEN_LATER       MET(RTT_MS, .met = CV_MET_HANDSHAKE)
#define SHAKEN_IN(ms)      MET((ms), .met = CV_MET_HANDSHAKE)
#define ACCEPTED           MET(RTT_MS, .met = CV_MET_ACCEPTED)
#define ACCEPTED_IN(ms)    MET((ms), .met = CV_MET_ACCEPTED)
#define RESET              MET(RTT_MS, .met = CV_MET_RESET)
#define CLOSED             MET(RTT_MS, .met = CV_MET_CLOSED)
#define HTTP(code)         MET(RTT_MS, .met = CV_MET_HTTP, .status = (code))
#define PORTAL             MET(RTT_MS, .met = CV_MET_HTTP, .status = 302, .elsewhere = true)
#define BANNER             MET(RTT_MS, .met = CV_MET_NOT_RTMP)
#define REFUSED            MET(RTT_MS, .met = CV_MET_REFUSED)
#define UNREACHABLE        MET(0, .met = CV_MET_UNREACHABLE)
#define UNKNOWN            MET(10, .met = CV_MET_UNKNOWN_HOST)
#define LOST               MET(10, .met = CV_MET_LOST)
#define SILENCE            {0, {0}}

#define ROAD(way, ...)     [CV_WAY_ ## way] = {{__VA_ARGS__}}
#define ENDS(way, ms, attempts, reached, obstacle)                                                 \
    {CV_WAY_ ## way, (ms), (attempts), (reached), CV_OBSTACLE_ ## obstacle}
#define INSIDE(way, ...)   [SECURE + CV_WAY_ ## way] = {{__VA_ARGS__}}
#define WINS(way, ms, attempts, reached, obstacle)                                                 \
    {SECURE + CV_WAY_ ## way, (ms), (attempts), (reached), CV_OBSTACLE_ ## obstacle}

#define PROXY    {.proxy = true}
#define LOGIN    {.proxy = true, .credentials = true}
#define RTMP1ST  {.order = CV_LADDER_RTMP_FIRST}
#define KNOWN(w) {.remembered = CV_WAY_ ## w}
#define ONLY(w)  {.order = CV_LADDER_ONLY, .only = CV_WAY_ ## w}
#define EITHER   .security = CV_SECURITY_EITHER
#define BOTH     .proxy = true, .secure_proxy = true
#define RTMPS    .security = CV_SECURITY_ONLY

// clang-format on

#endif
