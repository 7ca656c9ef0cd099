// TLS on one TCP connection, by OpenSSL 3: 1.3 (RFC 8446) and 1.2 (RFC 5246).
//
// It has the promises of a socket (io/socket.h): reading gives plaintext, and what write says has
// left is in the kernel's hands. Nothing is called back. One thread at a time; it may be another
// one from one call to the next, with a room of that thread.
#ifndef CV_IO_TLS_H
#define CV_IO_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct cv_tls;
struct cv_tls_room;
struct cv_tls_server; // io/tls_server.h
struct cv_tls_trust;  // io/tls_trust.h

// Buffers that the connections of one thread share; each is used within one call only.
struct cv_tls_room *cv_tls_room_new(void); // NULL: no memory
void cv_tls_room_free(struct cv_tls_room *room);

// The server's end, or the client's, of the connection `fd`, which stays the caller's. Nothing is
// read or written yet. NULL: no memory. References of their own are kept to what they are given.
struct cv_tls *cv_tls_accept(struct cv_tls_server *server, int fd);
// `host`: whom we want to speak to, a name (sent as SNI, RFC 6066) or an IP address (not sent).
struct cv_tls *cv_tls_connect(struct cv_tls_trust *trust, int fd, const char *host);
// Does not close the descriptor, and says nothing to the peer.
void cv_tls_free(struct cv_tls *tls);
// What has been read from the descriptor already, by somebody who only looked: it comes first.
// Copied. 0 or CV_E_NOMEM. Before the first cv_tls_read.
int cv_tls_give(struct cv_tls *tls, const uint8_t *data, size_t len);

// Goes on with the handshake: CV_OK, it is done (also when it was done before). CV_E_AGAIN: call
// again when the descriptor is readable, or, while cv_tls_wants_write, writable. Else it has
// failed, for good, and *why says it for people: CV_E_NOT_TLS, CV_E_TLS, CV_E_TLS_ALERT,
// CV_E_CERT_*, CV_E_NOMEM, or the socket's error (CV_E_CLOSED: also an end in the middle).
int cv_tls_handshake(struct cv_tls *tls, struct cv_tls_room *room, struct cv_why *why);

// After the handshake.
//
// Plaintext, at most `max` (> 0) bytes: how many, or as cv_socket_read; CV_E_CLOSED only behind a
// close_notify, an end without one is CV_E_RESET (RFC 8446, 6.1: it may be somebody else's).
// CV_E_TLS: a broken record.
int cv_tls_read(struct cv_tls *tls, struct cv_tls_room *room, void *data, size_t max);
// Bytes that were received (also behind the handshake), or a failure that has not been told, wait
// in here: read again, the descriptor need not be readable.
bool cv_tls_has_more(const struct cv_tls *tls);
// As cv_socket_write. Of what the kernel did not take whole the last byte is reported as not sent
// until it has: the caller offers it again, and it must be the same byte. So "sent" means the
// kernel's, as with a socket, and at most one gather of ciphertext waits here. With `count` 0 it
// only sends what waits: 0, or CV_E_AGAIN while there is more.
int cv_tls_write(struct cv_tls *tls, struct cv_tls_room *room, const struct iovec *vectors,
                 int count);
// Brings what a write needs towards the processor, in two steps: 0, and when that is there, 1.
// Hints.
void cv_tls_prefetch(const struct cv_tls *tls, unsigned step);
// Ciphertext waits for the descriptor to be writable.
bool cv_tls_wants_write(const struct cv_tls *tls);
// Says close_notify, if that can be said now. The caller closes the socket's side.
void cv_tls_shutdown(struct cv_tls *tls, struct cv_tls_room *room);

struct cv_tls_info {
    const char *version; // "TLSv1.3". Static
    const char *cipher;  // "TLS_AES_128_GCM_SHA256". Static
    const char *server;  // the name that the client asked for; empty: none. Lives as long as tls
    bool resumed;        // by a ticket
    bool kernel;         // the kernel encrypts what we send
};
// After the handshake.
struct cv_tls_info cv_tls_info(const struct cv_tls *tls);

// True when this machine's kernel can encrypt by itself (kTLS, the "tls" protocol above TCP). Asked
// once.
bool cv_tls_kernel_offers(void);

#endif
