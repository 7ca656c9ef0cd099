// Reading bits out of codec headers: bounded, with a sticky error.
//
// After the first overrun, or a code that no header may hold, every read returns zero and `err`
// stays; loops over counts that were read must look at `err`.
#ifndef CV_MEDIA_BITS_H
#define CV_MEDIA_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_bits {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t left;  // bits of `byte` not read yet
    uint8_t byte;  //
    uint8_t zeros; // zero bytes in a row before the next one
    bool escaped;  // NALU: the 3 in 00 00 03 is no data (H.264 7.4.1, H.265 7.4.2)
    int err;       // CV_OK, CV_E_TRUNCATED, or CV_E_SYNTAX
};

// The bytes stay the caller's. escaped: they are a NALU.
struct cv_bits cv_bits_over(const void *data, size_t len, bool escaped);
// The next `count` bits (0-32), the first one highest.
uint32_t cv_bits_read(struct cv_bits *bits, unsigned count);
bool cv_bits_flag(struct cv_bits *bits);
void cv_bits_skip(struct cv_bits *bits, unsigned count);
// Exp-Golomb codes, at most 31 leading zeros (H.264 9.1).
uint32_t cv_bits_ue(struct cv_bits *bits);
int32_t cv_bits_se(struct cv_bits *bits);
// A ue that may not be above `max`; else the error is CV_E_SYNTAX.
uint32_t cv_bits_ue_max(struct cv_bits *bits, uint32_t max);

#endif
