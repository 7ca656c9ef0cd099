// The ladder against networks, in virtual time: for each symptom who wins, when, after how many
// attempts, how many connects reached a server, and what the user reads. Each network is lived
// through twice: with a connect of its own, and with one that travels in the offer's first flight;
// and again where TLS is allowed, and where nothing else is.
#include "client/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

// Plain: connection, the offer's answer with S0S1S2, the answer to connect: 3 round trips.
static const struct network plain_networks[] = {
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

    {"a tunnel is cut while it waits for RTMP", {0},
     {ROAD(OFFER, UP, OPENED, SHAKEN_LATER, MET(10, .met = CV_MET_RESET)),
      ROAD(RTMP, UP_IN(300), SHAKEN_LATER, ACCEPTED), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, RESET)},
     ENDS(RTMP, 80 + 380, 4, 1, CUT), {0}, false},

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

// Inside TLS: connection, handshake, the offer's answer with S0S1S2, the answer to connect: 4 round
// trips.
static const struct network networks[] = {
    // ---- nothing but TLS is wanted
    {"rtmps, open", {RTMPS}, {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED),
                              INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160, 1, 1, NONE), WINS(OFFER, 120, 1, 1, NONE), false},
    {"rtmps, 443 is closed and 80 is not", {RTMPS},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED), INSIDE(OFFER, REFUSED)},
     ENDS(NONE, 40, 1, 0, REFUSED), {0}, false},
    {"rtmps, 443 is dropped and 80 is not", {RTMPS},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED), INSIDE(OFFER, SILENCE)},
     ENDS(NONE, CV_LADDER_TRY_MS, 1, 0, SILENT), {0}, false},
    {"rtmps to a foreign server of RTMPS that closes on HTTP", {RTMPS},
     {INSIDE(OFFER, UP, TLS, CLOSED), INSIDE(TUNNEL, UP, TLS, CLOSED),
      INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 120 + 160, 4, 1, CUT), {0}, false},
    {"rtmps to a foreign server of RTMPS that swallows HTTP", {RTMPS},
     {INSIDE(OFFER, UP, TLS, SILENCE), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 80 + 100 + 160, 2, 1, NONE), {0}, false},
    {"rtmps to a foreign server of RTMPTS", {RTMPS},
     {INSIDE(OFFER, UP, TLS, OPENED, SHAKEN_LATER, ACCEPTED), INSIDE(RTMP, UP, TLS)},
     // RTMPS gets its chance: until it is silent behind TLS
     WINS(OFFER, 120 + 80 + 100 + 40, 2, 1, NONE), {0}, false},
    {"rtmps to a foreign server of both, further away", {RTMPS},
     {INSIDE(OFFER, UP_100, TLS_IN(100), OPENED_IN(100), SHAKEN_IN(100), ACCEPTED_IN(100)),
      INSIDE(RTMP, UP_100, TLS_IN(100), SHAKEN_IN(100), ACCEPTED_IN(100))},
     // the tunnel was ready at 400
     WINS(RTMP, 300 + 400, 2, 1, NONE), {0}, false},
    {"rtmps, RTMP first", {RTMPS, .order = CV_LADDER_RTMP_FIRST},
     {INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)}, WINS(RTMP, 160, 1, 1, NONE), {0}, false},
    {"rtmps, and plain RTMP is remembered", {RTMPS, .remembered = CV_WAY_RTMP},
     {INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160, 1, 1, NONE), WINS(OFFER, 120, 1, 1, NONE), false},
    {"rtmps, and RTMPTS is remembered",
     {RTMPS, .remembered = CV_WAY_TUNNEL, .remembered_secure = true},
     {INSIDE(TUNNEL, UP, TLS, OURS, SHAKEN_LATER, ACCEPTED)},
     WINS(TUNNEL, 200, 1, 1, NONE), {0}, false},
    {"rtmps, IPv6 carries SYN and nothing larger", {RTMPS},
     {INSIDE(OFFER, UP6, SILENCE), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 40 + 100 + 160, 2, 1, NONE), {0}, true},
    {"rtmps, TLS is slow and stands", {RTMPS},
     {INSIDE(OFFER, UP, TLS_IN(1000), UPGRADED, SHAKEN, ACCEPTED), INSIDE(RTMP, UP)},
     WINS(OFFER, 40 + 1000 + 80, 2, 1, NONE), WINS(OFFER, 40 + 1000 + 40, 2, 1, NONE), false},

    // ---- TLS itself is in the way
    {"rtmps, a filter resets by name", {RTMPS},
     {INSIDE(OFFER, UP, RESET), INSIDE(RTMP, UP, RESET), INSIDE(TUNNEL, UP, TLS)},
     ENDS(NONE, 160, 2, 0, TLS_CUT), {0}, false},
    {"rtmps, a filter closes by name", {RTMPS},
     {INSIDE(OFFER, UP, CLOSED), INSIDE(RTMP, UP, CLOSED), INSIDE(TUNNEL, UP, TLS)},
     ENDS(NONE, 160, 2, 0, TLS_CUT), {0}, false},
    {"rtmps, a filter swallows by name", {RTMPS},
     {INSIDE(OFFER, UP, SILENCE), INSIDE(RTMP, UP, SILENCE), INSIDE(TUNNEL, UP, TLS)},
     ENDS(NONE, 40 + 100 + 40 + CV_LADDER_TLS_MS, 2, 0, TLS_CUT), {0}, false},
    {"rtmps, RTMP first, a filter resets by name", {RTMPS, .order = CV_LADDER_RTMP_FIRST},
     {INSIDE(OFFER, UP, RESET), INSIDE(RTMP, UP, RESET), INSIDE(TUNNEL, UP, TLS)},
     ENDS(NONE, 160, 2, 0, TLS_CUT), {0}, false},
    {"rtmps, cut once by accident", {RTMPS},
     {INSIDE(OFFER, UP, RESET), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 80 + 160, 2, 1, TLS_CUT), {0}, false},
    {"rtmps, somebody reads along who is not trusted", {RTMPS},
     {INSIDE(OFFER, UP, CERTIFICATE(UNTRUSTED)), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(NONE, 80, 1, 0, CERT_UNTRUSTED), {0}, false},
    {"rtmps, somebody reads along who is trusted, and takes the upgrade off", {RTMPS},
     {INSIDE(OFFER, UP, TLS, OURS, SHAKEN_LATER, ACCEPTED), INSIDE(RTMP, UP, TLS, CLOSED)},
     WINS(OFFER, 200, 1, 1, NONE), WINS(OFFER, 120, 1, 1, NONE), false},
    {"rtmps, somebody trusted reads along and cuts RTMP in any dress but the tunnel's", {RTMPS},
     {INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, LOST), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, LOST),
      INSIDE(TUNNEL, UP, TLS, OURS, SHAKEN_LATER, ACCEPTED)},
     WINS(TUNNEL, 130 + 120 + 10 + 30 + 40, 3, 3, CUT),
     WINS(TUNNEL, 130 + 120 + 10 + 30 + 40, 3, 3, CUT), false},
    {"rtmps, the certificate has expired", {RTMPS}, {INSIDE(OFFER, UP, CERTIFICATE(TIME))},
     ENDS(NONE, 80, 1, 0, CERT_TIME), {0}, false},
    {"rtmps, a captive portal has the port", {RTMPS}, {INSIDE(OFFER, UP, CERTIFICATE(NAME))},
     ENDS(NONE, 80, 1, 0, CERT_NAME), {0}, false},
    {"rtmps, the certificate is for nothing", {RTMPS}, {INSIDE(OFFER, UP, CERTIFICATE(INVALID))},
     ENDS(NONE, 80, 1, 0, CERT_INVALID), {0}, false},
    {"rtmps, the certificate comes late: what was begun beside it is stopped", {RTMPS},
     {INSIDE(OFFER, UP, CERTIFICATE_IN(150, UNTRUSTED)), INSIDE(RTMP, UP, TLS)},
     ENDS(NONE, 40 + 150, 2, 0, CERT_UNTRUSTED), {0}, false},
    {"rtmps, the certificate is another one for those that came later", {RTMPS},
     {INSIDE(OFFER, UP, CERTIFICATE_IN(210, UNTRUSTED)),
      INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 40 + 100 + 160, 2, 1, CERT_UNTRUSTED), {0}, false},
    {"rtmps, the port belongs to SSH", {RTMPS}, {INSIDE(OFFER, UP, NOT_TLS)},
     ENDS(NONE, 80, 1, 0, NOT_TLS), {0}, false},
    {"rtmps, a web server that sends us to another host", {RTMPS},
     {INSIDE(OFFER, UP, TLS, PORTAL), INSIDE(RTMP, UP, TLS, HTTP(400)),
      INSIDE(TUNNEL, UP, TLS, PORTAL), INSIDE(SOCKET, UP, TLS, PORTAL)},
     ENDS(NONE, 3 * 120, 4, 0, NOT_OURS), {0}, false},

    // ---- TLS, and a proxy is set
    {"rtmps through a proxy", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, UP_IN(80), TLS, UPGRADED, SHAKEN, ACCEPTED), INSIDE(RTMP, UNKNOWN)},
     WINS(OFFER, 200, 1, 1, NONE), WINS(OFFER, 160, 1, 1, NONE), false},
    {"rtmps through a proxy that opens no connections and passes HTTP", {RTMPS, .secure_proxy = true},
     {ROAD(OFFER, UP, OURS, SHAKEN_LATER, ACCEPTED), INSIDE(OFFER, HTTP(403)),
      INSIDE(RTMP, UNKNOWN)},
     ENDS(NONE, 50, 2, 0, NO_CONNECT), {0}, false},
    {"rtmps through a proxy that opens no connections and is not needed", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, HTTP(403)), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 40 + 160, 2, 1, NO_CONNECT), {0}, false},
    {"rtmps through a proxy that opens no connections, and beside it nothing comes",
     {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, HTTP(403)), INSIDE(RTMP, UP, TLS)},
     ENDS(NONE, 40 + 80 + CV_LADDER_TRY_MS, 2, 0, NO_CONNECT), {0}, false},
    {"rtmps through a proxy, to a server that knows only HTTP", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, UP_IN(80), TLS, CLOSED), INSIDE(TUNNEL, UP_IN(80), TLS, CLOSED),
      INSIDE(SOCKET, UP_IN(80), TLS, CLOSED), INSIDE(RTMP, UNKNOWN),
      INSIDE(CONNECT, UP_IN(80), TLS, HTTP(400))},
     ENDS(NONE, 3 * 160, 5, 0, HTTP_ONLY), {0}, false},
    {"rtmps, a WebSocket through a proxy is remembered, which opens no connections any more",
     {RTMPS, .secure_proxy = true, .remembered = CV_WAY_SOCKET, .remembered_secure = true},
     {INSIDE(SOCKET, HTTP(403)), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 40 + 160, 2, 1, NO_CONNECT), {0}, false},
    {"rtmps through a proxy that hangs up on CONNECT", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, CLOSED), INSIDE(RTMP, UNREACHABLE)},
     ENDS(NONE, 40, 2, 0, NO_CONNECT), {0}, false},
    {"rtmps through a proxy that never answers CONNECT", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, SILENCE), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, CV_LADDER_SYN_MS + 160, 2, 1, NONE), {0}, false},
    {"rtmps through a proxy that wants a password", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, HTTP(407))}, ENDS(NONE, 40, 1, 0, PROXY_AUTH), {0}, false},
    {"rtmps through a proxy that does not reach the server", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, HTTP(503)), INSIDE(RTMP, UNREACHABLE)},
     ENDS(NONE, 40, 2, 0, NO_SERVER), {0}, false},
    {"rtmps through a proxy that is a captive portal", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, PORTAL)}, ENDS(NONE, 40, 1, 0, PORTAL), {0}, false},
    {"rtmps, and the proxy is down", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, REFUSED), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 40 + 160, 2, 1, PROXY_DOWN), {0}, false},
    {"rtmps, the proxy is down, and beside it nothing comes", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, REFUSED), INSIDE(RTMP, UP, TLS)},
     ENDS(NONE, 40 + 80 + CV_LADDER_TRY_MS, 2, 0, MUTE), {0}, false},
    {"rtmps through a proxy that cuts TLS by name, and is not needed",
     {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, UP_IN(80), RESET), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 120 + 160, 2, 1, TLS_CUT), {0}, false},
    {"rtmps, RTMP first, a filter cuts TLS by name, and a proxy leads past it",
     {RTMPS, .secure_proxy = true, .order = CV_LADDER_RTMP_FIRST},
     {INSIDE(RTMP, UP, RESET), INSIDE(OFFER, UP_IN(80), TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 80 + 200, 2, 1, TLS_CUT), WINS(OFFER, 80 + 160, 2, 1, TLS_CUT), false},
    {"rtmps through a proxy, to a foreign server of RTMPS", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, UP_IN(80), TLS, CLOSED), INSIDE(TUNNEL, UP_IN(80), TLS, CLOSED),
      INSIDE(RTMP, UNKNOWN), INSIDE(CONNECT, UP_IN(80), TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(CONNECT, 160 + 200, 5, 1, CUT), {0}, false},
    {"rtmps through a proxy that reads along and is not trusted", {RTMPS, .secure_proxy = true},
     {INSIDE(OFFER, UP_IN(80), CERTIFICATE(UNTRUSTED))},
     ENDS(NONE, 120, 1, 0, CERT_UNTRUSTED), {0}, false},

    // ---- either will do: plain text leads nowhere
    {"80 is refused", {EITHER}, {ROAD(OFFER, REFUSED),
                                 INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 40 + 160, 2, 1, REFUSED), WINS(OFFER, 40 + 120, 2, 1, REFUSED), false},
    {"80 is unreachable", {EITHER}, {ROAD(OFFER, UNREACHABLE),
                                     INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160, 2, 1, UNREACHABLE), WINS(OFFER, 120, 2, 1, UNREACHABLE), false},
    // The offer in plain text may still arrive: the other one carries no connect.
    {"80 is dropped", {EITHER}, {ROAD(OFFER, SILENCE),
                                 INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, CV_LADDER_SYN_MS + 160, 2, 1, NONE), {0}, false},
    {"80 is dropped, RTMP first", {EITHER, .order = CV_LADDER_RTMP_FIRST},
     {ROAD(RTMP, SILENCE), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, CV_LADDER_SYN_MS + 160, 2, 1, NONE), {0}, false},
    {"80 and 443 are dropped", {EITHER}, {ROAD(OFFER, SILENCE), INSIDE(OFFER, SILENCE)},
     ENDS(NONE, CV_LADDER_SYN_MS + CV_LADDER_TRY_MS, 2, 0, SILENT), {0}, false},
    {"80 and 443 are refused", {EITHER}, {ROAD(OFFER, REFUSED), INSIDE(OFFER, REFUSED)},
     ENDS(NONE, 80, 2, 0, REFUSED), {0}, false},
    {"80 swallows everything", {EITHER},
     {ROAD(OFFER, UP), ROAD(RTMP, UP), ROAD(TUNNEL, UP), ROAD(SOCKET, UP),
      INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 4 * 140 + 160, 5, 1, NONE), {0}, false},
    {"80 cuts everything", {EITHER},
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UP, RESET), ROAD(TUNNEL, UP, RESET),
      ROAD(SOCKET, UP, RESET), INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 3 * 80 + 160, 5, 1, CUT), WINS(OFFER, 3 * 80 + 120, 5, 1, CUT), false},
    // each may come again: once in plain text, and once inside TLS
    {"80 cuts everything, and each offer's answer is late", {EITHER},
     {ROAD(OFFER, UP, UPGRADED_IN(190), SHAKEN, LOST), ROAD(RTMP, UP, SHAKEN_LATER, LOST),
      ROAD(TUNNEL, UP, RESET), ROAD(SOCKET, UP_IN(150), RESET),
      INSIDE(OFFER, UP, TLS, UPGRADED_IN(300), SHAKEN, ACCEPTED),
      INSIDE(RTMP, UP, TLS, SHAKEN_LATER, LOST)},
     WINS(OFFER, 500 + 380 + 40, 7, 4, CUT), WINS(OFFER, 500 + 310 + 380, 9, 6, CUT), false},
    {"80 is a web server alone", {EITHER},
     {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UP, HTTP(400)),
      INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160 + 160, 3, 1, NOT_OURS), WINS(OFFER, 160 + 120, 3, 1, NOT_OURS), false},
    {"80 forbids everything", {EITHER},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UP, HTTP(403)), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(SOCKET, UP, HTTP(403)), INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 240 + 160, 5, 1, FORBIDDEN), WINS(OFFER, 240 + 120, 5, 1, FORBIDDEN), false},
    {"80 belongs to SSH", {EITHER},
     {ROAD(OFFER, UP, BANNER), ROAD(RTMP, UP, BANNER),
      INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160 + 160, 3, 1, FOREIGN), WINS(OFFER, 160 + 120, 3, 1, FOREIGN), false},
    {"80 is a captive portal: nothing else is tried", {EITHER},
     {ROAD(OFFER, UP, PORTAL), INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(NONE, 80, 1, 0, PORTAL), {0}, false},
    {"80 is a captive portal that answers late, and lets TLS through", {EITHER},
     {ROAD(OFFER, UP_IN(1260), PORTAL), INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, CV_LADDER_SYN_MS + 160, 2, 1, PORTAL), {0}, false},
    {"only RTMP is wanted, and 80 is refused", {EITHER, .order = CV_LADDER_ONLY, .only = CV_WAY_RTMP},
     {ROAD(RTMP, REFUSED), INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 40 + 160, 2, 1, REFUSED), {0}, false},

    // ---- either will do: and TLS leads nowhere
    {"80 is refused, a filter resets TLS by name", {EITHER},
     {ROAD(OFFER, REFUSED), INSIDE(OFFER, UP, RESET), INSIDE(RTMP, UP, RESET)},
     ENDS(NONE, 40 + 160, 3, 0, TLS_CUT), {0}, false},
    {"80 is refused, a filter swallows TLS by name", {EITHER},
     {ROAD(OFFER, REFUSED), INSIDE(OFFER, UP, SILENCE), INSIDE(RTMP, UP, SILENCE)},
     ENDS(NONE, 40 + 40 + 100 + 40 + CV_LADDER_TLS_MS, 3, 0, TLS_CUT), {0}, false},
    {"80 is refused, somebody reads along who is not trusted", {EITHER},
     {ROAD(OFFER, REFUSED), INSIDE(OFFER, UP, CERTIFICATE(UNTRUSTED))},
     ENDS(NONE, 40 + 80, 2, 0, CERT_UNTRUSTED), {0}, false},
    {"80 is slow, somebody reads along who is not trusted", {EITHER},
     {ROAD(OFFER, UP_IN(1300), UPGRADED, SHAKEN, ACCEPTED),
      INSIDE(OFFER, UP, CERTIFICATE(UNTRUSTED))},
     ENDS(OFFER, 1300 + 80, 2, 1, CERT_UNTRUSTED), ENDS(OFFER, 1300 + 40, 2, 1, CERT_UNTRUSTED),
     false},
    {"80 forbids everything, the certificate has expired", {EITHER},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UP, HTTP(403)), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(SOCKET, UP, HTTP(403)), INSIDE(OFFER, UP, CERTIFICATE(TIME))},
     ENDS(NONE, 240 + 80, 5, 0, CERT_TIME), {0}, false},
    {"80 is refused, 443 belongs to SSH", {EITHER},
     {ROAD(OFFER, REFUSED), INSIDE(OFFER, UP, NOT_TLS)},
     ENDS(NONE, 40 + 80, 2, 0, NOT_TLS), {0}, false},
    {"80 is a web server alone, 443 is not TLS", {EITHER},
     {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UP, HTTP(400)), INSIDE(OFFER, UP, NOT_TLS)},
     ENDS(NONE, 160 + 80, 3, 0, NOT_OURS), {0}, false},

    // ---- either will do: both come
    {"80 is slow, TLS is through", {EITHER},
     {ROAD(OFFER, UP_IN(1290), OURS, SHAKEN_LATER, ACCEPTED),
      INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, CV_LADDER_SYN_MS + 160, 2, 1, NONE),
     // the connect in plain text has arrived
     WINS(OFFER, CV_LADDER_SYN_MS + 160, 2, 2, NONE), false},
    {"80 is slow and has answered when TLS is ready", {EITHER},
     {ROAD(OFFER, UP_IN(1270), OURS, SHAKEN_LATER, ACCEPTED),
      INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 1270 + 120, 2, 1, NONE), ENDS(OFFER, 1270 + 40, 2, 1, NONE), false},
    {"80 is slow, has answered and falls silent", {EITHER},
     {ROAD(OFFER, UP_IN(1270), OURS), INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 1310 + 100 + 40, 2, 1, NONE),
     WINS(OFFER, 1310 + CV_LADDER_CONNECT_MS + 40, 4, 2, CUT), false},

    // ---- either will do: a proxy is set
    {"a proxy opens connections to 443 only, and forbids posts", {EITHER, BOTH},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, HTTP(403)),
      INSIDE(OFFER, UP_IN(80), TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160 + 200, 6, 1, FORBIDDEN), WINS(OFFER, 160 + 160, 6, 1, FORBIDDEN), false},
    {"a proxy opens connections to 443 only, and swallows posts", {EITHER, BOTH},
     {ROAD(OFFER, UP), ROAD(RTMP, UNKNOWN), ROAD(CONNECT, UP, HTTP(403)),
      INSIDE(OFFER, UP_IN(80), TLS, UPGRADED, SHAKEN, ACCEPTED)},
     // that offer's answer may still come
     WINS(OFFER, 40 + CV_LADDER_SILENCE_MAX_MS + 80 + 200, 4, 1, NO_CONNECT), {0}, false},
    {"the proxy is down, 80 is refused, 443 is not", {EITHER, BOTH},
     {ROAD(OFFER, REFUSED), ROAD(RTMP, REFUSED), INSIDE(OFFER, REFUSED),
      INSIDE(RTMP, UP, TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(RTMP, 120 + 160, 4, 1, PROXY_DOWN), {0}, false},
    {"the proxy of plain text is down, the other one is not", {EITHER, BOTH},
     {ROAD(OFFER, REFUSED), ROAD(RTMP, UNREACHABLE),
      INSIDE(OFFER, UP_IN(80), TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 40 + 200, 3, 1, PROXY_DOWN), WINS(OFFER, 40 + 160, 3, 1, PROXY_DOWN), false},
    {"the only proxy is for plain text, which it forbids; it opens connections to 443",
     {EITHER, .proxy = true},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNREACHABLE), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, HTTP(403)), INSIDE(OFFER, UNREACHABLE),
      INSIDE(CONNECT, UP_IN(80), TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(CONNECT, 160 + 200, 7, 1, FORBIDDEN), {0}, false},
    {"the only proxy is for plain text, and past it nothing answers", {EITHER, .proxy = true},
     {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UNREACHABLE), ROAD(CONNECT, UP, HTTP(403)),
      INSIDE(OFFER, SILENCE), INSIDE(CONNECT, UP_IN(80), TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(CONNECT, 160 + CV_LADDER_SYN_MS + 200, 5, 1, NOT_OURS), {0}, false},
    {"the only proxy is for plain text, past it a filter resets TLS by name",
     {EITHER, .proxy = true},
     {ROAD(OFFER, UP, HTTP(404)), ROAD(RTMP, UP, RESET), ROAD(CONNECT, UP, HTTP(403)),
      INSIDE(OFFER, UP, RESET), INSIDE(CONNECT, UP_IN(80), TLS, SHAKEN_LATER, ACCEPTED)},
     WINS(CONNECT, 160 + 80 + 200, 5, 1, NOT_OURS), {0}, false},
    {"the only proxy is for plain text, and opens no connections", {EITHER, .proxy = true},
     {ROAD(OFFER, UP, RESET), ROAD(RTMP, UNREACHABLE), ROAD(TUNNEL, UP, RESET),
      ROAD(CONNECT, UP, RESET), ROAD(SOCKET, UP, RESET), INSIDE(OFFER, UNREACHABLE),
      INSIDE(CONNECT, HTTP(403)), INSIDE(RTMP, UNREACHABLE)},
     ENDS(NONE, 240 + 40, 8, 0, NO_CONNECT), {0}, false},
    {"https_proxy alone: 80 is refused", {EITHER, .secure_proxy = true},
     {ROAD(OFFER, REFUSED), INSIDE(OFFER, UP_IN(80), TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 40 + 200, 2, 1, REFUSED), WINS(OFFER, 40 + 160, 2, 1, REFUSED), false},
    {"a proxy forbids all of it", {EITHER, BOTH},
     {ROAD(OFFER, UP, HTTP(403)), ROAD(RTMP, UNKNOWN), ROAD(TUNNEL, UP, HTTP(403)),
      ROAD(CONNECT, UP, HTTP(403)), ROAD(SOCKET, UP, HTTP(403)), INSIDE(OFFER, HTTP(403)),
      INSIDE(RTMP, UNKNOWN)},
     ENDS(NONE, 240, 7, 0, FORBIDDEN), {0}, false},

    // ---- either will do: something is remembered
    {"the offer inside TLS is remembered",
     {EITHER, .remembered = CV_WAY_OFFER, .remembered_secure = true},
     {INSIDE(OFFER, UP, TLS, UPGRADED, SHAKEN, ACCEPTED)},
     WINS(OFFER, 160, 1, 1, NONE), WINS(OFFER, 120, 1, 1, NONE), false},
    {"RTMPS is remembered, and 443 is closed now",
     {EITHER, .remembered = CV_WAY_RTMP, .remembered_secure = true},
     {INSIDE(RTMP, REFUSED), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 40 + 120, 2, 1, REFUSED), ENDS(OFFER, 40 + 80, 2, 1, REFUSED), false},
    {"the offer inside TLS is remembered, which is swallowed now",
     {EITHER, .remembered = CV_WAY_OFFER, .remembered_secure = true},
     {INSIDE(OFFER, UP, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 40 + 100 + 120, 2, 1, NONE), {0}, false},
    {"the offer inside TLS is remembered, and 443 is dropped now",
     {EITHER, .remembered = CV_WAY_OFFER, .remembered_secure = true},
     {INSIDE(OFFER, SILENCE), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, CV_LADDER_REMEMBERED_MS + 120, 2, 1, NONE), {0}, false},
    {"the offer inside TLS is remembered, and its certificate has expired",
     {EITHER, .remembered = CV_WAY_OFFER, .remembered_secure = true},
     {INSIDE(OFFER, UP, CERTIFICATE(TIME)), ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 80 + 120, 2, 1, CERT_TIME), ENDS(OFFER, 80 + 80, 2, 1, CERT_TIME), false},
    {"RTMPS is remembered, and plain text is wanted",
     {.remembered = CV_WAY_RTMP, .remembered_secure = true},
     {ROAD(OFFER, UP, UPGRADED, SHAKEN, ACCEPTED)},
     ENDS(OFFER, 120, 1, 1, NONE), ENDS(OFFER, 80, 1, 1, NONE), false},
};
// clang-format on

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

static const struct step *step_of(const struct world *world, const struct walker *walker)
{
    static const struct step nothing;
    if (walker->next >= STEPS_MAX)
        return &nothing;
    return &world->network->roads[walker->road].steps[walker->next];
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
static bool is_taken(const struct walker *walker, const struct step *step)
{
    return walker->eager && (step->report.met == CV_MET_UPGRADED || step->report.taken);
}

static void schedule(struct world *world, struct walker *walker)
{
    const struct step *step = step_of(world, walker);
    bool at_once = walker->asked && walker->eager && step->report.met != CV_MET_LOST &&
                   is_taken(walker, step - 1);
    at_once |= walker->asked && step->report.met == CV_MET_ACCEPTED && walker->next >= 2 &&
               is_taken(walker, step - 2);
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
    return is_taken(walker, step) &&
           world->now_us >= walker->begun_us + RTT_MS * UINT64_C(1000) / 2;
}

// Connect was in its first flight, and no answer has come.
static bool carries(const struct world *world, const struct walker *walker)
{
    uint32_t answer = walker->road >= SECURE ? 3 : 2;
    return walker->walking && walker->eager && walker->next < answer &&
           step_of(world, walker)->report.met != CV_MET_HANDSHAKE;
}

static void on_connect(struct world *world, struct walker *walker)
{
    assert_true(walker->walking && !walker->asked);
    for (uint32_t i = 0; i < world->attempts; i++) { // never two at once
        const struct walker *other = &world->walkers[i];
        assert_false(other != walker &&
                     ((other->walking && other->asked) || carries(world, other)));
    }
    walker->asked = true;
    world->reached++;
    schedule(world, walker);
}

static void on_start(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    assert_int_equal(action->attempt, world->attempts);
    assert_true(action->secure || world->config.security != CV_SECURITY_ONLY);
    assert_true(!action->secure || world->config.security != CV_SECURITY_PLAIN);
    assert_true(world->config.eager || !action->eager);
    for (uint32_t i = 0; action->eager && i < world->attempts; i++) {
        const struct walker *other = &world->walkers[i];
        assert_false((other->walking && other->asked) || carries(world, other));
    }
    world->attempts++;
    world->ipv4 = action->ipv4_first;
    *walker = (struct walker){.road = action->way + (action->secure ? SECURE : 0),
                              .eager = action->eager,
                              .walking = true};
    schedule(world, walker);
}

static void carry_out(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    switch (action->act) {
    case CV_LADDER_START:
        on_start(world, action);
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
        world->winner = walker->road;
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
    if (is_taken(walker, step)) {
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
    cv_ladder_init(&world->ladder, &world->config, 0);
    pull(world);
    for (int turn = 0; !world->over; turn++) {
        assert_true(turn < TURNS_MAX);
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

static const struct expected *expected_of(const struct network *network, bool eager)
{
    return eager && network->eager.attempts > 0 ? &network->eager : &network->own;
}

static void print_world(const struct world *world)
{
    enum cv_way way = (enum cv_way)(world->winner % CV_WAYS);
    print_error("%s%s: %s after %u ms, %u attempts, %u connects, %s\n", world->network->name,
                world->config.eager ? " (eager)" : "", cv_way_name(way, world->winner >= SECURE),
                (uint32_t)(world->now_us / 1000), world->attempts, world->reached,
                cv_obstacle_id(cv_ladder_obstacle(&world->ladder)));
}

static void live_in(struct world *world, const struct network *network, enum cv_security security,
                    bool eager)
{
    *world = (struct world){.network = network, .config = network->config};
    world->config.security = security;
    world->config.eager = eager;
    live(world);
}

static bool is_as_expected(const struct network *network, enum cv_security security, bool eager)
{
    static struct world world;
    live_in(&world, network, security, eager);
    const struct expected *e = expected_of(network, eager);
    uint32_t ms = (uint32_t)(world.now_us / 1000);
    enum cv_obstacle obstacle = cv_ladder_obstacle(&world.ladder);
    if (world.winner == e->winner && ms == e->ms && world.attempts == e->attempts &&
        world.reached == e->reached && obstacle == e->obstacle && world.ipv4 == network->ipv4)
        return true;
    print_world(&world);
    return false;
}

static void every_network(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        right &= is_as_expected(&plain_networks[i], CV_SECURITY_PLAIN, false);
        right &= is_as_expected(&plain_networks[i], CV_SECURITY_PLAIN, true);
    }
    assert_true(right);
}

static void every_network_with_tls(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        enum cv_security security = networks[i].config.security;
        right &= is_as_expected(&networks[i], security, false);
        right &= is_as_expected(&networks[i], security, true);
    }
    assert_true(right);
}

// How many attempts inside TLS were begun.
static uint32_t count_secure(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->attempts; i++)
        count += world->walkers[i].road >= SECURE;
    return count;
}

static bool is_begun(const struct world *world, unsigned road)
{
    for (uint32_t i = 0; i < world->attempts; i++) {
        if (world->walkers[i].road == road)
            return true;
    }
    return false;
}

// Where plain text gets through, nothing takes longer, and nothing is begun inside TLS but where
// nothing else is left.
static bool needs_no_tls(const struct network *network, bool eager)
{
    static struct world world;
    struct network either = *network;
    live_in(&world, &either, CV_SECURITY_EITHER, eager);
    struct expected *e = eager && either.eager.attempts > 0 ? &either.eager : &either.own;
    uint32_t secure = count_secure(&world);
    e->attempts += secure;
    bool spent = is_begun(&world, CV_WAY_OFFER) && is_begun(&world, CV_WAY_RTMP) &&
                 is_begun(&world, CV_WAY_TUNNEL) && is_begun(&world, CV_WAY_SOCKET);
    return (secure == 0 || (secure == 1 && spent)) &&
           is_as_expected(&either, CV_SECURITY_EITHER, eager);
}

static void tls_is_a_reserve(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        if (plain_networks[i].own.winner == CV_WAY_NONE)
            continue;
        right &= needs_no_tls(&plain_networks[i], false);
        right &= needs_no_tls(&plain_networks[i], true);
    }
    assert_true(right);
}

// Where nothing gets through, it still says why, when TLS is refused, too.
static bool says_the_same_without_tls(const struct network *network, bool eager)
{
    static struct world world;
    struct network closed = *network;
    closed.config.secure_proxy = network->config.proxy;
    bool proxy = network->config.proxy;
    for (unsigned way = 0; way < CV_WAYS; way++) {
        bool at_proxy = proxy && way != CV_WAY_RTMP;
        closed.roads[SECURE + way] =
            at_proxy ? (struct road){{HTTP(403)}} : (struct road){{REFUSED}};
    }
    live_in(&world, &closed, CV_SECURITY_EITHER, eager);
    enum cv_obstacle least = network->own.obstacle;
    enum cv_obstacle obstacle = cv_ladder_obstacle(&world.ladder);
    bool same = obstacle == least || (obstacle > least && obstacle == CV_OBSTACLE_REFUSED) ||
                (obstacle > least && obstacle == CV_OBSTACLE_NO_CONNECT && proxy);
    if (world.winner == CV_WAY_NONE && same)
        return true;
    print_world(&world);
    return false;
}

static void a_failure_keeps_its_words(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        if (plain_networks[i].own.winner != CV_WAY_NONE)
            continue;
        right &= says_the_same_without_tls(&plain_networks[i], false);
        right &= says_the_same_without_tls(&plain_networks[i], true);
    }
    assert_true(right);
}

// The same road behind a TLS handshake.
static struct road inside_tls(const struct road *road)
{
    struct road inside = {{{0, {0}}}};
    unsigned to = 0;
    for (unsigned from = 0; from < STEPS_MAX && to < STEPS_MAX; from++) {
        inside.steps[to++] = road->steps[from];
        if (!is_end(&road->steps[from]) && road->steps[from].report.met == CV_MET_CONNECTED)
            inside.steps[to++] = (struct step)TLS;
    }
    return inside;
}

// What plain text can do, TLS alone can, too: the same way wins, at most a round trip later for
// each attempt.
static bool goes_inside_tls(const struct network *network, bool eager)
{
    static struct world world;
    struct network inside = *network;
    for (unsigned way = 0; way < CV_WAYS; way++) {
        inside.roads[SECURE + way] = inside_tls(&network->roads[way]);
        inside.roads[way] = (struct road){{{0, {0}}}};
    }
    inside.config.remembered_secure = true;
    inside.config.secure_proxy = inside.config.proxy;
    live_in(&world, &inside, CV_SECURITY_ONLY, eager);
    const struct expected *e = expected_of(network, eager);
    unsigned winner = e->winner == CV_WAY_NONE ? CV_WAY_NONE : SECURE + e->winner;
    uint32_t ms = (uint32_t)(world.now_us / 1000);
    if (world.winner == winner && ms <= e->ms + RTT_MS * world.attempts &&
        world.reached == e->reached && cv_ladder_obstacle(&world.ladder) == e->obstacle)
        return true;
    print_world(&world);
    return false;
}

static void tls_alone_is_enough(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof plain_networks / sizeof plain_networks[0]; i++) {
        // a portal and a proxy speak for themselves in plain text only
        enum cv_obstacle obstacle = plain_networks[i].own.obstacle;
        if (obstacle == CV_OBSTACLE_PORTAL || obstacle == CV_OBSTACLE_NO_CONNECT)
            continue;
        right &= goes_inside_tls(&plain_networks[i], false);
        right &= goes_inside_tls(&plain_networks[i], true);
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
    {CV_OBSTACLE_NOT_TLS, "no encrypted connection", "port in the URL"},
    {CV_OBSTACLE_TLS_CUT, "which server they want", "let through"},
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
struct chaos_attempt {
    bool live;
    bool eager; // its first flight carries connect, and no answer has come
    bool secure;
    bool secured;
};

struct chaos {
    struct cv_ladder ladder;
    struct cv_ladder_config config;
    struct chaos_attempt attempts[CV_LADDER_ATTEMPTS_MAX];
    uint32_t count;
    int carrier; // sent connect, as far as is known; -1
    bool over;
};

static bool is_any_eager(const struct chaos *chaos, uint32_t but)
{
    for (uint32_t i = 0; i < chaos->count; i++) {
        if (i != but && chaos->attempts[i].live && chaos->attempts[i].eager)
            return true;
    }
    return false;
}

static void chaos_start(struct chaos *chaos, const struct cv_ladder_action *action)
{
    assert_true(action->secure || chaos->config.security != CV_SECURITY_ONLY);
    assert_true(!action->secure || chaos->config.security != CV_SECURITY_PLAIN);
    assert_true(action->attempt == chaos->count && chaos->count < CV_LADDER_ATTEMPTS_MAX);
    bool proxy = chaos->config.proxy || (action->secure && chaos->config.secure_proxy);
    assert_true(action->way != CV_WAY_CONNECT || proxy);
    assert_false(action->eager && (chaos->carrier >= 0 || is_any_eager(chaos, UINT32_MAX)));
    chaos->attempts[chaos->count++] =
        (struct chaos_attempt){.live = true, .eager = action->eager, .secure = action->secure};
}

static void chaos_stop(struct chaos *chaos, uint32_t who)
{
    assert_true(chaos->attempts[who].live);
    chaos->attempts[who].live = false;
    if (chaos->carrier == (int)who)
        chaos->carrier = -1;
}

static void chaos_pull(struct chaos *chaos)
{
    struct cv_ladder_action action;
    while (cv_ladder_next(&chaos->ladder, &action) == 1) {
        chaos->over |= action.act == CV_LADDER_THROUGH || action.act == CV_LADDER_FAILED;
        if (action.act == CV_LADDER_START)
            chaos_start(chaos, &action);
        if (action.act == CV_LADDER_STOP)
            chaos_stop(chaos, action.attempt);
        if (action.act == CV_LADDER_CONNECT) {
            assert_true(chaos->carrier == -1 && !is_any_eager(chaos, action.attempt));
            chaos->carrier = (int)action.attempt;
        }
    }
}

// What the report says of connect.
static void chaos_note(struct chaos *chaos, uint32_t who, const struct cv_met_report *report)
{
    struct chaos_attempt *attempt = &chaos->attempts[who];
    if (!attempt->live)
        return;
    if (report->met >= CV_MET_REFUSED) {
        chaos_stop(chaos, who);
    } else if (report->met >= CV_MET_UPGRADED) {
        bool taken =
            report->met == CV_MET_UPGRADED || (report->met == CV_MET_OPENED && report->taken);
        if (attempt->eager && taken && chaos->carrier == -1)
            chaos->carrier = (int)who;
        attempt->eager = false;
    }
    attempt->secured |= report->met == CV_MET_SECURED;
}

// Behind a certificate that is not accepted nothing is begun inside TLS any more, and of what was
// only that goes on which has TLS.
static void check_certificate(const struct chaos *chaos, uint32_t who, uint32_t count_before)
{
    if (!chaos->attempts[who].secure)
        return;
    for (uint32_t i = 0; i < chaos->count; i++) {
        const struct chaos_attempt *attempt = &chaos->attempts[i];
        bool asked = chaos->carrier == (int)i;
        assert_false(attempt->secure && attempt->live && !attempt->secured && !asked);
        assert_false(attempt->secure && i >= count_before);
    }
}

static void chaos_report(struct chaos *chaos, uint32_t random, uint64_t now_us)
{
    struct cv_met_report report = {.met = (enum cv_met)((random >> 8) % (CV_MET_CERTIFICATE + 1)),
                                   .rtt_us = random >> 12,
                                   .ipv6 = random & 4,
                                   .ours = random & 1,
                                   .taken = random & 8,
                                   .code = CV_E_CERT_UNTRUSTED - (int)((random >> 16) % 5),
                                   .status = 300 + (random >> 20) % 300,
                                   .elsewhere = (random & 0xf0) == 0};
    uint32_t who = (random >> 4) % chaos->count;
    uint32_t count = chaos->count;
    bool ends_tls = chaos->attempts[who].live &&
                    (report.met == CV_MET_CERTIFICATE || report.met == CV_MET_NOT_TLS);
    chaos_note(chaos, who, &report);
    cv_ladder_report(&chaos->ladder, who, &report, now_us);
    chaos_pull(chaos);
    if (ends_tls)
        check_certificate(chaos, who, count);
}

// Whatever attempts report, in whatever order and time: it ends, never two are asked at once, and
// nothing is plain that must not be.
static void any_reports_end(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (uint32_t round = 0; round < 60000; round++) {
        struct chaos chaos = {.carrier = -1,
                              .config = {.order = (enum cv_ladder_order)(round % 2),
                                         .security = (enum cv_security)(round / 2 % 3),
                                         .proxy = random & 0x10000,
                                         .secure_proxy = random & 0x200000,
                                         .credentials = random & 0x20000,
                                         .eager = random & 0x40000,
                                         .ours = random & 0x80000,
                                         .remembered_secure = random & 0x100000,
                                         .remembered = (enum cv_way)(round / 6 % CV_WAYS)}};
        uint64_t now_us = 0;
        cv_ladder_init(&chaos.ladder, &chaos.config, 0);
        chaos_pull(&chaos);
        for (int i = 0; i < 400 && !chaos.over; i++) {
            random = random * 1664525 + 1013904223;
            now_us += (random >> 16) % 2000000 / (1 + round % 50);
            if (random & 2)
                cv_ladder_tick(&chaos.ladder, now_us);
            else
                chaos_report(&chaos, random, now_us);
            chaos_pull(&chaos);
            assert_true(chaos.over || cv_ladder_deadline_us(&chaos.ladder) != UINT64_MAX);
        }
        for (; !chaos.over; chaos_pull(&chaos)) {
            now_us = cv_ladder_deadline_us(&chaos.ladder);
            cv_ladder_tick(&chaos.ladder, now_us);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network),
        cmocka_unit_test(every_network_with_tls),
        cmocka_unit_test(tls_is_a_reserve),
        cmocka_unit_test(a_failure_keeps_its_words),
        cmocka_unit_test(tls_alone_is_enough),
        cmocka_unit_test(a_portal_does_not_end_what_gets_through),
        cmocka_unit_test(every_obstacle_has_words),
        cmocka_unit_test(any_reports_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
