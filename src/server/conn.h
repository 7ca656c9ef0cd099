// A connection: a socket, the RTMP engine behind it, its clock. What the client wants is decided in
// server/session.c.
//
// On the worker that accepted it. Nothing here frees a connection at once: one that failed is
// doomed and goes at the end of the turn, so that lists can be walked while connections fail.
#ifndef CV_SERVER_CONN_H
#define CV_SERVER_CONN_H

#include "io/addr.h"
#include "proto/rtmp.h"
#include "server/log.h"

struct cv_conn;
struct cv_publisher;
struct cv_worker;

// Takes a connection in: `fd` is the connection's, whatever comes of it.
void cv_conn_open(struct cv_worker *worker, int fd, const struct cv_addr *peer);
struct cv_conn *cv_conn_find(struct cv_worker *worker, uint64_t id);

// The next of the worker's connections, in no order; NULL after the last.
struct cv_conn *cv_conn_next(const struct cv_conn *conn);
// The next of those that are paused.
struct cv_conn *cv_conn_next_paused(const struct cv_conn *conn);
// Takes the first connection off a list of marked ones.
struct cv_conn *cv_conn_unmark(struct cv_conn **marked);

uint64_t cv_conn_id(const struct cv_conn *conn);
struct cv_worker *cv_conn_worker(const struct cv_conn *conn);
struct cv_rtmp *cv_conn_rtmp(const struct cv_conn *conn);
// The publisher on this message stream, or NULL.
struct cv_publisher *cv_conn_publisher(struct cv_conn *conn, uint32_t net_stream);
// conn=, peer=: what every line about a connection starts with.
void cv_conn_log_fields(const struct cv_conn *conn, struct cv_line *line);

// Something waits to be sent: flushed at the end of the turn.
void cv_conn_mark(struct cv_conn *conn);
// Sends what waits, filled up from its viewers' logs: one gathered write, more only while it flows.
void cv_conn_flush(struct cv_conn *conn);
// Brings what a flush needs towards the processor: the connection; and its engine, once that is
// there. Hints only.
void cv_conn_prefetch(const struct cv_conn *conn);
void cv_conn_prefetch_engine(const struct cv_conn *conn);
// Reading goes on after a pause, if it can: a publisher's answer came, a mailbox has room again.
void cv_conn_resume(struct cv_conn *conn);
// A deadline may have changed.
void cv_conn_rearm(struct cv_conn *conn);

// Ends it politely: what waits is sent, then the sending side is closed, and what the client still
// sends is read away for a moment, so that it can read our last words.
void cv_conn_finish(struct cv_conn *conn);
// Ends it at the end of this turn. The first reason counts; it is logged. `place`: static text.
void cv_conn_doom(struct cv_conn *conn, int code, const char *place);
// Frees it now. Only for the worker, outside of all lists but its own.
void cv_conn_free(struct cv_conn *conn);
// The server stops: players are told, everybody is finished.
void cv_conn_stop(struct cv_conn *conn);

#endif
