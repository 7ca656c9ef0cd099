// A gather: what one write will carry, collected from many places without copying payloads.
//
// An engine's pull appends vectors that point into its own blocks; small headers that exist nowhere
// else are written into the gather's scratch. One gather per thread is enough: it is filled,
// written and emptied within one call of the loop.
#ifndef CV_BASE_GATHER_H
#define CV_BASE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    CV_GATHER_VECTORS = 512,          // vectors per write; Linux takes 1024
    CV_GATHER_SCRATCH_BYTES = 8192,   // headers per write: 18 bytes each at most
    CV_GATHER_BYTES_MAX = 512 * 1024, // bytes per write: one viewer must not hold up the others
};

struct cv_gather {
    struct iovec vectors[CV_GATHER_VECTORS];
    int count;
    size_t bytes;
    size_t scratch_used;
    uint64_t
        edition; // 0, or its owner's number for just these vectors: who has copied them has all
    uint8_t scratch[CV_GATHER_SCRATCH_BYTES];
};

void cv_gather_clear(struct cv_gather *gather);
// True when nothing more should be added.
bool cv_gather_full(const struct cv_gather *gather);
// Adds `len` borrowed bytes. False, and nothing happens, when there is no room.
bool cv_gather_borrow(struct cv_gather *gather, const void *data, size_t len);
// Adds a copy of `len` bytes, kept in the scratch. False, and nothing happens, when there is no
// room.
bool cv_gather_copy(struct cv_gather *gather, const void *data, size_t len);

// A place for a header that depends on what follows it. reserve adds a vector of `len` scratch
// bytes and returns its index, or -1 when there is no room; fill puts the `len` bytes of the header
// there, at most as many as were reserved, and gives the others back. cut shortens the gather to
// its first `bytes` bytes.
int cv_gather_reserve(struct cv_gather *gather, size_t len);
void cv_gather_fill(struct cv_gather *gather, int index, const void *data, size_t len);
void cv_gather_cut(struct cv_gather *gather, size_t bytes);

#endif
