#include "proto/proxy_header.h"

#include "base/limits.h"
#include "base/wire.h"

#include <string.h>

static const char place[] = "proxy";

static const char start_v1[] = "PROXY ";
static const char start_v2[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    START_V1_BYTES = sizeof start_v1 - 1,
    START_V2_BYTES = sizeof start_v2 - 1,
    FIXED_V2_BYTES = START_V2_BYTES + 4, // version and command, family, length
};

static int wrong(struct cv_why *why, const char *what)
{
    return cv_why_set(why, CV_E_PROXY_HEADER, place, "%s", what);
}

// ---- version 1: a line of text ----------------------------------------------------------------

static int parse_port(struct cv_text text, uint16_t *out)
{
    uint64_t port;
    if (cv_text_u64(text, 0, UINT16_MAX, &port) != CV_OK || (text.len > 1 && text.at[0] == '0'))
        return CV_E_SYNTAX;
    *out = (uint16_t)port;
    return CV_OK;
}

// An address of this notation: "::ffff:1.2.3.4" is right in TCP6 only.
static int parse_ip(struct cv_text text, bool v6, struct cv_ip *out)
{
    bool written_v6 = cv_text_find(text, ':') < text.len;
    return written_v6 == v6 ? cv_ip_parse(text, out) : CV_E_SYNTAX;
}

// "TCP4 source target port port", single spaces, or "UNKNOWN" and anything.
static int parse_line(struct cv_proxy_header *header, struct cv_text line, struct cv_why *why)
{
    struct cv_text protocol = cv_text_take(&line, ' ');
    bool v6 = cv_text_is(protocol, "TCP6");
    if (cv_text_is(protocol, "UNKNOWN"))
        return CV_OK;
    if (!v6 && !cv_text_is(protocol, "TCP4"))
        return wrong(why, "neither TCP4 nor TCP6 nor UNKNOWN");
    if (parse_ip(cv_text_take(&line, ' '), v6, &header->source) != CV_OK ||
        parse_ip(cv_text_take(&line, ' '), v6, &header->target) != CV_OK)
        return wrong(why, "malformed address");
    if (parse_port(cv_text_take(&line, ' '), &header->source_port) != CV_OK ||
        parse_port(line, &header->target_port) != CV_OK)
        return wrong(why, "malformed port");
    return CV_OK;
}

static int parse_v1(struct cv_proxy_header *header, struct cv_text text, struct cv_why *why)
{
    enum { CRLF_BYTES = 2, LINE_MAX_BYTES = CV_LIMIT_PROXY_HEADER_V1_BYTES - CRLF_BYTES };
    size_t end = cv_text_find(text, '\r');
    if (end > LINE_MAX_BYTES)
        return wrong(why, "line longer than 107 bytes");
    if (end + CRLF_BYTES > text.len)
        return 0;
    if (text.at[end + 1] != '\n')
        return wrong(why, "the line does not end in CRLF");
    header->len = end + CRLF_BYTES;
    struct cv_text line = {text.at, end};
    int err = parse_line(header, cv_text_skip(line, START_V1_BYTES), why);
    return err == CV_OK ? 1 : err;
}

// ---- version 2: binary ------------------------------------------------------------------------

enum command { LOCAL = 0x20, PROXY = 0x21 };
enum family { TCP4 = 0x11, TCP6 = 0x21 };

static struct cv_ip read_ip(struct cv_rd *rd, bool v6)
{
    const uint8_t *bytes = cv_rd_bytes(rd, v6 ? 16 : 4);
    if (!bytes)
        return (struct cv_ip){0};
    return v6 ? cv_ip_v6(bytes) : cv_ip_v4(bytes);
}

static int read_addresses(struct cv_proxy_header *header, struct cv_rd *rd, bool v6,
                          struct cv_why *why)
{
    header->source = read_ip(rd, v6);
    header->target = read_ip(rd, v6);
    header->source_port = cv_rd_u16(rd);
    header->target_port = cv_rd_u16(rd);
    if (rd->err != CV_OK)
        return wrong(why, "no room for the addresses");
    while (rd->err == CV_OK && cv_rd_left(rd)) {
        cv_rd_u8(rd);
        cv_rd_sub(rd, cv_rd_u16(rd));
    }
    return rd->err == CV_OK ? CV_OK : wrong(why, "malformed TLV");
}

// What is not TCP over IP (2.2: unspecified, UDP, UNIX) is accepted without an address.
static int parse_block(struct cv_proxy_header *header, uint8_t command, uint8_t family,
                       struct cv_rd *rd, struct cv_why *why)
{
    static const uint8_t others[] = {0x00, 0x12, 0x22, 0x31, 0x32};
    if (command == LOCAL) // "must ... discard the protocol block including the family"
        return CV_OK;
    if (command != PROXY)
        return wrong(why, command >> 4 == 2 ? "unknown command" : "another version than 2");
    if (family == TCP4 || family == TCP6)
        return read_addresses(header, rd, family == TCP6, why);
    return memchr(others, family, sizeof others) ? CV_OK : wrong(why, "unknown family");
}

static int parse_v2(struct cv_proxy_header *header, const uint8_t *data, size_t len,
                    struct cv_why *why)
{
    if (len < FIXED_V2_BYTES)
        return 0;
    struct cv_rd rd = cv_rd_over(data, len);
    cv_rd_bytes(&rd, START_V2_BYTES);
    uint8_t command = cv_rd_u8(&rd);
    uint8_t family = cv_rd_u8(&rd);
    size_t block_len = cv_rd_u16(&rd);
    if (FIXED_V2_BYTES + block_len > CV_LIMIT_PROXY_HEADER_BYTES)
        return cv_why_set(why, CV_E_TOO_LONG, place, "header of %zu bytes",
                          FIXED_V2_BYTES + block_len);
    if (cv_rd_left(&rd) < block_len)
        return 0;
    struct cv_rd block = cv_rd_sub(&rd, block_len);
    header->len = FIXED_V2_BYTES + block_len;
    int err = parse_block(header, command, family, &block, why);
    return err == CV_OK ? 1 : err;
}

// ---- both -------------------------------------------------------------------------------------

static bool begins(const uint8_t *data, size_t len, const char *start, size_t start_len)
{
    return memcmp(data, start, len < start_len ? len : start_len) == 0;
}

int cv_proxy_header_parse(struct cv_proxy_header *out, const void *data, size_t len,
                          struct cv_why *why)
{
    struct cv_proxy_header header = {0};
    int result = 0;
    if (len == 0)
        return 0;
    if (begins(data, len, start_v2, START_V2_BYTES))
        result = parse_v2(&header, data, len, why);
    else if (!begins(data, len, start_v1, START_V1_BYTES))
        result = wrong(why, "no PROXY header");
    else if (len > START_V1_BYTES)
        result = parse_v1(&header, (struct cv_text){data, len}, why);
    if (result == 1)
        *out = header;
    return result;
}
