// RTMP over WebSocket: a NetConnection whose bytes come and go in binary messages, for whom only a
// browser's ways lead out, or a proxy that lets nothing else through. The borders of frames mean
// nothing: it is one stream of bytes in each direction, as over TCP.
#ifndef CV_SERVER_WS_RTMP_H
#define CV_SERVER_WS_RTMP_H

struct cv_http1_head;
struct cv_web;

// Takes a request that asks for a WebSocket and offers the subprotocol "rtmp", at its HEAD. Its
// path does not matter: what is published or played is said by connect and its tcUrl, as ever, and
// a path is what proxies in front may have changed. 1: taken; 0: not for it; negative: the end.
int cv_ws_rtmp_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
