#include "base/gather.h"

#include "base/check.h"

#include <string.h>

void cv_gather_clear(struct cv_gather *gather)
{
    gather->count = 0;
    gather->bytes = 0;
    gather->scratch_used = 0;
    gather->edition = 0;
}

bool cv_gather_full(const struct cv_gather *gather)
{
    return gather->count == CV_GATHER_VECTORS || gather->bytes >= CV_GATHER_BYTES_MAX;
}

bool cv_gather_borrow(struct cv_gather *gather, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (cv_gather_full(gather))
        return false;
    // iovec is shared with readv and therefore not const; a gather is only ever written from.
    gather->vectors[gather->count].iov_base = (void *)(uintptr_t)data;
    gather->vectors[gather->count].iov_len = len;
    gather->count++;
    gather->bytes += len;
    return true;
}

bool cv_gather_copy(struct cv_gather *gather, const void *data, size_t len)
{
    if (len > CV_GATHER_SCRATCH_BYTES - gather->scratch_used)
        return false;
    uint8_t *kept = gather->scratch + gather->scratch_used;
    if (len)
        memcpy(kept, data, len);
    if (!cv_gather_borrow(gather, kept, len))
        return false;
    gather->scratch_used += len;
    return true;
}

int cv_gather_reserve(struct cv_gather *gather, size_t len)
{
    CV_ASSERT(len > 0);
    if (len > CV_GATHER_SCRATCH_BYTES - gather->scratch_used)
        return -1;
    if (!cv_gather_borrow(gather, gather->scratch + gather->scratch_used, len))
        return -1;
    gather->scratch_used += len;
    return gather->count - 1;
}

void cv_gather_fill(struct cv_gather *gather, int index, const void *data, size_t len)
{
    CV_ASSERT(index >= 0 && index < gather->count);
    struct iovec *vector = &gather->vectors[index];
    CV_ASSERT(len > 0 && len <= vector->iov_len);
    memcpy(vector->iov_base, data, len);
    gather->bytes -= vector->iov_len - len;
    vector->iov_len = len;
}

void cv_gather_cut(struct cv_gather *gather, size_t bytes)
{
    while (gather->bytes > bytes) {
        struct iovec *last = &gather->vectors[gather->count - 1];
        size_t extra = gather->bytes - bytes;
        if (extra < last->iov_len) {
            last->iov_len -= extra;
            gather->bytes = bytes;
            return;
        }
        gather->bytes -= last->iov_len;
        gather->count--;
    }
}
