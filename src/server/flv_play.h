// Live FLV over HTTP and WebSocket: GET /{app}/{stream}.flv, for players in pages (mpegts.js,
// flv.js), FFmpeg, VLC, curl.
//
//   GET      200 and the stream without end; 404 when nobody has published it in the app's
//            play_wait_s; 403 where playing is off; 503 when there are too many viewers
//   HEAD     the same head; OPTIONS: what browsers ask before they send a range (CORS)
//   upgrade  to WebSocket: the same bytes in binary messages; the end is a close frame with 1000
//
// Pages of any site may play. `?plain=1`, and FFmpeg by its name, get messages as they were
// published; others what players in pages understand (media/flv_view.h). No range is ever served.
#ifndef CV_SERVER_FLV_PLAY_H
#define CV_SERVER_FLV_PLAY_H

struct cv_http1_head;
struct cv_web;

// 1: it has taken the request; 0: it is not for it: another method, no ".flv", no such app.
int cv_flv_play_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
