#include "base/utf8.h"

// What may follow each first byte of a longer character (RFC 3629, section 4).
static const struct {
    uint8_t first;
    uint8_t last;
    struct cv_utf8 then;
} starts[] = {
    {0xc2, 0xdf, {1, 0, 0}},    {0xe0, 0xe0, {2, 0xa0, 0}}, {0xe1, 0xec, {2, 0, 0}},
    {0xed, 0xed, {2, 0, 0x9f}}, {0xee, 0xef, {2, 0, 0}},    {0xf0, 0xf0, {3, 0x90, 0}},
    {0xf1, 0xf3, {3, 0, 0}},    {0xf4, 0xf4, {3, 0, 0x8f}},
};

static bool start(struct cv_utf8 *utf8, uint8_t byte)
{
    if (byte < 0x80)
        return true;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (byte >= starts[i].first && byte <= starts[i].last) {
            *utf8 = starts[i].then;
            return true;
        }
    }
    return false;
}

static bool go_on(struct cv_utf8 *utf8, uint8_t byte)
{
    uint8_t low = utf8->low ? utf8->low : 0x80;
    uint8_t high = utf8->high ? utf8->high : 0xbf;
    if (byte < low || byte > high)
        return false;
    *utf8 = (struct cv_utf8){.need = (uint8_t)(utf8->need - 1)};
    return true;
}

bool cv_utf8_feed(struct cv_utf8 *utf8, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        if (!(utf8->need ? go_on : start)(utf8, bytes[i]))
            return false;
    }
    return true;
}
