// The web side of the port: a TCP connection that speaks HTTP.
//
// Requests are answered one after the other, in order, also when they come pipelined. So far there
// is the built-in page; everything else is 404.
#ifndef CV_SERVER_WEB_H
#define CV_SERVER_WEB_H

#include <stddef.h>
#include <stdint.h>

struct cv_conn;

// The connection speaks HTTP; these were its first bytes. 0, and it is in other hands; or
// CV_E_NOMEM, and it is still the caller's.
int cv_web_open(struct cv_conn *conn, const uint8_t *data, size_t len);

#endif
