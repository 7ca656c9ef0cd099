// An IP address without a port, as a plain value, and its text.
#ifndef CV_BASE_IP_H
#define CV_BASE_IP_H

#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_ip {
    uint8_t family;    // 4 or 6; 0: no address
    uint8_t bytes[16]; // network order; IPv4 uses the first four, the rest are 0
};

// The address of 4 or 16 bytes. IPv4 in IPv6 (::ffff:1.2.3.4) becomes IPv4, so that one host has
// one address.
struct cv_ip cv_ip_v4(const uint8_t bytes[4]);
struct cv_ip cv_ip_v6(const uint8_t bytes[16]);
// Reads "1.2.3.4" (four decimal numbers, no leading zeros) or an IPv6 address in any form of RFC
// 4291, section 2.2; no zone, no brackets, nothing around it. 0, or CV_E_SYNTAX, then *out is
// untouched.
int cv_ip_parse(struct cv_text text, struct cv_ip *out);
bool cv_ip_equal(const struct cv_ip *a, const struct cv_ip *b);

#endif
