// A batch of sends: what many sockets are to be given, collected first, then handed to the kernel
// together; then the results are walked.
//
//     if (!cv_send_batch_has_room(batch)) ...submit, walk, clear
//     cv_send_batch_add(batch, fd, gather, owner, more)            for each socket
//     count = cv_send_batch_submit(batch)
//     cv_send_batch_at(batch, i)->result                           for each of them
//     cv_send_batch_clear(batch)
//
// What the kernel gets is exactly what cv_socket_write would give it, once for each socket: by one
// io_uring enter for all (io/send_ring.h), or, without a ring, by one call for each. Nothing is on
// its way when submit returns: a socket that is full says so at once, as it would to
// cv_socket_write.
//
// Vectors and headers lie in one arena of the batch; payloads are lent (unless many get the same),
// and stay the owners' until they have seen the results. One batch per thread, which is the only
// one to touch it.
//
// What it saves: little, and how much is not certain. 500 players of 2.5 Mb/s, Linux 6.18, two runs
// of each way in turns: the process 1.47 -> 1.21 CPU s per GB at window 0, 1.15 -> 0.96 at 20 ms;
// but while one enter lasts, the kernel's softirq thread takes over some of the work, and counts it
// as its own: all of the processor 1.58 -> 1.45, 1.19 -> 1.11. Bare sends of 4.4 KB to 500, by wall
// time, gain nothing: 5.6 us each by sendmsg, 5.9 by one enter. With 64 or 100 per enter not even
// the process seemed to gain: hence CV_MANY_VIEWERS. One piece instead of vectors: 3 %
// at window 0. The rest of a send is TCP's, whoever asks for it, on the loopback the receiver's
// side, too. So what saves more is to send less often.
#ifndef CV_IO_SEND_BATCH_H
#define CV_IO_SEND_BATCH_H

#include "base/err.h"
#include "base/gather.h"

#include <limits.h>

struct cv_send_batch;

enum { CV_SEND_WAITS = INT_MIN }; // a result that is not there yet

enum {
    CV_SEND_BATCH_SENDS = 512,                // sockets per submit
    CV_SEND_BATCH_VECTORS = 8192,             // vectors per submit: 128 KB
    CV_SEND_BATCH_SCRATCH_BYTES = 128 * 1024, // headers per submit
    CV_SEND_BATCH_FLAT_BYTES = 256 * 1024,    // of what is copied whole per submit
};

struct cv_send {
    int fd;
    int result; // bytes that left (a short count means that the socket is full), or a code
    int count;  // vectors
    struct iovec *vectors;
    size_t bytes; // what was offered
    void *owner;  // the caller's, both of them
    bool more;    //
};

// NULL: no memory. It has no ring.
struct cv_send_batch *cv_send_batch_new(void);
// NULL is allowed. On the thread that gave it a ring.
void cv_send_batch_free(struct cv_send_batch *batch);
// Gives it a ring, which is the calling thread's from now on. 0; or CV_E_SYSTEM, CV_E_DENIED or
// CV_E_NOMEM with a reason for people in `why` (may be NULL), and it goes on without.
int cv_send_batch_use_ring(struct cv_send_batch *batch, struct cv_why *why);
bool cv_send_batch_has_ring(const struct cv_send_batch *batch);

// True when anything that a gather holds can be added. An empty batch always has room.
bool cv_send_batch_has_room(const struct cv_send_batch *batch);
// One socket's share, copied from the gather (which holds at least a byte): vectors and scratch,
// not what is borrowed; those of an edition (base/gather.h) once for all that get it, and if
// several do, and there is room, whole, as one vector. A socket is added once until the next clear.
// Only when there is room.
void cv_send_batch_add(struct cv_send_batch *batch, int fd, const struct cv_gather *gather,
                       void *owner, bool more);
// Sends all that was added since the last clear. How many there are. Where the kernel refuses the
// ring itself, this and all that follows is sent without it.
unsigned cv_send_batch_submit(struct cv_send_batch *batch);
// The n-th one, in the order in which they were added. Valid until the next clear.
struct cv_send *cv_send_batch_at(struct cv_send_batch *batch, unsigned n);
void cv_send_batch_clear(struct cv_send_batch *batch);

#endif
