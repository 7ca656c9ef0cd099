// The web side of the port: a TCP connection that speaks HTTP.
//
// Requests are answered in order, also when they come pipelined. A tunnel's requests (RTMPT) are
// passed to it and answered when it has something to say; reading goes on meanwhile. Others wait
// until nothing is owed to a tunnel. There is the built-in page; everything else is 404.
#ifndef CV_SERVER_WEB_H
#define CV_SERVER_WEB_H

#include "proto/rtmpt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_conn;
struct cv_tunnel;
struct cv_web;
struct cv_worker;

// The connection speaks HTTP; these were its first bytes. 0, and it is in other hands; or
// CV_E_NOMEM, and it is still the caller's.
int cv_web_open(struct cv_conn *conn, const uint8_t *data, size_t len);

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
