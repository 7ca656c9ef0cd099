#include "base/gather.h"

#include <string.h>

void cv_gather_clear(struct cv_gather *gather)
{
    gather->count = 0;
    gather->bytes = 0;
    gather->scratch_used = 0;
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
