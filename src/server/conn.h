// A TCP connection that carries RTMP as it is.
//
// On the worker that accepted it. The NetConnection in it decides when it ends.
#ifndef CV_SERVER_CONN_H
#define CV_SERVER_CONN_H

#include "io/addr.h"

struct cv_worker;

// Takes a connection in: `fd` is the connection's, whatever comes of it.
void cv_conn_open(struct cv_worker *worker, int fd, const struct cv_addr *peer);

#endif
