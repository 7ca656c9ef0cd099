// The state of a tunnel's client, shared by proto/rtmpt_client*.c. Private to these.
#ifndef CV_PROTO_RTMPT_CLIENT_STATE_H
#define CV_PROTO_RTMPT_CLIENT_STATE_H

#include "base/limits.h"
#include "base/wire.h"
#include "proto/http1.h"
#include "proto/rtmpt_client.h"
#include "proto/rtmpt_path.h"

enum stage {
    OPENING,   // from the beginning to the answer to /open
    RUNNING,   //
    FINISHING, // what was sent is delivered, then /close
    RAW,       // upgraded: nothing of this is needed any more
    OVER,      // the last event is due, or out
    FAILED,
};

// Whether requests may follow each other on a connection without waiting.
enum pipelining { PIPE_UNKNOWN, PIPE_PROBED, PIPE_YES, PIPE_NO };

// Whether the path passes on the pieces of a chunked body as they come.
enum streaming { STREAM_UNKNOWN, STREAM_PROBED, STREAM_YES, STREAM_NO };

// A request without its reply, or with one that was not given out yet.
struct errand {
    enum cv_rtmpt_kind kind;
    uint64_t n;
    enum cv_rtmpt_slot home; // where it belongs
    bool placed;             // it is on the connection of its home; else that was lost
    bool alone;              // no other was there when it was placed
    struct cv_block *body;   // NULL: one byte 0
    size_t len;              // head and body
    size_t written;
    uint32_t losses;
    uint64_t written_us;
    uint32_t window_ms; // an idle: the chunked reply that it asks for; 0: none

    // a send whose body goes up in pieces, as it comes; all of it is kept in `body`
    bool chunked;
    bool growing; // more may follow: it is the newest one of its connection
    struct cv_block
        *piece; // chunked: the newest chunk, and the last one behind it when that is due
    uint64_t begun_us;
    uint64_t spread;   // bytes of the body, times when they came in us from its beginning
    uint64_t lead_us;  // how long before its end they came, on the average
    uint32_t early_ms; // the same, as the server saw it
    bool early_told;   //

    // the reply
    bool polled;            // its first byte has come
    uint64_t polled_us;     // when
    bool bye;               // and was 0: the server ends the session
    bool answered;          // it is complete
    uint64_t seen;          // bytes behind the first one
    uint64_t given;         // how many of these were given out, or are in `early`; survives a loss
    struct cv_block *early; // came before its turn
};

struct slot {
    bool open;
    bool ended;   // the connection has gone; what came on it is still to be read
    bool spent;   // no request may follow, no reply is awaited: to be closed
    bool stays;   // the head of the reply that is being read says so
    int end_code; // CV_OK: an orderly end
    struct cv_http1 *http;
    uint32_t asked;     // requests that were placed on this connection
    uint32_t replies;   // that came on it
    uint32_t failures;  // to connect, in a row
    uint64_t retry_us;  // not before
    uint64_t active_us; // something was asked, or written, or came
};

// What is known of the answer to /open.
struct answer {
    uint32_t status;
    bool ours;
    bool page; // no tunnel's: its first bytes are collected
    bool html;
    bool elsewhere;
    struct cv_text location;
    struct cv_text realm;
    char first[CV_TUNNEL_ANSWER_BYTES];
    size_t len;
};

struct cv_rtmpt_client {
    struct cv_block *host;   // text
    struct cv_block *prefix; // of targets: empty, or http://host
    struct cv_block *fields; // header lines of each request
    bool offer;
    bool first;
    uint32_t stream_after;
    bool alone;
    uint32_t depth_max;
    uint64_t coalesce_us; // 0: adaptive
    enum cv_rtmpt_client_mode mode;
    enum stage stage;
    struct cv_why why;
    char id[CV_LIMIT_TUNNEL_ID_BYTES + 1];

    // what waits to be sent
    struct cv_block *pending;
    bool urgent;
    bool offered;        // /open carries `pending`: nothing may be added
    uint64_t pending_us; // its first byte came

    // requests, in the order of their numbers; without a reply, or with one that waits
    struct errand errands[CV_LIMIT_TUNNEL_FLIGHT];
    uint32_t count;
    uint64_t next_n;
    size_t flight_bytes; // of their bodies
    uint64_t finish_us;  // FINISHING ends
    bool begun;          // a request of the session was answered
    bool eager;          // /open carried more than a handshake, and that was taken
    bool closing;        // /close is under way

    // how requests are paced
    bool two;        // idles have their own connection
    bool was_two;    // and had it already
    bool single;     // one request per connection
    uint32_t shorts; // connections in a row that ended after one reply
    enum pipelining pipe;
    uint32_t probes; // without their replies
    uint32_t depth;
    uint64_t reply_us;   // smoothed
    uint64_t base_us;    // of a request that was alone, or the least
    uint64_t request_us; // one was made
    bool idled;          // that was an idle
    uint64_t idle_us;    // an idle was made
    uint64_t gap_us;     // to the next one
    uint32_t floods;     // idles in a row that brought something
    uint32_t window_ms;  // what the next one asks for while media flows; 0: no chunked reply
    uint32_t clumps;     // chunked replies in a row that came all at once, at their end
    enum streaming stream;
    uint32_t stream_ms;     // how long the next chunked body stays open
    uint32_t stream_clumps; // those in a row that reached the server all at once
    bool http11;            // its last reply said so
    bool told;              // an event was given out: the owner may have something to say to it

    // reading
    struct slot slots[CV_RTMPT_SLOTS];
    bool fed; // bytes, or an end, are to be read from `reading`
    enum cv_rtmpt_slot reading;
    struct cv_rd rest;     // of the answer to /open, behind the id
    struct cv_block *lent; // bytes of the last event
    size_t early_bytes;
    struct answer answer;
    struct cv_rtmpt_client_event last; // OVER: to be told
    bool last_told;

    uint64_t now_us;
    struct cv_rtmpt_client_stats stats;
};

// What a step did.
enum { MORE_BYTES = 0, EVENT = 1, GO_ON = 2 };

bool cv__tunnel_serving(const struct cv_rtmpt_client *t); // RUNNING or FINISHING
// Returns the code of the first failure.
int cv__tunnel_fail(struct cv_rtmpt_client *t, int code, const char *text);
// The session is over. GO_ON.
int cv__tunnel_over(struct cv_rtmpt_client *t, uint32_t status);

// ---- requests: rtmpt_client_request.c

// A connection that takes requests.
bool cv__tunnel_usable(const struct slot *slot);
// Makes the requests that can be made now.
void cv__tunnel_plan(struct cv_rtmpt_client *t);
// When plan would make one, if no reply comes before; UINT64_MAX: never.
uint64_t cv__tunnel_plan_us(const struct cv_rtmpt_client *t);
// How many requests of this connection are without their replies.
uint32_t cv__tunnel_awaited(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot);
// Whether a request waits for a connection of this slot.
bool cv__tunnel_stranded(const struct cv_rtmpt_client *t, enum cv_rtmpt_slot slot);
// The connection on which idles go.
enum cv_rtmpt_slot cv__tunnel_idle_home(const struct cv_rtmpt_client *t);
// Adds one like this: kind, home and body; its references are taken.
void cv__tunnel_make(struct cv_rtmpt_client *t, const struct errand *like);
// Head and body as they are to be written now.
void cv__tunnel_set_len(struct cv_rtmpt_client *t, struct errand *errand);
// Something waits that could be sent.
bool cv__tunnel_may_send(const struct cv_rtmpt_client *t);
// Removes the first one.
void cv__tunnel_pop(struct cv_rtmpt_client *t);
void cv__tunnel_drop_pending(struct cv_rtmpt_client *t);

// ---- heads: rtmpt_client_head.c

// Host, prefix and fields, from the configuration. 0, CV_E_NOMEM, or CV_E_USAGE.
int cv__tunnel_prepare(struct cv_rtmpt_client *t, const struct cv_rtmpt_client_config *config);
// Writes the head, and returns how long it is; 0: it is too long.
size_t cv__tunnel_head(const struct cv_rtmpt_client *t, const struct errand *errand,
                       char out[CV_LIMIT_TUNNEL_HEAD_BYTES]);
size_t cv__tunnel_body_len(const struct errand *errand);

// ---- sends whose bodies stay open: rtmpt_client_stream.c

// The one that may still grow; NULL: none. Nothing may follow it on its connection.
const struct errand *cv__tunnel_growing(const struct cv_rtmpt_client *t);
// Begins one with what waits, adds that to the one that is open, or ends it.
void cv__tunnel_plan_stream(struct cv_rtmpt_client *t);
uint64_t cv__tunnel_stream_us(const struct cv_rtmpt_client *t);
// It is to be sent again, as a whole.
void cv__tunnel_unchunk(struct cv_rtmpt_client *t, struct errand *errand);
// Its reply is complete.
void cv__tunnel_judge_stream(struct cv_rtmpt_client *t, const struct errand *errand);

// ---- the answer to /open: rtmpt_client_open.c

// One event of HTTP, while OPENING: MORE_BYTES is never returned.
int cv__tunnel_read_open(struct cv_rtmpt_client *t, const struct cv_http1_event *event,
                         struct cv_rtmpt_client_event *out);
// The connection has ended while OPENING.
int cv__tunnel_open_lost(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out);

// ---- replies: rtmpt_client_reply.c

int cv__tunnel_step(struct cv_rtmpt_client *t, struct cv_rtmpt_client_event *out);

#endif
