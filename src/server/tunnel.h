// RTMPT: a NetConnection whose bytes come and go in HTTP requests and replies.
//
// The tunnel belongs to no TCP connection: its requests may come on any of this thread's, and a
// connection may serve it and then others (web_tunnel.h). Connections of one address meet on one
// thread, so that a session's requests find it. On the worker that its id names.
#ifndef CV_SERVER_TUNNEL_H
#define CV_SERVER_TUNNEL_H

#include "io/addr.h"
#include "proto/rtmpt.h"

struct cv_tunnel;
struct cv_worker;

// A new session's id, the answer to /open; nothing is kept for it. 0 or an error of the crypto.
int cv_tunnel_make_id(struct cv_worker *worker, struct cv_rtmpt_id *out);
// The session that a send, idle or close belongs to: an existing one, or a new one when the id is
// fresh and this is its first request. NULL: there is none, or no more are allowed.
struct cv_tunnel *cv_tunnel_find(struct cv_worker *worker, const struct cv_rtmpt_target *target,
                                 const struct cv_addr *peer);

// A request of the connection `ticket`: its beginning (0, or an error: it is not taken), its body
// in pieces, its end. Replies come by cv_web_reply, at the end of the turn at the earliest.
int cv_tunnel_request(struct cv_tunnel *tunnel, uint64_t ticket,
                      const struct cv_rtmpt_target *target);
void cv_tunnel_body(struct cv_tunnel *tunnel, uint64_t ticket, const uint8_t *data, size_t len);
void cv_tunnel_end(struct cv_tunnel *tunnel, uint64_t ticket);
// The reply has left altogether.
void cv_tunnel_sent(struct cv_tunnel *tunnel, uint64_t ticket);
// The connection is gone.
void cv_tunnel_gone(struct cv_tunnel *tunnel, uint64_t ticket);
// No more requests should be read for it now; cv_web_go_on tells when they may.
bool cv_tunnel_is_full(const struct cv_tunnel *tunnel);

#endif
