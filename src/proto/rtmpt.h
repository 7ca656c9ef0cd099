// A tunnel session, the server's end: HTTP requests on one side, an RTMP engine on the other.
//
// Requests come in any order, on any connections; their bodies are put into order here and given
// out as the client's byte stream (BYTES). Replies carry what the RTMP engine wants to send, in
// whole messages, and are made in the order of the requests' numbers: so the server's byte stream
// is right, whichever connection carries which part of it.
//
// A connection is an opaque ticket of the owner's, who answers the requests of one ticket in the
// order in which they came, one reply for each: replies that nobody reads are a counter here, not
// bytes (librtmp publishes without ever reading). The owner's loop, after anything has happened:
//
//   while ((more = cv_rtmpt_next(t, &event)) > 0)     feed event.data to the RTMP engine, and act
//   while (cv_rtmpt_due(t, now, &ticket) == NOW and that connection can take a reply)
//       cv_rtmpt_reply(t, now, &reply)                write head, poll byte, parcel: one write
//   cv_rtmpt_sent(t, ticket)                          when all of it has left
//
// What the owner decides: routing, the reply to /open ("ID\n"; nothing exists before the first
// request with a fresh id, which has number 0 or 1), 404 for /fcs/ident2 and unknown ids, 200 and
// one byte 0 for any /close of an unknown id, the heads ("HTTP/1.1 200 OK", "Content-Length: n" in
// exactly this spelling), and the offer "Upgrade: rtmp" on /open: where it is taken, the answer is
// 101 and this engine is not needed.
//
// No I/O and no clock. One thread at a time. There is no specification of RTMPT.
#ifndef CV_PROTO_RTMPT_H
#define CV_PROTO_RTMPT_H

#include "proto/parcel.h"
#include "proto/rtmp.h"
#include "proto/rtmpt_path.h"

struct cv_rtmpt_config {
    struct cv_rtmp *rtmp; // borrowed: must outlive the session
    uint32_t hold_ms;     // how long an idle is held; 0: CV_TUNNEL_HOLD_MS
    uint32_t window_ms;   // how long a chunked reply lasts; 0: none. Only for clients that can
};

// What the session is used for, which decides when an idle is held.
enum cv_rtmpt_mode {
    CV_RTMPT_SETUP,   // commands come and go: an idle is held CV_TUNNEL_SETUP_HOLD_MS
    CV_RTMPT_PLAY,    // held
    CV_RTMPT_FLOW,    // held; media flows and no command is unanswered: chunked replies may begin
    CV_RTMPT_PUBLISH, // never held; each reply carries a message: an Acknowledgement if need be
};

enum cv_rtmpt_event_type {
    CV_RTMPT_BYTES, // data, len: the next bytes of the client; lent until the next call
    CV_RTMPT_ENDED, // /close came: what is owed is still answered, no more bytes will come
};

struct cv_rtmpt_event {
    enum cv_rtmpt_event_type type;
    const uint8_t *data;
    size_t len;
};

enum cv_rtmpt_due {
    CV_RTMPT_NONE, // nothing to answer now
    CV_RTMPT_HELD, // as soon as the RTMP engine has something to send: fill it, then ask again
    CV_RTMPT_NOW,
};

enum cv_rtmpt_form {
    CV_RTMPT_WHOLE,       // a reply with Content-Length
    CV_RTMPT_CHUNK_FIRST, // the head of a chunked reply and its first chunk
    CV_RTMPT_CHUNK,       // one more chunk
    CV_RTMPT_CHUNK_LAST,  // one more chunk, if `bytes` is not 0, and the end
};

struct cv_rtmpt_reply {
    uint64_t ticket;
    enum cv_rtmpt_form form;
    int status;               // 200, or 404: no body, and the connection is to be closed behind it
    bool has_poll;            // the body begins with the byte `poll`
    uint8_t poll;             //
    size_t bytes;             // of the body or chunk, the poll byte included
    struct cv_parcel *parcel; // the rest of the body; NULL: none. The caller's reference
};

struct cv_rtmpt;

// NULL: no memory.
struct cv_rtmpt *cv_rtmpt_new(const struct cv_rtmpt_config *config, uint64_t now_us);
void cv_rtmpt_free(struct cv_rtmpt *tunnel);
void cv_rtmpt_set_mode(struct cv_rtmpt *tunnel, enum cv_rtmpt_mode mode);
// Another length for the chunked replies that begin from now on; 0: none does. kept: the client may
// ask again for one that was cut off, and gets all of it as a whole reply; else a cut ends the
// session.
void cv_rtmpt_set_window(struct cv_rtmpt *tunnel, uint32_t window_ms, bool kept);

// A request begins: send, idle or close. Its body follows in pieces of any size, then its end;
// meanwhile no other request begins with this ticket. 0, or the code of the failure: the session is
// over, and this request belongs to the owner (404).
int cv_rtmpt_request(struct cv_rtmpt *tunnel, uint64_t ticket, const struct cv_rtmpt_target *target,
                     uint64_t now_us);
// The bytes must stay valid until next has returned 0 or less, and none of these four functions may
// be called before that.
void cv_rtmpt_body(struct cv_rtmpt *tunnel, uint64_t ticket, const void *data, size_t len,
                   uint64_t now_us);
void cv_rtmpt_end(struct cv_rtmpt *tunnel, uint64_t ticket, uint64_t now_us);
// The connection is gone; its ticket may be used again for another one. An unfinished request may
// be sent again by the client, as may the last CV_LIMIT_TUNNEL_KEPT + 1: they get the replies that
// they got, in the order in which they come again.
void cv_rtmpt_gone(struct cv_rtmpt *tunnel, uint64_t ticket, uint64_t now_us);

// 1 and the next event; 0 when there is none; negative when the session has failed for good: then
// each connection that waits for an answer gets one 404 by way of due and reply.
int cv_rtmpt_next(struct cv_rtmpt *tunnel, struct cv_rtmpt_event *out);
// The first failure; code CV_OK while there is none.
const struct cv_why *cv_rtmpt_why(const struct cv_rtmpt *tunnel);

// Whether a reply can be made now, and for which connection (*ticket is set unless NONE). One
// connection at a time: while a reply to one has not left (sent), no other is due.
enum cv_rtmpt_due cv_rtmpt_due(const struct cv_rtmpt *tunnel, uint64_t now_us, uint64_t *ticket);
// Makes the reply, or the next part of a chunked one. Only when due says NOW. Takes from the RTMP
// engine up to CV_TUNNEL_REPLY_BYTES, or one longer message.
void cv_rtmpt_reply(struct cv_rtmpt *tunnel, uint64_t now_us, struct cv_rtmpt_reply *out);
// All that was made for this connection has been handed to the network.
void cv_rtmpt_sent(struct cv_rtmpt *tunnel, uint64_t ticket);
// Something else waits behind the reply that is owed, on the same connection: an idle that is held
// is answered now.
void cv_rtmpt_hurry(struct cv_rtmpt *tunnel);

// The server ends the session: no idle is held any more, and the reply that empties the RTMP
// engine says so by its poll byte 0.
void cv_rtmpt_finish(struct cv_rtmpt *tunnel);
// The owner's reason to end it at once, by 404: the RTMP engine has failed, or its user did.
void cv_rtmpt_fail(struct cv_rtmpt *tunnel, int code, const char *text);
// Ended or failed, and nobody waits for an answer, or for the rest of one: it can be freed.
bool cv_rtmpt_over(const struct cv_rtmpt *tunnel);

// When tick or due must be called next; UINT64_MAX: never.
uint64_t cv_rtmpt_deadline_us(const struct cv_rtmpt *tunnel);
// Time has passed: a gap that nobody filled, or silence, may end the session.
void cv_rtmpt_tick(struct cv_rtmpt *tunnel, uint64_t now_us);

#endif
