// Tallies: how many of something there are at once, for caps that all threads share.
//
// A fixed table of atomic counters, indexed by a keyed hash of the name (an address, a stream, an
// app). No lock, no memory per name. Two names in one slot share a cap, which is rare and only
// makes it stricter. Touched when connections, publishers and viewers come and go, never per
// message.
#ifndef CV_SERVER_TALLY_H
#define CV_SERVER_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_tally;

// All counters at zero; `seed` keys the hash and should be random. NULL: no memory.
struct cv_tally *cv_tally_new(uint64_t seed);
void cv_tally_free(struct cv_tally *tally);

// Counts one more under this name unless there are `max` already (0 = no limit). False: refused.
// Any thread.
bool cv_tally_enter(struct cv_tally *tally, const void *name, size_t len, uint32_t max);
// Takes back one successful cv_tally_enter. Any thread.
void cv_tally_leave(struct cv_tally *tally, const void *name, size_t len);

#endif
