// A channel: a TCP connection on a loop, as bytes in and bytes out, plain or inside TLS. It tells
// its user, and knows no protocol above.
//
// Every function is for the loop's thread.
#ifndef CV_IO_CHANNEL_H
#define CV_IO_CHANNEL_H

#include "base/gather.h"
#include "io/loop.h"
#include "io/tls.h"
#include "io/watch.h"

// What the channels of one loop share. Its owner frees it behind the last one.
struct cv_channel_room {
    struct cv_loop *loop;
    struct cv_tls_room *tls; // NULL: no TLS here
    uint8_t *read_buffer;
    size_t read_bytes;
};

// A static table. Any of these may close the channel, or give it another user.
struct cv_channel_user {
    void (*bytes)(void *arg, const uint8_t *data, size_t len); // lent for the call
    void (*room)(void *arg);    // it was asked for writes, and takes some
    void (*secured)(void *arg); // the TLS handshake is done. May be NULL
    // The peer has closed its side (CV_E_CLOSED; what it may be sent, it is still), or it failed,
    // also in the handshake: then cv_channel_why has the words. Reads are not wanted any more; who
    // wants them again is told again.
    void (*ended)(void *arg, int code);
};

struct cv_channel_tls;

// Embedded in its owner, zeroed at first; the members are for cv_channel_* alone, but these may be
// read: fd (-1 when it is closed), reads and writes.
struct cv_channel {
    struct cv_channel_room *room;
    const struct cv_channel_user *user;
    void *arg;
    struct cv_channel_tls *tls; // NULL: plain
    int fd;
    bool reads;
    bool writes;
    struct cv_watch watch;
};

// Takes over a connected descriptor, or one that is being connected; on failure it stays the
// caller's. Reads are wanted, writes are not. CV_OK or CV_E_SYSTEM.
int cv_channel_open(struct cv_channel *channel, struct cv_channel_room *room, int fd,
                    const struct cv_channel_user *user, void *arg);
// Closes at once; with RST where it is to be cut. `on_closed` gets the memory back at the end of
// the turn; it is never called inside.
void cv_channel_close(struct cv_channel *channel, bool cut, void (*on_closed)(void *arg),
                      void *arg);
void cv_channel_set_user(struct cv_channel *channel, const struct cv_channel_user *user, void *arg);

// TLS from now on, as a server; `data` is what has come of it. May be called inside `bytes`.
// CV_OK or CV_E_NOMEM.
int cv_channel_accept(struct cv_channel *channel, struct cv_tls_server *server, const uint8_t *data,
                      size_t len);
// The same as a client of `host`. The channel begins at once to shake hands.
int cv_channel_connect(struct cv_channel *channel, struct cv_tls_trust *trust, const char *host);
// TLS is spoken, perhaps still its handshake.
bool cv_channel_is_secure(const struct cv_channel *channel);
// NULL while, or when, it is plain or still shakes hands.
const struct cv_tls *cv_channel_tls(const struct cv_channel *channel);

// What the user wants to be told of.
void cv_channel_want(struct cv_channel *channel, bool reads, bool writes);
// Reads what is there, as if the descriptor had told of it.
void cv_channel_read(struct cv_channel *channel);
// One write: bytes that left (a short count means that it is full now), or CV_E_AGAIN, or an error
// that ends it; `ended` does not repeat it. The same rule as in io/tls.h: what is offered again
// begins with the same byte.
int cv_channel_write(struct cv_channel *channel, const struct cv_gather *gather);
// Brings what a write needs towards the processor, step by step: 0, and when that is there 1,
// then 2. The channel's own memory is its owner's business. Hints, while it is open.
void cv_channel_prefetch(const struct cv_channel *channel, unsigned step);
// No more bytes to the peer (TLS: close_notify); reading goes on.
void cv_channel_shutdown(struct cv_channel *channel);
// The first failure of TLS; its code is CV_OK while there is none, and always where it is plain.
// Lent until the channel's memory is given back.
const struct cv_why *cv_channel_why(const struct cv_channel *channel);

// Leaves this loop for another one's: the descriptor and TLS are the caller's, `on_closed` as in
// cv_channel_close. Not in the middle of a handshake, nor when it has failed. May be called inside
// `bytes`.
struct cv_channel_ends {
    int fd;
    struct cv_tls *tls; // NULL: plain
};
struct cv_channel_ends cv_channel_detach(struct cv_channel *channel, void (*on_closed)(void *arg),
                                         void *arg);
// Closes them without a word to the peer; fd may be -1.
void cv_channel_ends_free(struct cv_channel_ends *ends);
// The other half. CV_OK; CV_E_SYSTEM or CV_E_NOMEM, and the ends stay the caller's.
int cv_channel_attach(struct cv_channel *channel, struct cv_channel_room *room,
                      const struct cv_channel_ends *ends, const struct cv_channel_user *user,
                      void *arg);

#endif
