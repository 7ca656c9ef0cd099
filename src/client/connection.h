// A connection to a stream on a server, by whatever way the network allows (client/ladder.h). It
// outlives cuts: a lost way is replaced by another one, and what was published meanwhile follows
// from a bounded buffer. With servers that can resume, nothing is lost and nothing comes twice.
//
// Every function is for the loop's thread.
#ifndef CV_CLIENT_CONNECTION_H
#define CV_CLIENT_CONNECTION_H

#include "client/attempt.h"
#include "proto/amf.h"

struct cv_connection;

enum cv_connection_event_type {
    CV_CONNECTION_TRYING,  // an attempt begins: way
    CV_CONNECTION_THROUGH, // the server is reached: way, since_us, attempts, stats
    CV_CONNECTION_STARTED, // publish: it is published. play: media will come. Once
    CV_CONNECTION_MESSAGE, // play: msg; never before STARTED
    CV_CONNECTION_STATUS,  // code and description, for people
    CV_CONNECTION_RESULT,  // call: call, ok, args
    CV_CONNECTION_CUT,     // the way was lost: why. It tries again by itself
    CV_CONNECTION_RESUMED, // it goes on: since_us (of the cut), lost
    CV_CONNECTION_ROOM,    // publish: send takes messages again, after CV_E_AGAIN
    CV_CONNECTION_ENDED,   // the last event: why, end, obstacle
};

// How it ended, for exit codes and the like.
enum cv_connection_end {
    CV_END_CLOSED,       // by us
    CV_END_FINISHED,     // play: the stream is over
    CV_END_REFUSED,      // the server said no: key, name in use, app
    CV_END_NOT_FOUND,    // the server knows no such stream or app
    CV_END_UNKNOWN_HOST, // the name does not resolve
    CV_END_CERTIFICATE,  // the server's certificate is not accepted: why
    CV_END_NO_WAY,       // nothing gets through: obstacle
    CV_END_LOST,         // it was through, was cut, and did not come back in time
    CV_END_FAILED,       // memory, or a broken promise of the server: why
};

// Lent for the call.
struct cv_connection_event {
    enum cv_connection_event_type type;
    enum cv_way way;
    bool secure; // inside TLS
    uint64_t since_us;
    uint32_t attempts;
    struct cv_attempt_stats stats;
    struct cv_msg msg;
    struct cv_text code;
    struct cv_text description;
    uint32_t call;             // what cv_connection_call gave
    bool ok;                   // _result, else _error
    const struct cv_amf *args; // the answer's values; may be NULL
    uint64_t lost;             // messages that the buffer could not hold
    const struct cv_why *why;
    enum cv_connection_end end;
    enum cv_obstacle obstacle; // NO_WAY
    const char *location;      // where a portal leads; may be empty
};

struct cv_connection_config {
    const struct cv_target *target; // copied
    enum cv_rtmp_client_mode mode;
    enum cv_via via; // AUTO: as the target says
    enum cv_ladder_order order;
    const struct cv_proxies *proxies; // copied; NULL: none
    // A reference is taken. NULL: nothing inside TLS is tried, and a target that wants nothing else
    // fails.
    struct cv_tls_trust *trust;
    const char *memory_path; // copied; NULL or empty: nothing is remembered
    uint32_t buffer_ms;      // play: what Set Buffer Length says; 0: 3000
    size_t keep_bytes;       // publish: what is kept for a cut; 0: CV_CONNECTION_KEEP_BYTES
    bool keep_all;           // publish: send refuses what does not fit (CV_E_AGAIN);
                             // else the oldest is dropped, up to a key frame
    bool patient;            // a first way that is not found counts as a cut, too: it tries on
    uint32_t return_s;       // tries so long to come back after a cut; 0: CV_CONNECTION_RETURN_S
    void (*on_event)(void *arg, const struct cv_connection_event *event);
    void *arg;
};

// Begins to connect. NULL: no memory. on_event is never called inside. The room outlives it.
struct cv_connection *cv_connection_new(struct cv_attempt_room *room,
                                        const struct cv_connection_config *config);
// Ends at once. *connection is cleared; NULL inside is allowed. May be called in on_event.
void cv_connection_free(struct cv_connection **connection);
// Says goodbye: what was sent is delivered, also behind a cut or before STARTED, as long as there
// is hope; then ENDED with CV_END_CLOSED comes, at most CV_TUNNEL_GOODBYE_MS after the last byte
// has left. Who does not want to wait frees it.
void cv_connection_close(struct cv_connection *connection);

// Publishes a message: audio, video, or data (type 18; metadata as "onMetaData" and its object, or
// behind "@setDataFrame"). May be called at once: what comes before STARTED waits in the buffer. A
// reference to the payload is taken; stream_id does not matter. CV_E_AGAIN: keep_all, and the
// buffer is full; ROOM follows. CV_E_NOMEM. CV_E_TOO_LONG: no server takes so large a message.
// CV_E_USAGE: not a publisher, another type, or it has ended.
int cv_connection_send(struct cv_connection *connection, const struct cv_msg *msg);
// Writes what waits now instead of at the end of the loop's turn.
void cv_connection_flush(struct cv_connection *connection);

// Calls a function of the server: `args` are AMF0 values one behind the other (may be empty). 0 and
// *out_call; or CV_E_AGAIN when it is not through now, CV_E_NOMEM, CV_E_QUEUE_FULL. An answer comes
// as RESULT, or never, when a cut lies between.
int cv_connection_call(struct cv_connection *connection, const char *name, struct cv_text args,
                       uint32_t *out_call);

struct cv_connection_stats {
    struct cv_attempt_stats now; // of the present way; name is NULL while there is none
    uint64_t messages;           // sent, or received
    uint64_t bytes;              // of their payloads
    uint64_t waiting_bytes;      // publish: in the buffer, not known to have arrived
    uint64_t cuts;               //
    uint64_t lost;               // messages
    bool resumes;                // the server can resume
};
struct cv_connection_stats cv_connection_stats(const struct cv_connection *connection);

#endif
