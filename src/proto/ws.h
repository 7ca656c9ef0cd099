// WebSocket frames (RFC 6455, sections 5 to 7), both roles, on libwslay. The HTTP part comes before
// (proto/ws_handshake.h).
//
// Data comes out in pieces as it arrives: nothing is collected, whatever lengths a peer announces.
// What goes out is a stream of bytes of another engine, which this one packs into binary messages
// without copying them: its vectors are lent by reference, headers are put between (a server does
// not mask). Small messages and everything a client sends (masked) are copied.
// Pings are answered, a close is answered, a violation becomes a close frame with its code.
//
// No I/O, no clock. One thread at a time.
#ifndef CV_PROTO_WS_H
#define CV_PROTO_WS_H

#include "base/crypto.h"
#include "base/err.h"
#include "base/gather.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

// Close codes (section 7.4.1).
enum cv_ws_code {
    CV_WS_NORMAL = 1000,
    CV_WS_GOING_AWAY = 1001,
    CV_WS_PROTOCOL_ERROR = 1002,
    CV_WS_UNSUPPORTED = 1003, // a kind of data that is not for us
    CV_WS_NO_CODE = 1005,     // never on the wire: the peer's close said none
    CV_WS_NO_UTF8 = 1007,
    CV_WS_POLICY = 1008,
    CV_WS_TOO_BIG = 1009,
    CV_WS_INTERNAL = 1011,
    CV_WS_TRY_LATER = 1013,
};

enum { CV_WS_CONTROL_MAX = 125 }; // payload of a control frame

struct cv_ws_config {
    bool client;                    // else server
    const struct cv_crypto *crypto; // client: for masks; borrowed for the engine's life
    uint64_t message_bytes_max;     // longer messages end the connection with 1009; 0: no cap
};

enum cv_ws_event_type {
    CV_WS_DATA,  // text, last, data, len
    CV_WS_PONG,  // data, len
    CV_WS_CLOSE, // code, data and len: the reason. Nothing comes after it
};

// Lent until the next call of next, feed or free.
struct cv_ws_event {
    enum cv_ws_event_type type;
    bool text;           // a text message, valid UTF-8 so far; else a binary one
    bool last;           // the message ends with this piece
    uint16_t code;       // enum cv_ws_code, or another
    const uint8_t *data; // len is 0 only in the last piece, or when there is no payload
    size_t len;
};

struct cv_ws;

// NULL: no memory.
struct cv_ws *cv_ws_new(const struct cv_ws_config *config);
// NULL is allowed.
void cv_ws_free(struct cv_ws *ws);

// Lends bytes, which must stay valid until next has returned 0 or less; no feed before that.
void cv_ws_feed(struct cv_ws *ws, const void *data, size_t len);
// 1 and the next event; 0 when the bytes are used up (after a CLOSE they are ignored); negative
// when the connection has failed for good: CV_E_WEBSOCKET, CV_E_TOO_LONG, or the code of the random
// function. The close frame that tells the peer then waits to be pulled.
int cv_ws_next(struct cv_ws *ws, struct cv_ws_event *out);
// The first failure; code CV_OK while there is none.
const struct cv_why *cv_ws_why(const struct cv_ws *ws);

// Output, around the pull of the inner engine whose bytes this one carries:
//
//     if (cv_ws_pull_begin(ws, gather))
//         inner_pull(inner, gather);
//     cv_ws_pull_end(ws, gather);
//     ... write the gather; n bytes have left ...
//     inner_sent(inner, cv_ws_sent(ws, n));
//
// Each turn makes at most one binary message of what the inner engine lends. Bytes that it has once
// lent it must lend again, first, until they are sent: a frame that has begun to leave has told its
// length. A client's bytes are to be masked and so cannot be lent: it uses cv_ws_send.
// What is lent is valid until the next call of next, sent, send, ping, close or free.
bool cv_ws_pull_begin(struct cv_ws *ws, struct cv_gather *gather);
void cv_ws_pull_end(struct cv_ws *ws, struct cv_gather *gather);
// `len` bytes of what was pulled last have left. Returns how many of them are the inner engine's.
size_t cv_ws_sent(struct cv_ws *ws, size_t len);

// Queues a whole message, copied. 0, CV_E_QUEUE_FULL (CV_LIMIT_OUT_BYTES wait), CV_E_NOMEM or the
// code of the random function. After a close it is dropped.
int cv_ws_send(struct cv_ws *ws, bool text, const void *data, size_t len);
// Queues a ping. One at a time: while it waits to be sent, others are left out.
void cv_ws_ping(struct cv_ws *ws);
// Queues a close frame, which is the last thing that is sent (only the first call counts). The
// reason (may be NULL) is cut at 123 bytes; it is UTF-8.
void cv_ws_close(struct cv_ws *ws, enum cv_ws_code code, const char *reason);

// Nothing of its own waits to be sent, and no frame is half sent.
bool cv_ws_out_empty(const struct cv_ws *ws);
// Our close frame has left and the peer's has come, or never will: the connection can be closed.
bool cv_ws_done(const struct cv_ws *ws);

#endif
