// A leg: one TCP connection that we dial, perhaps through a proxy's CONNECT, perhaps inside TLS, as
// bytes in and bytes out. What they mean is its owner's affair (client/attempt.h).
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_LEG_H
#define CV_CLIENT_LEG_H

#include "base/gather.h"
#include "io/addr.h"
#include "io/channel.h"

struct cv_http1_head;
struct cv_leg;
struct cv_proxy;
struct cv_tls_trust;

// Buffers that the legs of one loop share: each is used within one call only. The owner of legs
// borrows the gather to write.
struct cv_leg_room {
    struct cv_channel_room channels; // TLS's buffers are made when they are needed first
    struct cv_gather gather;
    uint8_t read_buffer[256 * 1024];
};
void cv_leg_room_init(struct cv_leg_room *room, struct cv_loop *loop);
// Behind its last leg.
void cv_leg_room_done(struct cv_leg_room *room);

// A static table. All may close the leg; only `down` has ended it already.
struct cv_leg_owner {
    void (*connected)(void *arg); // TCP stands, and CONNECT was granted; may be NULL
    void (*up)(void *arg);        // bytes may be written, and come
    void (*bytes)(void *arg, const uint8_t *data, size_t len); // lent for the call
    void (*room)(void *arg);                                   // takes more, after CV_E_AGAIN
    // The proxy said no to CONNECT; lent. `down` does not follow. NULL where none is asked.
    void (*denied)(void *arg, const struct cv_http1_head *head);
    // Once: it could not be connected, or has ended; cv_leg_why for failures of TLS. CV_E_CLOSED:
    // orderly. Only cv_leg_close is of use afterwards. Never called inside a function of this file.
    void (*down)(void *arg, int code);
};

struct cv_leg_config {
    const char *host; // copied: the server, or the proxy that carries HTTP requests for us
    uint16_t port;
    // Through this proxy's CONNECT (RFC 9110, 9.3.6): up comes behind its yes. NULL: no. Borrowed.
    const struct cv_proxy *connect;
    // TLS as a client, on top of that: up comes behind the handshake. NULL: plain. Borrowed.
    struct cv_tls_trust *trust;
    // For CONNECT and TLS, from TCP's connection on: then `down` says CV_E_TIMEOUT. 0: for ever.
    uint32_t up_ms;
    const struct cv_addr *addrs; // the host's, known already; copied; of no use with `connect`
    unsigned addr_count;
    bool ipv4_first;
    const struct cv_leg_owner *owner;
    void *arg;
};

// NULL: no memory, or host cannot be a name.
struct cv_leg *cv_leg_open(struct cv_leg_room *room, const struct cv_leg_config *config);
// Closes at once. *leg is cleared; NULL inside is allowed.
void cv_leg_close(struct cv_leg **leg);
// Its descriptor is the caller's from now on, as it is: nothing is said to the peer, and what has
// been read and not told is lost. The leg is closed and *leg cleared. Only while it is up.
int cv_leg_take_descriptor(struct cv_leg **leg);
// Somebody else's from now on.
void cv_leg_set_owner(struct cv_leg *leg, const struct cv_leg_owner *owner, void *arg);
// No more bytes to the peer; reading goes on until it has closed its side, too.
void cv_leg_shutdown(struct cv_leg *leg);

bool cv_leg_is_up(const struct cv_leg *leg);
// What was written last was not taken whole.
bool cv_leg_is_blocked(const struct cv_leg *leg);
// Writes the gather once: bytes that left (fewer than there were, or CV_E_AGAIN: `room` follows),
// or an error, which `down` tells later, too.
int cv_leg_write(struct cv_leg *leg, const struct cv_gather *gather);
// False: does not read for now.
void cv_leg_want(struct cv_leg *leg, bool reads);

// Behind `down`: of a failed TLS handshake, for people; its code is CV_OK otherwise. Lent.
const struct cv_why *cv_leg_why(const struct cv_leg *leg);

struct cv_leg_stats {
    struct cv_addr peer;
    uint32_t rtt_us;        // the kernel's smoothed one, or that of the connect; 0 before up
    uint32_t unacked_bytes; //
    uint64_t written_bytes; // in all
};
struct cv_leg_stats cv_leg_stats(const struct cv_leg *leg);

#endif
