// What the files of the public C API share: the handle, and its queue of events. For api*.c only.
// The contracts are in culvert/culvert.h and culvert/amf.h.
#ifndef CV_CLIENT_API_H
#define CV_CLIENT_API_H

#include "client/connection.h"
#include "culvert/amf.h"
#include "proto/flv.h"

struct cv_loop;

enum {
    CV_LIMIT_API_EVENTS = 1024,                 // that wait: then no more is read
    CV_LIMIT_API_EVENT_BYTES = 4 * 1024 * 1024, // the same in bytes
    CV_LIMIT_API_ARGS_BYTES = 1024 * 1024,      // what a call returned, references written out
    CV_LIMIT_API_PATH_BYTES = 1023,             // of the memory file
};

// One event with all that it lends.
struct api_event {
    struct api_event *next;
    struct culvert_event pub;
    struct cv_block *block;       // MESSAGE
    struct culvert_amf_doc *args; // RESULT
    struct cv_why why;            // CUT, ENDED
    size_t bytes;                 // of it all, about
    char texts[];                 // STATUS
};

struct api_queue {
    struct api_event *first;
    struct api_event **last;
    size_t count;
    size_t bytes;
};

struct culvert {
    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_connection *connection; // NULL before it begins and after its end
    bool begun;                       // publish, play or call was said
    bool touched;                     // something waits to be done in the next turn

    // from the configuration, for the connection
    struct cv_target target;
    struct cv_proxies proxies;
    struct cv_tls_trust *trust; // NULL: not needed, or none could be had
    char memory_path[CV_LIMIT_API_PATH_BYTES + 1];
    struct culvert_config config; // its pointers are not valid any more
    enum cv_rtmp_client_mode mode;

    // events
    struct api_queue queue;
    struct api_event *lent; // what the latest culvert_next gave
    struct api_event *end;  // made at the beginning, so that the end needs no memory
    bool ended;             // nothing comes behind what waits but `end`
    struct cv_why why;
    struct cv_connection_stats stats; // at the end

    // culvert_send_flv
    struct cv_flv_reader *flv;
    struct cv_msg flv_msg; // what the buffer did not take; payload NULL: nothing
    bool has_room;         // the buffer takes messages again
    bool closing;          // culvert_close was said,
    bool closed;           // and nothing of the file is left before it
};

// ---- api.c ----

// CULVERT_OK when a message may be sent now, else why not.
int cv__api_may_send(const struct culvert *culvert);
// Sends it; takes a reference to its payload.
int cv__api_send(struct culvert *culvert, const struct cv_msg *msg);

// ---- api_error.c ----

// What a code of ours is for the caller.
int cv__api_error(int code);
int cv__api_end_error(enum cv_connection_end end);

// ---- api_event.c ----

// The on_event of the connection: puts it into the queue.
void cv__api_on_event(void *arg, const struct cv_connection_event *event);
// It has ended, and the connection did not say so: the code and the words go to culvert->why and
// the last event. Returns the public error.
int cv__api_fail(struct culvert *culvert, int error, int code, const char *text);
// Enough waits.
bool cv__api_is_full(const struct culvert *culvert);
// Something to be pulled is there.
bool cv__api_has_event(const struct culvert *culvert);
void cv__api_events_free(struct culvert *culvert);
// The one for `end`, and the queue. CV_E_NOMEM.
int cv__api_events_init(struct culvert *culvert);

// ---- api_amf.c ----

// The bytes of a writer; CULVERT_OK, or its error.
int cv__api_amf_text(const struct culvert_amf_writer *writer, struct cv_text *out);
// A document of its own with these values; NULL: none, no memory, or too much of them.
struct culvert_amf_doc *cv__api_amf_copy(const struct cv_amf *first);

// ---- api_flv.c ----

// Sends what the buffer did not take. True when nothing is left.
bool cv__api_flv_retry(struct culvert *culvert);
void cv__api_flv_free(struct culvert *culvert);

#endif
