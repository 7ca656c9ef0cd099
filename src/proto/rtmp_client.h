// One publish or play from the client's side: connect, createStream, publish or play, and what the
// server says to it (RTMP 1.0, section 7.2), over the session engine.
//
// No I/O and no clock: how long to wait for an answer is the owner's affair. Tolerant of what FMS,
// nginx-rtmp, SRS and Culvert really answer: results that nobody asked for, in any order, are
// ignored. One thread at a time.
#ifndef CV_PROTO_RTMP_CLIENT_H
#define CV_PROTO_RTMP_CLIENT_H

#include "proto/rtmp.h"

enum cv_rtmp_client_mode { CV_RTMP_CLIENT_PUBLISH, CV_RTMP_CLIENT_PLAY };

// The texts are copied, the crypto is borrowed for the client's life.
struct cv_rtmp_client_config {
    enum cv_rtmp_client_mode mode;
    const struct cv_crypto *crypto;
    struct cv_text app;       // as in the URL, with its query
    struct cv_text name;      // stream name, with its query
    struct cv_text tc_url;    // scheme://host[:port]/app
    uint32_t buffer_ms;       // play: what Set Buffer Length says; 0: 3000, as FFmpeg
    uint32_t chunk_bytes;     // publish: our chunk size; 0: CV_CHUNK_BYTES_OUT
    uint32_t media_bytes_max; // as in cv_rtmp_config
    size_t out_bytes_max;     // as in cv_rtmp_config
    bool digest;              // as in cv_rtmp_config
    bool enhanced;            // offer Enhanced RTMP: every codec is taken or sent as it is
};

enum cv_rtmp_client_event_type {
    CV_RTMP_CLIENT_READY,     // the handshake is complete
    CV_RTMP_CLIENT_CONNECTED, // connect was accepted
    CV_RTMP_CLIENT_STARTED,   // publish: media may be sent. play: media will come
    CV_RTMP_CLIENT_MEDIA,     // play: msg, audio or video; never before STARTED
    CV_RTMP_CLIENT_DATA,      // play: msg, a data message in AMF0; never before STARTED
    CV_RTMP_CLIENT_STATUS,    // code and description, for people; it goes on
    CV_RTMP_CLIENT_ENDED,     // the last event: end, code and description
};

enum cv_rtmp_client_end {
    CV_RTMP_CLIENT_REJECTED,    // connect was refused
    CV_RTMP_CLIENT_REFUSED,     // createStream, publish or play was, now or later
    CV_RTMP_CLIENT_UNPUBLISHED, // the publisher has left
    CV_RTMP_CLIENT_FINISHED,    // Play.Stop, or Stream EOF
    CV_RTMP_CLIENT_CLOSED,      // the server said "close"
};

// Everything in an event is lent until the next call of next, feed or free.
struct cv_rtmp_client_event {
    enum cv_rtmp_client_event_type type;
    struct cv_msg msg;
    enum cv_rtmp_client_end end;
    struct cv_text code;        // "NetStream.Publish.BadName"; may be empty
    struct cv_text description; // may be empty
};

struct cv_rtmp_client;

// NULL: no memory, or no random numbers.
struct cv_rtmp_client *cv_rtmp_client_new(const struct cv_rtmp_client_config *config,
                                          uint32_t now_ms);
void cv_rtmp_client_free(struct cv_rtmp_client *client);

// Sends connect, once. Before READY it waits for the handshake; a caller that races several
// connections calls it for the one that has won. 0, CV_E_NOMEM or CV_E_QUEUE_FULL.
int cv_rtmp_client_connect(struct cv_rtmp_client *client);

// As cv_rtmp_feed. After ENDED the bytes are ignored.
void cv_rtmp_client_feed(struct cv_rtmp_client *client, const void *data, size_t len);
// 1 and the next event; 0 when the bytes are used up, and always after ENDED; negative when it has
// failed for good.
int cv_rtmp_client_next(struct cv_rtmp_client *client, struct cv_rtmp_client_event *out);
// The first failure, or why it ENDED: REFUSED, NOT_FOUND or, without anybody's fault, CLOSED.
const struct cv_why *cv_rtmp_client_why(const struct cv_rtmp_client *client);

// As cv_rtmp_pull, cv_rtmp_sent and so on.
void cv_rtmp_client_pull(struct cv_rtmp_client *client, struct cv_gather *gather);
void cv_rtmp_client_sent(struct cv_rtmp_client *client, size_t len);
bool cv_rtmp_client_out_empty(const struct cv_rtmp_client *client);
size_t cv_rtmp_client_out_bytes(const struct cv_rtmp_client *client);

// Sends an audio, video or data message of the published stream; its stream_id is filled in here. A
// reference to the payload is taken. 0, CV_E_QUEUE_FULL, CV_E_NOMEM, or CV_E_USAGE while it is not
// STARTED or not a publisher.
int cv_rtmp_client_send(struct cv_rtmp_client *client, const struct cv_msg *msg);
// Sends stream metadata: `body` is a data message as players get it, "onMetaData" and its object;
// "@setDataFrame" is put before it. The same errors.
int cv_rtmp_client_send_metadata(struct cv_rtmp_client *client, uint32_t ts_ms,
                                 const struct cv_block *body);
// Says goodbye (FCUnpublish, deleteStream), as far as there is something to leave. What waits is
// still to be sent by the owner; nothing comes in any more. 0, CV_E_NOMEM or CV_E_QUEUE_FULL.
int cv_rtmp_client_stop(struct cv_rtmp_client *client);

#endif
