#include "io/send_batch.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/send_ring.h"
#include "io/socket.h"

#include <assert.h>
#include <string.h>

// What one socket is given.
struct share {
    struct iovec *vectors;
    int count;
};

struct cv_send_batch {
    struct cv_send_ring *ring; // NULL: none
    unsigned count;
    unsigned vectors_used;
    size_t scratch_used;
    size_t flat_used;
    uint64_t edition;    // of the gather that has one and was copied last; 0: none
    struct share shared; // what all that get it are given
    struct cv_send sends[CV_SEND_BATCH_SENDS];
    struct iovec vectors[CV_SEND_BATCH_VECTORS];
    uint8_t scratch[CV_SEND_BATCH_SCRATCH_BYTES];
    uint8_t flat[CV_SEND_BATCH_FLAT_BYTES];
};

static_assert((int)CV_SEND_BATCH_VECTORS >= (int)CV_GATHER_VECTORS,
              "an empty batch takes any gather");
static_assert((int)CV_SEND_BATCH_SCRATCH_BYTES >= (int)CV_GATHER_SCRATCH_BYTES, "the same");

struct cv_send_batch *cv_send_batch_new(void)
{
    return cv_mem_zero(1, sizeof(struct cv_send_batch));
}

void cv_send_batch_free(struct cv_send_batch *batch)
{
    if (!batch)
        return;
    cv_send_ring_free(batch->ring);
    cv_mem_free(batch);
}

int cv_send_batch_use_ring(struct cv_send_batch *batch, struct cv_why *why)
{
    CV_ASSERT(!batch->ring && batch->count == 0);
    return cv_send_ring_new(CV_SEND_BATCH_SENDS, &batch->ring, why);
}

bool cv_send_batch_has_ring(const struct cv_send_batch *batch)
{
    return batch->ring;
}

// ---- collecting -------------------------------------------------------------------------------

bool cv_send_batch_has_room(const struct cv_send_batch *batch)
{
    return batch->count < CV_SEND_BATCH_SENDS &&
           batch->vectors_used + CV_GATHER_VECTORS <= CV_SEND_BATCH_VECTORS &&
           batch->scratch_used + CV_GATHER_SCRATCH_BYTES <= CV_SEND_BATCH_SCRATCH_BYTES;
}

static bool is_in_scratch(const struct cv_gather *gather, const struct iovec *vector)
{
    uintptr_t at = (uintptr_t)vector->iov_base;
    uintptr_t scratch = (uintptr_t)gather->scratch;
    return at >= scratch && at < scratch + sizeof gather->scratch;
}

// The vector as it is where the gather's scratch begins at `scratch`.
static struct iovec moved(const struct cv_gather *gather, const struct iovec *vector,
                          uint8_t *scratch)
{
    struct iovec copy = *vector;
    if (is_in_scratch(gather, vector))
        copy.iov_base = scratch + ((uintptr_t)vector->iov_base - (uintptr_t)gather->scratch);
    return copy;
}

static struct share copy(struct cv_send_batch *batch, const struct cv_gather *gather)
{
    struct iovec *vectors = &batch->vectors[batch->vectors_used];
    uint8_t *scratch = &batch->scratch[batch->scratch_used];
    memcpy(scratch, gather->scratch, gather->scratch_used);
    for (int i = 0; i < gather->count; i++)
        vectors[i] = moved(gather, &gather->vectors[i], scratch);
    batch->vectors_used += (unsigned)gather->count;
    batch->scratch_used += gather->scratch_used;
    return (struct share){vectors, gather->count};
}

// One vector instead of many, payloads and all, where there is room for it.
static struct share flatten(struct cv_send_batch *batch, const struct share *share, size_t bytes)
{
    if (share->count == 1 || bytes > CV_SEND_BATCH_FLAT_BYTES - batch->flat_used)
        return *share;
    struct iovec *whole = &batch->vectors[batch->vectors_used++];
    *whole = (struct iovec){.iov_base = &batch->flat[batch->flat_used]};
    for (int i = 0; i < share->count; i++) {
        const struct iovec *part = &share->vectors[i];
        memcpy((uint8_t *)whole->iov_base + whole->iov_len, part->iov_base, part->iov_len);
        whole->iov_len += part->iov_len;
    }
    CV_ASSERT(whole->iov_len == bytes);
    batch->flat_used += bytes;
    return (struct share){whole, 1};
}

// What many sockets are given is copied once, and laid out flat when it is known that they are
// many.
static struct share copy_edition(struct cv_send_batch *batch, const struct cv_gather *gather)
{
    if (gather->edition != batch->edition) {
        batch->shared = copy(batch, gather);
        batch->edition = gather->edition;
    } else {
        batch->shared = flatten(batch, &batch->shared, gather->bytes);
    }
    return batch->shared;
}

void cv_send_batch_add(struct cv_send_batch *batch, int fd, const struct cv_gather *gather,
                       void *owner, bool more)
{
    CV_ASSERT(cv_send_batch_has_room(batch) && gather->count > 0);
    struct share share = gather->edition ? copy_edition(batch, gather) : copy(batch, gather);
    batch->sends[batch->count++] = (struct cv_send){
        .fd = fd,
        .result = CV_SEND_WAITS,
        .count = share.count,
        .vectors = share.vectors,
        .bytes = gather->bytes,
        .owner = owner,
        .more = more,
    };
}

// ---- sending ----------------------------------------------------------------------------------

// A ring that the kernel refuses is given up.
static void send_by_ring(struct cv_send_batch *batch)
{
    if (!batch->ring || cv_send_ring_run(batch->ring, batch->sends, batch->count))
        return;
    cv_send_ring_free(batch->ring);
    batch->ring = NULL;
}

unsigned cv_send_batch_submit(struct cv_send_batch *batch)
{
    send_by_ring(batch);
    for (unsigned i = 0; i < batch->count; i++) {
        struct cv_send *send = &batch->sends[i];
        if (send->result == CV_SEND_WAITS)
            send->result = cv_socket_write(send->fd, send->vectors, send->count);
    }
    return batch->count;
}

struct cv_send *cv_send_batch_at(struct cv_send_batch *batch, unsigned n)
{
    CV_ASSERT(n < batch->count);
    return &batch->sends[n];
}

void cv_send_batch_clear(struct cv_send_batch *batch)
{
    batch->count = 0;
    batch->vectors_used = 0;
    batch->scratch_used = 0;
    batch->flat_used = 0;
    batch->edition = 0;
}
