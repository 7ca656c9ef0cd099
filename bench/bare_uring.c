#include "bare.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>

struct bare_ring {
    struct io_uring uring;
    unsigned count;
};

// Registered files spare each send the look-up of its descriptor; with DEFER_TASKRUN all work is
// done inside the one call, by this thread.
struct bare_ring *bare_ring_new(const int *fds, unsigned count)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP};
    struct bare_ring *ring = calloc(1, sizeof *ring);
    bare_must(!!ring, "no memory");
    ring->count = count;
    bare_must(io_uring_queue_init_params(count, &ring->uring, &params) == 0 &&
                  io_uring_register_files(&ring->uring, fds, count) == 0,
              "the kernel offers no io_uring");
    io_uring_register_ring_fd(&ring->uring);
    return ring;
}

void bare_ring_send(struct bare_ring *ring, struct iovec *vectors, int count, int *sent)
{
    struct msghdr msg = {.msg_iov = vectors, .msg_iovlen = (size_t)count};
    for (unsigned i = 0; i < ring->count; i++) {
        struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);
        bare_must(!!entry, "the ring is too small");
        io_uring_prep_sendmsg(entry, (int)i, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        entry->flags |= IOSQE_FIXED_FILE;
        entry->user_data = i;
        sent[i] = -EINTR;
    }
    unsigned done = 0;
    while (done < ring->count) {
        int err = io_uring_submit_and_wait(&ring->uring, ring->count - done);
        bare_must(err >= 0 || err == -EINTR, "io_uring failed");
        struct io_uring_cqe *entry;
        unsigned head;
        unsigned seen = 0;
        io_uring_for_each_cqe(&ring->uring, head, entry)
        {
            sent[entry->user_data] = entry->res;
            seen++;
        }
        io_uring_cq_advance(&ring->uring, seen);
        done += seen;
    }
}
