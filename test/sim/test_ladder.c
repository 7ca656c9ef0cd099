// The ladder against networks, in virtual time: for each symptom who wins, when, after how many
// attempts, how many connects reached a server, and what the user reads. Each network is lived
// through twice: with a connect of its own, and with one that travels in the offer's first flight.
#include "client/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RTT_MS = 40, STEPS_MAX = 6, END_MS = 60000 };

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
    enum cv_way winner; // NONE: it fails
    uint32_t ms;
    uint32_t attempts;
    uint32_t reached; // connects that a server got
    enum cv_obstacle obstacle;
};

struct network {
    const char *name;
    struct cv_ladder_config config;
    struct road roads[CV_WAYS];
    struct expected own;   // connect behind the handshake
    struct expected eager; // all zero: the same
    bool ipv4;             // the last attempt is told to prefer it
};

// clang-format off
#define MET(ms, ...)       {(ms), {__VA_ARGS__}}
#define UP                 MET(RTT_MS, .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000)
#define UP_IN(ms)          MET((ms), .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000)
#define UP6                MET(RTT_MS, .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000, .ipv6 = true)
#define UP_FAR             MET(600, .met = CV_MET_CONNECTED, .rtt_us = 600000)
#define UPGRADED           MET(RTT_MS, .met = CV_MET_UPGRADED)
#define UPGRADED_IN(ms)    MET((ms), .met = CV_MET_UPGRADED)
#define OURS               MET(RTT_MS, .met = CV_MET_OPENED, .ours = true, .taken = true)
#define OURS_IN(ms)        MET((ms), .met = CV_MET_OPENED, .ours = true, .taken = true)
#define OURS_OLD           MET(RTT_MS, .met = CV_MET_OPENED, .ours = true)
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

#define PROXY    {.proxy = true}
#define LOGIN    {.proxy = true, .credentials = true}
#define RTMP1ST  {.order = CV_LADDER_RTMP_FIRST}
#define KNOWN(w) {.remembered = CV_WAY_ ## w}
#define ONLY(w)  {.order = CV_LADDER_ONLY, .only = CV_WAY_ ## w}

// Plain: connection, the offer's answer with S0S1S2, the answer to connect: 3 round trips.
static const struct network networks[] = {
    // ---- nothing in the way, or nothing that stops the offer
    {"open", {0}, {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"port 80 resets what is not HTTP", {0},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED), ROAD(RTMP, UP, RESET)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"very far", {0},
     {ROAD(OFFER, UP_FAR, UPGRADED_IN(640), SHAKEN, ACCEPTED_IN(600)), ROAD(RTMP, UP_FAR)},
     ENDS(OFFER, 1840, 1, 1, NONE), ENDS(OFFER, 1240, 1, 1, NONE), false},
    {"a SYN is lost", {0}, {ROAD(OFFER, UP_IN(1040), UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 1120, 1, 1, NONE), ENDS(OFFER, 1080, 1, 1, NONE), false},
    {"IPv6 is broken: dialled over IPv4 behind it", {0},
     {ROAD(OFFER, UP_IN(140), UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 220, 1, 1, NONE), ENDS(OFFER, 180, 1, 1, NONE), false},
    {"IPv6 carries SYN and nothing larger", {0},
     {ROAD(OFFER, UP6, SILENCE), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 100 + 120, 2, 1, NONE), {0}, true},

    // ---- proxies that nobody knows of
    {"a proxy strips the offer", {0},
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP, HTTP(400))},
     ENDS(OFFER, 160, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    // That replies close the connection is the tunnel's to survive.
    {"a proxy without keep-alive", {0},
     {ROAD(OFFER, UP, OURS, SHAKEN_IN(80), ACCEPTED_IN(80)), ROAD(RTMP, UP, HTTP(400))},
     ENDS(OFFER, 240, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    // It holds each answer for a while: RTMP and a bare tunnel are tried beside, and lose.
    {"a proxy that buffers", {0},
     {ROAD(OFFER, UP, OURS_IN(400), SHAKEN_IN(400), ACCEPTED_IN(400)), ROAD(RTMP, UP, HTTP(400)),
      ROAD(TUNNEL, UP, OURS_IN(400), SHAKEN_IN(400))},
     ENDS(OFFER, 1240, 4, 1, HTTP_ONLY), ENDS(OFFER, 440, 4, 1, HTTP_ONLY), false},
    {"a proxy that passes 101 and swallows what follows", {0},
     {ROAD(OFFER, UP, UPGRADED), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP)},
     // RTMP had its silence while the tunnel opened
     ENDS(TUNNEL, 80 + CV_LADDER_AFTER_101_MS + 120 + 20 + 40, 3, 1, CUT),
     // the offer's connect has been answered, and the answer swallowed
     ENDS(TUNNEL, 80 + CV_LADDER_AFTER_101_MS + 120 + 20 + 40, 3, 2, CUT), false},
    {"a proxy that closes on the offer", {0},
     {ROAD(OFFER, UP, CLOSED), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, HTTP(400))},
     ENDS(TUNNEL, 80 + 160, 3, 1, HTTP_ONLY), {0}, false},
    {"a proxy that swallows the offer", {0},
     {ROAD(OFFER, UP, SILENCE), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, HTTP(400))},
     ENDS(TUNNEL, 40 + 100 + 80 + 160, 3, 1, HTTP_ONLY), {0}, false},
    {"RTMP and the offer are swallowed", {0},
     {ROAD(OFFER, UP, SILENCE), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, SILENCE)},
     ENDS(TUNNEL, 40 + 100 + 40 + 100 + 160, 3, 1, NONE), {0}, false},
    {"posts are forbidden, WebSockets are not", {0},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UP, HTTP(403)), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(SOCKET, UP, UPGRADED, SHAKEN_LATER, ACCEPTED)},
     ENDS(SOCKET, 160 + 160, 4, 1, FORBIDDEN), {0}, false},
    {"only a WebSocket passes", {0},
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UP, RESET), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, UPGRADED, SHAKEN_LATER, ACCEPTED)},
     ENDS(SOCKET, 160 + 160, 4, 1, CUT), {0}, false},
    {"RTMP is recognised and cut, in the offer too", {0},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, LOST), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, SHAKEN_LATER, LOST)},
     // in that order: the offer's, RTMP's, the tunnel's, never two at once
     ENDS(TUNNEL, 90 + 80 + 10 + 30 + 40, 3, 3, CUT), ENDS(TUNNEL, 90 + 80 + 10 + 30 + 40, 3, 3, CUT),
     false},
    {"connect is never answered", {0},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN), ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED),
      ROAD(RTMP, UP, RESET)},
     ENDS(TUNNEL, 80 + CV_LADDER_CONNECT_MS + 160, 3, 2, CUT), {0}, false},

    // ---- servers that are not ours
    {"a foreign server of RTMPT", {0},
     {ROAD(OFFER, UP, OPENED, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP)},
     // RTMP gets its chance and its grace
     ENDS(OFFER, 80 + 40 + CV_LADDER_GRACE_MS - 10 + 40 - 40, 2, 1, NONE), {0}, false},
    {"a foreign server of both", {0},
     {ROAD(OFFER, UP, OPENED, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 80 + 80 + 40, 2, 1, NONE), {0}, false},
    {"a server of ours that does not know eager offers", {0},
     {ROAD(OFFER, UP, OURS_OLD, SHAKEN_LATER, ACCEPTED)},
     ENDS(OFFER, 160, 1, 1, NONE), {0}, false},
    {"a foreign server of RTMP that swallows HTTP", {0},
     {ROAD(OFFER, UP, SILENCE), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 100 + 120, 2, 1, NONE), {0}, false},
    {"a foreign server of RTMP that closes on HTTP", {0},
     {ROAD(OFFER, UP, CLOSED), ROAD(TUNNEL, UP, CLOSED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 80 + 120, 4, 1, CUT), {0}, false},

    // ---- a server that answers late: the eager connect has reached it, and is dead before another
    // one leaves
    {"the offer's answer is later than RTMP's", {0},
     {ROAD(OFFER, UP, UPGRADED_IN(500), SHAKEN, ACCEPTED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 100 + 120, 2, 1, NONE), ENDS(RTMP, 40 + 100 + 120, 2, 2, NONE), false},
    {"the same, and RTMP is cut: the offer comes again", {0},
     {ROAD(OFFER, UP, UPGRADED_IN(300), SHAKEN, ACCEPTED), ROAD(RTMP, UP, SHAKEN_LATER, LOST)},
     // plain: the offer was kept
     ENDS(OFFER, 40 + 300 + 40, 3, 2, CUT), ENDS(OFFER, 230 + 340, 4, 3, CUT), false},
    {"the same with a tunnel that is cut", {0},
     {ROAD(OFFER, UP, UPGRADED_IN(700), SHAKEN, ACCEPTED), ROAD(RTMP, UP, SILENCE),
      ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, LOST), ROAD(SOCKET, UP, RESET)},
     ENDS(OFFER, 40 + 700 + 40, 4, 2, CUT), ENDS(OFFER, 410 + 740, 5, 3, CUT), false},

    // ---- nothing gets through
    {"SYN is dropped", {0}, {ROAD(OFFER, SILENCE)},
     ENDS(NONE, CV_LADDER_TRY_MS, 1, 0, SILENT), {0}, false},
    {"refused", {0}, {ROAD(OFFER, REFUSED)}, ENDS(NONE, 40, 1, 0, REFUSED), {0}, false},
    {"unreachable", {0}, {ROAD(OFFER, UNREACHABLE)}, ENDS(NONE, 0, 1, 0, UNREACHABLE), {0}, false},
    {"unknown host", {0}, {ROAD(OFFER, UNKNOWN)}, ENDS(NONE, 10, 1, 0, UNKNOWN_HOST), {0}, false},
    {"captive portal", {0}, {ROAD(OFFER, UP, PORTAL)}, ENDS(NONE, 80, 1, 0, PORTAL), {0}, false},
    {"status 511", {0}, {ROAD(OFFER, UP, HTTP(511))}, ENDS(NONE, 80, 1, 0, PORTAL), {0}, false},
    {"a proxy that was not asked for wants a password", {0}, {ROAD(OFFER, UP, HTTP(407))},
     ENDS(NONE, 80, 1, 0, PROXY_AUTH), {0}, false},
    {"a web server alone", {0}, {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UP, HTTP(400))},
     ENDS(NONE, 160, 2, 0, NOT_OURS), {0}, false},
    {"a reverse proxy whose server is down", {0},
     {ROAD(OFFER, UP, HTTP(502)), ROAD(RTMP, UP, HTTP(400)), ROAD(TUNNEL, UP, HTTP(502)),
      ROAD(SOCKET, UP, HTTP(502))},
     ENDS(NONE, 240, 4, 0, NO_SERVER), {0}, false},
    {"TLS, SSH or mail on the port", {0}, {ROAD(OFFER, UP, BANNER), ROAD(RTMP, UP, BANNER)},
     ENDS(NONE, 160, 2, 0, FOREIGN), {0}, false},
    {"a service that closes on RTMP and greets on HTTP", {0},
     {ROAD(OFFER, UP, BANNER), ROAD(RTMP, UP, CLOSED)},
     ENDS(NONE, 160, 2, 0, FOREIGN), {0}, false},
    {"everything is reset", {0},
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UP, RESET), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, RESET)},
     ENDS(NONE, 240, 4, 0, CUT), {0}, false},
    {"everything is swallowed", {0},
     {ROAD(OFFER, UP), ROAD(RTMP, UP), ROAD(TUNNEL, UP), ROAD(SOCKET, UP)},
     ENDS(NONE, 40 + 3 * 140 + CV_LADDER_TRY_MS, 4, 0, MUTE), {0}, false},

    // ---- a proxy is set
    {"proxy only: names do not resolve, no route", PROXY,
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UNKNOWN)},
     ENDS(OFFER, 160, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"proxy only, with its password", LOGIN,
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), ROAD(RTMP, UNREACHABLE)},
     ENDS(OFFER, 160, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
    {"a proxy wants a password", PROXY, {ROAD(OFFER, UP, HTTP(407))},
     ENDS(NONE, 80, 1, 0, PROXY_AUTH), {0}, false},
    {"a proxy does not take the password", LOGIN, {ROAD(OFFER, UP, HTTP(407))},
     ENDS(NONE, 80, 1, 0, PROXY_DENIED), {0}, false},
    {"a proxy forbids posts and opens connections", PROXY,
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, SHAKEN_IN(80), ACCEPTED)},
     ENDS(CONNECT, 80 + 160, 5, 1, FORBIDDEN), {0}, false},
    {"a proxy holds posts back and opens connections", PROXY,
     {ROAD(OFFER, UP, SILENCE), ROAD(RTMP, UNKNOWN), ROAD(CONNECT, UP, SHAKEN_IN(80), ACCEPTED)},
     ENDS(CONNECT, 40 + CV_LADDER_SILENCE_MAX_MS + 160, 3, 1, UNKNOWN_HOST), {0}, false},
    {"a proxy that knows only web pages", PROXY,
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, HTTP(403))},
     ENDS(NONE, 240, 5, 0, FORBIDDEN), {0}, false},
    {"a proxy that cuts posts and refuses CONNECT", PROXY,
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, RESET),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, RESET)},
     ENDS(NONE, 240, 5, 0, NO_CONNECT), {0}, false},
    {"a proxy, and behind it a web server alone", PROXY,
     {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UNKNOWN), ROAD(CONNECT, UP, HTTP(403))},
     ENDS(NONE, 160, 3, 0, NOT_OURS), {0}, false},
    {"a proxy that is down, the server is not", PROXY,
     {ROAD(OFFER, REFUSED), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 40 + 120, 2, 1, PROXY_DOWN), {0}, false},
    {"a proxy of another network", PROXY,
     {ROAD(OFFER, UNKNOWN), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 10 + 120, 2, 1, PROXY_DOWN), {0}, false},
    {"a proxy that is switched off", PROXY,
     {ROAD(OFFER, SILENCE), ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, CV_LADDER_SYN_MS + 120, 2, 1, NONE), {0}, false},
    {"neither proxy nor server", PROXY, {ROAD(OFFER, REFUSED), ROAD(RTMP, UNKNOWN)},
     ENDS(NONE, 50, 2, 0, PROXY_DOWN), {0}, false},

    // ---- other orders
    {"RTMP first, open", RTMP1ST, {ROAD(RTMP, UP, SHAKEN_LATER, ACCEPTED)},
     ENDS(RTMP, 120, 1, 1, NONE), {0}, false},
    {"RTMP first, swallowed", RTMP1ST,
     {ROAD(RTMP, UP, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 40 + 100 + 120, 2, 1, NONE), ENDS(OFFER, 40 + 100 + 80, 2, 1, NONE), false},
    {"RTMP first, 400", RTMP1ST,
     {ROAD(RTMP, UP, HTTP(400)), ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED)},
     ENDS(OFFER, 80 + 160, 2, 1, HTTP_ONLY), ENDS(OFFER, 80 + 80, 2, 1, HTTP_ONLY), false},
    {"RTMP first, cut behind the handshake", RTMP1ST,
     {ROAD(RTMP, UP, SHAKEN_LATER, LOST), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 90 + 120, 3, 2, CUT), ENDS(OFFER, 90 + 80, 3, 2, CUT), false},
    {"RTMP first, but only a proxy leads out", {.order = CV_LADDER_RTMP_FIRST, .proxy = true},
     {ROAD(RTMP, UNKNOWN), ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED)},
     ENDS(OFFER, 10 + 160, 2, 1, UNKNOWN_HOST), ENDS(OFFER, 10 + 80, 2, 1, UNKNOWN_HOST), false},
    {"only RTMP is wanted", ONLY(RTMP),
     {ROAD(RTMP, UP, RESET), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(NONE, 80, 1, 0, CUT), {0}, false},
    {"only the tunnel is wanted, and is silent", ONLY(TUNNEL), {ROAD(TUNNEL, UP)},
     ENDS(NONE, 40 + CV_LADDER_TRY_MS, 1, 0, MUTE), {0}, false},
    {"a remembered tunnel", KNOWN(TUNNEL), {ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED)},
     ENDS(TUNNEL, 160, 1, 1, NONE), {0}, false},
    {"a remembered tunnel, far: nothing is begun beside it any more", KNOWN(TUNNEL),
     {ROAD(TUNNEL, UP, OURS, SHAKEN_LATER, ACCEPTED_IN(400))}, ENDS(TUNNEL, 520, 1, 1, NONE), {0},
     false},
    {"a remembered tunnel in another network", KNOWN(TUNNEL),
     {ROAD(TUNNEL, UP, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED), ROAD(RTMP, UP)},
     ENDS(OFFER, 40 + 100 + 120, 2, 1, NONE), ENDS(OFFER, 40 + 100 + 80, 2, 1, NONE), false},
    {"a remembered tunnel whose SYN is lost", KNOWN(TUNNEL),
     {ROAD(TUNNEL, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, CV_LADDER_REMEMBERED_MS + 120, 2, 1, NONE),
     ENDS(OFFER, CV_LADDER_REMEMBERED_MS + 80, 2, 1, NONE), false},
    {"a remembered WebSocket that is no more", KNOWN(SOCKET),
     {ROAD(SOCKET, UP, HTTP(404)), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 80 + 120, 2, 1, NOT_OURS), ENDS(OFFER, 80 + 80, 2, 1, NOT_OURS), false},
    {"a remembered CONNECT without its proxy", KNOWN(CONNECT),
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
};
// clang-format on

struct walker {
    uint32_t next; // step
    uint64_t begun_us;
    uint64_t due_us;
    enum cv_way way;
    bool walking;
    bool asked;
};

struct world {
    const struct network *network;
    bool eager;
    struct cv_ladder ladder;
    struct walker walkers[CV_LADDER_ATTEMPTS_MAX];
    uint32_t attempts;
    uint32_t reached; // connects that have got to a server
    enum cv_way winner;
    bool ipv4;
    bool over;
    uint64_t now_us;
};

static const struct step *step_of(const struct world *world, const struct walker *walker)
{
    static const struct step nothing;
    if (walker->next >= STEPS_MAX)
        return &nothing;
    return &world->network->roads[walker->way].steps[walker->next];
}

// No step is all zeroes but the end of the road.
static bool is_end(const struct step *step)
{
    return step->after_ms == 0 && step->report.met == CV_MET_CONNECTED;
}

static bool waits_for_connect(const struct walker *walker, const struct step *step)
{
    return !walker->asked &&
           (step->report.met == CV_MET_ACCEPTED || step->report.met == CV_MET_LOST);
}

// The answer to an eager offer that was taken.
static bool is_taken(const struct world *world, const struct walker *walker,
                     const struct step *step)
{
    return world->eager && walker->way == CV_WAY_OFFER &&
           (step->report.met == CV_MET_UPGRADED || step->report.taken);
}

static void schedule(struct world *world, struct walker *walker)
{
    const struct step *step = step_of(world, walker);
    bool at_once = walker->asked && walker->way == CV_WAY_OFFER && world->eager &&
                   step->report.met != CV_MET_LOST && is_taken(world, walker, step - 1);
    at_once |= world->eager && walker->asked && step->report.met == CV_MET_ACCEPTED &&
               walker->way == CV_WAY_OFFER && walker->next >= 2 &&
               is_taken(world, walker, step - 2);
    walker->begun_us = world->now_us;
    if (is_end(step) || waits_for_connect(walker, step))
        walker->due_us = UINT64_MAX;
    else
        walker->due_us = world->now_us + (at_once ? 0 : step->after_ms * UINT64_C(1000));
}

// Has what this one said in its first flight arrived, although no answer has?
static bool is_under_way(const struct world *world, const struct walker *walker)
{
    const struct step *step = step_of(world, walker);
    return is_taken(world, walker, step) &&
           world->now_us >= walker->begun_us + RTT_MS * UINT64_C(1000) / 2;
}

static void on_connect(struct world *world, struct walker *walker)
{
    assert_true(walker->walking && !walker->asked);
    for (uint32_t i = 0; i < world->attempts; i++) { // never two at once
        const struct walker *other = &world->walkers[i];
        bool carries = world->eager && other->way == CV_WAY_OFFER &&
                       step_of(world, other)->report.met != CV_MET_HANDSHAKE && other->next < 2;
        assert_false(other != walker && other->walking && (other->asked || carries));
    }
    walker->asked = true;
    world->reached++;
    schedule(world, walker);
}

static void carry_out(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    switch (action->act) {
    case CV_LADDER_START:
        assert_int_equal(action->attempt, world->attempts);
        world->attempts++;
        world->ipv4 = action->ipv4_first;
        *walker = (struct walker){.way = action->way, .walking = true};
        for (uint32_t i = 0; world->eager && action->way == CV_WAY_OFFER && i < world->attempts;
             i++)
            assert_false(world->walkers[i].walking && world->walkers[i].asked);
        schedule(world, walker);
        return;
    case CV_LADDER_STOP:
        assert_true(walker->walking);
        world->reached += is_under_way(world, walker);
        walker->walking = false;
        return;
    case CV_LADDER_CONNECT:
        on_connect(world, walker);
        return;
    case CV_LADDER_THROUGH:
        for (uint32_t i = 0; i < world->attempts; i++)
            assert_int_equal(world->walkers[i].walking, i == action->attempt);
        world->winner = action->way;
        world->over = true;
        return;
    case CV_LADDER_FAILED:
        for (uint32_t i = 0; i < world->attempts; i++)
            assert_false(world->walkers[i].walking);
        world->over = true;
        return;
    }
}

static void pull(struct world *world)
{
    struct cv_ladder_action action;
    while (cv_ladder_next(&world->ladder, &action) == 1)
        carry_out(world, &action);
}

static void walk(struct world *world, uint32_t i)
{
    struct walker *walker = &world->walkers[i];
    const struct step *step = step_of(world, walker);
    if (is_taken(world, walker, step)) {
        walker->asked = true;
        world->reached++;
    }
    walker->next++;
    if (step->report.met >= CV_MET_REFUSED)
        walker->walking = false;
    cv_ladder_report(&world->ladder, i, &step->report, world->now_us);
    schedule(world, walker);
    pull(world);
}

static uint64_t next_us(const struct world *world)
{
    uint64_t first = cv_ladder_deadline_us(&world->ladder);
    for (uint32_t i = 0; i < world->attempts; i++) {
        const struct walker *walker = &world->walkers[i];
        if (walker->walking && walker->due_us < first)
            first = walker->due_us;
    }
    return first;
}

static void live(struct world *world)
{
    struct cv_ladder_config config = world->network->config;
    config.eager = world->eager;
    cv_ladder_init(&world->ladder, &config, 0);
    pull(world);
    while (!world->over) {
        uint64_t next = next_us(world);
        assert_true(next >= world->now_us && next < END_MS * UINT64_C(1000));
        world->now_us = next;
        for (uint32_t i = 0; i < world->attempts && !world->over; i++) {
            if (world->walkers[i].walking && world->walkers[i].due_us <= next)
                walk(world, i);
        }
        if (!world->over) {
            cv_ladder_tick(&world->ladder, next);
            pull(world);
        }
    }
    assert_int_equal(cv_ladder_deadline_us(&world->ladder), UINT64_MAX);
}

static bool is_as_expected(const struct network *network, bool eager)
{
    static struct world world;
    world = (struct world){.network = network, .eager = eager};
    live(&world);
    const struct expected *e =
        eager && network->eager.attempts > 0 ? &network->eager : &network->own;
    uint32_t ms = (uint32_t)(world.now_us / 1000);
    enum cv_obstacle obstacle = cv_ladder_obstacle(&world.ladder);
    if (world.winner == e->winner && ms == e->ms && world.attempts == e->attempts &&
        world.reached == e->reached && obstacle == e->obstacle && world.ipv4 == network->ipv4)
        return true;
    print_error("%s%s: %s after %u ms, %u attempts, %u connects, \"%s\"\n", network->name,
                eager ? " (eager)" : "", cv_way_name(world.winner, false), ms, world.attempts,
                world.reached, cv_obstacle_text(obstacle));
    return false;
}

static void every_network(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        right &= is_as_expected(&networks[i], false);
        right &= is_as_expected(&networks[i], true);
    }
    assert_true(right);
}

// A portal ends everything, but not what is through it already.
static void a_portal_does_not_end_what_gets_through(void **state)
{
    (void)state;
    struct cv_ladder ladder;
    struct cv_ladder_action action;
    cv_ladder_init(&ladder, &(struct cv_ladder_config){0}, 0);
    cv_ladder_report(&ladder, 0, &(struct cv_met_report){.met = CV_MET_CONNECTED}, 40000);
    cv_ladder_tick(&ladder, 140000);
    struct cv_met_report shaken = {.met = CV_MET_HANDSHAKE};
    cv_ladder_report(&ladder, 1, &shaken, 180000);
    struct cv_met_report portal = {.met = CV_MET_HTTP, .status = 511};
    cv_ladder_report(&ladder, 0, &portal, 190000);
    enum cv_ladder_act acts[8];
    size_t count = 0;
    while (count < 8 && cv_ladder_next(&ladder, &action) == 1)
        acts[count++] = action.act;
    assert_int_equal(count, 3);
    assert_int_equal(acts[2], CV_LADDER_CONNECT);
    assert_int_equal(cv_ladder_obstacle(&ladder), CV_OBSTACLE_PORTAL);
}

// ---- words ----------------------------------------------------------------------------------

// What a person must read, whatever else stands around it.
static const struct {
    enum cv_obstacle obstacle;
    const char *text;
    const char *advice;
} told[] = {
    {CV_OBSTACLE_UNREACHABLE, "no route", "connected"},
    {CV_OBSTACLE_UNKNOWN_HOST, "no server of this name", "spelling"},
    {CV_OBSTACLE_SILENT, "firewall drops", "outgoing TCP"},
    {CV_OBSTACLE_REFUSED, "port is closed", "server runs"},
    {CV_OBSTACLE_PROXY_DOWN, "proxy", "http_proxy"},
    {CV_OBSTACLE_MUTE, "no answer", "HTTP POST"},
    {CV_OBSTACLE_CUT, "cut as soon as", "application control"},
    {CV_OBSTACLE_CUT_LATER, "cut after a while", "time limit"},
    {CV_OBSTACLE_STARVED, "less than the stream needs", "bit rate"},
    {CV_OBSTACLE_HTTP_ONLY, "Only HTTP", "inspection"},
    {CV_OBSTACLE_NO_CONNECT, "proxy", "CONNECT"},
    {CV_OBSTACLE_NOT_TLS, "encrypted connections to it fail", "port in the URL"},
    {CV_OBSTACLE_TLS_CUT, "which server they want", "https:// to this host"},
    {CV_OBSTACLE_NOT_OURS, "web server", "host name"},
    {CV_OBSTACLE_NO_SERVER, "no server behind", "server runs"},
    {CV_OBSTACLE_FOREIGN, "another service", "port"},
    {CV_OBSTACLE_FORBIDDEN, "403", "allowed"},
    {CV_OBSTACLE_PROXY_AUTH, "name and a password", "NAME:PASSWORD"},
    {CV_OBSTACLE_PROXY_DENIED, "does not take", "Basic"},
    {CV_OBSTACLE_CERT_INVALID, "cannot be accepted", "server's administrator"},
    {CV_OBSTACLE_CERT_TIME, "expired", "clock"},
    {CV_OBSTACLE_CERT_NAME, "for another host", "host name"},
    {CV_OBSTACLE_CERT_UNTRUSTED, "reads along", "--ca FILE"},
    {CV_OBSTACLE_PORTAL, "log in", "browser"},
};

static void every_obstacle_has_words(void **state)
{
    (void)state;
    assert_int_equal(sizeof told / sizeof told[0], CV_OBSTACLES - 1);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        assert_int_equal(told[i].obstacle, i + 1);
        assert_non_null(strstr(cv_obstacle_text(told[i].obstacle), told[i].text));
        assert_non_null(strstr(cv_obstacle_advice(told[i].obstacle), told[i].advice));
    }
    assert_null(cv_obstacle_advice(CV_OBSTACLE_NONE));
    for (int way = 0; way < CV_WAYS; way++) {
        assert_non_null(cv_way_name((enum cv_way)way, false));
        assert_non_null(cv_way_name((enum cv_way)way, true));
    }
}

// ---- whatever comes --------------------------------------------------------------------------

// Who may have connect accepted, by what it was told and what it said.
struct chaos {
    struct cv_ladder ladder;
    struct cv_ladder_config config;
    uint32_t attempts;
    int carrier; // sent connect, as far as is known; -1
    bool over;
};

static void chaos_pull(struct chaos *chaos)
{
    struct cv_ladder_action action;
    while (cv_ladder_next(&chaos->ladder, &action) == 1) {
        chaos->attempts += action.act == CV_LADDER_START;
        chaos->over |= action.act == CV_LADDER_THROUGH || action.act == CV_LADDER_FAILED;
        if (action.act == CV_LADDER_STOP && chaos->carrier == (int)action.attempt)
            chaos->carrier = -1;
        if (action.act == CV_LADDER_CONNECT) {
            assert_int_equal(chaos->carrier, -1);
            chaos->carrier = (int)action.attempt;
        }
        bool carries = chaos->config.eager && action.way == CV_WAY_OFFER;
        if (action.act == CV_LADDER_START && carries)
            assert_int_equal(chaos->carrier, -1);
    }
}

static void chaos_report(struct chaos *chaos, uint32_t random, uint64_t now_us)
{
    struct cv_met_report report = {.met = (enum cv_met)(random >> 8) % (CV_MET_LOST + 1),
                                   .rtt_us = random >> 12,
                                   .ipv6 = random & 4,
                                   .ours = random & 1,
                                   .status = 300 + (random >> 20) % 300,
                                   .elsewhere = (random & 0xf0) == 0};
    uint32_t who = (random >> 4) % chaos->attempts;
    cv_ladder_report(&chaos->ladder, who, &report, now_us);
    if (chaos->carrier == (int)who && report.met >= CV_MET_REFUSED)
        chaos->carrier = -1;
}

// Whatever attempts report, in whatever order and time: it ends, and never two are asked at once.
static void any_reports_end(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (uint32_t round = 0; round < 20000; round++) {
        struct chaos chaos = {.carrier = -1,
                              .config = {.order = (enum cv_ladder_order)(round % 2),
                                         .proxy = round & 4,
                                         .credentials = round & 8,
                                         .eager = round & 16,
                                         .remembered = (enum cv_way)(round / 32 % CV_WAYS)}};
        uint64_t now_us = 0;
        cv_ladder_init(&chaos.ladder, &chaos.config, 0);
        chaos_pull(&chaos);
        for (int i = 0; i < 200 && !chaos.over; i++) {
            random = random * 1664525 + 1013904223;
            now_us += (random >> 16) % 2000000;
            if (random & 2)
                cv_ladder_tick(&chaos.ladder, now_us);
            else
                chaos_report(&chaos, random, now_us);
            chaos_pull(&chaos);
        }
        assert_true(chaos.over);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network),
        cmocka_unit_test(a_portal_does_not_end_what_gets_through),
        cmocka_unit_test(every_obstacle_has_words),
        cmocka_unit_test(any_reports_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
