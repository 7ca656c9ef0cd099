// Plain RTMP: a TCP connection that carries a NetConnection's bytes as they are.
#ifndef CV_SERVER_PLAIN_H
#define CV_SERVER_PLAIN_H

#include "server/conn.h"

// The connection speaks RTMP; these were its first bytes. 0, and it is in other hands; or
// CV_E_NOMEM, and it is still the caller's.
int cv_plain_open(struct cv_conn *conn, const uint8_t *data, size_t len);

#endif
