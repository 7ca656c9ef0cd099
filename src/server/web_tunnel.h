// Requests and replies of tunnels (RTMPT) on HTTP connections: what is owed to whom.
//
// A connection serves one session at a time, with any number of requests on their way; replies are
// made by the tunnel (server/tunnel.h) and written here, in the order of its requests.
#ifndef CV_SERVER_WEB_TUNNEL_H
#define CV_SERVER_WEB_TUNNEL_H

#include "proto/http1.h"
#include "proto/rtmpt.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_tunnel;
struct cv_web;
struct cv_worker;

// ---- for web.c ----------------------------------------------------------------------------------

// A request's head has come while replies are owed to a session: true if it is of the same one,
// whose tunnel has heard of it. Else it waits for its turn.
bool cv_web_tunnel_join(struct cv_web *web, const struct cv_http1_head *head);
// A piece of its body.
void cv_web_tunnel_body(struct cv_web *web, const uint8_t *data, size_t len);
// Its end. It is answered when its tunnel says so.
void cv_web_tunnel_end(struct cv_web *web, const struct cv_http1_head *head);
// A reply has left altogether.
void cv_web_tunnel_sent(struct cv_web *web);

// ---- for route.c --------------------------------------------------------------------------------

// All requests of the tunnel's paths: those of a session begin, or go with their connection to the
// thread where it lives; /open and those of no session are answered. 1: taken; 0: not ours.
int cv_web_tunnel_route(struct cv_web *web, const struct cv_http1_head *head);

// ---- for web_open.c -----------------------------------------------------------------------------

// A whole 200 that is known now, as a tunnel's client wants it.
void cv_web_tunnel_answer(struct cv_web *web, const void *body, size_t len);
// The client is one of ours and has said this word: "Culvert: 1; word"; "": has said anything.
bool cv_web_tunnel_culvert(const struct cv_http1_head *head, const char *word);

// ---- for tunnels --------------------------------------------------------------------------------

// The one on the connection with this id, or NULL.
struct cv_web *cv_web_find(struct cv_worker *worker, uint64_t id);
// Nothing waits to be written on it.
bool cv_web_is_free(const struct cv_web *web);
// Writes a tunnel's reply, whose parcel it takes; cv_tunnel_sent is called when it has left.
void cv_web_reply(struct cv_web *web, struct cv_rtmpt_reply *reply);
// The tunnel takes requests again.
void cv_web_go_on(struct cv_worker *worker, const struct cv_tunnel *tunnel);
// The tunnel is gone: who waits for a reply of its gets 404.
void cv_web_tunnel_over(struct cv_worker *worker, const struct cv_tunnel *tunnel);

#endif
