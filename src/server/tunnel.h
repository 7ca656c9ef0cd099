// RTMPT: a NetConnection whose bytes come and go in HTTP requests and replies.
//
// The tunnel belongs to no TCP connection: its requests may come on any, and a connection may serve
// it and then others (web_tunnel.h). It lives on the worker that its id names; connections come
// there with its requests.
#ifndef CV_SERVER_TUNNEL_H
#define CV_SERVER_TUNNEL_H

#include "proto/rtmpt.h"

struct cv_origin;
struct cv_tunnel;
struct cv_worker;

// A new session's id, the answer to /open; nothing is kept for it. `secure`: it was opened inside
// TLS, and its requests must come there. 0 or an error of the crypto.
int cv_tunnel_make_id(struct cv_worker *worker, bool secure, struct cv_rtmpt_id *out);
// The same, and the session begins at once with these first bytes of the client: *out, a reference
// of the caller's, is the answer, with what the server says to them. Of `origin` only the client
// counts, and its TLS. 0 or an error.
int cv_tunnel_begin(struct cv_worker *worker, const struct cv_origin *origin,
                    const struct cv_block *first, struct cv_block **out);
// The session that a send, idle or close belongs to: an existing one, or a new one when the id is
// fresh and this is its first request. NULL: there is none, or no more are allowed, or the request
// is in plain text and the session is not.
struct cv_tunnel *cv_tunnel_find(struct cv_worker *worker, const struct cv_rtmpt_target *target,
                                 const struct cv_origin *origin);

bool cv_tunnel_is(const struct cv_tunnel *tunnel, struct cv_text id);
// This server has made the id, whenever that was.
bool cv_tunnel_is_ours(struct cv_worker *worker, struct cv_text id);
// The same, and its session belongs to another thread, which is set.
bool cv_tunnel_is_elsewhere(struct cv_worker *worker, struct cv_text id, unsigned *thread);

// How the client of a request can read a reply that comes in chunks, as long as there is something
// to say.
struct cv_tunnel_window {
    uint32_t ms; // it may last so long, or as long as is configured, if that is less; 0: not at all
    bool kept;   // the client asks again for one that was cut off
};

// A request of the connection `ticket`: its beginning (0, or an error: it is not taken), its body
// in pieces, its end. Replies come by cv_web_reply, at the end of the turn at the earliest.
int cv_tunnel_request(struct cv_tunnel *tunnel, uint64_t ticket,
                      const struct cv_rtmpt_target *target, struct cv_tunnel_window window);
void cv_tunnel_body(struct cv_tunnel *tunnel, uint64_t ticket, const uint8_t *data, size_t len);
void cv_tunnel_end(struct cv_tunnel *tunnel, uint64_t ticket);
// The reply has left altogether.
void cv_tunnel_sent(struct cv_tunnel *tunnel, uint64_t ticket);
// Something else waits on a connection behind the replies that it is owed.
void cv_tunnel_hurry(struct cv_tunnel *tunnel);
// The connection is gone.
void cv_tunnel_gone(struct cv_tunnel *tunnel, uint64_t ticket);
// No more requests should be read for it now; cv_web_go_on tells when they may.
bool cv_tunnel_is_full(const struct cv_tunnel *tunnel);

#endif
