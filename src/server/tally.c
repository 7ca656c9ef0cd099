#include "server/tally.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdatomic.h>

enum { SLOTS = 1 << 16 }; // three per connection at the default cap

struct cv_tally {
    uint64_t seed;
    atomic_uint slots[SLOTS];
};

struct cv_tally *cv_tally_new(uint64_t seed)
{
    struct cv_tally *tally = cv_mem_zero(1, sizeof *tally);
    if (tally)
        tally->seed = seed;
    return tally;
}

void cv_tally_free(struct cv_tally *tally)
{
    cv_mem_free(tally);
}

// FNV-1a from a secret start, mixed at the end: names of one office or one app spread.
static atomic_uint *slot_of(struct cv_tally *tally, const void *name, size_t len)
{
    const uint8_t *bytes = name;
    uint64_t hash = tally->seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15u;
    return &tally->slots[hash >> 48];
}

bool cv_tally_enter(struct cv_tally *tally, const void *name, size_t len, uint32_t max)
{
    atomic_uint *slot = slot_of(tally, name, len);
    unsigned count = atomic_load_explicit(slot, memory_order_relaxed);
    do {
        if (max != 0 && count >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(slot, &count, count + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void cv_tally_leave(struct cv_tally *tally, const void *name, size_t len)
{
    unsigned before = atomic_fetch_sub_explicit(slot_of(tally, name, len), 1, memory_order_relaxed);
    CV_ASSERT(before > 0);
}
