// What a short write has left over: copied once, written later.
//
// Bytes go from one connection to another straight out of the read buffer. Only what the receiver
// does not take now is kept, and its sender is not read until it has left: so a leftover is never
// longer than one read.
#ifndef CV_SERVER_LEFTOVER_H
#define CV_SERVER_LEFTOVER_H

#include "base/block.h"
#include "base/gather.h"

#include <stdbool.h>

// All zero: nothing.
struct cv_leftover {
    struct cv_block *block;
    size_t sent;
};

bool cv_leftover_is_empty(const struct cv_leftover *leftover);
// Adds what is in the gather behind its first `sent` bytes. 0 or CV_E_NOMEM.
int cv_leftover_add(struct cv_leftover *leftover, const struct cv_gather *gather, size_t sent);
// The gather has what is left, and nothing else: lent.
void cv_leftover_gather(const struct cv_leftover *leftover, struct cv_gather *gather);
// So many bytes of it have left.
void cv_leftover_sent(struct cv_leftover *leftover, size_t bytes);
// Drops it.
void cv_leftover_done(struct cv_leftover *leftover);

#endif
