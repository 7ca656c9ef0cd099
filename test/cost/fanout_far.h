// The far ends of fanout.c: what its publisher and viewers say, and where what they get ends.
#ifndef CV_TEST_FANOUT_FAR_H
#define CV_TEST_FANOUT_FAR_H

#include "proto/rtmp_client.h"

struct cv_tls_server;
struct far;

// How viewers come, by name: "rtmp", "ring", "rtmps", "flv", "rtmpt".
struct far_carrier {
    const char *name;
    bool tls;
    bool ring;                      // the server sends by io_uring
    void (*enter)(struct far *far); // asks for the stream
    void (*again)(struct far *far); // has been given something; NULL: need not say more
};

// Says what is wrong and ends the process.
void must(bool good, const char *what);

const struct far_carrier *far_carrier_find(const char *name);
// Two ends of a connection, non-blocking.
void far_pair(int fds[2]);
// `turn` lets the server work.
struct far *far_new(int fd, void (*turn)(void *arg), void *arg);
void far_enter(struct far *far, const struct far_carrier *carrier);
// A session that has asked to publish or play the stream, all in one flight.
struct cv_rtmp_client *far_rtmp(enum cv_rtmp_client_mode mode);
void far_say(struct far *far, const void *data, size_t len);
// What is there, lent until the next call for any.
const uint8_t *far_hear(struct far *far, size_t *len);
// Reads and drops what is there.
void far_drain(struct far *far, const struct far_carrier *carrier);
// Made once; the far ends trust it.
struct cv_tls_server *far_tls_server(void);

#endif
