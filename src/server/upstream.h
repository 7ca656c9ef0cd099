// Connections to the site's own web server, of one thread: dialled, kept for the next request,
// bounded.
//
// The site is that of the worker's policy. Its name is looked up when it is needed, and again after
// CV_SITE_LOOKUP_S; its addresses are tried in order, the one that worked last first. Requests that
// find all connections in use wait, in order.
#ifndef CV_SERVER_UPSTREAM_H
#define CV_SERVER_UPSTREAM_H

#include "io/loop.h"
#include "proto/http1.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_conn;
struct cv_upstreams;
struct cv_worker;

// One connection to the site. The members are for reading.
struct cv_upstream {
    struct cv_conn *conn;  // owned; whoever got it by `ready` is its user
    struct cv_http1 *http; // owned: reads its responses
    bool reused;           // it has carried a request before
    // private
    struct cv_upstreams *all;
    struct cv_upstream_ask *ask; // while it is dialled
    struct cv_timer timer;
    unsigned tried;      // addresses
    uint64_t generation; // of the site that it belongs to
    struct cv_upstream *prev, *next;
};

// Somebody who wants a connection. Embedded in its owner; the first members are his to fill in.
struct cv_upstream_ask {
    // One of both is called, once, perhaps before cv_upstream_ask returns.
    void (*ready)(void *arg, struct cv_upstream *upstream);
    // CV_E_QUEUE_FULL, CV_E_NOT_FOUND (no such name), CV_E_TIMEOUT, or what connecting failed with.
    void (*failed)(void *arg, int code);
    void *arg;
    bool fresh; // not one that was used before
    // private
    struct cv_upstreams *all;    // NULL: not asked, or answered
    struct cv_upstream *dialled; // for it; NULL: it waits
    struct cv_upstream_ask *prev, *next;
};

void cv_upstream_ask(struct cv_worker *worker, struct cv_upstream_ask *ask);
// Neither is called any more. Safe when nothing was asked.
void cv_upstream_cancel(struct cv_upstream_ask *ask);

// The request is answered, nothing is unread: another one may have the connection.
void cv_upstream_give_back(struct cv_upstream *upstream);
// It is of no use any more.
void cv_upstream_close(struct cv_upstream *upstream);
// The connection is the caller's from now on, and counts no longer.
struct cv_conn *cv_upstream_release(struct cv_upstream *upstream);

// The site failed a request; told in the log now and then, and when it is back.
void cv_upstream_failed(struct cv_worker *worker, int code, const char *why);
void cv_upstream_works(struct cv_worker *worker);

// With the worker, when nobody uses a connection any more.
void cv_upstreams_free(struct cv_worker *worker);

#endif
