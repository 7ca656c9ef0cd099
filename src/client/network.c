#include "client/network.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/route.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TABLE_BYTES = 64 * 1024, // of each: 500 routes; what is behind is not seen
    IPV6_DIGITS = 32,
    DEVICE_BYTES = 15, // IFNAMSIZ, without its NUL
    MAC_BYTES = 17,    // as text
};

// ---- words of the tables ----------------------------------------------------------------------

// All of the word, at most 8 digits.
static bool read_hex(struct cv_text word, uint32_t *out)
{
    if (word.len == 0 || word.len > 2 * sizeof *out)
        return false;
    *out = 0;
    for (size_t i = 0; i < word.len; i++) {
        int digit = cv_text_hex_value(word.at[i]);
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

static bool read_ipv6(struct cv_text word, struct in6_addr *out)
{
    if (word.len != IPV6_DIGITS)
        return false;
    for (size_t i = 0; i < sizeof out->s6_addr; i++) {
        uint32_t byte;
        if (!read_hex((struct cv_text){word.at + 2 * i, 2}, &byte))
            return false;
        out->s6_addr[i] = (uint8_t)byte;
    }
    return true;
}

// Appends; what does not fit is cut.
static void append(char out[CV_LIMIT_NETWORK_BYTES + 1], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void append(char out[CV_LIMIT_NETWORK_BYTES + 1], const char *format, ...)
{
    size_t len = strlen(out);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out + len, CV_LIMIT_NETWORK_BYTES + 1 - len, format, args);
    va_end(args);
}

// A device's name may hold any byte but blanks and slashes.
static void append_device(char out[CV_LIMIT_NETWORK_BYTES + 1], struct cv_text device)
{
    for (size_t i = 0; i < device.len && i < DEVICE_BYTES; i++)
        append(out, "%c", device.at[i] > ' ' && device.at[i] < 0x7f ? device.at[i] : '?');
}

// ---- IPv4: Iface Destination Gateway Flags RefCnt Use Metric Mask ... ---------------------------

// Addresses are in network order, as in struct in_addr: that is how the kernel prints them.
struct route4 {
    struct cv_text device;
    uint32_t destination;
    uint32_t gateway; // 0: none
    uint32_t mask;
    uint32_t flags;
    uint64_t metric;
};

static bool read_route4(struct cv_text line, struct route4 *out)
{
    out->device = cv_text_take_word(&line);
    bool valid = read_hex(cv_text_take_word(&line), &out->destination) &&
                 read_hex(cv_text_take_word(&line), &out->gateway) &&
                 read_hex(cv_text_take_word(&line), &out->flags);
    cv_text_take_word(&line);
    cv_text_take_word(&line);
    return valid && cv_text_u64(cv_text_take_word(&line), 0, UINT32_MAX, &out->metric) == CV_OK &&
           read_hex(cv_text_take_word(&line), &out->mask) && out->flags & RTF_UP &&
           !(out->flags & RTF_REJECT);
}

// VPNs cover the default route by two halves.
static bool is_default4(const struct route4 *route)
{
    return route->destination == 0 && ntohl(route->mask) <= UINT32_C(0x80000000);
}

static bool find_default4(struct cv_text table, struct route4 *out)
{
    bool found = false;
    struct route4 route;
    while (table.len) {
        if (!read_route4(cv_text_take(&table, '\n'), &route) || !is_default4(&route))
            continue;
        uint32_t mask = ntohl(route.mask);
        if (found &&
            (mask < ntohl(out->mask) || (mask == ntohl(out->mask) && route.metric >= out->metric)))
            continue;
        *out = route;
        found = true;
    }
    return found;
}

// The narrowest network of the device that the gateway, if there is one, is in.
static bool find_prefix4(struct cv_text table, const struct route4 *gateway, struct route4 *out)
{
    bool found = false;
    struct route4 route;
    while (table.len) {
        if (!read_route4(cv_text_take(&table, '\n'), &route) || route.gateway != 0 ||
            is_default4(&route) || !cv_text_equal(route.device, gateway->device))
            continue;
        bool holds = !gateway->gateway || (gateway->gateway & route.mask) == route.destination;
        if (!holds || (found && ntohl(route.mask) <= ntohl(out->mask)))
            continue;
        *out = route;
        found = true;
    }
    return found;
}

static bool is_mac(struct cv_text text)
{
    if (text.len != MAC_BYTES || cv_text_is(text, "00:00:00:00:00:00"))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (i % 3 == 2 ? text.at[i] != ':' : cv_text_hex_value(text.at[i]) < 0)
            return false;
    }
    return true;
}

// The hardware address: IP, type, flags, hardware address, mask, device. Empty: not known.
static struct cv_text find_mac(struct cv_text table, const char *ip, struct cv_text device)
{
    while (table.len) {
        struct cv_text line = cv_text_take(&table, '\n');
        if (!cv_text_is(cv_text_take_word(&line), ip))
            continue;
        cv_text_take_word(&line);
        cv_text_take_word(&line);
        struct cv_text mac = cv_text_take_word(&line);
        cv_text_take_word(&line);
        if (cv_text_equal(cv_text_take_word(&line), device) && is_mac(mac))
            return mac;
    }
    return (struct cv_text){0};
}

static bool describe4(char out[CV_LIMIT_NETWORK_BYTES + 1], struct cv_text table,
                      struct cv_text arp)
{
    struct route4 gateway;
    if (!find_default4(table, &gateway))
        return false;
    char ip[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &gateway.gateway, ip, sizeof ip);
    struct cv_text mac = find_mac(arp, ip, gateway.device);
    if (!gateway.gateway)
        append_device(out, gateway.device);
    else if (mac.len)
        append(out, "%.*s", (int)mac.len, mac.at);
    else
        append(out, "%s", ip);
    struct route4 prefix;
    if (find_prefix4(table, &gateway, &prefix)) {
        inet_ntop(AF_INET, &prefix.destination, ip, sizeof ip);
        append(out, "@%s/%d", ip, __builtin_popcount(prefix.mask));
    }
    return true;
}

// ---- IPv6: destination its-length source its-length next-hop metric refcnt use flags device -----

struct route6 {
    struct in6_addr destination;
    uint32_t bits;
    struct in6_addr gateway; // all 0: none
    uint32_t metric;
    uint32_t flags;
    struct cv_text device;
};

static bool read_route6(struct cv_text line, struct route6 *out)
{
    bool valid = read_ipv6(cv_text_take_word(&line), &out->destination) &&
                 read_hex(cv_text_take_word(&line), &out->bits) && out->bits <= 128;
    cv_text_take_word(&line);
    cv_text_take_word(&line);
    valid = valid && read_ipv6(cv_text_take_word(&line), &out->gateway) &&
            read_hex(cv_text_take_word(&line), &out->metric);
    cv_text_take_word(&line);
    cv_text_take_word(&line);
    valid = valid && read_hex(cv_text_take_word(&line), &out->flags);
    out->device = cv_text_take_word(&line);
    return valid && out->device.len && out->flags & RTF_UP && !(out->flags & RTF_REJECT);
}

static bool find_default6(struct cv_text table, struct route6 *out)
{
    bool found = false;
    struct route6 route;
    while (table.len) {
        if (!read_route6(cv_text_take(&table, '\n'), &route) || route.bits != 0 ||
            (found && route.metric >= out->metric))
            continue;
        *out = route;
        found = true;
    }
    return found;
}

// A network of the device that is no link-local or multicast one, nor a host; of several, the one
// with the least address, so that their order does not matter.
static bool find_prefix6(struct cv_text table, struct cv_text device, struct route6 *out)
{
    bool found = false;
    struct route6 route;
    while (table.len) {
        if (!read_route6(cv_text_take(&table, '\n'), &route) || route.bits == 0 ||
            route.bits == 128 || route.flags & RTF_GATEWAY ||
            IN6_IS_ADDR_LINKLOCAL(&route.destination) || IN6_IS_ADDR_MULTICAST(&route.destination))
            continue;
        if (!cv_text_equal(route.device, device) ||
            (found && memcmp(&route.destination, &out->destination, sizeof out->destination) >= 0))
            continue;
        *out = route;
        found = true;
    }
    return found;
}

static bool describe6(char out[CV_LIMIT_NETWORK_BYTES + 1], struct cv_text table)
{
    struct route6 gateway;
    if (!find_default6(table, &gateway))
        return false;
    char ip[INET6_ADDRSTRLEN] = "";
    inet_ntop(AF_INET6, &gateway.gateway, ip, sizeof ip);
    if (IN6_IS_ADDR_UNSPECIFIED(&gateway.gateway))
        append_device(out, gateway.device);
    else
        append(out, "%s", ip);
    struct route6 prefix;
    if (find_prefix6(table, gateway.device, &prefix)) {
        inet_ntop(AF_INET6, &prefix.destination, ip, sizeof ip);
        append(out, "@%s/%u", ip, prefix.bits);
    }
    return true;
}

// ---- the name ---------------------------------------------------------------------------------

void cv_network_describe(char out[CV_LIMIT_NETWORK_BYTES + 1], struct cv_text route,
                         struct cv_text arp, struct cv_text ipv6_route)
{
    out[0] = '\0';
    if (!describe4(out, route, arp) && !describe6(out, ipv6_route))
        append(out, "-");
    CV_ASSERT(out[0] != '\0');
}

// As much as there is room for, whole lines only; nothing when it cannot be read.
static struct cv_text read_table(const char *path, char buffer[TABLE_BYTES])
{
    struct cv_text text = {buffer, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return text;
    ssize_t got;
    while (text.len < TABLE_BYTES &&
           (got = read(fd, buffer + text.len, TABLE_BYTES - text.len)) > 0)
        text.len += (size_t)got;
    close(fd);
    while (text.len && text.at[text.len - 1] != '\n')
        text.len--;
    return text;
}

void cv_network_name(char out[CV_LIMIT_NETWORK_BYTES + 1])
{
    struct tables {
        char route[TABLE_BYTES];
        char arp[TABLE_BYTES];
        char ipv6_route[TABLE_BYTES];
    } *tables = cv_mem_alloc(sizeof *tables);
    if (!tables) {
        (void)snprintf(out, CV_LIMIT_NETWORK_BYTES + 1, "-");
        return;
    }
    cv_network_describe(out, read_table("/proc/net/route", tables->route),
                        read_table("/proc/net/arp", tables->arp),
                        read_table("/proc/net/ipv6_route", tables->ipv6_route));
    cv_mem_free(tables);
}
