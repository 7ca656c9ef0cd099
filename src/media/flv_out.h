// FLV on its way to one viewer: a queue of tags by reference (media/flv_view.h), whose heads and
// tails are written into the gather. First in, first out: what was lent once is lent again, first,
// until it is sent.
#ifndef CV_MEDIA_FLV_OUT_H
#define CV_MEDIA_FLV_OUT_H

#include "base/err.h"
#include "base/gather.h"
#include "media/flv_view.h"
#include "proto/flv.h"

struct cv_flv_out {
    struct cv_flv_tag *ring; // capacity is a power of two
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
    size_t head_sent; // bytes of the first tag that have left
    size_t bytes;     // payload bytes in the queue
    size_t bytes_max; // cap of that
    uint8_t file_header[CV_FLV_HEADER_BYTES];
    uint8_t file_header_sent;
};

// Starts with the file header of this view. bytes_max 0: CV_LIMIT_OUT_BYTES.
void cv_flv_out_init(struct cv_flv_out *out, const struct cv_flv_view *view, size_t bytes_max);
void cv_flv_out_done(struct cv_flv_out *out);

// Queues a tag and takes over its reference. CV_E_QUEUE_FULL or CV_E_NOMEM: it stays the caller's.
int cv_flv_out_push(struct cv_flv_out *out, const struct cv_flv_tag *tag);

// Lends as much as the gather takes; valid until the next call of sent or done.
void cv_flv_out_pull(const struct cv_flv_out *out, struct cv_gather *gather);
// `len` bytes of what was pulled have left.
void cv_flv_out_sent(struct cv_flv_out *out, size_t len);

static inline bool cv_flv_out_empty(const struct cv_flv_out *out)
{
    return out->count == 0 && out->file_header_sent == CV_FLV_HEADER_BYTES;
}

#endif
