#include "io/send_ring.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/send_batch.h"
#include "io/socket.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/socket.h>

static const char place[] = "io_uring";

struct cv_send_ring {
    struct io_uring uring;
    unsigned sends_max;
    struct msghdr messages[]; // of the sends that are being run
};

// ---- setting up -------------------------------------------------------------------------------

// From the best to what all kernels with io_uring know: one thread submits, and what is left to do
// is done when that thread asks (6.1); without interrupting it (5.19).
static const unsigned flag_rows[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
    0,
};

// 0 or a negative errno.
static int set_up(struct io_uring *uring, unsigned entries)
{
    int err = -EINVAL;
    for (size_t i = 0; err == -EINVAL && i < sizeof flag_rows / sizeof flag_rows[0]; i++) {
        struct io_uring_params params = {.flags = flag_rows[i]};
        err = io_uring_queue_init_params(entries, uring, &params);
    }
    return err;
}

// Sends are as old as io_uring's second year: with vectors from 5.3 on, of one piece from 5.6 on.
static bool knows_sends(struct io_uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(uring);
    bool knows = probe && io_uring_opcode_supported(probe, IORING_OP_SENDMSG) &&
                 io_uring_opcode_supported(probe, IORING_OP_SEND);
    io_uring_free_probe(probe);
    return knows;
}

static int refused(struct cv_why *why, int system_errno)
{
    if (system_errno == ENOSYS || system_errno == EINVAL)
        return cv_why_set(why, CV_E_SYSTEM, place, "the kernel has none");
    return cv_why_set(why, cv_socket_error(system_errno), place, "%s", strerror(system_errno));
}

int cv_send_ring_new(unsigned sends_max, struct cv_send_ring **out, struct cv_why *why)
{
    struct cv_send_ring *ring = cv_mem_zero(1, sizeof *ring + sends_max * sizeof ring->messages[0]);
    if (!ring)
        return cv_why_set(why, CV_E_NOMEM, place, "%s", cv_err_text(CV_E_NOMEM));
    int err = set_up(&ring->uring, sends_max);
    if (err) {
        cv_mem_free(ring);
        return refused(why, -err);
    }
    ring->sends_max = sends_max;
    if (!knows_sends(&ring->uring)) {
        cv_send_ring_free(ring);
        return refused(why, ENOSYS);
    }
    io_uring_register_ring_fd(
        &ring->uring); // where it exists (5.18): a look-up less for each enter
    *out = ring;
    return CV_OK;
}

void cv_send_ring_free(struct cv_send_ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    cv_mem_free(ring);
}

int cv_send_ring_probe(struct cv_why *why)
{
    struct cv_send_ring *ring;
    int err = cv_send_ring_new(1, &ring, why);
    if (err == CV_OK)
        cv_send_ring_free(ring);
    return err;
}

// ---- running ----------------------------------------------------------------------------------

enum { FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT };

static void prepare(struct cv_send_ring *ring, struct cv_send *sends, unsigned n)
{
    struct cv_send *send = &sends[n];
    struct msghdr *message = &ring->messages[n];
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);
    CV_ASSERT(entry);
    if (send->count == 1) {
        const struct iovec *whole = send->vectors;
        io_uring_prep_send(entry, send->fd, whole->iov_base, whole->iov_len, FLAGS);
    } else {
        *message = (struct msghdr){.msg_iov = send->vectors, .msg_iovlen = (size_t)send->count};
        io_uring_prep_sendmsg(entry, send->fd, message, FLAGS);
    }
    entry->user_data = n;
}

static int result_of(const struct cv_send *send, int res)
{
    if (res == -EINTR || res == -ECANCELED) // not tried
        return cv_socket_write(send->fd, send->vectors, send->count);
    return res < 0 ? cv_socket_error(-res) : res;
}

// Takes the results that are there. How many.
static unsigned reap(struct cv_send_ring *ring, struct cv_send *sends)
{
    struct io_uring_cqe *entry;
    unsigned head;
    unsigned count = 0;
    io_uring_for_each_cqe(&ring->uring, head, entry)
    {
        struct cv_send *send = &sends[entry->user_data];
        send->result = result_of(send, entry->res);
        count++;
    }
    io_uring_cq_advance(&ring->uring, count);
    return count;
}

// The kernel may take fewer than all at once, or be interrupted by a signal: again, while it goes
// on. What it has taken it has carried out.
bool cv_send_ring_run(struct cv_send_ring *ring, struct cv_send *sends, unsigned count)
{
    CV_ASSERT(count <= ring->sends_max);
    for (unsigned n = 0; n < count; n++)
        prepare(ring, sends, n);
    unsigned done = 0;
    while (done < count) {
        int err = io_uring_submit_and_wait(&ring->uring, count - done);
        unsigned reaped = reap(ring, sends);
        done += reaped;
        if (err < 0 && err != -EINTR && reaped == 0)
            return false;
    }
    return true;
}
