// What check makes of networks: every row of what firewalls and proxies are known to do must be
// named, with the way that a stream would take there and how soon.
#include "harness.h"

#include "client/verdict.h"

#include <stdio.h>
#include <string.h>

enum { RTT_US = 40000, SECURE = CV_WAYS };

// clang-format off
#define STEP(us, ...)  {(us), {__VA_ARGS__}}
#define UP             STEP(RTT_US, .met = CV_MET_CONNECTED, .rtt_us = RTT_US)
#define UP_NEAR        STEP(2000, .met = CV_MET_CONNECTED, .rtt_us = 2000)
#define LATER(what)    STEP(RTT_US, .met = (what))
#define AT_ONCE(what)  STEP(0, .met = (what))

// Rungs as they end.
#define WORKS_TCP      {.end = CV_RUNG_WORKS, .total_us = RTT_US}
#define DROPPED        {.end = CV_RUNG_SILENT, .total_us = 2500000}
#define REFUSED        {.end = CV_RUNG_REFUSED, .steps = {STEP(RTT_US, .met = CV_MET_REFUSED)}, .step_count = 1}
#define NO_ROUTE       {.end = CV_RUNG_UNREACHABLE, .steps = {AT_ONCE(CV_MET_UNREACHABLE)}, .step_count = 1}
#define UNKNOWN        {.end = CV_RUNG_UNKNOWN_HOST}
#define RTMP_WORKS     {.end = CV_RUNG_WORKS, .step_count = 3, \
                        .steps = {UP, LATER(CV_MET_HANDSHAKE), LATER(CV_MET_ACCEPTED)}}
#define RTMP_RESET     {.end = CV_RUNG_RESET, .step_count = 2, .steps = {UP, LATER(CV_MET_RESET)}}
#define RTMP_CLOSED    {.end = CV_RUNG_CLOSED, .step_count = 2, .steps = {UP, LATER(CV_MET_CLOSED)}}
#define RTMP_MUTE      {.end = CV_RUNG_MUTE, .step_count = 1, .steps = {UP}}
#define RTMP_400       {.end = CV_RUNG_HTTP, .status = 400, .step_count = 2, \
                        .steps = {UP_NEAR, STEP(2000, .met = CV_MET_HTTP, .status = 400)}}
#define RTMP_CUT       {.end = CV_RUNG_LOST, .step_count = 3, \
                        .steps = {UP, LATER(CV_MET_HANDSHAKE), STEP(10000, .met = CV_MET_LOST)}}
#define OFFER_TAKEN    {.end = CV_RUNG_WORKS, .upgraded = true, .ours = true, .step_count = 4, \
                        .steps = {UP, LATER(CV_MET_UPGRADED), AT_ONCE(CV_MET_HANDSHAKE), \
                                  AT_ONCE(CV_MET_ACCEPTED)}}
#define OFFER_STRIPPED {.end = CV_RUNG_WORKS, .ours = true, .step_count = 4, \
                        .steps = {UP_NEAR, STEP(RTT_US, .met = CV_MET_OPENED, .ours = true, .taken = true), \
                                  AT_ONCE(CV_MET_HANDSHAKE), AT_ONCE(CV_MET_ACCEPTED)}}
#define OFFER_FOREIGN  {.end = CV_RUNG_WORKS, .step_count = 4, \
                        .steps = {UP, LATER(CV_MET_OPENED), LATER(CV_MET_HANDSHAKE), LATER(CV_MET_ACCEPTED)}}
#define OFFER_CUT      {.end = CV_RUNG_LOST, .upgraded = true, .ours = true, .step_count = 4, \
                        .steps = {UP, LATER(CV_MET_UPGRADED), AT_ONCE(CV_MET_HANDSHAKE), \
                                  STEP(10000, .met = CV_MET_LOST)}}
#define OFFER_STALLED  {.end = CV_RUNG_STALLED, .upgraded = true, .ours = true, .step_count = 2, \
                        .steps = {UP, LATER(CV_MET_UPGRADED)}}
#define TUNNEL_WORKS   {.end = CV_RUNG_WORKS, .ours = true, .step_count = 4, \
                        .steps = {UP, STEP(RTT_US, .met = CV_MET_OPENED, .ours = true), \
                                  LATER(CV_MET_HANDSHAKE), LATER(CV_MET_ACCEPTED)}}
#define PAGE(code)     {.end = CV_RUNG_HTTP, .status = (code), .step_count = 2, \
                        .steps = {UP, STEP(RTT_US, .met = CV_MET_HTTP, .status = (code))}}
#define PORTAL         {.end = CV_RUNG_HTTP, .status = 302, .elsewhere = true, .step_count = 2, \
                        .steps = {UP_NEAR, STEP(2000, .met = CV_MET_HTTP, .status = 302, .elsewhere = true)}}
#define BANNER         {.end = CV_RUNG_NOT_RTMP, .step_count = 2, .steps = {UP, LATER(CV_MET_NOT_RTMP)}}
#define SOCKET_WORKS   {.end = CV_RUNG_WORKS, .step_count = 4, \
                        .steps = {UP, LATER(CV_MET_UPGRADED), LATER(CV_MET_HANDSHAKE), LATER(CV_MET_ACCEPTED)}}

// Inside TLS. DENIED: the proxy answers CONNECT so.
#define SECURED        LATER(CV_MET_SECURED)
#define TLS_WORKS      {.end = CV_RUNG_WORKS, .step_count = 2, .steps = {UP, SECURED}}
#define TLS_RESET      {.end = CV_RUNG_RESET, .step_count = 2, .steps = {UP, LATER(CV_MET_RESET)}}
#define TLS_MUTE       {.end = CV_RUNG_MUTE, .step_count = 1, .steps = {UP}}
#define TLS_BANNER     {.end = CV_RUNG_NOT_TLS, .step_count = 2, .steps = {UP, LATER(CV_MET_NOT_TLS)}}
#define TLS_CERT(what) {.end = CV_RUNG_CERTIFICATE, .step_count = 2, \
                        .steps = {UP, STEP(RTT_US, .met = CV_MET_CERTIFICATE, .code = CV_E_CERT_ ## what)}}
#define DENIED(code_)  {.end = CV_RUNG_HTTP, .status = (code_), .step_count = 1, \
                        .steps = {STEP(RTT_US, .met = CV_MET_HTTP, .status = (code_))}}
#define OFFER_SECURE   {.end = CV_RUNG_WORKS, .upgraded = true, .ours = true, .step_count = 5, \
                        .steps = {UP, SECURED, LATER(CV_MET_UPGRADED), AT_ONCE(CV_MET_HANDSHAKE), \
                                  AT_ONCE(CV_MET_ACCEPTED)}}
#define OFFER_OPENED   {.end = CV_RUNG_WORKS, .ours = true, .step_count = 5, \
                        .steps = {UP, SECURED, STEP(RTT_US, .met = CV_MET_OPENED, .ours = true, .taken = true), \
                                  AT_ONCE(CV_MET_HANDSHAKE), AT_ONCE(CV_MET_ACCEPTED)}}
#define OFFER_CLOSED   {.end = CV_RUNG_CLOSED, .step_count = 3, .steps = {UP, SECURED, LATER(CV_MET_CLOSED)}}
#define RTMPS_WORKS    {.end = CV_RUNG_WORKS, .step_count = 4, \
                        .steps = {UP, SECURED, LATER(CV_MET_HANDSHAKE), LATER(CV_MET_ACCEPTED)}}
#define EITHER         .security = CV_SECURITY_EITHER
#define RTMPS          .security = CV_SECURITY_ONLY

#define NAME(us)       [CV_RUNG_NAME] = {.end = CV_RUNG_WORKS, .total_us = (us)}
#define RUNG(r, what)  [CV_RUNG_ ## r] = what

struct row {
    const char *name;
    struct cv_survey_facts facts;
    unsigned way; // + SECURE inside TLS
    const char *how;
    uint32_t soon_us;
    const char *findings[3];
};

#define OFFERED_INSIDE SECURE + CV_WAY_OFFER, "RTMPS behind an HTTPS offer"
#define OFFERED CV_WAY_OFFER, "RTMP behind an HTTP offer"
#define NOTHING CV_WAY_NONE, "none"

static const struct row rows[] = {
    {"open", {.rungs = {NAME(5000), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                        RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, SOCKET_WORKS)}},
     OFFERED, 85000, {"open"}},
    {"1935 dropped",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, SOCKET_WORKS)}},
     OFFERED, 80000, {"port-1935-dropped"}},
    {"80 only, rest reset",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, REFUSED), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, SOCKET_WORKS)}},
     OFFERED, 80000, {"port-1935-closed"}},
    {"a filter resets what is not HTTP",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_RESET),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, SOCKET_WORKS)}},
     OFFERED, 80000, {"filter-resets", "port-1935-dropped"}},
    {"a filter swallows what is not HTTP",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_MUTE),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, SOCKET_WORKS)}},
     OFFERED, 80000, {"filter-swallows", "port-1935-dropped"}},
    {"something answers what is not HTTP",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_400),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS)}},
     OFFERED, 80000, {"filter-answers"}},
    {"a transparent proxy",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_400),
                RUNG(OFFER, OFFER_STRIPPED), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, PAGE(400))}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-between", "port-1935-dropped"}},
    {"a proxy between that resets RTMP",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_RESET),
                RUNG(OFFER, OFFER_STRIPPED), RUNG(TUNNEL, TUNNEL_WORKS)}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-between", "port-1935-dropped"}},
    {"a proxy between that closes on the offer",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_400),
                RUNG(OFFER, RTMP_CLOSED), RUNG(TUNNEL, TUNNEL_WORKS)}},
     CV_WAY_TUNNEL, "RTMPT", 80000 + 160000, {"offer-refused", "port-1935-dropped"}},
    {"a proxy between that passes 101 and swallows what follows",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_RESET),
                RUNG(OFFER, OFFER_STALLED), RUNG(TUNNEL, TUNNEL_WORKS)}},
     CV_WAY_TUNNEL, "RTMPT", 80000 + 300000 + 160000, {"offer-refused"}},
    {"a proxy that takes the upgrade off alone",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_STRIPPED), RUNG(TUNNEL, TUNNEL_WORKS)}},
     CV_WAY_OFFER, "RTMPT", 42000, {"offer-stripped"}},

    {"an explicit proxy, CONNECT to 443 only",
     {.proxy = true,
      .rungs = {RUNG(NAME, UNKNOWN), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, OFFER_STRIPPED),
                RUNG(TUNNEL, TUNNEL_WORKS), RUNG(SOCKET, PAGE(400)), RUNG(CONNECT, PAGE(403))}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-only"}},
    {"an explicit proxy, no CONNECT, names resolve",
     {.proxy = true,
      .rungs = {NAME(3000), RUNG(TCP, DROPPED), RUNG(1935, DROPPED), RUNG(PROXY, WORKS_TCP),
                RUNG(OFFER, OFFER_STRIPPED), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(CONNECT, PAGE(403))}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-only"}},
    {"an explicit proxy that forbids posts and connects",
     {.proxy = true,
      .rungs = {NAME(3000), RUNG(TCP, DROPPED), RUNG(1935, DROPPED), RUNG(PROXY, WORKS_TCP),
                RUNG(OFFER, PAGE(403)), RUNG(TUNNEL, PAGE(403)), RUNG(SOCKET, PAGE(403)),
                RUNG(CONNECT, RTMP_WORKS)}},
     CV_WAY_CONNECT, "RTMP through the proxy", 80000 + 120000, {"proxy-only"}},
    {"an explicit proxy wants a password",
     {.proxy = true,
      .rungs = {NAME(0), RUNG(TCP, DROPPED), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, PAGE(407)),
                RUNG(TUNNEL, PAGE(407)), RUNG(CONNECT, PAGE(407))}},
     NOTHING, 80000, {"proxy-auth"}},
    {"an explicit proxy does not take the password",
     {.proxy = true, .credentials = true,
      .rungs = {NAME(0), RUNG(TCP, DROPPED), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, PAGE(407))}},
     NOTHING, 80000, {"proxy-denied"}},
    {"a proxy that is down and not needed",
     {.proxy = true,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(PROXY, REFUSED)}},
     CV_WAY_RTMP, "RTMP", 120000, {"proxy-unneeded"}},
    {"a proxy that is down and needed",
     {.proxy = true, .rungs = {RUNG(NAME, UNKNOWN), RUNG(PROXY, REFUSED)}},
     NOTHING, 0, {"proxy-down"}},

    {"cut after 3 s",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS)},
      .held_ms = 8000, .cuts_ms = {3010, 3000}, .cut_count = 2},
     OFFERED, 80000, {"cut-later"}},
    {"captive portal",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, REFUSED), RUNG(RTMP, RTMP_400),
                RUNG(OFFER, PORTAL), RUNG(TUNNEL, PORTAL), RUNG(SOCKET, PORTAL)}},
     NOTHING, 4000, {"portal"}},
    {"IPv6 is broken",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TCP_IPV6, DROPPED), RUNG(1935, RTMP_WORKS),
                RUNG(RTMP, RTMP_WORKS), RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS)}},
     OFFERED, 180000, {"ipv6-broken"}},
    {"application control recognises RTMP in every dress but the tunnel's",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_CUT),
                RUNG(OFFER, OFFER_CUT), RUNG(TUNNEL, TUNNEL_WORKS)}},
     CV_WAY_TUNNEL, "RTMPT", 90000 + 120000 + 40000, {"recognised", "offer-refused", "port-1935-dropped"}},

    {"unknown host", {.rungs = {RUNG(NAME, UNKNOWN)}}, NOTHING, 0, {"unknown-host"}},
    {"port dropped", {.rungs = {NAME(0), RUNG(TCP, DROPPED), RUNG(1935, DROPPED)}},
     NOTHING, 4000000, {"port-dropped"}},
    {"port dropped, 1935 is open", {.rungs = {NAME(0), RUNG(TCP, DROPPED), RUNG(1935, RTMP_WORKS)}},
     NOTHING, 4000000, {"port-dropped", "port-1935-works"}},
    {"port closed", {.rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(1935, REFUSED)}},
     NOTHING, 0, {"port-closed"}},
    {"no route", {.rungs = {NAME(0), RUNG(TCP, NO_ROUTE)}}, NOTHING, 0, {"unreachable"}},
    {"a web server alone",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, REFUSED), RUNG(RTMP, RTMP_400),
                RUNG(OFFER, PAGE(404)), RUNG(TUNNEL, PAGE(404)), RUNG(SOCKET, PAGE(404))}},
     NOTHING, 84000, {"not-ours"}},
    {"SSH on the port",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, REFUSED), RUNG(RTMP, BANNER),
                RUNG(OFFER, BANNER), RUNG(TUNNEL, BANNER), RUNG(SOCKET, BANNER)}},
     NOTHING, 160000, {"foreign"}},
    {"everything is cut",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, REFUSED), RUNG(RTMP, RTMP_RESET),
                RUNG(OFFER, RTMP_RESET), RUNG(TUNNEL, RTMP_RESET), RUNG(SOCKET, RTMP_RESET)}},
     NOTHING, 240000, {"cut"}},
    {"everything is swallowed",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_MUTE),
                RUNG(OFFER, RTMP_MUTE), RUNG(TUNNEL, RTMP_MUTE), RUNG(SOCKET, RTMP_MUTE)}},
     NOTHING, 4460000, {"swallowed"}},

    {"a foreign server of RTMP",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, RTMP_CLOSED), RUNG(TUNNEL, RTMP_CLOSED), RUNG(SOCKET, RTMP_CLOSED)}},
     CV_WAY_RTMP, "RTMP", 200000, {"open"}},
    {"a foreign server of RTMPT",
     {.rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, REFUSED), RUNG(RTMP, RTMP_CLOSED),
                RUNG(OFFER, OFFER_FOREIGN), RUNG(TUNNEL, OFFER_FOREIGN)}},
     CV_WAY_OFFER, "RTMPT", 200000, {"rtmpt-only", "port-1935-closed"}},
    // ---- TLS where plain text does not get through
    {"TLS is there and not needed",
     {EITHER,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(TLS, TLS_WORKS),
                RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     OFFERED, 80000, {"open"}},
    {"TLS is not there and not needed",
     {EITHER,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(TLS, REFUSED)}},
     OFFERED, 80000, {"open"}},
    {"80 is closed, 443 is open",
     {EITHER, .rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(1935, REFUSED), RUNG(TLS, TLS_WORKS),
                        RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     OFFERED_INSIDE, 120000, {"port-80-closed"}},
    {"80 is dropped, 443 is open",
     {EITHER, .rungs = {NAME(0), RUNG(TCP, DROPPED), RUNG(1935, DROPPED), RUNG(TLS, TLS_WORKS),
                        RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     // the offer in plain text may still come: the other one is not eager
     OFFERED_INSIDE, 1200000 + 160000, {"port-80-dropped"}},
    {"80 is cut, 443 is open",
     {EITHER, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(RTMP, RTMP_RESET),
                        RUNG(OFFER, RTMP_RESET), RUNG(TUNNEL, RTMP_RESET), RUNG(SOCKET, RTMP_RESET),
                        RUNG(TLS, TLS_WORKS), RUNG(SECURE_OFFER, OFFER_SECURE)}},
     OFFERED_INSIDE, 240000 + 120000, {"plain-blocked"}},
    {"80 is closed, 443 is open and opened",
     {EITHER, .rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(TLS, TLS_WORKS),
                        RUNG(SECURE_OFFER, OFFER_OPENED), RUNG(SECURE_RTMP, OFFER_CLOSED)}},
     SECURE + CV_WAY_OFFER, "RTMPTS", 120000, {"port-80-closed", "tls-opened"}},
    {"80 is closed, a filter cuts TLS by name",
     {EITHER, .rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(TLS, TLS_RESET)}},
     NOTHING, 160000, {"tls-cut"}},
    {"80 works, a filter cuts TLS by name",
     {EITHER,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(TLS, TLS_RESET)}},
     OFFERED, 80000, {"tls-cut"}},
    {"80 works, a filter swallows TLS by name",
     {EITHER,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TUNNEL, TUNNEL_WORKS), RUNG(TLS, TLS_MUTE)}},
     OFFERED, 80000, {"tls-cut"}},
    {"80 works, somebody reads along on 443 who is not trusted",
     {EITHER,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, DROPPED), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TLS, TLS_CERT(UNTRUSTED))}},
     OFFERED, 80000, {"cert-untrusted", "port-1935-dropped"}},
    {"80 is closed, the certificate has expired",
     {EITHER, .rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(TLS, TLS_CERT(TIME))}},
     NOTHING, 80000, {"cert-time"}},
    {"80 works, 443 belongs to another service",
     {EITHER,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(1935, RTMP_WORKS), RUNG(RTMP, RTMP_WORKS),
                RUNG(OFFER, OFFER_TAKEN), RUNG(TLS, TLS_BANNER)}},
     OFFERED, 80000, {"open"}},
    {"80 and 443 are closed", {EITHER, .rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(TLS, REFUSED)}},
     NOTHING, 40000, {"port-closed"}},
    {"a proxy that passes posts and opens connections to 443",
     {EITHER, .proxy = true,
      .rungs = {NAME(3000), RUNG(TCP, DROPPED), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, OFFER_STRIPPED),
                RUNG(TUNNEL, TUNNEL_WORKS), RUNG(CONNECT, PAGE(403)), RUNG(TLS, TLS_WORKS),
                RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-only", "connect-works"}},
    {"a proxy that passes posts and opens no connections",
     {EITHER, .proxy = true,
      .rungs = {NAME(3000), RUNG(TCP, DROPPED), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, OFFER_STRIPPED),
                RUNG(TUNNEL, TUNNEL_WORKS), RUNG(CONNECT, PAGE(403)), RUNG(TLS, DENIED(403))}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-only", "connect-refused"}},
    {"a proxy that passes posts, before a server without TLS",
     {EITHER, .proxy = true,
      .rungs = {NAME(3000), RUNG(TCP, DROPPED), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, OFFER_STRIPPED),
                RUNG(TUNNEL, TUNNEL_WORKS), RUNG(CONNECT, PAGE(403)), RUNG(TLS, DENIED(503))}},
     CV_WAY_OFFER, "RTMPT", 42000, {"proxy-only"}},
    {"a proxy that forbids posts and opens connections to 443",
     {EITHER, .proxy = true,
      .rungs = {RUNG(NAME, UNKNOWN), RUNG(PROXY, WORKS_TCP), RUNG(OFFER, PAGE(403)),
                RUNG(TUNNEL, PAGE(403)), RUNG(SOCKET, PAGE(403)), RUNG(CONNECT, DENIED(403)),
                RUNG(TLS, TLS_WORKS), RUNG(SECURE_OFFER, OFFER_SECURE),
                RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     OFFERED_INSIDE, 80000 + 40000 + 120000, {"proxy-only", "plain-blocked"}},

    // ---- TLS and nothing else
    {"rtmps, open",
     {RTMPS, .rungs = {NAME(5000), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_WORKS),
                       RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     OFFERED_INSIDE, 125000, {"open"}},
    {"rtmps, IPv6 is broken",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TCP_IPV6, DROPPED), RUNG(TLS, TLS_WORKS),
                       RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     OFFERED_INSIDE, 220000, {"ipv6-broken"}},
    {"rtmps, a foreign server",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_WORKS),
                       RUNG(SECURE_OFFER, OFFER_CLOSED), RUNG(SECURE_RTMP, RTMPS_WORKS),
                       RUNG(SECURE_TUNNEL, OFFER_CLOSED), RUNG(SECURE_SOCKET, OFFER_CLOSED)}},
     SECURE + CV_WAY_RTMP, "RTMPS", 120000 + 160000, {"open"}},
    {"rtmps, only the proxy leads out",
     {RTMPS, .proxy = true,
      .rungs = {RUNG(NAME, UNKNOWN), RUNG(PROXY, WORKS_TCP), RUNG(TLS, TLS_WORKS),
                RUNG(SECURE_OFFER, OFFER_SECURE), RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     OFFERED_INSIDE, 120000, {"proxy-only"}},
    {"rtmps, a foreign server, only the proxy leads out",
     {RTMPS, .proxy = true,
      .rungs = {RUNG(NAME, UNKNOWN), RUNG(PROXY, WORKS_TCP), RUNG(TLS, TLS_WORKS),
                RUNG(SECURE_OFFER, OFFER_CLOSED), RUNG(SECURE_RTMP, RTMPS_WORKS),
                RUNG(SECURE_TUNNEL, OFFER_CLOSED), RUNG(SECURE_SOCKET, OFFER_CLOSED)}},
     SECURE + CV_WAY_CONNECT, "RTMPS through the proxy", 120000 + 160000, {"proxy-only"}},
    {"rtmps, the proxy opens no connections",
     {RTMPS, .proxy = true,
      .rungs = {RUNG(NAME, UNKNOWN), RUNG(PROXY, WORKS_TCP), RUNG(TLS, DENIED(403))}},
     NOTHING, 40000, {"no-connect"}},
    {"rtmps, the proxy is down, which is not needed",
     {RTMPS, .proxy = true,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(PROXY, REFUSED), RUNG(TLS, TLS_WORKS),
                RUNG(SECURE_RTMP, RTMPS_WORKS)}},
     SECURE + CV_WAY_RTMP, "RTMPS", 160000, {"proxy-unneeded"}},
    {"rtmps, the proxy is down, and beside it somebody reads along",
     {RTMPS, .proxy = true,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(PROXY, REFUSED), RUNG(TLS, TLS_CERT(UNTRUSTED))}},
     NOTHING, 80000, {"cert-untrusted"}},
    {"rtmps, 443 is closed, 80 is not looked at",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, REFUSED), RUNG(OFFER, OFFER_TAKEN)}},
     NOTHING, 0, {"port-closed"}},
    {"rtmps, 443 is dropped", {RTMPS, .rungs = {NAME(0), RUNG(TCP, DROPPED)}},
     NOTHING, 4000000, {"port-dropped"}},
    {"rtmps, a filter swallows by name",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_MUTE)}},
     NOTHING, 40000 + 100000 + 40000 + 3000000, {"tls-cut"}},
    {"rtmps, SSH on the port",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_BANNER)}},
     NOTHING, 80000, {"not-tls"}},
    {"rtmps, somebody reads along who is not trusted",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_CERT(UNTRUSTED))}},
     NOTHING, 80000, {"cert-untrusted"}},
    {"rtmps, a captive portal has the port",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_CERT(NAME))}},
     NOTHING, 80000, {"cert-name"}},
    {"rtmps, a certificate that is for nothing",
     {RTMPS, .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(TLS, TLS_CERT(INVALID))}},
     NOTHING, 80000, {"cert-invalid"}},

    {"only RTMP is wanted, which is cut",
     {.via = CV_VIA_RTMP,
      .rungs = {NAME(0), RUNG(TCP, WORKS_TCP), RUNG(RTMP, RTMP_RESET), RUNG(OFFER, OFFER_TAKEN)}},
     NOTHING, 80000, {"cut"}},
};
// clang-format on

static bool is_as_expected(const struct row *row)
{
    struct cv_verdict verdict;
    cv_verdict_make(&verdict, &row->facts);
    bool right = verdict.way + (verdict.secure ? SECURE : 0) == row->way &&
                 strcmp(verdict.name, row->how) == 0 && verdict.soon_us == row->soon_us;
    for (uint32_t i = 0; i < 3; i++) {
        const char *found = i < verdict.finding_count ? verdict.findings[i].name : NULL;
        right &= !found == !row->findings[i] && (!found || strcmp(found, row->findings[i]) == 0);
    }
    if (right)
        return true;
    print_error("%s: %d by %s after %u us, %u attempts:", row->name, verdict.way, verdict.name,
                verdict.soon_us, verdict.attempts);
    for (uint32_t i = 0; i < verdict.finding_count; i++)
        print_error(" %s", verdict.findings[i].name);
    print_error("\n");
    return false;
}

static void every_network_is_named(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        right &= is_as_expected(&rows[i]);
    assert_true(right);
}

static void two_cuts_of_one_age_are_a_period(void **state)
{
    (void)state;
    static const struct {
        uint32_t cuts_ms[3], count, period_ms;
    } cases[] = {{{30000}, 1, 0},
                 {{30000, 29000}, 2, 29000},
                 {{30000, 12000}, 2, 0},
                 {{5000, 30000, 31000}, 3, 30000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_survey_facts facts = rows[0].facts;
        struct cv_verdict verdict;
        memcpy(facts.cuts_ms, cases[i].cuts_ms, sizeof cases[i].cuts_ms);
        facts.cut_count = cases[i].count;
        cv_verdict_make(&verdict, &facts);
        assert_int_equal(verdict.cut_ms, cases[i].period_ms);
        assert_string_equal(verdict.findings[0].name, "cut-later");
    }
}

static void rungs_have_words(void **state)
{
    (void)state;
    char words[300];
    for (int rung = 0; rung < CV_RUNGS; rung++) {
        assert_non_null(cv_rung_id((enum cv_rung)rung));
        assert_in_range(strlen(cv_rung_name((enum cv_rung)rung)), 1, 13);
        for (int end = 0; end < CV_RUNG_ENDS; end++) {
            struct cv_rung_result result = {.end = (enum cv_rung_end)end, .detail = "192.0.2.1"};
            assert_non_null(cv_rung_end_id(result.end));
            cv_rung_words((enum cv_rung)rung, &result, words, sizeof words);
            assert_non_null(strstr(words, "192.0.2.1"));
            assert_null(strstr(words, "(null)"));
        }
    }
    struct cv_rung_result page = {.end = CV_RUNG_HTTP, .status = 407};
    cv_rung_words(CV_RUNG_OFFER, &page, words, sizeof words);
    assert_string_equal(words, "answered by HTTP: 407");
    struct cv_rung_result expired = {.end = CV_RUNG_CERTIFICATE, .detail = "it has expired"};
    cv_rung_words(CV_RUNG_TLS, &expired, words, sizeof words);
    assert_string_equal(words, "not accepted: it has expired");
    struct cv_rung_result taken = {.end = CV_RUNG_WORKS, .upgraded = true, .ours = true};
    cv_rung_words(CV_RUNG_OFFER, &taken, words, 10);
    assert_string_equal(words, "taken: pl");
}

// Whatever rungs have met: there is a verdict, with a finding.
static void any_facts_have_a_verdict(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 5000; round++) {
        struct cv_survey_facts facts = {.proxy = round & 1,
                                        .credentials = round & 2,
                                        .security = (enum cv_security)(round / 4 % 3)};
        for (int i = 0; i < CV_RUNGS; i++) {
            struct cv_rung_result *rung = &facts.rungs[i];
            for (uint32_t k = 0; k < CV_RUNG_STEPS_MAX; k++) {
                random = random * 1664525 + 1013904223;
                rung->steps[k] = (struct cv_rung_step){
                    .after_us = (random >> 9) % 3000000,
                    .report = {.met = (enum cv_met)(random >> 24) % (CV_MET_CERTIFICATE + 1),
                               .ours = random & 2,
                               .taken = random & 4,
                               .status = 200 + (random >> 16) % 400}};
            }
            rung->end = (enum cv_rung_end)((random >> 12) % CV_RUNG_ENDS);
            rung->step_count = (random >> 20) % (CV_RUNG_STEPS_MAX + 1);
            rung->upgraded = random & 8;
            rung->ours = random & 16;
        }
        struct cv_verdict verdict;
        cv_verdict_make(&verdict, &facts);
        assert_in_range(verdict.finding_count, 1, CV_FINDINGS_MAX);
        assert_non_null(verdict.findings[0].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_is_named),
        cmocka_unit_test(two_cuts_of_one_age_are_a_period),
        cmocka_unit_test(rungs_have_words),
        cmocka_unit_test(any_facts_have_a_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
