#include "base/ip_range.h"

#include "base/err.h"

enum { V4_BITS = 32, V6_BITS = 128, MAPPED_BITS = V6_BITS - V4_BITS };

// The bits of byte `at` that belong to a prefix of this length.
static uint8_t mask_of(unsigned prefix_bits, unsigned at)
{
    unsigned before = at * 8;
    if (prefix_bits <= before)
        return 0;
    unsigned bits = prefix_bits - before;
    return (uint8_t)(bits >= 8 ? 0xffu : 0xffu << (8 - bits));
}

uint8_t cv_ip_range_bits_max(const struct cv_ip_range *range)
{
    return range->first.family == 4 ? V4_BITS : V6_BITS;
}

static bool ends_at_prefix(const struct cv_ip_range *range)
{
    for (unsigned i = 0; i < sizeof range->first.bytes; i++) {
        if (range->first.bytes[i] & ~mask_of(range->prefix_bits, i))
            return false;
    }
    return true;
}

// How many bits count, as written behind the slash; `v6`: the address was written as IPv6, and has
// perhaps become IPv4.
static int parse_prefix(struct cv_text text, bool v6, const struct cv_ip *ip, uint8_t *out)
{
    uint64_t bits;
    bool mapped = v6 && ip->family == 4;
    uint64_t min = mapped ? MAPPED_BITS : 0;
    if (cv_text_u64(text, min, v6 ? V6_BITS : V4_BITS, &bits) != CV_OK ||
        (text.len > 1 && text.at[0] == '0'))
        return CV_E_SYNTAX;
    *out = (uint8_t)(bits - min);
    return CV_OK;
}

int cv_ip_range_parse(struct cv_text text, struct cv_ip_range *out)
{
    struct cv_ip_range range = {0};
    bool whole = cv_text_find(text, '/') == text.len;
    struct cv_text host = cv_text_take(&text, '/');
    bool v6 = cv_text_find(host, ':') < host.len;
    if (cv_ip_parse(host, &range.first) != CV_OK)
        return CV_E_SYNTAX;
    range.prefix_bits = cv_ip_range_bits_max(&range);
    if (!whole && parse_prefix(text, v6, &range.first, &range.prefix_bits) != CV_OK)
        return CV_E_SYNTAX;
    if (!ends_at_prefix(&range))
        return CV_E_SYNTAX;
    *out = range;
    return CV_OK;
}

bool cv_ip_range_has(const struct cv_ip_range *range, const struct cv_ip *ip)
{
    if (ip->family != range->first.family)
        return false;
    for (unsigned i = 0; i < sizeof ip->bytes; i++) {
        if ((ip->bytes[i] & mask_of(range->prefix_bits, i)) != range->first.bytes[i])
            return false;
    }
    return true;
}

bool cv_ip_range_equal(const struct cv_ip_range *a, const struct cv_ip_range *b)
{
    return a->prefix_bits == b->prefix_bits && cv_ip_equal(&a->first, &b->first);
}
