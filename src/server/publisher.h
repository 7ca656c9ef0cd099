// A publisher: one publishing message stream of a connection, and what it has on the way home.
#ifndef CV_SERVER_PUBLISHER_H
#define CV_SERVER_PUBLISHER_H

#include "server/note.h"

struct cv_netconn;
struct cv_worker;

enum cv_publisher_state {
    CV_PUBLISHER_ASKING, // the stream's home has not answered yet
    CV_PUBLISHER_LIVE,
    CV_PUBLISHER_OVER, // refused or taken over; what still comes is ignored
};

struct cv_publisher {
    struct cv_netconn *conn;
    struct cv_publisher_id id;
    enum cv_publisher_state state;
    struct cv_path path;
    struct cv_policy *policy; // one reference; app points into it
    const struct cv_config_app *app;
    struct cv_batch *batch;    // media of this turn; NULL: none
    struct cv_note *unpublish; // made in advance: no want of memory may keep a name taken
    bool dirty;
    struct cv_publisher *prev, *next; // in the worker's dirty list
    uint64_t opened_us;
    uint64_t messages;
    uint64_t bytes;
};

// Asks the path's home for the stream. As cv_viewer_new: takes over the tally's entry.
struct cv_publisher *cv_publisher_new(struct cv_netconn *conn, uint32_t net_stream,
                                      const struct cv_path *path, struct cv_policy *policy,
                                      const struct cv_config_app *app,
                                      const struct cv_identity *identity);
// Ends it. `clean`: the client said so; otherwise the stream waits for its return. NULL is allowed.
void cv_publisher_free(struct cv_publisher *publisher, bool clean);

// Takes a message on; it leaves at the end of the turn. 0, CV_E_QUEUE_FULL (try again after the
// turn), or CV_E_NOMEM.
int cv_publisher_append(struct cv_publisher *publisher, const struct cv_msg *msg);
// The end of the turn: sends the batch home. False: the mailbox is full, call again.
bool cv_publisher_send(struct cv_publisher *publisher);
// Sends early when much is waiting. False while nothing more should be read from the connection.
bool cv_publisher_make_room(struct cv_publisher *publisher);

// From the stream's home.
void cv_publisher_on_answer(struct cv_worker *worker, const struct cv_note *note);
void cv_publisher_on_probe(struct cv_worker *worker, const struct cv_note *note);
void cv_publisher_on_kick(struct cv_worker *worker, const struct cv_note *note);

#endif
