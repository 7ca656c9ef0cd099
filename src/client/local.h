// One connection of a program on this machine, an encoder or a player, to a relay: a socket and
// proto/rtmp_host. What it publishes or plays is its owner's affair.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_LOCAL_H
#define CV_CLIENT_LOCAL_H

#include "io/addr.h"
#include "proto/rtmp_host.h"

struct cv_local;
struct cv_loop;

// Buffers that the connections of one loop share: each is used within one call only.
struct cv_local_room;
struct cv_local_room *cv_local_room_new(struct cv_loop *loop);
// When its connections are gone. NULL is allowed.
void cv_local_room_free(struct cv_local_room *room);

// Both may free the connection, and cv_local_finish it.
struct cv_local_user {
    void (*event)(void *arg, const struct cv_rtmp_host_event *event);
    // It is over, once: the client has gone, broke the protocol, or has read the last words. Only
    // cv_local_free is of use then. Never called inside a function of this header.
    void (*gone)(void *arg, const struct cv_why *why);
    // It takes more again, after cv_local_is_blocked.
    void (*room)(void *arg);
    uint64_t ask_us; // instead of CV_LOCAL_ASK_S; 0: that
};

// The descriptor is the connection's on success. Who asks for nothing within CV_LOCAL_ASK_S, or
// that long after it has stopped, is gone. NULL: no memory.
struct cv_local *cv_local_new(struct cv_local_room *room, int fd, const struct cv_local_user *user,
                              void *arg);
// Ends at once. *local is cleared; NULL inside is allowed. The loop must run, or be freed,
// afterwards, before the room is.
void cv_local_free(struct cv_local **local);
// Borrowed; for accept, refuse, send and over. Follow it with cv_local_flush.
struct cv_rtmp_host *cv_local_host(struct cv_local *local);
// Writes what waits, as far as the socket takes it; the rest follows by itself.
void cv_local_flush(struct cv_local *local);
// The socket took less than there was.
bool cv_local_is_blocked(const struct cv_local *local);
// Sends what waits, then closes; nothing is read any more. `gone` follows, at the latest after
// CV_LOCAL_FINISH_S.
void cv_local_finish(struct cv_local *local);

#endif
