#include "proto/chunk_out.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire.h"

enum {
    FIRST_ITEMS = 8,
    EXTENDED_FROM = 0xffffff, // timestamps from here on need the extended field
};

void cv_chunk_out_init(struct cv_chunk_out *out, size_t bytes_max)
{
    *out = (struct cv_chunk_out){.chunk_bytes = CV_CHUNK_BYTES_INITIAL, .bytes_max = bytes_max};
}

static struct cv_chunk_item *item_at(const struct cv_chunk_out *out, uint32_t n)
{
    return &out->ring[(out->head + n) & (out->capacity - 1)];
}

static void pop(struct cv_chunk_out *out)
{
    struct cv_chunk_item *item = item_at(out, 0);
    out->bytes -= item->payload->len;
    cv_block_unref(&item->payload);
    out->head = (out->head + 1) & (out->capacity - 1);
    out->count--;
    out->head_sent = 0;
}

void cv_chunk_out_done(struct cv_chunk_out *out)
{
    while (out->count)
        pop(out);
    CV_ASSERT(out->bytes == 0);
    cv_mem_free(out->ring);
    *out = (struct cv_chunk_out){0};
}

static int grow(struct cv_chunk_out *out)
{
    uint32_t capacity = out->capacity ? out->capacity * 2 : FIRST_ITEMS;
    if (out->capacity == CV_LIMIT_OUT_MESSAGES)
        return CV_E_QUEUE_FULL;
    struct cv_chunk_item *ring = cv_mem_alloc(capacity * sizeof *ring);
    if (!ring)
        return CV_E_NOMEM;
    for (uint32_t i = 0; i < out->count; i++)
        ring[i] = *item_at(out, i);
    cv_mem_free(out->ring);
    out->ring = ring;
    out->capacity = capacity;
    out->head = 0;
    return CV_OK;
}

static void adopt_chunk_size(struct cv_chunk_out *out, const struct cv_block *payload)
{
    struct cv_rd rd = cv_rd_over(payload->data, payload->len);
    uint32_t chunk_bytes = cv_rd_u32(&rd);
    CV_ASSERT(chunk_bytes > 0 && chunk_bytes <= CV_LIMIT_CHUNK_BYTES);
    out->chunk_bytes = chunk_bytes;
}

int cv_chunk_out_push(struct cv_chunk_out *out, const struct cv_msg *msg, enum cv_csid csid)
{
    CV_ASSERT(msg->payload && msg->payload->len <= 0xffffff);
    if (out->bytes + msg->payload->len > out->bytes_max)
        return CV_E_QUEUE_FULL;
    if (out->count == out->capacity) {
        int err = grow(out);
        if (err != CV_OK)
            return err;
    }
    *item_at(out, out->count) = (struct cv_chunk_item){
        .payload = cv_block_ref(msg->payload),
        .ts_ms = msg->ts_ms,
        .stream_id = msg->stream_id,
        .chunk_bytes = out->chunk_bytes,
        .type = msg->type,
        .csid = (uint8_t)csid,
    };
    out->count++;
    out->bytes += msg->payload->len;
    if (msg->type == CV_MSG_SET_CHUNK_SIZE)
        adopt_chunk_size(out, msg->payload);
    return CV_OK;
}

// ---- one message on the wire ------------------------------------------------------------------

static bool has_extended(const struct cv_chunk_item *item)
{
    return item->ts_ms >= EXTENDED_FROM;
}

static size_t first_header_bytes(const struct cv_chunk_item *item)
{
    return has_extended(item) ? 16 : 12;
}

// A continuation header repeats the extended timestamp (spec of 2012; every reader expects it).
static size_t next_header_bytes(const struct cv_chunk_item *item)
{
    return has_extended(item) ? 5 : 1;
}

size_t cv_chunk_item_bytes(const struct cv_chunk_item *item)
{
    size_t len = item->payload->len;
    size_t more_chunks = len ? (len - 1) / item->chunk_bytes : 0;
    return first_header_bytes(item) + len + more_chunks * next_header_bytes(item);
}

static size_t write_header(const struct cv_chunk_item *item, bool first, uint8_t out[16])
{
    struct cv_wr wr = cv_wr_fixed(out, 16);
    uint32_t field = has_extended(item) ? EXTENDED_FROM : item->ts_ms;
    cv_wr_u8(&wr, (uint8_t)((first ? 0 : 3 << 6) | item->csid));
    if (first) {
        cv_wr_u24(&wr, field);
        cv_wr_u24(&wr, item->payload->len);
        cv_wr_u8(&wr, item->type);
        cv_wr_u32le(&wr, item->stream_id);
    }
    if (has_extended(item))
        cv_wr_u32(&wr, item->ts_ms);
    return wr.len;
}

// Lends one piece of the message, of which `*skip` bytes have left already; counts skip down.
static bool lend(struct cv_gather *gather, const uint8_t *data, size_t len, size_t *skip, bool copy)
{
    size_t gone = *skip < len ? *skip : len;
    *skip -= gone;
    if (copy)
        return cv_gather_copy(gather, data + gone, len - gone);
    return cv_gather_borrow(gather, data + gone, len - gone);
}

// Steps over the chunks that have left as a whole: counts skip down. Returns their payload bytes.
static size_t skip_chunks(const struct cv_chunk_item *item, size_t *skip)
{
    size_t first = first_header_bytes(item) + item->chunk_bytes;
    size_t next = next_header_bytes(item) + item->chunk_bytes;
    if (*skip < first)
        return 0;
    size_t more = (*skip - first) / next;
    *skip -= first + more * next;
    return (1 + more) * item->chunk_bytes;
}

bool cv_chunk_item_pull(const struct cv_chunk_item *item, size_t skip, struct cv_gather *gather)
{
    size_t at = skip_chunks(item, &skip);
    do {
        uint8_t header[16];
        size_t header_len = write_header(item, at == 0, header);
        size_t left = item->payload->len - at;
        size_t len = left < item->chunk_bytes ? left : item->chunk_bytes;
        if (!lend(gather, header, header_len, &skip, true) ||
            !lend(gather, item->payload->data + at, len, &skip, false))
            return false;
        at += len;
    } while (at < item->payload->len);
    return true;
}

void cv_chunk_out_pull(const struct cv_chunk_out *out, struct cv_gather *gather)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (!cv_chunk_item_pull(item_at(out, i), i == 0 ? out->head_sent : 0, gather))
            return;
    }
}

size_t cv_chunk_out_sent(struct cv_chunk_out *out, size_t len)
{
    while (out->count && len) {
        size_t left = cv_chunk_item_bytes(item_at(out, 0)) - out->head_sent;
        if (len < left) {
            out->head_sent += len;
            return 0;
        }
        len -= left;
        pop(out);
    }
    return len;
}

uint32_t cv_chunk_out_fit(const struct cv_chunk_out *out, size_t bytes_max, size_t *bytes)
{
    CV_ASSERT(out->head_sent == 0);
    uint32_t n = 0;
    size_t sum = 0;
    for (; n < out->count; n++) {
        size_t more = cv_chunk_item_bytes(item_at(out, n));
        if (n > 0 && sum + more > bytes_max)
            break;
        sum += more;
    }
    *bytes = sum;
    return n;
}

void cv_chunk_out_take(struct cv_chunk_out *out, struct cv_chunk_item *items, uint32_t count)
{
    CV_ASSERT(count <= out->count && out->head_sent == 0);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = *item_at(out, 0);
        cv_block_ref(items[i].payload);
        pop(out);
    }
}
