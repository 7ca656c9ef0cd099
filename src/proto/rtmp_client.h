// One publish or play from the client's side: connect, createStream, publish or play, and what the
// server says to it (RTMP 1.0, section 7.2), over the session engine. Calls of the server's
// functions go beside it, or alone.
//
// Eager, for a server of ours: C0 C1 C2, connect, createStream and publish or play on stream 1 (the
// first number that it gives) are lent as soon as connect is called; the answers are judged as they
// come. Resuming, with a server that can: a publisher gets a token and the number of messages that
// have arrived, a player the numbers of messages; with these a later connection goes on where this
// one was cut. A server that breaks these promises (a bad token, numbers that go back or are more
// than was sent) has failed.
//
// No I/O and no clock: how long to wait for an answer is the owner's affair. Tolerant of what FMS,
// nginx-rtmp, SRS and Culvert really answer: results that nobody asked for, in any order, are
// ignored. One thread at a time.
#ifndef CV_PROTO_RTMP_CLIENT_H
#define CV_PROTO_RTMP_CLIENT_H

#include "proto/rtmp.h"

enum cv_rtmp_client_mode {
    CV_RTMP_CLIENT_PUBLISH,
    CV_RTMP_CLIENT_PLAY,
    CV_RTMP_CLIENT_CALL, // connect only: no stream, never STARTED
};

// The texts are copied, the crypto is borrowed for the client's life.
struct cv_rtmp_client_config {
    enum cv_rtmp_client_mode mode;
    const struct cv_crypto *crypto;
    struct cv_text app;          // as in the URL, with its query
    struct cv_text name;         // stream name, with its query
    struct cv_text tc_url;       // scheme://host[:port]/app
    uint32_t buffer_ms;          // play: what Set Buffer Length says; 0: 3000, as FFmpeg
    uint32_t chunk_bytes;        // publish: our chunk size; 0: CV_CHUNK_BYTES_OUT
    uint32_t media_bytes_max;    // as in cv_rtmp_config
    size_t out_bytes_max;        // as in cv_rtmp_config
    bool digest;                 // as in cv_rtmp_config
    bool enhanced;               // offer Enhanced RTMP: every codec is taken or sent as it is
    bool eager;                  // all in one flight; only for servers that are known to take that
    bool resume;                 // ask to resume, as far as the server can
    struct cv_text resume_token; // publish: STARTED gave it; empty the first time
    struct cv_text position;     // play: "epoch:seq" of the next message wanted, or empty
};

enum cv_rtmp_client_event_type {
    CV_RTMP_CLIENT_READY,     // the handshake is complete
    CV_RTMP_CLIENT_CONNECTED, // connect was accepted
    CV_RTMP_CLIENT_STARTED,   // publish: media may be sent; resumes, token, taken. play: media will
                              // come
    CV_RTMP_CLIENT_MEDIA,     // play: msg, audio or video; never before STARTED
    CV_RTMP_CLIENT_DATA,      // play: msg, a data message in AMF0; never before STARTED
    CV_RTMP_CLIENT_TAKEN,     // publish: taken; only where it resumes, and never less than before
    CV_RTMP_CLIENT_POSITION,  // play: epoch, seq of the audio, video or data message that follows;
                              // an empty epoch: what follows has no numbers
    CV_RTMP_CLIENT_RESULT,    // a call was answered: call, ok, args; code and description if not ok
    CV_RTMP_CLIENT_PONG,      // a ping was answered: number
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
    bool resumes;               // STARTED of a publisher: the server can
    struct cv_text token;       // to come back with
    uint64_t taken; // messages that the stream has got from this publisher, over all connections:
                    // the next one to be sent is number taken + 1. 0 with a new token: afresh
    struct cv_text epoch;      // to come back with, as "epoch:seq"
    uint64_t seq;              //
    uint32_t call;             // what cv_rtmp_client_call gave
    bool ok;                   // _result, else _error
    const struct cv_amf *args; // the answer's values behind its command object; or NULL
    uint32_t number;           // of the ping
};

struct cv_rtmp_client;

// NULL: no memory, or no random numbers.
struct cv_rtmp_client *cv_rtmp_client_new(const struct cv_rtmp_client_config *config,
                                          uint32_t now_ms);
void cv_rtmp_client_free(struct cv_rtmp_client *client);

// Sends connect, once; eager: and all up to publish or play. Before READY it waits for the
// handshake, unless it is eager; a caller that races several connections calls it for the one that
// has won. 0, CV_E_NOMEM or CV_E_QUEUE_FULL.
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
// Calls a function of the server. args: AMF0 values one behind the other, may be empty. The answer
// comes as RESULT, or never. 0 and *out_call; CV_E_USAGE before CONNECTED and after ENDED,
// CV_E_QUEUE_FULL (CV_LIMIT_CLIENT_CALLS are not answered yet, or as cv_rtmp_send), CV_E_TOO_LONG,
// CV_E_NOMEM.
int cv_rtmp_client_call(struct cv_rtmp_client *client, const char *name, struct cv_text args,
                        uint32_t *out_call);
// Asks for a sign of life: PONG with the same number. 0, CV_E_USAGE as above, CV_E_QUEUE_FULL or
// CV_E_NOMEM.
int cv_rtmp_client_ping(struct cv_rtmp_client *client, uint32_t number);
// Says goodbye (FCUnpublish, deleteStream), as far as there is something to leave. What waits is
// still to be sent by the owner; nothing comes in any more. 0, CV_E_NOMEM or CV_E_QUEUE_FULL.
int cv_rtmp_client_stop(struct cv_rtmp_client *client);

#endif
