// A range of IP addresses: a network, as in "10.0.0.0/8", or one address.
#ifndef CV_BASE_IP_RANGE_H
#define CV_BASE_IP_RANGE_H

#include "base/ip.h"

struct cv_ip_range {
    struct cv_ip first;  // all bits behind the prefix are 0
    uint8_t prefix_bits; // how many leading bits count: 0 to 32 or 128
};

// Reads "10.0.0.0/8", "fd00::/8" (RFC 4632, RFC 4291 section 2.3), or an address alone, which is a
// range of one. Bits behind the prefix must be 0: "10.1.2.3/8" is a mistake. IPv4 in IPv6
// ("::ffff:10.0.0.0/104") becomes IPv4. 0, or CV_E_SYNTAX, then *out is untouched.
int cv_ip_range_parse(struct cv_text text, struct cv_ip_range *out);
// The same, and bits behind the prefix are dropped: for lists that were written for other programs.
int cv_ip_range_parse_loose(struct cv_text text, struct cv_ip_range *out);
// True when the address is in the range. IPv4 is never in a range of IPv6, not even in ::/0.
bool cv_ip_range_has(const struct cv_ip_range *range, const struct cv_ip *ip);
bool cv_ip_range_equal(const struct cv_ip_range *a, const struct cv_ip_range *b);
// How many bits the addresses of this range have: 32 or 128. A prefix of so many is one address.
uint8_t cv_ip_range_bits_max(const struct cv_ip_range *range);

#endif
