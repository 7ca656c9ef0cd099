// A tunnel, the client's end: a stream of bytes over HTTP requests, on one or two connections that
// the owner opens, reads and writes.
//
// It begins with `POST /open/1` on the first connection. With the offer ("Upgrade: rtmp", and the
// first bytes of RTMP in its body) a server of ours answers 101, and the connection is plain RTMP
// from there on (UPGRADED); or 200 with a session's id (OPENED), as any server of RTMPT does. Then
// bytes go up in the bodies of POST /send/ID/n and come down in the replies, in the order of n.
//
// What makes it quick: a request is one segment; what is urgent leaves at once, media waits 20 to
// 50 ms for more of it; sends follow each other without waiting where the path has proved that it
// allows that (a server of ours on a connection that stays, or two small requests back-to-back that
// were both answered), so that publishing does not slow down with the round trip; while the server
// is to speak, an idle is parked on a connection of its own. Idles of servers that are not ours
// share the first connection: such servers may not look at n. A publisher's sends stay open for a
// while and grow, where the replies of a server of ours show that the path passes on such bodies.
//
// What makes it last: connections that close after each reply, HTTP/1.0, chunked replies. Requests
// whose connection was lost are sent again, once, in order, with the same numbers and bytes; a
// server that keeps its last replies (ours does) has then served each of them exactly once.
//
// The owner's loop, for each of the two slots, after anything has happened:
//
//   while ((more = cv_rtmpt_client_next(t, &event)) > 0)  act; feed event.data to the RTMP engine
//   while (cv_rtmpt_client_room(t) && RTMP has output)    pull RTMP; cv_rtmpt_client_send; RTMP
//   sent switch (cv_rtmpt_client_want(t, slot))                CONNECT: begin, if it is not done
//   already cv_rtmpt_client_pull(t, slot, gather); write; cv_rtmpt_client_sent(t, slot, bytes, now)
//   start the timer for cv_rtmpt_client_deadline_us
//
// No I/O and no clock. One thread at a time. There is no specification of RTMPT.
#ifndef CV_PROTO_RTMPT_CLIENT_H
#define CV_PROTO_RTMPT_CLIENT_H

#include "base/err.h"
#include "base/gather.h"
#include "base/text.h"

// The texts are copied.
struct cv_rtmpt_client_config {
    struct cv_text host;       // host[:port], as it stands in a URL
    struct cv_text user_agent; // empty: none
    bool proxy;                // requests go to an HTTP proxy: their targets are absolute
    struct cv_text proxy_user; // for it, decoded; empty: no credentials
    struct cv_text proxy_password;
    bool offer; // offer to become RTMP
    bool first; // without an offer, too, /open carries what is sent before it: for servers
                // that are known to take that
    bool alone; // never a second connection
    uint32_t stream_after; // sends before the first that stays open; 0: CV_TUNNEL_STREAM_AFTER
    uint32_t depth;        // sends without their replies; 0: CV_TUNNEL_DEPTH; 1: never pipelines
    uint32_t coalesce_ms;  // media waits so long; 0: CV_TUNNEL_COALESCE_MIN_MS to _MAX_MS, by the
                           // measured reply time
};

enum cv_rtmpt_client_mode {
    CV_RTMPT_CLIENT_SETUP,   // answers to commands are awaited
    CV_RTMPT_CLIENT_QUIET,   // nothing is awaited: no idle that would hold up what is sent next
    CV_RTMPT_CLIENT_PUBLISH, // no idles but for silence: replies to sends carry what the server
                             // says
    CV_RTMPT_CLIENT_PLAY,
};

enum cv_rtmpt_slot {
    CV_RTMPT_UP,   // /open, sends; idles, when it is alone
    CV_RTMPT_DOWN, // idles
    CV_RTMPT_SLOTS,
};

// What the owner should do with the connection of a slot.
enum cv_rtmpt_want {
    CV_RTMPT_WANT_NOTHING, // leave it as it is
    CV_RTMPT_WANT_CONNECT, // a connection is wanted: cv_rtmpt_client_connected, or _closed
    CV_RTMPT_WANT_CLOSE,   // it is of no more use: close it and tell, by cv_rtmpt_client_closed
};

enum cv_rtmpt_client_event_type {
    CV_RTMPT_CLIENT_UPGRADED, // 101: what was sent in /open counts; the connection of UP is RTMP,
                              // and the owner's. data: its first bytes. The engine is not needed
                              // any more
    CV_RTMPT_CLIENT_OPENED,   // a session: ours, status 200, taken
    CV_RTMPT_CLIENT_ANSWER,   // /open was answered otherwise; the last event. status, elsewhere,
                              // html, location, realm, and data: the first bytes of the body
    CV_RTMPT_CLIENT_BYTES,    // data: the next bytes of the server
    CV_RTMPT_CLIENT_ENDED, // the last event: the session is over, by either side (status 200), or
                           // the server does not know it any more (404)
};

// data, location and realm are lent until the next call of next, feed, closed or free.
struct cv_rtmpt_client_event {
    enum cv_rtmpt_client_event_type type;
    bool ours; // the answer shows our header
    uint32_t status;
    bool taken;     // what /open carried has been taken: the server's answer to it follows
    bool elsewhere; // Location is on another host
    bool html;      // the body is a page
    struct cv_text location;
    struct cv_text realm; // 407, 401: what is asked for, as "Basic realm=..."; empty: not said
    const uint8_t *data;
    size_t len;
};

struct cv_rtmpt_client_stats {
    uint64_t sends;
    uint64_t streams; // of them: bodies that stayed open
    uint64_t idles;
    uint64_t replays;     // requests that were sent again
    uint64_t connections; // that were made, of both slots
    uint64_t reply_us;    // of sends, smoothed; 0: not known yet
    uint32_t depth;       // sends that may be without their replies now
};

struct cv_rtmpt_client;

// NULL: no memory. A text that cannot stand in a head makes next fail with CV_E_USAGE.
struct cv_rtmpt_client *cv_rtmpt_client_new(const struct cv_rtmpt_client_config *config,
                                            uint64_t now_us);
void cv_rtmpt_client_free(struct cv_rtmpt_client *client);
void cv_rtmpt_client_set_mode(struct cv_rtmpt_client *client, enum cv_rtmpt_client_mode mode,
                              uint64_t now_us);

// ---- what goes up -----------------------------------------------------------------------------

// How many bytes it takes now. Less than there is to send: the server, or the path, is slower.
size_t cv_rtmpt_client_room(const struct cv_rtmpt_client *client);
// Takes a copy of as much of the gather as there is room for, and returns how much that was. What
// is sent before UP is connected goes into /open, when there is an offer. urgent: not media. Lack
// of memory is told by next.
size_t cv_rtmpt_client_send(struct cv_rtmpt_client *client, const struct cv_gather *gather,
                            bool urgent, uint64_t now_us);
// Right at an OPENED that is not taken: forgets what was sent so far, which would go up with the
// first /send. For an owner who begins anew with another first flight: the bytes of C2 and what
// follows it must not reach a server before its S1, unless it is known to take that.
void cv_rtmpt_client_drop_first(struct cv_rtmpt_client *client);
// The last call of its kind: what was sent is delivered, then /close, then ENDED.
void cv_rtmpt_client_finish(struct cv_rtmpt_client *client, uint64_t now_us);

// ---- connections ------------------------------------------------------------------------------

enum cv_rtmpt_want cv_rtmpt_client_want(const struct cv_rtmpt_client *client,
                                        enum cv_rtmpt_slot slot);
void cv_rtmpt_client_connected(struct cv_rtmpt_client *client, enum cv_rtmpt_slot slot,
                               uint64_t now_us);
// The connection has ended, or could not be made. code: CV_OK or CV_E_CLOSED for an orderly end,
// which may be the end of a reply, too; other codes are those of the failure. Followed by next.
void cv_rtmpt_client_closed(struct cv_rtmpt_client *client, enum cv_rtmpt_slot slot, int code,
                            uint64_t now_us);
// Lends bytes that came. They must stay valid until next has returned 0 or less, and neither feed
// nor closed must be called before that.
void cv_rtmpt_client_feed(struct cv_rtmpt_client *client, enum cv_rtmpt_slot slot, const void *data,
                          size_t len, uint64_t now_us);
// False: do not read from this connection for now. Replies that came before their turn are kept.
bool cv_rtmpt_client_reads(const struct cv_rtmpt_client *client, enum cv_rtmpt_slot slot);
// Lends what is to be written to this connection; then tells how much of it has really left. What
// is lent is valid until the next call of sent, next or free.
void cv_rtmpt_client_pull(const struct cv_rtmpt_client *client, enum cv_rtmpt_slot slot,
                          struct cv_gather *gather);
void cv_rtmpt_client_sent(struct cv_rtmpt_client *client, enum cv_rtmpt_slot slot, size_t len,
                          uint64_t now_us);

// ---- what comes of it -------------------------------------------------------------------------

// 1 and the next event; 0: none; negative: failed for good. A failure before OPENED leaves it open
// whether the server has seen the request. Behind events no idle is made before the owner could say
// something to them: it is by the next call, or by tick, which is due.
int cv_rtmpt_client_next(struct cv_rtmpt_client *client, struct cv_rtmpt_client_event *out);
// The first failure; code CV_OK while there is none.
const struct cv_why *cv_rtmpt_client_why(const struct cv_rtmpt_client *client);
// The last event is out, or it has failed: it can be freed.
bool cv_rtmpt_client_over(const struct cv_rtmpt_client *client);
struct cv_rtmpt_client_stats cv_rtmpt_client_stats(const struct cv_rtmpt_client *client);

// When tick must be called next; UINT64_MAX: never.
uint64_t cv_rtmpt_client_deadline_us(const struct cv_rtmpt_client *client);
// Time has passed. Followed by next.
void cv_rtmpt_client_tick(struct cv_rtmpt_client *client, uint64_t now_us);

#endif
