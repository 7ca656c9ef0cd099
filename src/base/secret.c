#include "base/secret.h"

#include <stdint.h>

bool cv_ct_equal(const void *a, const void *b, size_t len)
{
    // volatile: the compiler must not see that it could stop at the first difference.
    const volatile uint8_t *left = a;
    const volatile uint8_t *right = b;
    uint8_t differing = 0;
    for (size_t i = 0; i < len; i++)
        differing |= (uint8_t)(left[i] ^ right[i]);
    return differing == 0;
}
