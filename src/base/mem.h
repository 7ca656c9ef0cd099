// Memory: the one door to the heap.
//
// Every allocation of Culvert goes through here, so that a thread can count its own (bench/ shows
// that the media path makes none per viewer) and a test can make the n-th one fail.
#ifndef CV_BASE_MEM_H
#define CV_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

// Counters of the calling thread, since it started.
struct cv_mem_stats {
    uint64_t allocs; // successful cv_mem_alloc, cv_mem_zero and growing cv_mem_resize calls
    uint64_t frees;
};

// Returns memory of `size` bytes (size > 0), or NULL. The caller owns it; cv_mem_free ends it.
void *cv_mem_alloc(size_t size);
// The same, zeroed: `count` items of `size` bytes; NULL also when the product overflows.
void *cv_mem_zero(size_t count, size_t size);
// As realloc(3). On NULL the old memory is untouched and still the caller's.
void *cv_mem_resize(void *memory, size_t size);
// A copy of `len` bytes with a NUL behind it, or NULL.
char *cv_mem_text(const char *text, size_t len);
// NULL is allowed.
void cv_mem_free(void *memory);

// Hints that these bytes are about to be used: fetched into the cache, one line after the other,
// while other work goes on. Changes nothing.
static inline void cv_prefetch(const void *memory, size_t size)
{
    enum { LINE_BYTES = 64 };
    for (size_t at = 0; at < size; at += LINE_BYTES)
        __builtin_prefetch((const char *)memory + at);
}

// The calling thread's counters.
struct cv_mem_stats cv_mem_stats(void);

// Tests only: the n-th allocation of this thread from now on fails (1 = the next), once.
// 0 switches it off. Returns how many allocations were still to go (0 = it has struck).
uint64_t cv_mem_fail_nth(uint64_t n);

#endif
