// The web side of the port: a TCP connection that speaks HTTP.
//
// Requests are answered in order, also when they come pipelined. A tunnel's requests (RTMPT) are
// passed to it and answered when it has something to say; reading goes on meanwhile
// (server/web_tunnel.h). Any other waits until nothing is owed to a tunnel; then one route
// (server/route.h) takes it and names its responder.
#ifndef CV_SERVER_WEB_H
#define CV_SERVER_WEB_H

#include "base/gather.h"
#include "proto/http1.h"
#include "proto/http1_write.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_conn;
struct cv_web;

// The connection speaks HTTP; these were its first bytes. 0, and it is in other hands; or
// CV_E_NOMEM, and it is still the caller's.
int cv_web_open(struct cv_conn *conn, const uint8_t *data, size_t len);

// Who answers one request: one static table per kind of answer. All are called on the connection's
// thread, and may call any function below. Any but `end` may be NULL: nothing is done.
struct cv_responder {
    // The next bytes of the request's body, lent for the call.
    void (*body)(void *arg, const uint8_t *data, size_t len);
    // The request is complete.
    void (*end)(void *arg);
    // More can be written, after cv_web_write took less than it was given.
    void (*writable)(void *arg);
    // The connection is gone, or has been ended: frees the responder's side, and does not touch web
    // any more.
    void (*gone)(void *arg);
    // It answers soon, and also a client that has closed its side behind the request; for others
    // that is the end, because a client that has left looks the same.
    bool patient;
};

// ---- for routes, when a request's head has come
// ---------------------------------------------------

// This responder answers the request that was routed. Its body may be of any length; a client that
// waits for "100 Continue" gets it as soon as the body is wanted.
void cv_web_respond(struct cv_web *web, const struct cv_responder *responder, void *arg);

// ---- for responders; those marked with * may free `web` before they return
// ------------------------

// Its thread and its peer.
struct cv_conn *cv_web_conn(const struct cv_web *web);
// The request, until its answer is done.
const struct cv_http1_head *cv_web_head(const struct cv_web *web);
// The connection may go on behind the answer, as far as request and server are concerned.
bool cv_web_keeps(const struct cv_web *web);
// From now on, a longer body is refused with 413.
void cv_web_set_body_max(struct cv_web *web, uint64_t bytes);
// * The body is wanted, as at first, or not now.
void cv_web_want_body(struct cv_web *web, bool wanted);
// One write, as cv_conn_write: bytes that left, CV_E_AGAIN, or an error, for which the responder
// aborts. After a short count or CV_E_AGAIN, `writable` is called; what is left is the responder's.
int cv_web_write(struct cv_web *web, const struct cv_gather *gather);
// The log's line about an answer of the responder's own.
void cv_web_log_request(const struct cv_web *web, uint32_t status);
// * The answer has been written completely, and the responder is forgotten. `keep`: its end is
// known to the client, so the connection may serve the next request.
void cv_web_done(struct cv_web *web, bool keep);
// * The whole answer, copied (keep_alive and head_only are filled in here), instead of one of a
// responder's own. Only when nothing has been written.
void cv_web_answer(struct cv_web *web, const struct cv_http1_answer *answer);
// * The same for a short text of our own. `text` is static.
void cv_web_answer_text(struct cv_web *web, uint32_t status, const char *text);
// * The answer cannot be completed: the connection ends, and the client sees that it was cut.
// `why`: static.
void cv_web_abort(struct cv_web *web, int code, const char *why);
// * It is not for this responder, which is forgotten: the routes are asked anew, and the one that
// passed it must let it be. Only when nothing has been written and the body has never been wanted.
void cv_web_pass(struct cv_web *web);
// The request has been passed by a responder before.
bool cv_web_was_passed(const struct cv_web *web);
// * HTTP is over. The TCP connection is the caller's, who hands it to another user at once, with
// the bytes in *unread, a reference of the caller's (NULL: none). NULL: no memory, and the
// connection ends by itself. Only when nothing waits to be written.
struct cv_conn *cv_web_release(struct cv_web *web, struct cv_block **unread);

#endif
