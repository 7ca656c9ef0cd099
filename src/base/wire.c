#include "base/wire.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>

static const uint8_t nothing[1];

struct cv_rd cv_rd_over(const void *data, size_t len)
{
    const uint8_t *at = data ? data : nothing;
    CV_ASSERT(data || len == 0);
    return (struct cv_rd){.at = at, .end = at + len, .err = CV_OK};
}

const uint8_t *cv_rd_bytes(struct cv_rd *rd, size_t len)
{
    if (rd->err != CV_OK || len > cv_rd_left(rd)) {
        rd->err = CV_E_TRUNCATED;
        rd->at = rd->end;
        return NULL;
    }
    const uint8_t *bytes = rd->at;
    rd->at += len;
    return bytes;
}

static uint32_t rd_be(struct cv_rd *rd, size_t len)
{
    const uint8_t *bytes = cv_rd_bytes(rd, len);
    uint32_t value = 0;
    for (size_t i = 0; bytes && i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

uint8_t cv_rd_u8(struct cv_rd *rd)
{
    return (uint8_t)rd_be(rd, 1);
}

uint16_t cv_rd_u16(struct cv_rd *rd)
{
    return (uint16_t)rd_be(rd, 2);
}

uint32_t cv_rd_u24(struct cv_rd *rd)
{
    return rd_be(rd, 3);
}

uint32_t cv_rd_u32(struct cv_rd *rd)
{
    return rd_be(rd, 4);
}

uint32_t cv_rd_u32le(struct cv_rd *rd)
{
    return __builtin_bswap32(rd_be(rd, 4));
}

double cv_rd_double(struct cv_rd *rd)
{
    uint64_t high = rd_be(rd, 4);
    uint64_t low = rd_be(rd, 4);
    uint64_t bits = rd->err == CV_OK ? high << 32 | low : 0;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct cv_rd cv_rd_sub(struct cv_rd *rd, size_t len)
{
    const uint8_t *bytes = cv_rd_bytes(rd, len);
    struct cv_rd sub = cv_rd_over(bytes, bytes ? len : 0);
    sub.err = rd->err;
    return sub;
}

// ---- writing --------------------------------------------------------------------------------

enum { FIRST_CAPACITY_BYTES = 256 };

struct cv_wr cv_wr_fixed(void *memory, size_t max)
{
    return (struct cv_wr){.fixed = memory, .max = max, .err = CV_OK};
}

struct cv_wr cv_wr_growing(size_t max)
{
    return (struct cv_wr){.max = max, .err = CV_OK};
}

static int wr_grow(struct cv_wr *wr, size_t need)
{
    size_t capacity = wr->block ? wr->block->capacity : 0;
    if (wr->block && need <= capacity)
        return CV_OK;
    size_t want = capacity ? capacity * 2 : FIRST_CAPACITY_BYTES;
    if (want < need)
        want = need;
    if (want > wr->max)
        want = wr->max;
    if (wr->block)
        return cv_block_reserve(&wr->block, want);
    wr->block = cv_block_new(want);
    return wr->block ? CV_OK : CV_E_NOMEM;
}

// The place for the next `len` bytes, or NULL when there is none.
static uint8_t *wr_room_in_block(struct cv_wr *wr, size_t len)
{
    size_t at = wr->len;
    wr->err = wr_grow(wr, at + len);
    if (wr->err != CV_OK)
        return NULL;
    wr->len = at + len;
    wr->block->len = (uint32_t)wr->len;
    return wr->block->data + at;
}

static inline uint8_t *wr_room(struct cv_wr *wr, size_t len)
{
    if (wr->err != CV_OK)
        return NULL;
    if (len > wr->max - wr->len) {
        wr->err = CV_E_TOO_LONG;
        return NULL;
    }
    if (!wr->fixed)
        return wr_room_in_block(wr, len);
    uint8_t *to = wr->fixed + wr->len;
    wr->len += len;
    return to;
}

// Inline, so that `len` is known: headers are written for each viewer and message.
static inline __attribute__((always_inline)) void wr_be(struct cv_wr *wr, uint64_t value,
                                                        size_t len)
{
    uint8_t *to = wr_room(wr, len);
    for (size_t i = 0; to && i < len; i++)
        to[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
}

void cv_wr_u8(struct cv_wr *wr, uint8_t value)
{
    wr_be(wr, value, 1);
}

void cv_wr_u16(struct cv_wr *wr, uint16_t value)
{
    wr_be(wr, value, 2);
}

void cv_wr_u24(struct cv_wr *wr, uint32_t value)
{
    wr_be(wr, value, 3);
}

void cv_wr_u32(struct cv_wr *wr, uint32_t value)
{
    wr_be(wr, value, 4);
}

void cv_wr_u32le(struct cv_wr *wr, uint32_t value)
{
    wr_be(wr, __builtin_bswap32(value), 4);
}

void cv_wr_double(struct cv_wr *wr, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    wr_be(wr, bits, 8);
}

void cv_wr_bytes(struct cv_wr *wr, const void *data, size_t len)
{
    uint8_t *to = wr_room(wr, len);
    if (to && len)
        memcpy(to, data, len);
}

void cv_wr_u32_at(struct cv_wr *wr, size_t place, uint32_t value)
{
    if (wr->err != CV_OK)
        return;
    CV_ASSERT(place + 4 <= wr->len);
    struct cv_wr at = cv_wr_fixed((wr->fixed ? wr->fixed : wr->block->data) + place, 4);
    cv_wr_u32(&at, value);
}

struct cv_block *cv_wr_take(struct cv_wr *wr)
{
    CV_ASSERT(!wr->fixed);
    if (wr->err == CV_OK && !wr->block)
        wr->err = wr_grow(wr, 0);
    if (wr->err != CV_OK) {
        cv_wr_done(wr);
        return NULL;
    }
    struct cv_block *block = wr->block;
    wr->block = NULL;
    wr->len = 0;
    return block;
}

void cv_wr_done(struct cv_wr *wr)
{
    cv_block_unref(&wr->block);
    wr->len = 0;
}
