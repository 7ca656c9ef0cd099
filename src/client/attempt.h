// One attempt to reach a server by one way, on sockets: dials, speaks what the way asks for, and
// carries RTMP. It tells what it meets; what follows from that is the ladder's affair. The one that
// gets through is used from then on: it is the connection.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_ATTEMPT_H
#define CV_CLIENT_ATTEMPT_H

#include "client/ladder.h"
#include "client/proxy.h"
#include "client/target.h"
#include "io/addr.h"
#include "proto/rtmp_client.h"

struct cv_attempt;
struct cv_loop;

// Buffers that the attempts of one loop share: each is used within one call only.
struct cv_attempt_room;
// NULL: no memory. The loop must outlive it, and it must outlive its attempts.
struct cv_attempt_room *cv_attempt_room_new(struct cv_loop *loop);
void cv_attempt_room_free(struct cv_attempt_room *room);
struct cv_loop *cv_attempt_room_loop(const struct cv_attempt_room *room);

// Something that is done at the end of the loop's turn. Embedded in its owner; its members are for
// cv_turn_* alone.
struct cv_turn {
    void (*fn)(void *arg);
    void *arg;
    struct cv_turn *prev;
    struct cv_turn *next;
    bool wanted;
};
void cv_turn_init(struct cv_turn *turn, void (*fn)(void *arg), void *arg);
// Once, at the end of the present turn, however often it is wanted.
void cv_turn_want(struct cv_attempt_room *room, struct cv_turn *turn);
void cv_turn_cancel(struct cv_attempt_room *room, struct cv_turn *turn);

struct cv_attempt_config {
    enum cv_way way;
    bool secure;                       // inside TLS, to the target's secure_port
    struct cv_tls_trust *trust;        // for that; borrowed for the attempt's life
    const struct cv_target *target;    // borrowed for the attempt's life
    const struct cv_proxy *proxy;      // the same, the one for this way; NULL or no host: none
    const struct cv_addr *addrs;       // the server's, known already; copied
    unsigned addr_count;               //
    bool ipv4_first;                   //
    struct cv_rtmp_client_config rtmp; // its texts are copied
    // OFFER: connect, createStream and publish or play travel in the first flight. They count only
    // with a server that says that it has taken them; with others it begins anew.
    bool eager;
    bool ours; // the server is known to take it in a tunnel, too
    // What it meets, in order. Nothing more after one that ends it. The function may free the
    // attempt.
    void (*on_met)(void *arg, const struct cv_met_report *report);
    // What the server says from CONNECTED on, all but ENDED. May free the attempt.
    void (*on_event)(void *arg, const struct cv_rtmp_client_event *event);
    // The end of one that had been ACCEPTED, once; `why` is lent. May free the attempt.
    void (*on_end)(void *arg, const struct cv_why *why);
    // It takes more again, after cv_attempt_is_blocked. May be NULL.
    void (*on_room)(void *arg);
    void *arg;
};

// Begins. NULL: no memory, or no random numbers. Nothing is called inside.
struct cv_attempt *cv_attempt_new(struct cv_attempt_room *room,
                                  const struct cv_attempt_config *config);
// Ends at once: what waits to be sent is lost. *attempt is cleared; NULL inside is allowed.
void cv_attempt_free(struct cv_attempt **attempt);
// Somebody else's from now on. Allowed in on_met.
void cv_attempt_set_owner(struct cv_attempt *attempt,
                          void (*on_event)(void *arg, const struct cv_rtmp_client_event *event),
                          void (*on_end)(void *arg, const struct cv_why *why),
                          void (*on_room)(void *arg), void *arg);
// Ends it, but for its connection, whose descriptor is the caller's from now on: nothing is said to
// the server, and what waits in between is lost. *attempt is cleared. CV_E_CLOSED, and nothing has
// happened: there is no one connection that is up, or it carries a tunnel.
int cv_attempt_take_descriptor(struct cv_attempt **attempt);
// Sends connect, behind the handshake if that is not complete; when it has been sent already,
// nothing happens.
void cv_attempt_connect(struct cv_attempt *attempt);

// Borrowed, for cv_rtmp_client_send and the like; follow it with cv_attempt_flush. It may be
// another one before CONNECTED: do not keep it.
struct cv_rtmp_client *cv_attempt_client(struct cv_attempt *attempt);
// Writes what waits, as far as it is taken; the rest follows by itself. Failures come by on_end,
// later.
void cv_attempt_flush(struct cv_attempt *attempt);
// More waits than the network takes now: a publisher should wait, or drop.
bool cv_attempt_is_blocked(const struct cv_attempt *attempt);
// Says goodbye: what waits is delivered, then on_end comes with CV_OK or, at the latest after
// CV_TUNNEL_GOODBYE_MS, with what was wrong.
void cv_attempt_finish(struct cv_attempt *attempt);

struct cv_attempt_stats {
    const char *name;       // how it travels now: "RTMP", "RTMP behind an HTTP offer", "RTMPT", ...
    bool tunnel;            // bytes travel in HTTP requests
    struct cv_addr peer;    // who the TCP connection leads to: the server, or the proxy
    uint32_t rtt_us;        // the latest measure; 0: none
    uint32_t unacked_bytes; // written, and not acknowledged by the peer's TCP; 0 when unknown
    uint64_t written_bytes; // by the connections that are open now
    uint64_t heard_us;      // when anything came last, by the loop's clock; 0: nothing yet
    uint64_t connections;   // TCP connections that were made
};
struct cv_attempt_stats cv_attempt_stats(const struct cv_attempt *attempt);
// The server has ended it by words, and which: for on_end. Of no meaning while it has not.
bool cv_attempt_said_end(const struct cv_attempt *attempt);
enum cv_rtmp_client_end cv_attempt_end(const struct cv_attempt *attempt);
// Behind CV_MET_CERTIFICATE and CV_MET_NOT_TLS: what was wrong, for people. Lent.
const struct cv_why *cv_attempt_why(const struct cv_attempt *attempt);
// The last HTTP answer that was no tunnel's, for people: Location of a portal; empty when none.
const char *cv_attempt_location(const struct cv_attempt *attempt);

#endif
