// Arithmetic of counters that wrap: RTMP timestamps (ms, 32 bits, 49.7 days) and byte counters.
#ifndef CV_BASE_SEQ_H
#define CV_BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

// How far `a` is after `b`, negative when before; right while they are within 2^31 of each other.
static inline int32_t cv_seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static inline bool cv_seq_after(uint32_t a, uint32_t b)
{
    return cv_seq_diff(a, b) > 0;
}

#endif
