// FLV over HTTP, the way in: POST or PUT /{app}/{stream}.flv?key=..., the body is an FLV file that
// may never end. FFmpeg: -f flv -method POST http://...; curl: -T.
//
//   200  the body came to its end: the stream is over, as by an RTMP client's deleteStream
//   400  the body is no FLV, or ends inside a tag
//   403  the key is missing or wrong, or publishing is switched off
//   409  somebody publishes the stream, or has taken it over
//   503  the app has as many streams as it may have, or the server lacks memory
//
// A connection that breaks off leaves the stream its grace time. The stream is asked for when the
// body has begun as FLV does: what is none disturbs nobody. One request on one worker.
#ifndef CV_SERVER_FLV_INGEST_H
#define CV_SERVER_FLV_INGEST_H

struct cv_http1_head;
struct cv_web;
struct cv_worker;

// 1: it has taken the request; 0: it is not for it: another method, no ".flv", no such app.
int cv_flv_ingest_route(struct cv_web *web, const struct cv_http1_head *head);

// In every turn: those go on that had to wait for a stream's home.
void cv_flv_ingests_resume(struct cv_worker *worker);

#endif
