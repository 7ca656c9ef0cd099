// Heads on their way through a proxy: a client's request for the server behind, and its response
// for the client. Pure: parsed heads in, bytes of new heads out. RFC 9110, section 7.6; RFC 9112.
//
// A head is never copied as bytes. It is written anew from what the engine (proto/http1.h) has
// understood, with framing of our own, so that the next server cannot read it in another way. What
// is for one connection only ends here: Connection and what it names, Keep-Alive, Proxy-*, TE,
// Trailer, Transfer-Encoding, Upgrade. Trailers are not passed on, so TE: trailers is not, either.
#ifndef CV_PROTO_PROXY_HEAD_H
#define CV_PROTO_PROXY_HEAD_H

#include "proto/http1.h"

// The longest head that can come out: what came in, and what is added.
enum { CV_PROXY_HEAD_BYTES_MAX = 20 * 1024 };

// Who asks. Borrowed.
struct cv_proxy_client {
    struct cv_text peer;      // address of the socket: "192.0.2.1", "2001:db8::1"
    bool secure;              // it speaks TLS with us
    bool trusted;             // it is a proxy of ours: what it says about its own client is kept
    struct cv_text authority; // Host for a client that names none, in HTTP/1.0
};

// Whether the request's Upgrade goes along: WebSocket and whatever else the two agree on, but no
// protocol that would carry other requests past this proxy (h2c), ours (rtmp), TLS, or one behind a
// body.
bool cv_proxy_upgrades(const struct cv_http1_head *request);
// Whether it does no harm to send the request twice. RFC 9110, 9.2.2.
bool cv_proxy_is_idempotent(const struct cv_http1_head *request);

// Writes the head of the request for the server behind, which is always asked in HTTP/1.1. The body
// follows as request->framing says: none, as many bytes as the length, or in chunks.
//
// X-Forwarded-For gets the peer at its end, X-Forwarded-Proto and X-Forwarded-Host say what the
// client asked for. What came in these, in Forwarded or in X-Real-IP is kept only from a trusted
// peer. Expect ends here: this hop answers it by itself.
void cv_proxy_write_request(struct cv_wr *wr, const struct cv_http1_head *request,
                            const struct cv_proxy_client *client);

// How the response's body goes to a client of HTTP/1.`minor`: one without a length in chunks, or,
// to one of 1.0, until the connection is closed.
enum cv_http1_framing cv_proxy_framing(const struct cv_http1_head *response, uint32_t minor);

// Writes the head of the response, final or interim or 101, for the client. `keep_alive` false: the
// connection is closed behind it, and the client is told. It must be false for UNTIL_CLOSE.
void cv_proxy_write_response(struct cv_wr *wr, const struct cv_http1_head *response, uint32_t minor,
                             bool keep_alive);

#endif
