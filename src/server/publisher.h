// A publisher: one that publishes a stream, and what it has on the way home.
//
// By which transport it comes is its owner's to know: an RTMP session or an HTTP request. Policy,
// take-over, back-pressure and ending are the same for all.
#ifndef CV_SERVER_PUBLISHER_H
#define CV_SERVER_PUBLISHER_H

#include "server/log.h"
#include "server/note.h"
#include "server/pace.h"
#include "server/table.h"

struct cv_worker;

enum cv_publisher_state {
    CV_PUBLISHER_ADMITTED, // it may publish, and has not asked for the stream
    CV_PUBLISHER_ASKING,   // the stream's home has not answered yet
    CV_PUBLISHER_LIVE,
    CV_PUBLISHER_OVER, // refused or taken over; what still comes is ignored
};

// Who tells the client: a static table per transport. The first three may free the publisher.
struct cv_publisher_owner {
    void (*live)(void *arg); // publisher->resume is set
    // The stream cannot be had: CV_E_BUSY, or what the server lacks.
    void (*refused)(void *arg, int code);
    // Somebody else has taken over.
    void (*replaced)(void *arg);
    // The deadline for telling what has been taken may have changed. NULL: never asks to resume.
    void (*taken)(void *arg);
    // When the client was heard last: is it still there? Now, while nobody listens to it.
    uint64_t (*heard_us)(const void *arg);
    // From now on it is read by `read` (server/pace.h), or as before; false: it cannot be. NULL:
    // neither can ever be.
    bool (*pace)(void *arg, bool on);
    // Reads what has come. May free the publisher.
    void (*read)(void *arg);
    // conn=, peer=: what every line about it starts with.
    void (*log_fields)(const void *arg, struct cv_line *line);
};

// Who wants to publish what.
struct cv_publish_request {
    struct cv_policy *policy;
    const struct cv_path *path;
    const struct cv_config_app *app; // as cv_policy_route found it
    struct cv_text stream;           // the path's part behind the app
    struct cv_query_places query;    // where a key may be
    const struct cv_addr *peer;
    struct cv_resume resume; // not wanted: all zero
};

struct cv_publisher {
    struct cv_worker *worker;
    const struct cv_publisher_owner *owner;
    void *owner_arg;
    UT_hash_handle hh; // by id.serial
    struct cv_publisher_id id;
    struct cv_identity identity;
    enum cv_publisher_state state;
    struct cv_path path;
    struct cv_policy *policy; // one reference; app points into it
    const struct cv_config_app *app;
    struct cv_resume resume;   // taken: mailed home, and nothing can stop it on its way
    uint64_t told;             // of that the client knows
    uint64_t told_us;          //
    struct cv_batch *batch;    // media of this turn; NULL or empty: none
    struct cv_note *unpublish; // made in advance: no want of memory may keep a name taken
    bool dirty;
    struct cv_publisher *prev, *next; // in the worker's dirty list
    struct cv_pace pace;
    uint64_t messages;
    uint64_t bytes;
};

// The gate for every way in: policy and caps. 0; CV_E_BAD_KEY, CV_E_REFUSED, CV_E_TOO_MANY; or
// CV_E_NOMEM, CV_E_SYSTEM.
int cv_publisher_new(struct cv_worker *worker, const struct cv_publish_request *request,
                     const struct cv_publisher_owner *owner, void *owner_arg,
                     struct cv_publisher **out);
// Asks the path's home for the stream, once; the owner hears the answer later. 0 or CV_E_NOMEM.
int cv_publisher_ask(struct cv_publisher *publisher);
// Ends it. `clean`: the client said so; otherwise the stream waits for its return. NULL is allowed.
void cv_publisher_free(struct cv_publisher *publisher, bool clean);
// What its client is told when it cannot publish, in a sentence.
const char *cv_publish_refusal(int code);

// Takes a message on; it leaves at the end of the turn. 0, CV_E_QUEUE_FULL (try again after the
// turn), or CV_E_NOMEM.
int cv_publisher_append(struct cv_publisher *publisher, const struct cv_msg *msg);
// The end of the turn: sends the batch home. False: the mailbox is full, call again.
bool cv_publisher_send(struct cv_publisher *publisher);
// Sends early when much is waiting. False while nothing more should be read from the connection.
bool cv_publisher_make_room(struct cv_publisher *publisher);

// When its client is to be told again what has been taken; UINT64_MAX: it knows, or never asked.
uint64_t cv_publisher_tell_us(const struct cv_publisher *publisher);
// That is what it knows now.
void cv_publisher_set_told(struct cv_publisher *publisher, uint64_t taken);

// From the stream's home.
void cv_publisher_on_answer(struct cv_worker *worker, const struct cv_note *note);
void cv_publisher_on_probe(struct cv_worker *worker, const struct cv_note *note);
void cv_publisher_on_kick(struct cv_worker *worker, const struct cv_note *note);

#endif
