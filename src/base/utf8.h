// Is it UTF-8 (RFC 3629)? Text that comes in pieces, cut anywhere.
#ifndef CV_BASE_UTF8_H
#define CV_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Zeroed: at the start of a text.
struct cv_utf8 {
    uint8_t need; // bytes that the character still owes
    uint8_t low;  // the next one is not below; 0: not below 80
    uint8_t high; // nor above; 0: BF
};

// False when these bytes cannot be in a text where they are; the state is then of no use. Overlong
// forms, surrogates and what lies above U+10FFFF are refused.
bool cv_utf8_feed(struct cv_utf8 *utf8, const void *data, size_t len);

// True where a text may end.
static inline bool cv_utf8_complete(const struct cv_utf8 *utf8)
{
    return utf8->need == 0;
}

#endif
