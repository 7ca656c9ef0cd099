// Reading and writing wire bytes: the only way to touch them.
//
// Both cursors have a sticky error: after the first overrun every read returns zero and every write
// does nothing, so that a parser reads like the specification's table and checks once, at the end.
// Integers are big-endian unless the name says le.
#ifndef CV_BASE_WIRE_H
#define CV_BASE_WIRE_H

#include "base/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- reading --------------------------------------------------------------------------------

struct cv_rd {
    const uint8_t *at;
    const uint8_t *end;
    int err; // CV_OK, or CV_E_TRUNCATED from the first overrun on
};

// The bytes stay the caller's and must outlive the cursor. data may be NULL when len is 0.
struct cv_rd cv_rd_over(const void *data, size_t len);
uint8_t cv_rd_u8(struct cv_rd *rd);
uint16_t cv_rd_u16(struct cv_rd *rd);
uint32_t cv_rd_u24(struct cv_rd *rd);
uint32_t cv_rd_u32(struct cv_rd *rd);
uint32_t cv_rd_u32le(struct cv_rd *rd);
double cv_rd_double(struct cv_rd *rd); // IEEE 754, 8 bytes
// Lends the next `len` bytes and steps over them; NULL on overrun (and for len 0 after an error).
const uint8_t *cv_rd_bytes(struct cv_rd *rd, size_t len);
// A cursor over the next `len` bytes, which this one steps over. Empty and failed on overrun.
struct cv_rd cv_rd_sub(struct cv_rd *rd, size_t len);

static inline size_t cv_rd_left(const struct cv_rd *rd)
{
    return (size_t)(rd->end - rd->at);
}

// ---- writing --------------------------------------------------------------------------------

struct cv_wr {
    struct cv_block *block; // growing writer: what was written; owned by the writer
    uint8_t *fixed;         // fixed writer: the caller's memory
    size_t len;             // bytes written
    size_t max;             // never more than this
    int err;                // CV_OK, CV_E_NOMEM, or CV_E_TOO_LONG from the first overrun on
};

// Writes into the caller's memory of `max` bytes.
struct cv_wr cv_wr_fixed(void *memory, size_t max);
// Writes into a block that grows up to `max` bytes. End with cv_wr_take or cv_wr_done.
struct cv_wr cv_wr_growing(size_t max);
void cv_wr_u8(struct cv_wr *wr, uint8_t value);
void cv_wr_u16(struct cv_wr *wr, uint16_t value);
void cv_wr_u24(struct cv_wr *wr, uint32_t value); // the top 8 bits are dropped
void cv_wr_u32(struct cv_wr *wr, uint32_t value);
void cv_wr_u32le(struct cv_wr *wr, uint32_t value);
void cv_wr_double(struct cv_wr *wr, double value);
void cv_wr_bytes(struct cv_wr *wr, const void *data, size_t len);
// Writes 4 bytes at an earlier place, which must have been written already.
void cv_wr_u32_at(struct cv_wr *wr, size_t place, uint32_t value);
// Takes the block out of a growing writer: the caller owns it, the writer is empty. NULL, and
// nothing is left to free, when the writer has failed (the error stays in wr->err).
struct cv_block *cv_wr_take(struct cv_wr *wr);
// Drops what a growing writer holds. Safe after cv_wr_take and on a fixed writer.
void cv_wr_done(struct cv_wr *wr);

#endif
