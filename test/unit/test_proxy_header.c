// PROXY protocol headers: both versions, every prefix, what is refused.
#include "harness.h"

#include "base/limits.h"
#include "proto/proxy_header.h"

static const char signature[] = "0d0a0d0a000d0a515549540a ";

static int parse_guarded(const void *data, size_t len, struct cv_proxy_header *out,
                         struct cv_why *why)
{
    struct guard guard = guard_copy(data, len);
    int got = cv_proxy_header_parse(out, guard.data, guard.len, why);
    guard_free(&guard);
    return got;
}

// The header alone, followed by other bytes, and every prefix of it.
static struct cv_proxy_header expect_header(const void *data, size_t len)
{
    uint8_t bytes[8192];
    struct cv_proxy_header header = {.len = 99999};
    memcpy(bytes, data, len);
    memset(bytes + len, 3, 10);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(parse_guarded(bytes, cut, &header, NULL), 0);
        assert_int_equal(header.len, 99999);
    }
    for (size_t extra = 0; extra <= 10; extra++) {
        assert_int_equal(parse_guarded(bytes, len + extra, &header, NULL), 1);
        assert_int_equal(header.len, len);
    }
    return header;
}

static struct cv_proxy_header expect_text(const char *text)
{
    return expect_header(text, strlen(text));
}

static struct cv_proxy_header expect_hex(const char *hex)
{
    char all[4096] = "";
    uint8_t bytes[1024];
    append_text(all, sizeof all, signature);
    append_text(all, sizeof all, hex);
    return expect_header(bytes, hex_bytes(all, bytes, sizeof bytes));
}

static void expect_addresses(const struct cv_proxy_header *header, const char *source,
                             unsigned source_port, const char *target, unsigned target_port)
{
    struct cv_ip ip;
    assert_int_equal(cv_ip_parse(cv_text_of(source), &ip), CV_OK);
    assert_true(cv_ip_equal(&header->source, &ip));
    assert_int_equal(cv_ip_parse(cv_text_of(target), &ip), CV_OK);
    assert_true(cv_ip_equal(&header->target, &ip));
    assert_int_equal(header->source_port, source_port);
    assert_int_equal(header->target_port, target_port);
}

static void expect_unknown(struct cv_proxy_header header)
{
    assert_int_equal(header.source.family, 0);
    assert_int_equal(header.target.family, 0);
}

// The examples of section 2.1.
static void version_1(void **state)
{
    (void)state;
    struct cv_proxy_header header =
        expect_text("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
    expect_addresses(&header, "255.255.255.255", 65535, "255.255.255.255", 65535);
    header = expect_text("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
    expect_addresses(&header, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
                     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    header = expect_text("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    expect_addresses(&header, "192.168.0.1", 56324, "192.168.0.11", 443);
    header = expect_text("PROXY TCP6 ::ffff:1.2.3.4 ::1 0 80\r\n");
    expect_addresses(&header, "1.2.3.4", 0, "::1", 80);
    expect_unknown(expect_text("PROXY UNKNOWN\r\n"));
    // The longest line there is: 107 bytes with CRLF.
    expect_unknown(expect_text("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"));
}

static void version_2(void **state)
{
    (void)state;
    struct cv_proxy_header header = expect_hex("21 11 000c 01020304 05060708 dc04 01bb");
    expect_addresses(&header, "1.2.3.4", 56324, "5.6.7.8", 443);
    header = expect_hex("21 21 0024 20010db8000000000000000000000001"
                        "00000000000000000000000000000001 0001 0050");
    expect_addresses(&header, "2001:db8::1", 1, "::1", 80);
    header = expect_hex("21 21 0024 00000000000000000000ffff01020304"
                        "00000000000000000000000000000001 0001 0050");
    expect_addresses(&header, "1.2.3.4", 1, "::1", 80);
    // TLVs: a checksum, padding of 0 bytes, an authority
    header = expect_hex("21 11 001c 01020304 05060708 dc04 01bb 03 0004 deadbeef 04 0000"
                        "02 0003 612e62");
    expect_addresses(&header, "1.2.3.4", 56324, "5.6.7.8", 443);
}

static void version_2_without_an_address(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "20 00 0000",                          // LOCAL: a health check
        "20 11 000c 010203040506070800500051", // LOCAL: the block does not count
        "20 ff 0003 ffffff",                   // LOCAL: nor does the family
        "21 00 0000",                          // UNSPEC
        "21 00 0003 ffffff",
        "21 12 000c 010203040506070800500051", // UDP
        "21 22 0000",
        "21 31 0001 2f",
        "21 32 0000",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        expect_unknown(expect_hex(headers[i]));
}

static void expect_refused(const char *what, const void *data, size_t len, int code)
{
    struct cv_why why = {0};
    struct cv_proxy_header header = {.len = 77};
    if (parse_guarded(data, len, &header, &why) != code)
        fail_msg("%s: accepted, or another reason", what);
    assert_int_equal(why.code, code);
    assert_int_equal(header.len, 77);
}

static void malformed_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXX",
        "G",
        "\x03",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
        "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 ::1 5.6.7.8 1 2\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655355\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        expect_refused(lines[i], lines[i], strlen(lines[i]), CV_E_PROXY_HEADER);
}

static void malformed_blocks(void **state)
{
    (void)state;
    static const char *const blocks[] = {
        "11 11 000c 010203040506070800500051", // version 1 in binary
        "31 11 000c 010203040506070800500051",
        "22 11 000c 010203040506070800500051", // command
        "21 13 000c 010203040506070800500051", // family
        "21 41 000c 010203040506070800500051",
        "21 01 000c 010203040506070800500051",
        "21 11 000b 0102030405060708005000", // too short for its addresses
        "21 21 000c 010203040506070800500051",
        "21 11 000e 010203040506070800500051 0300", // TLV cut
        "21 11 0010 010203040506070800500051 03 0002 00",
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        char all[256] = "";
        uint8_t bytes[128];
        append_text(all, sizeof all, signature);
        append_text(all, sizeof all, blocks[i]);
        expect_refused(blocks[i], bytes, hex_bytes(all, bytes, sizeof bytes), CV_E_PROXY_HEADER);
    }
    expect_refused("signature", "\r\n\r\n\0\r\nQUIT\r", 12, CV_E_PROXY_HEADER);
}

// bug_30: a header that does not end is given up at its limit, not later.
static void bug_30_headers_have_an_end(void **state)
{
    (void)state;
    uint8_t bytes[CV_LIMIT_PROXY_HEADER_BYTES + 1] = "PROXY TCP4 ";
    struct cv_proxy_header header;
    memset(bytes + 11, '1', 120);
    for (size_t len = 0; len <= 105; len++)
        assert_int_equal(parse_guarded(bytes, len, &header, NULL), 0);
    expect_refused("106 bytes without CR", bytes, 106, CV_E_PROXY_HEADER);
    // Version 2: the largest one, and one more byte, known from its announced length.
    memset(bytes, 0, sizeof bytes);
    hex_bytes("0d0a0d0a000d0a515549540a 20 00 0ff0", bytes, 16);
    expect_unknown(expect_header(bytes, CV_LIMIT_PROXY_HEADER_BYTES));
    bytes[15] = 0xf1;
    expect_refused("4097 bytes", bytes, 16, CV_E_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_2_without_an_address),
        cmocka_unit_test(malformed_lines),
        cmocka_unit_test(malformed_blocks),
        cmocka_unit_test(bug_30_headers_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
