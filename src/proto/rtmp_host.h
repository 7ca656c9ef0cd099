// The server's side of one connection that publishes or plays one stream: for a program on the same
// machine, an encoder or a player, that a relay serves. It knows no keys and no names: its owner
// decides about each publish and play.
//
// No I/O and no clock, as proto/rtmp.h. One stream at a time; RTMP 1.0, section 7.2.
#ifndef CV_PROTO_RTMP_HOST_H
#define CV_PROTO_RTMP_HOST_H

#include "proto/rtmp.h"
#include "proto/status.h"

enum cv_rtmp_host_event_type {
    CV_RTMP_HOST_PUBLISH, // app and name: waits for accept or refuse
    CV_RTMP_HOST_PLAY,    // the same
    CV_RTMP_HOST_MESSAGE, // msg: audio, video or data (AMF0) of the publisher, once it is accepted
    CV_RTMP_HOST_STOP,    // the client has ended what it asked for, and stays
};

// Lent until the next call of next, feed or free.
struct cv_rtmp_host_event {
    enum cv_rtmp_host_event_type type;
    struct cv_text app;  // as the client sent it, with its query
    struct cv_text name; // the same
    struct cv_msg msg;
};

struct cv_rtmp_host;

// The crypto is borrowed. NULL: no memory, or no random numbers.
struct cv_rtmp_host *cv_rtmp_host_new(const struct cv_crypto *crypto, uint32_t now_ms);
void cv_rtmp_host_free(struct cv_rtmp_host *host);

// As cv_rtmp_feed, next and why. Bytes behind a refusal are ignored.
void cv_rtmp_host_feed(struct cv_rtmp_host *host, const void *data, size_t len);
int cv_rtmp_host_next(struct cv_rtmp_host *host, struct cv_rtmp_host_event *out);
const struct cv_why *cv_rtmp_host_why(const struct cv_rtmp_host *host);

// The answer to the PUBLISH or PLAY that came last. 0, CV_E_QUEUE_FULL, CV_E_NOMEM, or CV_E_USAGE
// when the client has changed its mind.
int cv_rtmp_host_accept(struct cv_rtmp_host *host);
// No, or no longer: onStatus with this text (NULL: the status says it all). The owner then sends
// what waits and ends the connection.
int cv_rtmp_host_refuse(struct cv_rtmp_host *host, enum cv_status status, const char *text);
// A message for a player that was accepted; its stream_id is filled in here.
int cv_rtmp_host_send(struct cv_rtmp_host *host, const struct cv_msg *msg);
// The stream that it plays is over.
int cv_rtmp_host_over(struct cv_rtmp_host *host);

// As cv_rtmp_pull, cv_rtmp_sent and so on.
void cv_rtmp_host_pull(struct cv_rtmp_host *host, struct cv_gather *gather);
void cv_rtmp_host_sent(struct cv_rtmp_host *host, size_t len);
bool cv_rtmp_host_out_empty(const struct cv_rtmp_host *host);
size_t cv_rtmp_host_out_bytes(const struct cv_rtmp_host *host);

#endif
