// A TCP connection: a channel (io/channel.h) on a worker's loop, plain or inside TLS, and who uses
// it. It knows no protocol.
//
// The user is told of bytes, room and the end, and may hand the connection over to another user:
// that is how one port serves several protocols. On the worker that accepted it.
#ifndef CV_SERVER_CONN_H
#define CV_SERVER_CONN_H

#include "base/gather.h"
#include "io/addr.h"
#include "io/channel.h"
#include "io/send_batch.h"
#include "server/config.h"

struct cv_note;
struct cv_worker;

// Any of these may free the connection.
struct cv_conn_user {
    // Bytes from the client, lent for the call; the plaintext, where it speaks TLS.
    void (*bytes)(void *arg, const uint8_t *data, size_t len);
    // The client has closed its side (CV_E_CLOSED), or the network or TLS failed (cv_conn_why).
    // Nothing comes any more; reads are not wanted until somebody wants them, who is told again.
    void (*ended)(void *arg, int code);
    // It can be written again.
    void (*writable)(void *arg);
    // The server stops: frees the connection, unless a NetConnection is to end it.
    void (*stop)(void *arg);
};

struct cv_conn {
    struct cv_worker *worker;
    const struct cv_conn_user *user;
    void *arg;
    struct cv_channel channel;
    bool dialled;        // by us: it is in no list, and counts against no cap of clients
    bool resets;         // its end is an RST
    struct cv_addr peer; // the client, as far as it is known: perhaps by a trusted proxy
    uint64_t id;
    uint64_t opened_us;
    struct cv_conn *prev, *next; // in the worker's list
};

// The caps that protect everybody else: counts a connection, or a session that is like one, in.
// False: it must not be. Each success is taken back by one cv_conn_dismiss. A trusted proxy's own
// address has no cap.
bool cv_conn_admit(struct cv_worker *worker, const struct cv_addr *peer);
void cv_conn_dismiss(struct cv_worker *worker, const struct cv_addr *peer);

// True when what this peer says about its clients' addresses is believed.
bool cv_conn_trusts(const struct cv_worker *worker, const struct cv_addr *peer);
// The client is somebody else than was thought: counted there from now on. False: that address has
// as many connections as it may; nothing has changed.
bool cv_conn_set_peer(struct cv_conn *conn, const struct cv_addr *peer);

// Takes a connection in: `fd` is the connection's, whatever comes of it. Its first user finds out
// what it speaks (server/entry.h). `takes`: what the port takes that it came to.
void cv_conn_open(struct cv_worker *worker, int fd, const struct cv_addr *peer,
                  enum cv_listen_takes takes);
// Another user from now on; its turn begins with these bytes, which may be none.
void cv_conn_hand_over(struct cv_conn *conn, const struct cv_conn_user *user, void *arg,
                       const uint8_t *data, size_t len);
// The client speaks TLS, and these are its first bytes: from now on the user is told what is
// inside, behind the handshake. Nothing is called inside. CV_OK; or CV_E_NOMEM, and it must be
// freed. For workers whose policy has TLS.
int cv_conn_secure(struct cv_conn *conn, const uint8_t *data, size_t len);
// It speaks TLS, perhaps still its handshake.
bool cv_conn_is_secure(const struct cv_conn *conn);
// "TLSv1.3"; NULL while, or when, it is plain or still shakes hands. Static.
const char *cv_conn_tls_version(const struct cv_conn *conn);
// Why TLS failed, for people; its code is CV_OK when it has not. Lent.
const struct cv_why *cv_conn_why(const struct cv_conn *conn);
// Starts a connection of our own to `addr`. It is the user's from the beginning, and nothing is
// wanted but to be told, by `writable`, that cv_conn_dialled has an answer. 0; or what failed at
// once, with *out untouched. Such a connection is not stopped with the worker: its user frees it.
int cv_conn_dial(struct cv_worker *worker, const struct cv_addr *addr,
                 const struct cv_conn_user *user, void *arg, struct cv_conn **out);
// 0 when connected, CV_E_AGAIN while it is under way, otherwise why it failed.
int cv_conn_dialled(const struct cv_conn *conn);
// What the user wants to be told of. At first: bytes.
void cv_conn_want(struct cv_conn *conn, bool reads, bool writes);
// One write: bytes that left (a short count means that the socket is full now), or CV_E_AGAIN, or
// an error that ends it.
int cv_conn_write(struct cv_conn *conn, const struct cv_gather *gather);
// The same as part of a batch (io/send_batch.h), where that can be: TLS writes by itself. The
// result is what cv_conn_joined gives. `owner` and `more`: as there.
bool cv_conn_can_join(const struct cv_conn *conn);
void cv_conn_join(struct cv_conn *conn, const struct cv_gather *gather, struct cv_send_batch *batch,
                  void *owner, bool more);
int cv_conn_joined(struct cv_conn *conn, const struct cv_send *send);
// Brings what a write needs towards the processor, step by step: 0 to 3, each once the one before
// is there. Hints.
void cv_conn_prefetch(const struct cv_conn *conn, unsigned step);
// Acknowledge what has come at once: the client waits for that before it sends the rest (FFmpeg).
void cv_conn_quick_ack(struct cv_conn *conn);
// The user is told of bytes when so many have come, or the end; what is there is for
// cv_channel_read to give. 1: of everything.
void cv_conn_pace(struct cv_conn *conn, int bytes);
// No more bytes to the client; its own still come.
void cv_conn_shutdown(struct cv_conn *conn);
// When it is freed, the peer sees that it was cut, and not a regular end: for what lasts until the
// connection is closed. What has not left by then is lost.
void cv_conn_reset_at_end(struct cv_conn *conn);
// Moves an HTTP connection whose first bytes these are to another worker. 0, and it is freed here;
// or CV_E_NOMEM, and it stays as it is.
int cv_conn_move(struct cv_conn *conn, unsigned thread, const uint8_t *data, size_t len);
// The other end of that.
void cv_conn_on_moved(struct cv_worker *worker, const struct cv_note *note);

// Closes it. The user hears nothing any more; the memory goes with the turn.
void cv_conn_free(struct cv_conn *conn);

// conn=, peer=, and tls= where it is secure: what every line about a connection starts with.
void cv_conn_log_fields(const struct cv_conn *conn, struct cv_line *line);
// The last of them.
void cv_conn_log_tls(const struct cv_conn *conn, struct cv_line *line);

#endif
