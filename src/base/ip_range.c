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

static void drop_behind_prefix(struct cv_ip_range *range)
{
    for (unsigned i = 0; i < sizeof range->first.bytes; i++)
        range->first.bytes[i] &= mask_of(range->prefix_bits, i);
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

// As it is written: the address may be any of the range.
static int parse(struct cv_text text, struct cv_ip_range *out)
{
    bool whole = cv_text_find(text, '/') == text.len;
    struct cv_text host = cv_text_take(&text, '/');
    bool v6 = cv_text_find(host, ':') < host.len;
    if (cv_ip_parse(host, &out->first) != CV_OK)
        return CV_E_SYNTAX;
    out->prefix_bits = cv_ip_range_bits_max(out);
    return whole ? CV_OK : parse_prefix(text, v6, &out->first, &out->prefix_bits);
}

int cv_ip_range_parse(struct cv_text text, struct cv_ip_range *out)
{
    struct cv_ip_range written = {0}, loose;
    if (parse(text, &written) != CV_OK)
        return CV_E_SYNTAX;
    loose = written;
    drop_behind_prefix(&loose);
    if (!cv_ip_range_equal(&loose, &written))
        return CV_E_SYNTAX;
    *out = written;
    return CV_OK;
}

int cv_ip_range_parse_loose(struct cv_text text, struct cv_ip_range *out)
{
    struct cv_ip_range range = {0};
    if (parse(text, &range) != CV_OK)
        return CV_E_SYNTAX;
    drop_behind_prefix(&range);
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
