#include "media/bits.h"

#include "base/check.h"
#include "base/err.h"

struct cv_bits cv_bits_over(const void *data, size_t len, bool escaped)
{
    CV_ASSERT(data || len == 0);
    const uint8_t *at = data ? data : (const uint8_t *)"";
    return (struct cv_bits){.at = at, .end = at + len, .escaped = escaped};
}

static void fail(struct cv_bits *bits, int err)
{
    if (bits->err == CV_OK)
        bits->err = err;
    bits->at = bits->end;
    bits->left = 0;
}

static void next_byte(struct cv_bits *bits)
{
    if (bits->escaped && bits->zeros >= 2 && bits->at < bits->end && *bits->at == 3) {
        bits->at++;
        bits->zeros = 0;
    }
    if (bits->at == bits->end) {
        fail(bits, CV_E_TRUNCATED);
        return;
    }
    bits->byte = *bits->at++;
    bits->left = 8;
    if (bits->byte != 0)
        bits->zeros = 0;
    else if (bits->zeros < 2)
        bits->zeros++;
}

bool cv_bits_flag(struct cv_bits *bits)
{
    if (bits->left == 0)
        next_byte(bits);
    if (bits->err != CV_OK)
        return false;
    bits->left--;
    return bits->byte >> bits->left & 1;
}

uint32_t cv_bits_read(struct cv_bits *bits, unsigned count)
{
    CV_ASSERT(count <= 32);
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 1 | cv_bits_flag(bits);
    return bits->err == CV_OK ? value : 0;
}

void cv_bits_skip(struct cv_bits *bits, unsigned count)
{
    for (; count > 32; count -= 32)
        cv_bits_read(bits, 32);
    cv_bits_read(bits, count);
}

uint32_t cv_bits_ue(struct cv_bits *bits)
{
    unsigned zeros = 0;
    while (!cv_bits_flag(bits) && bits->err == CV_OK)
        if (++zeros > 31)
            fail(bits, CV_E_SYNTAX);
    uint32_t rest = cv_bits_read(bits, zeros < 32 ? zeros : 0);
    return bits->err == CV_OK ? (UINT32_C(1) << zeros) - 1 + rest : 0;
}

int32_t cv_bits_se(struct cv_bits *bits)
{
    uint32_t code = cv_bits_ue(bits);
    int32_t half = (int32_t)(code / 2);
    return code % 2 ? half + 1 : -half;
}

uint32_t cv_bits_ue_max(struct cv_bits *bits, uint32_t max)
{
    uint32_t value = cv_bits_ue(bits);
    if (value <= max)
        return value;
    fail(bits, CV_E_SYNTAX);
    return 0;
}
