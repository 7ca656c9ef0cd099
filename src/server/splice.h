// Two TCP connections made one: what comes from either goes to the other, as it is.
//
// For what begins as HTTP and goes on as something else (WebSocket to the site). Who takes nothing
// is not sent anything: its peer is not read meanwhile. The end of one direction is passed on; the
// other one goes on until its own end.
#ifndef CV_SERVER_SPLICE_H
#define CV_SERVER_SPLICE_H

#include "server/leftover.h"

struct cv_conn;

// Takes both connections, which are on one thread, and what waits to be written to each (moved out;
// may be empty), whatever comes of it. The caller touches neither of them any more.
void cv_splice(struct cv_conn *a, struct cv_leftover *to_a, struct cv_conn *b,
               struct cv_leftover *to_b);

#endif
