// An IP address and a port, as a plain value: no system header, comparable, printable.
#ifndef CV_IO_ADDR_H
#define CV_IO_ADDR_H

#include "base/err.h"
#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cv_addr_family {
    CV_ADDR_ANY = 0, // no address: every address of the machine, IPv6 and IPv4
    CV_ADDR_IPV4 = 4,
    CV_ADDR_IPV6 = 6,
};

struct cv_addr {
    enum cv_addr_family family;
    uint16_t port;
    uint32_t scope; // interface of a link-local IPv6 address, otherwise 0
    uint8_t ip[16]; // network order; IPv4 uses the first four, the rest are 0
};

enum { CV_ADDR_TEXT_BYTES = 64 }; // every printed address fits, with its NUL

// Reads "PORT", ":PORT", "*:PORT", "1.2.3.4:PORT" or "[v6]:PORT"; with `default_port` not 0 the
// port may be missing. Names are not resolved. CV_E_USAGE with `why` for anything else; *out
// untouched.
int cv_addr_parse(const char *text, uint16_t default_port, struct cv_addr *out, struct cv_why *why);
// "1.2.3.4:80", "[::1]:80", "*:80" into `text` of CV_ADDR_TEXT_BYTES, which is returned.
char *cv_addr_print(const struct cv_addr *addr, char *text);
// The same without port and brackets, as HTTP's X-Forwarded-For wants it.
char *cv_addr_print_ip(const struct cv_addr *addr, char *text);
// The address without its port (family 0 for CV_ADDR_ANY, and without a scope); and back.
struct cv_ip cv_addr_ip(const struct cv_addr *addr);
struct cv_addr cv_addr_of_ip(const struct cv_ip *ip, uint16_t port);
bool cv_addr_equal(const struct cv_addr *a, const struct cv_addr *b);
// Equal but for the port.
bool cv_addr_same_ip(const struct cv_addr *a, const struct cv_addr *b);
bool cv_addr_is_loopback(const struct cv_addr *addr);

struct sockaddr;
enum { CV_SOCKADDR_BYTES = 28 };
// For the io room: to and from the system's form. IPv4 in IPv6 (::ffff:1.2.3.4) becomes IPv4. The
// former returns the length, at most CV_SOCKADDR_BYTES; the latter gives CV_ADDR_ANY for others.
size_t cv_addr_to_system(const struct cv_addr *addr, void *out);
struct cv_addr cv_addr_from_system(const void *system);

#endif
