// The RTMP handshake, both roles (RTMP 1.0, section 5.2), simple and with digests ("complex").
//
//   client: C0 C1 ->        <- S0 S1 S2 (server, as soon as C1 is complete)        C2 ->
//
// Simple: C1 and S1 are a time, four zero bytes and 1528 random ones; C2 and S2 are copies of them.
// Digest (Flash Player 9; not in the specification): bytes 4..7 are a version, an HMAC-SHA256 hides
// in the random part, and C2 and S2 are signed with a key made of the peer's. Its keys are public:
// it proves nothing, but Flash plays no H.264 without it, and FFmpeg insists on it once S1 carries
// a version. A server answers each client in its own way.
//
// The second part of a peer (C2, S2) is received and not looked at: real clients write other things
// than a copy there. An object lives only while its handshake runs, so that idle connections stay
// small. The time limit is the owner's affair. One thread at a time.
#ifndef CV_PROTO_HANDSHAKE_H
#define CV_PROTO_HANDSHAKE_H

#include "base/block.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CV_HANDSHAKE_VERSION = 3,                             // C0, S0: plain RTMP
    CV_HANDSHAKE_PART_BYTES = 1536,                       // C1, S1, C2, S2
    CV_HANDSHAKE_BYTES = 1 + 2 * CV_HANDSHAKE_PART_BYTES, // each way
};

struct cv_handshake;

// The caller owns the result; cv_handshake_free ends it. NULL when there is no memory. `crypto` is
// borrowed and must outlive it; without an HMAC in it only the simple handshake is spoken.
// now_ms: the time written into S1 or C1, any epoch.
struct cv_handshake *cv_handshake_new_server(const struct cv_crypto *crypto, uint32_t now_ms);
// digest: offer the digest handshake. Every known server takes the simple one.
struct cv_handshake *cv_handshake_new_client(const struct cv_crypto *crypto, uint32_t now_ms,
                                             bool digest);
// For a client's object before the first take: C0 C1 C2 are one block, so that messages may follow
// at once. C2 is random, since there is no S1 to copy; only for servers that do not look at it.
void cv_handshake_hurry(struct cv_handshake *handshake);
// NULL is allowed.
void cv_handshake_free(struct cv_handshake *handshake);

// Takes bytes from `rd` up to the end of the handshake and no further; what follows stays in rd.
// 0, or negative for good, with `why` (may be NULL) filled:
//   CV_E_HANDSHAKE_VERSION  the first byte is not 3; why says what it looks like. Known at once:
//   the
//                           byte stays in rd.
//   other codes             the HMAC failed.
int cv_handshake_feed(struct cv_handshake *handshake, struct cv_rd *rd, struct cv_why *why);

// The next block to send, which the caller then owns, or NULL when there is none now or on failure.
// Server: S0 S1 S2 in one block. Client: C0 C1 in one block, later C2; in one block when it
// hurries, or when the server spoke first, which it should not. *err (never NULL) is always set: 0,
// CV_E_NOMEM, or the code of the crypto function that failed. After a failure the block is still
// due.
struct cv_block *cv_handshake_take(struct cv_handshake *handshake, int *err);

// True when everything was received and everything was handed out.
bool cv_handshake_done(const struct cv_handshake *handshake);

// True when the peer's digest was found: C1's or S1's. Known when its first part is complete.
bool cv_handshake_digest(const struct cv_handshake *handshake);

#endif
