#include "io/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct sockaddr_in6) <= CV_SOCKADDR_BYTES, "the largest form fits");

// ---- text -----------------------------------------------------------------------------------

static bool parse_port(const char *text, uint16_t *out)
{
    unsigned value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > UINT16_MAX)
            return false;
    }
    *out = (uint16_t)value;
    return true;
}

// The host without its brackets; `bracketed` tells that only IPv6 will do.
static bool parse_host(const char *host, bool bracketed, struct cv_addr *addr)
{
    if (!bracketed && (!*host || strcmp(host, "*") == 0)) {
        addr->family = CV_ADDR_ANY;
        return true;
    }
    if (!bracketed && inet_pton(AF_INET, host, addr->ip) == 1) {
        addr->family = CV_ADDR_IPV4;
        return true;
    }
    addr->family = CV_ADDR_IPV6;
    return inet_pton(AF_INET6, host, addr->ip) == 1;
}

// Splits into host and port, which is NULL when there is none. `host` has room for the text.
static bool split(const char *text, char *host, const char **port, bool *bracketed)
{
    const char *from = text;
    const char *end;
    *bracketed = *text == '[';
    if (*bracketed) {
        from++;
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        *port = end[1] ? end + 2 : NULL;
    } else {
        const char *colon = strrchr(text, ':');
        bool bare_v6 = colon && strchr(text, ':') != colon;
        end = colon && !bare_v6 ? colon : text + strlen(text);
        *port = colon && !bare_v6 ? colon + 1 : NULL;
    }
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    return true;
}

static bool parse(const char *text, uint16_t default_port, struct cv_addr *addr)
{
    char host[CV_ADDR_TEXT_BYTES];
    const char *port;
    bool bracketed;
    if (parse_port(text, &addr->port))
        return true; // a number alone is a port, on any address
    if (strlen(text) >= sizeof host || !split(text, host, &port, &bracketed))
        return false;
    addr->port = default_port;
    if (port ? !parse_port(port, &addr->port) : !default_port)
        return false;
    return parse_host(host, bracketed, addr);
}

int cv_addr_parse(const char *text, uint16_t default_port, struct cv_addr *out, struct cv_why *why)
{
    struct cv_addr addr = {0};
    if (!parse(text, default_port, &addr))
        return cv_why_set(why, CV_E_USAGE, "address",
                          "\"%s\" is not PORT, ADDRESS:PORT or [IPV6]:PORT", text);
    *out = addr;
    return CV_OK;
}

char *cv_addr_print_ip(const struct cv_addr *addr, char *text)
{
    int family = addr->family == CV_ADDR_IPV6 ? AF_INET6 : AF_INET;
    if (addr->family == CV_ADDR_ANY ||
        !inet_ntop(family, addr->ip, text, (socklen_t)CV_ADDR_TEXT_BYTES))
        memcpy(text, "*", 2);
    return text;
}

char *cv_addr_print(const struct cv_addr *addr, char *text)
{
    char ip[CV_ADDR_TEXT_BYTES];
    bool brackets = addr->family == CV_ADDR_IPV6;
    snprintf(text, CV_ADDR_TEXT_BYTES, "%s%.45s%s:%u", brackets ? "[" : "",
             cv_addr_print_ip(addr, ip), brackets ? "]" : "", (unsigned)addr->port);
    return text;
}

struct cv_ip cv_addr_ip(const struct cv_addr *addr)
{
    struct cv_ip ip = {.family = (uint8_t)addr->family};
    memcpy(ip.bytes, addr->ip, sizeof ip.bytes);
    return ip;
}

struct cv_addr cv_addr_of_ip(const struct cv_ip *ip, uint16_t port)
{
    struct cv_addr addr = {.family = (enum cv_addr_family)ip->family, .port = port};
    memcpy(addr.ip, ip->bytes, sizeof addr.ip);
    return addr;
}

// ---- comparing ------------------------------------------------------------------------------

bool cv_addr_same_ip(const struct cv_addr *a, const struct cv_addr *b)
{
    return a->family == b->family && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool cv_addr_equal(const struct cv_addr *a, const struct cv_addr *b)
{
    return a->port == b->port && cv_addr_same_ip(a, b);
}

bool cv_addr_is_loopback(const struct cv_addr *addr)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    if (addr->family == CV_ADDR_IPV4)
        return addr->ip[0] == 127;
    return addr->family == CV_ADDR_IPV6 && memcmp(addr->ip, loopback6, sizeof loopback6) == 0;
}

// ---- the system's form ----------------------------------------------------------------------

size_t cv_addr_to_system(const struct cv_addr *addr, void *out)
{
    if (addr->family == CV_ADDR_IPV4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip, sizeof in.sin_addr);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope};
    memcpy(&in6.sin6_addr, addr->ip, sizeof in6.sin6_addr); // CV_ADDR_ANY is all zeros
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
}

struct cv_addr cv_addr_from_system(const void *system)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct cv_addr addr = {0};
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    sa_family_t family;
    memcpy(&family, (const char *)system + offsetof(struct sockaddr_in, sin_family), sizeof family);
    if (family == AF_INET) {
        memcpy(&in, system, sizeof in);
        addr.family = CV_ADDR_IPV4;
        addr.port = ntohs(in.sin_port);
        memcpy(addr.ip, &in.sin_addr, sizeof in.sin_addr);
    } else if (family == AF_INET6) {
        memcpy(&in6, system, sizeof in6);
        const uint8_t *ip = in6.sin6_addr.s6_addr;
        bool is_v4 = memcmp(ip, mapped, sizeof mapped) == 0;
        addr.family = is_v4 ? CV_ADDR_IPV4 : CV_ADDR_IPV6;
        addr.port = ntohs(in6.sin6_port);
        addr.scope = in6.sin6_scope_id;
        memcpy(addr.ip, is_v4 ? ip + sizeof mapped : ip, is_v4 ? 4 : 16);
    }
    return addr;
}
