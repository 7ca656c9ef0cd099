// An RTMP session: what a client has asked for on its connection, and our answers.
//
// The engine (proto/rtmp.h) knows the form of messages; this file knows what they mean: connect,
// publish, play and the rest. It does not know sockets, and not by which transport it is reached.
#ifndef CV_SERVER_SESSION_H
#define CV_SERVER_SESSION_H

#include "proto/rtmp.h"
#include "server/policy.h"

struct cv_netconn;
struct cv_publisher;
struct cv_viewer;

// A message stream of the connection (RTMP 1.0, 7.2.2).
struct cv_net_stream {
    bool open;
    uint32_t id;
    struct cv_netconn *conn;
    struct cv_publisher *publisher;
    struct cv_viewer *viewer;
};

struct cv_session {
    struct cv_netconn *conn;
    struct cv_policy *policy; // one reference: in force since the session began
    bool connected;
    char *app;    // owned, with its query
    char *tc_url; // owned
    struct cv_net_stream streams[CV_LIMIT_NET_STREAMS];
    uint32_t stream_count;    // those beyond were never open
    uint64_t commands_second; // the second in which `commands` were counted
    uint32_t commands;
};

void cv_session_init(struct cv_session *session, struct cv_netconn *conn, struct cv_policy *policy);
// Ends all its streams; `clean` as in cv_publisher_free.
void cv_session_done(struct cv_session *session, bool clean);

// One event of the engine, only while there is room. 0, or an error that ends the connection.
int cv_session_on_event(struct cv_session *session, const struct cv_rtmp_event *event,
                        uint64_t now_us);

// The client has left on purpose: its streams end as with deleteStream.
void cv_session_leave(struct cv_session *session);
// The message stream with this id, or NULL when it is not open.
struct cv_net_stream *cv_session_stream(struct cv_session *session, uint32_t id);
// Its viewers' media into the engine, as cv_viewer_fill.
int cv_session_fill(struct cv_session *session);
// The viewer whose media are all that its engine is ever filled with; NULL: there is none, or
// several.
struct cv_viewer *cv_session_only_viewer(const struct cv_session *session);
// False while a publisher has as much on its way as it may have.
bool cv_session_make_room(struct cv_session *session);
bool cv_session_is_publishing(const struct cv_session *session);
bool cv_session_is_playing(const struct cv_session *session);
// It plays, all its players are being sent media, and it does nothing else.
bool cv_session_flows(const struct cv_session *session);
// The earliest end of a viewer's wait for a publisher, or when a publisher is to be told what has
// been taken; UINT64_MAX: neither.
uint64_t cv_session_deadline_us(const struct cv_session *session);
// That time has come: StreamNotFound for those who waited, onTaken for those who publish.
void cv_session_on_deadline(struct cv_session *session, uint64_t now_us);
// The server stops.
void cv_session_say_over(struct cv_session *session);

#endif
