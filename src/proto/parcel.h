// A parcel: whole messages that were taken off the engine's queue, to leave by another way than one
// long connection: as the body of a tunnel's reply.
//
// Immutable, counted by references, so that a reply can be written in pieces and kept for a request
// that comes twice. Payloads stay where they are; headers are written again at each pull. Any
// thread may hold a reference.
#ifndef CV_PROTO_PARCEL_H
#define CV_PROTO_PARCEL_H

#include "base/gather.h"
#include "proto/chunk_out.h"

#include <stdatomic.h>

struct cv_parcel {
    atomic_uint refs;
    uint32_t count;          // of items
    size_t bytes;            // on the wire, all together
    struct cv_block *raw[2]; // handshake parts that come before the messages; may be NULL
    struct cv_chunk_item items[];
};

// Takes the handshake parts, which are cleared, and then messages off `out` (NULL: none) as long as
// the whole is not longer than `bytes_max`; a first message is taken whatever its length. NULL: no
// memory, then nothing was taken.
struct cv_parcel *cv_parcel_new(struct cv_block *raw[2], struct cv_chunk_out *out,
                                size_t bytes_max);
// Appends the messages of `more`, which has no handshake parts, to *to, which nobody else has a
// reference to; NULL inside: begins one. 0, or CV_E_NOMEM, then *to is as it was.
int cv_parcel_add(struct cv_parcel **to, const struct cv_parcel *more);
struct cv_parcel *cv_parcel_ref(struct cv_parcel *parcel);
// Gives up the caller's reference and clears its pointer. *parcel may be NULL.
void cv_parcel_unref(struct cv_parcel **parcel);

// Lends what comes behind the first `at` bytes, as much as the gather takes; valid as long as the
// reference.
void cv_parcel_pull(const struct cv_parcel *parcel, size_t at, struct cv_gather *gather);

#endif
