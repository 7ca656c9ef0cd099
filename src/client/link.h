// A link: one TCP connection to an RTMP server, on a loop. Socket and protocol, nothing else: no
// names are resolved and nothing is tried again; that is the ladder's work.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_LINK_H
#define CV_CLIENT_LINK_H

#include "io/addr.h"
#include "proto/rtmp_client.h"

struct cv_link;
struct cv_loop;

// Buffers that the links of one loop share: each is used within one call only.
struct cv_link_room;
// NULL: no memory. The loop must outlive it, and it must outlive its links.
struct cv_link_room *cv_link_room_new(struct cv_loop *loop);
void cv_link_room_free(struct cv_link_room *room);

struct cv_link_config {
    struct cv_addr server;
    struct cv_rtmp_client_config rtmp; // its texts are copied
    uint32_t start_s;                  // time until STARTED; 0: CV_CLIENT_START_S
    bool hold; // stops after READY: the owner says cv_rtmp_client_connect, cv_link_flush
    // What the server says, in order, all but ENDED. The function may free the link.
    void (*on_event)(void *arg, const struct cv_rtmp_client_event *event);
    // The end, once, whatever ended it; `why` is lent. Afterwards only cv_link_free is of use. The
    // function may free the link. Never called inside cv_link_new.
    void (*on_end)(void *arg, const struct cv_why *why);
    void *arg;
};

// Starts to connect. NULL when there is no memory or no descriptor.
struct cv_link *cv_link_new(struct cv_link_room *room, const struct cv_link_config *config);
// Closes at once: what waits to be sent is lost. *link is cleared; NULL inside is allowed.
void cv_link_free(struct cv_link **link);

// Borrowed; for cv_rtmp_client_send and the like. Follow it with cv_link_flush.
struct cv_rtmp_client *cv_link_client(struct cv_link *link);
// Writes what waits, as far as the socket takes it; the rest follows by itself. Failures come by
// on_end, later.
void cv_link_flush(struct cv_link *link);
// The socket took less than there was: a publisher should wait, or drop.
bool cv_link_is_blocked(const struct cv_link *link);

#endif
