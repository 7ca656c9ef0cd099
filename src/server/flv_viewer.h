// A viewer of FLV: one player (of a page, FFmpeg, curl, ...) that gets a live stream as the bytes
// of an FLV file, on a TCP connection that serves nothing else any more.
//
// It takes its seat while its request is still being answered, and begins to send when it is given
// the connection. Policy, waiting, jumping and ending are those of RTMP viewers. On one worker.
#ifndef CV_SERVER_FLV_VIEWER_H
#define CV_SERVER_FLV_VIEWER_H

#include "server/flv_framing.h"
#include "server/policy.h"

struct cv_conn;
struct cv_flv_viewer;
struct cv_worker;

// Who has a request that waits for its stream.
struct cv_flv_host {
    // The stream is live: cv_flv_viewer_open may be called now, or later. Does not free the viewer.
    void (*live)(void *arg);
    // Nobody has published in time. Frees the viewer.
    void (*over)(void *arg);
};

struct cv_flv_setup {
    const struct cv_path *path;
    struct cv_policy *policy; // whose tallies have been entered: as cv_viewer_new
    const struct cv_config_app *app;
    enum cv_flv_framing_kind framing;
    bool plain;     // media/flv_view.h
    bool head_only; // the head is all that is sent
};

// `conn`: where the request came from. NULL: no memory, the tallies are still the caller's.
struct cv_flv_viewer *cv_flv_viewer_new(struct cv_conn *conn, const struct cv_flv_setup *setup);
// The request waits until the stream is live. Without this, the viewer is opened as soon as that is
// possible, and waits then.
void cv_flv_viewer_wait(struct cv_flv_viewer *viewer, const struct cv_flv_host *host, void *arg);
// The connection is the viewer's, which becomes its user. `head` (the viewer's from now on; NULL:
// none) leaves before anything else; `data`: what the client has sent already.
void cv_flv_viewer_open(struct cv_flv_viewer *viewer, struct cv_block *head, const uint8_t *data,
                        size_t len);
bool cv_flv_viewer_is_live(const struct cv_flv_viewer *viewer);
// It will never be opened: frees it, now or in a moment. `drop` may be called anywhere; `free`
// where no seats are walked: by its host's `over`, by events of the connection.
void cv_flv_viewer_drop(struct cv_flv_viewer *viewer);
void cv_flv_viewer_free(struct cv_flv_viewer *viewer);

// At the worker's end: all that have connections of their own.
void cv_flv_viewers_free(struct cv_worker *worker);

#endif
