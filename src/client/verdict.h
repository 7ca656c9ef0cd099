// What `culvert check` makes of what it has met: the rungs of the ladder, each tried by itself, and
// the verdict: which way a stream would take and how soon, what is in the way, and what to ask the
// network's administrator for.
//
// Pure: facts in, words out. Which way wins is not guessed: the ladder itself (client/ladder.h)
// lives through the facts in virtual time.
#ifndef CV_CLIENT_VERDICT_H
#define CV_CLIENT_VERDICT_H

#include "base/limits.h"
#include "client/ladder.h"
#include "client/target.h"

#include <stddef.h>

// In the order in which they are tried. Those from OFFER on go through the proxy, if one is set.
// Those from TLS on lead to the port for TLS, by the CONNECT of a proxy that is up; of one that is
// down only TLS and SECURE_RTMP are left, which then go beside it. Where nothing but TLS is
// allowed, TCP leads to its port, too, and nothing is said in plain text.
enum cv_rung {
    CV_RUNG_NAME,     // the host's name is looked up
    CV_RUNG_TCP,      // a connection to its port; IPv4 where it has both
    CV_RUNG_TCP_IPV6, // the same over IPv6, where it has both
    CV_RUNG_1935,     // RTMP's own port, up to the end of the handshake
    CV_RUNG_RTMP,     // and from here on: up to the answer to connect
    CV_RUNG_PROXY,    // a connection to the proxy
    CV_RUNG_OFFER,
    CV_RUNG_TUNNEL,
    CV_RUNG_SOCKET,
    CV_RUNG_CONNECT,
    CV_RUNG_TLS, // a connection and its handshake, up to the certificate
    CV_RUNG_SECURE_OFFER,
    CV_RUNG_SECURE_RTMP,
    CV_RUNG_SECURE_TUNNEL,
    CV_RUNG_SECURE_SOCKET,
    CV_RUNGS,
};

// How it went.
enum cv_rung_end {
    CV_RUNG_SKIPPED, // not tried: it could not be, or would have said nothing new
    CV_RUNG_WORKS,
    CV_RUNG_UNKNOWN_HOST,
    CV_RUNG_UNREACHABLE,
    CV_RUNG_REFUSED,
    CV_RUNG_SILENT, // no answer to SYN
    CV_RUNG_MUTE,   // a connection, and nothing on it
    CV_RUNG_RESET,
    CV_RUNG_CLOSED,
    CV_RUNG_HTTP, // an HTTP answer that leads nowhere
    CV_RUNG_NOT_RTMP,
    CV_RUNG_LOST,        // cut behind the handshake
    CV_RUNG_STALLED,     // a session or a handshake, and then nothing
    CV_RUNG_NOT_TLS,     // the port speaks something else, or refuses TLS
    CV_RUNG_CERTIFICATE, // it is not accepted
    CV_RUNG_ENDS,
};

enum {
    CV_RUNG_STEPS_MAX = 6,
    CV_RUNG_DETAIL_BYTES = 200,
    CV_SURVEY_CUTS_MAX = 8,
    CV_FINDINGS_MAX = 8,
};

// What was met, so long after the step before.
struct cv_rung_step {
    uint32_t after_us;
    struct cv_met_report report;
};

struct cv_rung_result {
    enum cv_rung_end end;
    uint32_t total_us; // from its beginning to its end
    uint32_t rtt_us;
    uint32_t status; // HTTP
    bool elsewhere;  // HTTP: a portal's
    bool upgraded;   // an offer: 101
    bool ours;       // it is a server of ours
    bool refused;    // the server is reached, and says no to the app
    struct cv_rung_step steps[CV_RUNG_STEPS_MAX];
    uint32_t step_count;
    // Addresses, a portal's address, what the server said, what is wrong with a certificate.
    char detail[CV_RUNG_DETAIL_BYTES];
};

struct cv_survey_facts {
    struct cv_rung_result rungs[CV_RUNGS];
    uint16_t port; // of the URL
    enum cv_via via;
    enum cv_security security;
    bool proxy; // is set
    bool credentials;
    uint32_t held_ms;                     // a connection was held so long in all; 0: it was not
    uint32_t cuts_ms[CV_SURVEY_CUTS_MAX]; // the ages at which it was cut
    uint32_t cut_count;
};

// What is in the way, or would be in the way of others. All texts are static.
struct cv_finding {
    const char *name;   // for machines: "filter-resets"
    const char *text;   // a sentence
    const char *advice; // what to ask for, or to do; NULL: nothing
};

struct cv_verdict {
    enum cv_way way;  // which a stream would take; NONE: none
    bool secure;      // inside TLS
    const char *name; // of it as it would travel: "RTMP behind an HTTP offer"
    uint32_t soon_us; // after its start
    uint32_t attempts;
    struct cv_finding findings[CV_FINDINGS_MAX]; // the most important first: the obstacle
    uint32_t finding_count;                      // at least 1: it may be "open"
    uint32_t cut_ms;                             // connections are cut at this age; 0: not known
};

void cv_verdict_make(struct cv_verdict *out, const struct cv_survey_facts *facts);

// What an end that an attempt has met is for a rung.
enum cv_rung_end cv_rung_end_of(enum cv_met met);
// "RTMPT", and "rtmpt" for machines. Static.
const char *cv_rung_name(enum cv_rung rung);
const char *cv_rung_id(enum cv_rung rung);
// "reset". Static.
const char *cv_rung_end_id(enum cv_rung_end end);
// What the network did, in words: "cut as soon as it spoke RTMP". At most size - 1 characters.
void cv_rung_words(enum cv_rung rung, const struct cv_rung_result *result, char *out, size_t size);

#endif
