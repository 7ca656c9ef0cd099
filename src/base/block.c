#include "base/block.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"

#include <string.h>

struct cv_block *cv_block_new(size_t capacity)
{
    if (capacity > UINT32_MAX)
        return NULL;
    struct cv_block *block = cv_mem_alloc(sizeof *block + capacity);
    if (!block)
        return NULL;
    atomic_init(&block->refs, 1);
    block->len = 0;
    block->capacity = (uint32_t)capacity;
    return block;
}

struct cv_block *cv_block_copy(const void *data, size_t len)
{
    struct cv_block *block = cv_block_new(len);
    if (block)
        cv_block_append(block, data, len);
    return block;
}

int cv_block_reserve(struct cv_block **block, size_t capacity)
{
    CV_ASSERT(atomic_load_explicit(&(*block)->refs, memory_order_relaxed) == 1);
    if (capacity <= (*block)->capacity)
        return CV_OK;
    if (capacity > UINT32_MAX)
        return CV_E_NOMEM;
    struct cv_block *moved = cv_mem_resize(*block, sizeof **block + capacity);
    if (!moved)
        return CV_E_NOMEM;
    moved->capacity = (uint32_t)capacity;
    *block = moved;
    return CV_OK;
}

void cv_block_append(struct cv_block *block, const void *data, size_t len)
{
    CV_ASSERT(len <= block->capacity - block->len);
    if (len == 0)
        return;
    memcpy(block->data + block->len, data, len);
    block->len += (uint32_t)len;
}

struct cv_block *cv_block_ref(struct cv_block *block)
{
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
    return block;
}

void cv_block_unref(struct cv_block **block)
{
    struct cv_block *gone = *block;
    *block = NULL;
    if (!gone)
        return;
    unsigned before = atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel);
    CV_ASSERT(before > 0);
    if (before == 1)
        cv_mem_free(gone);
}
