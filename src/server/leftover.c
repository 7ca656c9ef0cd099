#include "server/leftover.h"

#include "base/check.h"
#include "base/err.h"

bool cv_leftover_is_empty(const struct cv_leftover *leftover)
{
    return !leftover->block;
}

static int make_room(struct cv_leftover *leftover, size_t bytes)
{
    if (leftover->block)
        return cv_block_reserve(&leftover->block, leftover->block->len + bytes);
    leftover->block = cv_block_new(bytes);
    leftover->sent = 0;
    return leftover->block ? CV_OK : CV_E_NOMEM;
}

int cv_leftover_add(struct cv_leftover *leftover, const struct cv_gather *gather, size_t sent)
{
    CV_ASSERT(sent <= gather->bytes);
    if (sent == gather->bytes)
        return CV_OK;
    if (make_room(leftover, gather->bytes - sent) != CV_OK)
        return CV_E_NOMEM;
    for (int i = 0; i < gather->count; i++) {
        const struct iovec *vector = &gather->vectors[i];
        size_t skip = sent < vector->iov_len ? sent : vector->iov_len;
        sent -= skip;
        cv_block_append(leftover->block, (const uint8_t *)vector->iov_base + skip,
                        vector->iov_len - skip);
    }
    return CV_OK;
}

void cv_leftover_gather(const struct cv_leftover *leftover, struct cv_gather *gather)
{
    cv_gather_clear(gather);
    if (leftover->block)
        cv_gather_borrow(gather, leftover->block->data + leftover->sent,
                         leftover->block->len - leftover->sent);
}

void cv_leftover_sent(struct cv_leftover *leftover, size_t bytes)
{
    CV_ASSERT(leftover->block && bytes <= leftover->block->len - leftover->sent);
    leftover->sent += bytes;
    if (leftover->sent == leftover->block->len)
        cv_leftover_done(leftover);
}

void cv_leftover_done(struct cv_leftover *leftover)
{
    cv_block_unref(&leftover->block);
    leftover->sent = 0;
}
