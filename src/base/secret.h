// Comparing what an attacker must not learn by the time it takes: digests, keys, tokens.
#ifndef CV_BASE_SECRET_H
#define CV_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

// True when the `len` bytes are equal. The time depends on `len` only, not on the bytes. For texts
// of different lengths: the lengths are not secret, compare them first.
bool cv_ct_equal(const void *a, const void *b, size_t len);

#endif
