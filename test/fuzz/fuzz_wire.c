// The wire cursors: what a reader takes from the input, a writer puts back, and the bytes agree.
//
// The input is a program and its data: each step is one byte of operation, then what it reads.
#include "base/check.h"
#include "base/err.h"
#include "base/wire.h"

#include <string.h>

enum { OUT_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void copy_u8(struct cv_rd *rd, struct cv_wr *wr)
{
    cv_wr_u8(wr, cv_rd_u8(rd));
}

static void copy_u16(struct cv_rd *rd, struct cv_wr *wr)
{
    cv_wr_u16(wr, cv_rd_u16(rd));
}

static void copy_u24(struct cv_rd *rd, struct cv_wr *wr)
{
    cv_wr_u24(wr, cv_rd_u24(rd));
}

static void copy_u32(struct cv_rd *rd, struct cv_wr *wr)
{
    cv_wr_u32(wr, cv_rd_u32(rd));
}

static void copy_u32le(struct cv_rd *rd, struct cv_wr *wr)
{
    cv_wr_u32le(wr, cv_rd_u32le(rd));
}

static void copy_double(struct cv_rd *rd, struct cv_wr *wr)
{
    cv_wr_double(wr, cv_rd_double(rd));
}

static void copy_bytes(struct cv_rd *rd, struct cv_wr *wr)
{
    size_t count = cv_rd_u8(rd);
    const uint8_t *bytes = cv_rd_bytes(rd, count);
    cv_wr_u8(wr, (uint8_t)count);
    if (bytes)
        cv_wr_bytes(wr, bytes, count);
}

static void copy_sub(struct cv_rd *rd, struct cv_wr *wr)
{
    struct cv_rd sub = cv_rd_sub(rd, 3);
    cv_wr_u16(wr, cv_rd_u16(&sub));
    cv_wr_u8(wr, cv_rd_u8(&sub));
    cv_rd_u8(&sub); // always one too far
    CV_ASSERT(sub.err == CV_E_TRUNCATED);
}

static void copy_late(struct cv_rd *rd, struct cv_wr *wr)
{
    size_t place = wr->len;
    cv_wr_u32(wr, 0);
    uint32_t value = cv_rd_u32(rd);
    if (wr->err == CV_OK)
        cv_wr_u32_at(wr, place, value);
}

static void (*const steps[])(struct cv_rd *rd, struct cv_wr *wr) = {
    copy_u8, copy_u16, copy_u24, copy_u32, copy_u32le, copy_double, copy_bytes, copy_sub, copy_late,
};

// One step: reads an operation and its operand, writes the same bytes.
static void step(struct cv_rd *rd, struct cv_wr *wr)
{
    uint8_t op = cv_rd_u8(rd);
    cv_wr_u8(wr, op);
    steps[op % (sizeof steps / sizeof *steps)](rd, wr);
}

// Copies the input step by step. Returns how many of its bytes were copied by whole steps.
static size_t copy_steps(const uint8_t *data, size_t len, struct cv_wr *wr)
{
    struct cv_rd rd = cv_rd_over(data, len);
    size_t whole = 0;
    while (cv_rd_left(&rd) > 0 && wr->err == CV_OK) {
        step(&rd, wr);
        if (rd.err == CV_OK && wr->err == CV_OK)
            whole = len - cv_rd_left(&rd);
    }
    CV_ASSERT(whole <= wr->len);
    return whole;
}

static bool same(const uint8_t *a, const uint8_t *b, size_t len)
{
    return len == 0 || memcmp(a, b, len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t memory[1000];
    struct cv_wr fixed = cv_wr_fixed(memory, sizeof memory);
    size_t whole = copy_steps(data, len, &fixed);
    CV_ASSERT(same(memory, data, whole));

    struct cv_wr growing = cv_wr_growing(OUT_BYTES_MAX);
    whole = copy_steps(data, len, &growing);
    CV_ASSERT(growing.err == CV_OK || growing.len <= OUT_BYTES_MAX);
    struct cv_block *block = cv_wr_take(&growing);
    CV_ASSERT(!block || same(block->data, data, whole));
    cv_block_unref(&block);
    return 0;
}
