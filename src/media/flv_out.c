#include "media/flv_out.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

enum { FIRST_TAGS = 8 };

void cv_flv_out_init(struct cv_flv_out *out, const struct cv_flv_view *view, size_t bytes_max)
{
    *out = (struct cv_flv_out){.bytes_max = bytes_max ? bytes_max : CV_LIMIT_OUT_BYTES};
    struct cv_wr wr = cv_wr_fixed(out->file_header, sizeof out->file_header);
    cv_flv_write_header(&wr, view->has_audio, view->has_video);
    CV_ASSERT(wr.err == CV_OK && wr.len == sizeof out->file_header);
}

static struct cv_flv_tag *tag_at(const struct cv_flv_out *out, uint32_t n)
{
    return &out->ring[(out->head + n) & (out->capacity - 1)];
}

static void pop(struct cv_flv_out *out)
{
    struct cv_flv_tag *tag = tag_at(out, 0);
    out->bytes -= tag->len;
    cv_block_unref(&tag->payload);
    out->head = (out->head + 1) & (out->capacity - 1);
    out->count--;
    out->head_sent = 0;
}

void cv_flv_out_done(struct cv_flv_out *out)
{
    while (out->count)
        pop(out);
    CV_ASSERT(out->bytes == 0);
    cv_mem_free(out->ring);
    *out = (struct cv_flv_out){0};
}

static int grow(struct cv_flv_out *out)
{
    uint32_t capacity = out->capacity ? out->capacity * 2 : FIRST_TAGS;
    if (out->capacity == CV_LIMIT_OUT_MESSAGES)
        return CV_E_QUEUE_FULL;
    struct cv_flv_tag *ring = cv_mem_alloc(capacity * sizeof *ring);
    if (!ring)
        return CV_E_NOMEM;
    for (uint32_t i = 0; i < out->count; i++)
        ring[i] = *tag_at(out, i);
    cv_mem_free(out->ring);
    out->ring = ring;
    out->capacity = capacity;
    out->head = 0;
    return CV_OK;
}

int cv_flv_out_push(struct cv_flv_out *out, const struct cv_flv_tag *tag)
{
    CV_ASSERT(tag->payload && tag->offset + tag->len <= tag->payload->len);
    if (out->bytes + tag->len > out->bytes_max)
        return CV_E_QUEUE_FULL;
    int err = out->count == out->capacity ? grow(out) : CV_OK;
    if (err != CV_OK)
        return err;
    *tag_at(out, out->count) = *tag;
    out->count++;
    out->bytes += tag->len;
    return CV_OK;
}

// ---- on the wire ----------------------------------------------------------------------------

static uint32_t body_bytes(const struct cv_flv_tag *tag)
{
    return tag->prefix_len + tag->len;
}

static size_t wire_bytes(const struct cv_flv_tag *tag)
{
    return CV_FLV_TAG_HEAD_BYTES + (size_t)body_bytes(tag) + CV_FLV_TAG_TAIL_BYTES;
}

// What is written between two payloads: the tail of one tag and the head of the next go out as one
// vector.
struct between {
    uint8_t bytes[CV_FLV_HEADER_BYTES + CV_FLV_TAG_TAIL_BYTES + CV_FLV_TAG_HEAD_BYTES +
                  CV_FLV_PREFIX_MAX];
    size_t len;
    size_t skip; // bytes of what follows that have left already
};

static void add(struct between *between, const uint8_t *data, size_t len)
{
    size_t gone = between->skip < len ? between->skip : len;
    between->skip -= gone;
    CV_ASSERT(len - gone <= sizeof between->bytes - between->len);
    memcpy(between->bytes + between->len, data + gone, len - gone);
    between->len += len - gone;
}

static bool flush(struct between *between, struct cv_gather *gather)
{
    size_t len = between->len;
    between->len = 0;
    return cv_gather_copy(gather, between->bytes, len);
}

// False when the gather is full.
static bool pull_tag(const struct cv_flv_tag *tag, struct between *between,
                     struct cv_gather *gather)
{
    uint8_t head[CV_FLV_TAG_HEAD_BYTES];
    uint8_t tail[CV_FLV_TAG_TAIL_BYTES];
    cv_flv_write_tag_head(head, tag->type, tag->ts_ms, body_bytes(tag));
    cv_flv_write_tag_tail(tail, body_bytes(tag));
    add(between, head, sizeof head);
    add(between, tag->prefix, tag->prefix_len);
    if (!flush(between, gather))
        return false;
    size_t gone = between->skip < tag->len ? between->skip : tag->len;
    between->skip -= gone;
    if (!cv_gather_borrow(gather, tag->payload->data + tag->offset + gone, tag->len - gone))
        return false;
    add(between, tail, sizeof tail);
    return true;
}

void cv_flv_out_pull(const struct cv_flv_out *out, struct cv_gather *gather)
{
    struct between between = {.skip = out->file_header_sent};
    add(&between, out->file_header, sizeof out->file_header);
    between.skip = out->head_sent;
    for (uint32_t i = 0; i < out->count; i++) {
        if (!pull_tag(tag_at(out, i), &between, gather))
            return;
    }
    flush(&between, gather);
}

void cv_flv_out_sent(struct cv_flv_out *out, size_t len)
{
    size_t header_left = CV_FLV_HEADER_BYTES - (size_t)out->file_header_sent;
    size_t n = len < header_left ? len : header_left;
    out->file_header_sent = (uint8_t)(out->file_header_sent + n);
    len -= n;
    while (out->count && len) {
        size_t left = wire_bytes(tag_at(out, 0)) - out->head_sent;
        if (len < left) {
            out->head_sent += len;
            return;
        }
        len -= left;
        pop(out);
    }
    CV_ASSERT(len == 0);
}
