// A viewer: one playing message stream of a connection, in a seat at an outlet (server/seat.h).
#ifndef CV_SERVER_VIEWER_H
#define CV_SERVER_VIEWER_H

#include "server/note.h"

struct cv_netconn;
struct cv_viewer;

// Starts to play: enters the path's outlet. `net_stream`: the message stream of the play command.
// `policy` and `app` (in its configuration): whose tallies the viewer has entered; the viewer takes
// a reference and leaves them at its end, so on success the entry is the viewer's. `wanted`: the
// client can resume, and was there (or nowhere yet); NULL: it cannot. NULL: no memory.
struct cv_viewer *cv_viewer_new(struct cv_netconn *conn, uint32_t net_stream,
                                const struct cv_path *path, struct cv_policy *policy,
                                const struct cv_config_app *app, const struct cv_position *wanted);
// Leaves the outlet. NULL is allowed.
void cv_viewer_free(struct cv_viewer *viewer);

// Moves what the cursor finds into the connection's engine, until that has enough for one write or
// nothing more comes. 1: there is more; 0: that was all; or an error that ends the connection.
int cv_viewer_fill(struct cv_viewer *viewer);
// Instead of that: the worker's run (media/run.h) begins where this viewer stands, and its engine
// is empty. False: it does not. cv_viewer_took_run: all of it has left; otherwise the viewer is
// filled, and the engine's first bytes are those of the run.
bool cv_viewer_run(struct cv_viewer *viewer);
void cv_viewer_took_run(struct cv_viewer *viewer, size_t len);
// When the wait for a publisher is over, by the loop's clock; UINT64_MAX: does not wait.
uint64_t cv_viewer_deadline_us(const struct cv_viewer *viewer);
// It has been told of the stream's start, and is sent media as they come.
bool cv_viewer_flows(const struct cv_viewer *viewer);

void cv_viewer_pause(struct cv_viewer *viewer, bool paused);
void cv_viewer_receive_audio(struct cv_viewer *viewer, bool on);
void cv_viewer_receive_video(struct cv_viewer *viewer, bool on);
// The server stops: says so to the player.
int cv_viewer_say_over(struct cv_viewer *viewer);

#endif
