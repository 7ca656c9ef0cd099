// What bench/bare.c sends with, other than one gathered write per socket.
#ifndef CV_BENCH_BARE_H
#define CV_BENCH_BARE_H

#include <sys/uio.h>

// Ends the program with these words unless `good`.
void bare_must(int good, const char *what);

// ---- all sockets of a flush in one call (bare_uring.c; io_uring(7)) ---------------------------

struct bare_ring;

// A ring that knows the sockets. Ends the program where the kernel has none.
struct bare_ring *bare_ring_new(const int *fds, unsigned count);
// Sends the same to every socket; sent[i]: how many bytes left, or -errno.
void bare_ring_send(struct bare_ring *ring, struct iovec *vectors, int count, int *sent);

// ---- records of TLS 1.3 (bare_seal.c; RFC 8446 section 5.2) -----------------------------------

struct bare_seal;

// AES-128-GCM, a key of its own for each player.
struct bare_seal *bare_seal_new(unsigned players);
// What is sent next, to all: cut into records, not sealed yet.
void bare_seal_load(struct bare_seal *seal, const struct iovec *vectors, int count);
// The loaded records sealed for one player; valid until the next call.
struct iovec bare_seal_for(struct bare_seal *seal, unsigned player);

#endif
