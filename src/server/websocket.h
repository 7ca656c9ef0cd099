// The opening of a WebSocket (RFC 6455, section 4.2) on a request that the web side has read: what
// every route needs that speaks one. Frames are proto/ws.h; who speaks is the route's business.
//
//     if (!cv_websocket_is_asked(head) || ...)
//         return 0;
//     return cv_websocket_open(web, head, &heir, arg);
//
// An Origin is not looked at: a page of any site may play what is open to all, and to publish it
// needs the key. There are no cookies that another site's page could borrow.
#ifndef CV_SERVER_WEBSOCKET_H
#define CV_SERVER_WEBSOCKET_H

#include "proto/http1.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_conn;
struct cv_web;

// Who goes on when the 101 has left altogether. A static table.
struct cv_websocket_heir {
    // The TCP connection is the heir's, who gives it a user (cv_conn_hand_over) with the bytes that
    // came behind the request, lent for the call, maybe none. 0; or negative: the connection is
    // still the caller's, who ends it, and `arg` has been dealt with by the heir.
    int (*open)(void *arg, struct cv_conn *conn, const uint8_t *data, size_t len);
    // It came to nothing: refused, or the client has gone. Frees `arg`. NULL: nothing to free.
    void (*gone)(void *arg);
};

// Whether the request asks for a WebSocket, rightly or not: its Upgrade names it.
bool cv_websocket_is_asked(const struct cv_http1_head *head);
// Whether it offers this subprotocol; with case.
bool cv_websocket_offers(const struct cv_http1_head *head, const char *protocol);

// Takes a request that asks for a WebSocket, at its HEAD. It is refused at once, with 400, 426 or
// 503; or it gets its 101 when it is complete, and the heir goes on. The subprotocol "rtmp" is
// agreed on when it is offered, no other. 1, or negative: the end of the connection. In all cases
// one of the heir's functions is called for `arg`, once, maybe before this returns.
int cv_websocket_open(struct cv_web *web, const struct cv_http1_head *head,
                      const struct cv_websocket_heir *heir, void *arg);

#endif
