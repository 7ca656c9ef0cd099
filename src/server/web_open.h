// POST /open/1, where a client may say that it can do more than RTMPT.
//
//   nothing                          200: a session's id. Nothing is kept for it
//   Connection: Upgrade              101: the connection speaks RTMP from here on. The body may
//   hold Upgrade: rtmp                    its first bytes (C0 C1, or more); HTTP/1.1 only Culvert:
//   1                       200 says the same: a server of ours has read this Culvert: 1; handshake
//   200: the id, and behind its LF the answer to the RTMP bytes in
//                                    the body; so the session has begun
//
// Proxies take the Upgrade away, and the second header stays: whatever is on the way, one request
// finds the best that is left (there is no specification of this).
#ifndef CV_SERVER_WEB_OPEN_H
#define CV_SERVER_WEB_OPEN_H

#include "proto/http1.h"

struct cv_web;

// Answers it. As a route: 1, or an error.
int cv_web_open_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
