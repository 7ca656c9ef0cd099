// A block: reference-counted bytes, written once, then shared.
//
// A block is built by one owner (refs == 1) and immutable from the moment a second reference
// exists. References may be held by any thread; the count is atomic. One message of a stream is one
// block, whoever and however many are reading it.
#ifndef CV_BASE_BLOCK_H
#define CV_BASE_BLOCK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct cv_block {
    atomic_uint refs;
    uint32_t len;      // bytes in use
    uint32_t capacity; // bytes that fit
    uint8_t data[];
};

// An empty block with room for `capacity` bytes (0 is allowed). NULL when there is no memory.
struct cv_block *cv_block_new(size_t capacity);
// A block that holds a copy of `len` bytes. NULL when there is no memory.
struct cv_block *cv_block_copy(const void *data, size_t len);
// Makes room for at least `capacity` bytes. Only for the sole owner. The block may move: *block is
// updated. 0 or CV_E_NOMEM, then the block is unchanged.
int cv_block_reserve(struct cv_block **block, size_t capacity);
// Appends `len` bytes for which there is room. Only for the sole owner.
void cv_block_append(struct cv_block *block, const void *data, size_t len);
// One more reference to the same block, which is returned.
struct cv_block *cv_block_ref(struct cv_block *block);
// Gives up the caller's reference and clears its pointer; the last one frees. *block may be NULL.
void cv_block_unref(struct cv_block **block);

#endif
