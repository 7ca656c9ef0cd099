// The ladder: which ways to a server are tried, when, and which one is taken.
//
// A pure state machine. Time, and what attempts report, go in; starts, stops and the one `connect`
// come out. It opens nothing and reads no clock, so a network of any malice is a table of reports
// in a test. The owner (client/way.h) carries out its actions, which are pulled by next after each
// call.
//
// One attempt reaches a server of ours by the cheapest way that the network allows: POST /open/1
// with "Upgrade: rtmp" (the offer). 101: plain RTMP on that connection. 200: RTMPT on it. Anything
// else says at once what is in the way. RTMP on the same port is tried once beside it, for servers
// that are not ours: when the offer fails or is answered without our header, or when the network
// stays silent. When all that were begun are silent one more way is tried, and so on, each once.
//
// The same goes on inside TLS, on another port. Where nothing else is allowed (rtmps://) all of it
// does, and nothing is ever said in plain text. Where either is, TLS is the reserve: it begins when
// plain text has met nothing but ends, or has nothing left to try beside what is silent.
//
// At any time at most one attempt has sent AMF connect, or was told to. An eager offer carries
// connect in its first flight: there is one of them at a time, and it is stopped before another
// attempt is told.
#ifndef CV_CLIENT_LADDER_H
#define CV_CLIENT_LADDER_H

#include "base/err.h"
#include "client/target.h"

#include <stdbool.h>
#include <stdint.h>

// How the bytes travel.
enum cv_way {
    CV_WAY_NONE,
    CV_WAY_OFFER,   // HTTP at first: becomes RTMP (101) or RTMPT (200)
    CV_WAY_RTMP,    // from the first byte, never through a proxy
    CV_WAY_TUNNEL,  // RTMPT, without an offer that somebody may choke on
    CV_WAY_SOCKET,  // RTMP over WebSocket
    CV_WAY_CONNECT, // RTMP from the first byte behind a proxy's CONNECT
    CV_WAYS,
};

// Each way is there twice: in plain text, and inside TLS on another port (RTMPS, RTMPTS, WSS). With
// a proxy for that all that is secure goes through its CONNECT, but for RTMP, which goes directly:
// CV_WAY_CONNECT is RTMPS through the proxy, or through that of plain text, when it is the only
// one.

enum cv_ladder_order {
    CV_LADDER_OFFER_FIRST,
    CV_LADDER_RTMP_FIRST, // the classic one: HTTP behind RTMP
    CV_LADDER_ONLY,       // config.only and nothing else
};

struct cv_ladder_config {
    enum cv_ladder_order order;
    enum cv_way only;
    enum cv_way remembered; // what won in this network before; NONE: nothing is known
    enum cv_security security;
    bool remembered_secure; // `remembered` was inside TLS
    bool proxy;             // an HTTP proxy is set: plain ways go through it, but RTMP beside it
    bool secure_proxy;      // the same for ways inside TLS; it may be another proxy
    bool credentials;       // a name and a password for them are set
    bool eager;             // offers carry connect in their first flight
    bool ours;              // the server is known to be ours: so do tunnels, then
};

// What an attempt has met. The last ones end it: nothing more is reported for it.
enum cv_met {
    CV_MET_CONNECTED, // TCP is up, also through a proxy's CONNECT: rtt_us, ipv6
    CV_MET_SECURED,   // TLS is up, its certificate is right
    CV_MET_UPGRADED,  // 101; what an eager offer carried has been taken
    CV_MET_OPENED,    // a tunnel session: `ours` when the server showed our header, `taken` when
                      // it has taken what an eager offer carried
    CV_MET_HANDSHAKE, // S0 S1 S2 are complete: it could send connect
    CV_MET_ACCEPTED,  // connect has been answered: the server is reached
    // ends
    CV_MET_REFUSED,      // nobody listens, or a firewall says so
    CV_MET_UNREACHABLE,  // no route, or forbidden
    CV_MET_UNKNOWN_HOST, // the name (the proxy's, where it goes through one) does not resolve
    CV_MET_RESET,        // cut by RST, nothing received
    CV_MET_CLOSED,       // ended by FIN, nothing received
    CV_MET_HTTP,         // an HTTP answer that leads nowhere: status, elsewhere
    CV_MET_NOT_RTMP,     // the port speaks something else: a TLS alert, a banner
    CV_MET_LOST,         // cut after an answer that led on
    CV_MET_NOT_TLS,      // the port does not speak TLS, or refused with an alert
    CV_MET_CERTIFICATE,  // it is not accepted: code, CV_E_CERT_*
};

struct cv_met_report {
    enum cv_met met;
    uint32_t rtt_us;
    bool ipv6;
    bool ours;
    bool taken;
    uint32_t status;
    int code;       // CERTIFICATE
    bool elsewhere; // HTTP: it sends us to another host, or shows a page (a captive portal)
};

enum cv_ladder_act {
    CV_LADDER_START,   // begin an attempt by `way`
    CV_LADDER_STOP,    // end the attempt at once
    CV_LADDER_CONNECT, // this one sends AMF connect
    CV_LADDER_THROUGH, // this one is it; all others have been stopped
    CV_LADDER_FAILED,  // nothing is left: cv_ladder_obstacle
};

struct cv_ladder_action {
    enum cv_ladder_act act;
    uint32_t attempt; // numbers from 0, in the order of their starts
    enum cv_way way;
    bool secure;     // inside TLS, to the other port
    bool eager;      // START: connect may travel in its first flight
    bool ipv4_first; // START: an attempt over IPv6 stood and was silent
};

// What was in the way, the least telling first: of several, the most telling is kept.
enum cv_obstacle {
    CV_OBSTACLE_NONE,
    CV_OBSTACLE_UNREACHABLE,    // no way there
    CV_OBSTACLE_UNKNOWN_HOST,   // the name does not resolve
    CV_OBSTACLE_SILENT,         // no answer to SYN: the port is blocked
    CV_OBSTACLE_REFUSED,        // port closed: the server is down, or a firewall resets
    CV_OBSTACLE_PROXY_DOWN,     // the proxy itself cannot be reached
    CV_OBSTACLE_MUTE,           // connections stand and nothing comes
    CV_OBSTACLE_CUT,            // connections are cut as soon as they carry RTMP, in any dress
    CV_OBSTACLE_CUT_LATER,      // connections are cut after a while (client/watchdog.h)
    CV_OBSTACLE_STARVED,        // less passes than the stream needs (client/watchdog.h)
    CV_OBSTACLE_HTTP_ONLY,      // RTMP is answered by HTTP: a proxy or filter that knows only that
    CV_OBSTACLE_NO_CONNECT,     // the proxy opens no connections
    CV_OBSTACLE_NOT_TLS,        // the port for TLS speaks something else, or refuses
    CV_OBSTACLE_TLS_CUT,        // TLS is cut, or met with silence, as soon as it names the server
    CV_OBSTACLE_NOT_OURS,       // a web server answers, without RTMP behind it
    CV_OBSTACLE_NO_SERVER,      // a proxy answers that it reaches no server
    CV_OBSTACLE_FOREIGN,        // the port belongs to another protocol
    CV_OBSTACLE_FORBIDDEN,      // 403
    CV_OBSTACLE_PROXY_AUTH,     // a proxy wants a name and a password
    CV_OBSTACLE_PROXY_DENIED,   // a proxy does not take those that were given
    CV_OBSTACLE_CERT_INVALID,   // the certificate: unacceptable,
    CV_OBSTACLE_CERT_TIME,      // expired or not valid yet,
    CV_OBSTACLE_CERT_NAME,      // for another host,
    CV_OBSTACLE_CERT_UNTRUSTED, // from nobody who is trusted: perhaps somebody reads along
    CV_OBSTACLE_PORTAL,         // the network wants a login first
    CV_OBSTACLES,
};

enum {
    CV_LADDER_ATTEMPTS_MAX = 12,    // plain and secure: each way once, and an offer once more
    CV_LADDER_SILENCE_MIN_MS = 100, // before another way is tried beside: 1.5 round trips, within
    CV_LADDER_SILENCE_MAX_MS = 300, // these, but never less than 1.25; through a proxy this one
    CV_LADDER_SYN_MS = 1200,        // the same for the answer to SYN: one repetition
    CV_LADDER_GRACE_MS = 150,       // RTMP may be so much later than a tunnel and still win
    CV_LADDER_AFTER_101_MS = 300,   // S0 must follow: 3 round trips, at least this
    CV_LADDER_REMEMBERED_MS = 250,  // the other ways start so much behind a remembered one
    CV_LADDER_CONNECT_MS = 5000,    // for the answer to connect
    CV_LADDER_TRY_MS = 4000,        // for everything before it
    CV_LADDER_TLS_MS = 3000,        // for TLS, once TCP stands
    CV_LADDER_TLS_TRIES = 2,        // attempts until TLS has stood in one: all begin the same
};

struct cv_ladder_attempt {
    enum cv_way way;
    bool secure;
    bool secured; // TLS is up
    bool eager;   // its first flight carries connect, and has no answer yet
    bool live;
    bool connected;
    bool ipv6;
    bool raw;       // what it carries, or will carry, is plain RTMP
    bool answered;  // HTTP: 101 or a session
    bool handshake; // could send connect
    uint32_t rtt_us;
    uint64_t since_us; // of its start, or of what it last reported
};

// Members are for cv_ladder_* alone.
struct cv_ladder {
    struct cv_ladder_config config;
    struct cv_ladder_attempt attempts[CV_LADDER_ATTEMPTS_MAX];
    uint32_t count;
    // Both: plain, and inside TLS.
    bool tried[2][CV_WAYS];
    bool wanted[2][CV_WAYS]; // to be started when the one that was asked fails
    bool again[2];           // an offer was stopped unjudged, and may be made once more
    bool ipv4_first;         // IPv6 was seen to be silent
    bool no_tls;             // TLS is hopeless: its certificate, or nobody speaks it there
    bool proxy_shut;         // no connection for TLS is to be had from the proxy
    uint64_t second_us;      // when a remembered way gets company; UINT64_MAX: never
    uint64_t grace_us;       // what is ready waits for what is better; UINT64_MAX: nothing does
    int asked;               // the attempt that has sent connect, or was told to; -1: none
    bool over;               // THROUGH or FAILED is out
    enum cv_obstacle obstacle;
    struct cv_ladder_action actions[4 * CV_LADDER_ATTEMPTS_MAX];
    uint32_t action_count;
    uint32_t action_next;
};

void cv_ladder_init(struct cv_ladder *ladder, const struct cv_ladder_config *config,
                    uint64_t now_us);
// An attempt has met something. Reports of attempts that were stopped are ignored.
void cv_ladder_report(struct cv_ladder *ladder, uint32_t attempt,
                      const struct cv_met_report *report, uint64_t now_us);
// Time has passed.
void cv_ladder_tick(struct cv_ladder *ladder, uint64_t now_us);
// When tick must be called; UINT64_MAX: never.
uint64_t cv_ladder_deadline_us(const struct cv_ladder *ladder);
// 1 and the next action; 0: none.
// Actions that are not pulled before the next report or tick are kept.
int cv_ladder_next(struct cv_ladder *ladder, struct cv_ladder_action *out);

// Behind FAILED: what was in the way. Behind THROUGH: what was met on the way, as far as that was
// tried.
enum cv_obstacle cv_ladder_obstacle(const struct cv_ladder *ladder);
// For machines: "port-dropped". Static.
const char *cv_obstacle_id(enum cv_obstacle obstacle);
// The sentence for the user. Static.
const char *cv_obstacle_text(enum cv_obstacle obstacle);
// The server's certificate is not accepted.
bool cv_obstacle_is_certificate(enum cv_obstacle obstacle);
// What such a network's administrator should be asked for. Static; NULL: nothing.
const char *cv_obstacle_advice(enum cv_obstacle obstacle);
// What CV_E_CERT_* is.
enum cv_obstacle cv_obstacle_of_certificate(int code);
// "RTMP", "RTMPT", "RTMPS", "RTMPTS", ... Static.
const char *cv_way_name(enum cv_way way, bool secure);

#endif
