// The entry: a new connection, until its first bytes tell what it speaks.
//
// One port serves them all, because in RTMP and HTTP the client speaks first. A trusted proxy may
// say before, with a PROXY header (proto/proxy_header.h), whose connection it brings.
#ifndef CV_SERVER_ENTRY_H
#define CV_SERVER_ENTRY_H

#include "server/config.h"

struct cv_conn;

// Becomes the connection's first user. `takes`: what its port takes. 0 or CV_E_NOMEM.
int cv_entry_open(struct cv_conn *conn, enum cv_listen_takes takes);

#endif
