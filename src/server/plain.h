// Plain RTMP: a TCP connection that carries a NetConnection's bytes as they are.
#ifndef CV_SERVER_PLAIN_H
#define CV_SERVER_PLAIN_H

#include "base/block.h"
#include "server/conn.h"

// The connection speaks RTMP; these were its first bytes. 0, and it is in other hands; or
// CV_E_NOMEM, and it is still the caller's.
int cv_plain_open(struct cv_conn *conn, const uint8_t *data, size_t len);

// The same for one that has spoken something else until now, and begins anew. The greeting, our
// last words in that other language, leaves ahead of RTMP's bytes, in one write with the first of
// them. When the result is 0 its reference is taken, and the pointer cleared.
int cv_plain_upgrade(struct cv_conn *conn, struct cv_block **greeting, const uint8_t *data,
                     size_t len);

#endif
