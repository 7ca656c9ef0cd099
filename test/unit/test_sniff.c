// What a connection speaks: every first byte, every prefix, and no byte more than needed.
#include "harness.h"

#include "proto/sniff.h"

struct vector {
    const char *what;
    const char *bytes;
    size_t len;
    size_t decided; // with so many bytes the answer is known, with one less it is not
    enum cv_sniff want;
};

#define BYTES(string) string, sizeof(string) - 1

static const struct vector vectors[] = {
    {"RTMP", BYTES("\x03\x00\x00\x00\x00"), 1, CV_SNIFF_RTMP},
    {"RTMP whose C1 looks like HTTP", BYTES("\x03GET / HTTP/1.1\r\n"), 1, CV_SNIFF_RTMP},
    {"RTMPE", BYTES("\x06\x00"), 1, CV_SNIFF_RTMPE},
    {"RTMPE XTEA", BYTES("\x08\x00"), 1, CV_SNIFF_RTMPE},
    {"RTMPE Blowfish", BYTES("\x09\x00"), 1, CV_SNIFF_RTMPE},
    {"TLS 1.0 record", BYTES("\x16\x03\x01\x02\x00"), 2, CV_SNIFF_TLS},
    {"TLS 1.2 record", BYTES("\x16\x03\x03\x02\x00"), 2, CV_SNIFF_TLS},
    {"no TLS", BYTES("\x16\x02"), 2, CV_SNIFF_UNKNOWN},
    {"SSL 2 hello", BYTES("\x80\x2e\x01"), 1, CV_SNIFF_UNKNOWN},
    {"GET", BYTES("GET / HTTP/1.1\r\n"), 4, CV_SNIFF_HTTP},
    {"RTMPT", BYTES("POST /open/1 HTTP/1.1\r\n"), 5, CV_SNIFF_HTTP},
    {"PUT", BYTES("PUT / HTTP/1.1\r\n"), 4, CV_SNIFF_HTTP},
    {"PATCH", BYTES("PATCH / HTTP/1.1\r\n"), 6, CV_SNIFF_HTTP},
    {"PROPFIND", BYTES("PROPFIND / HTTP/1.1\r\n"), 9, CV_SNIFF_HTTP},
    {"CONNECT", BYTES("CONNECT a:443 HTTP/1.1\r\n"), 8, CV_SNIFF_HTTP},
    {"M-SEARCH", BYTES("M-SEARCH * HTTP/1.1\r\n"), 9, CV_SNIFF_HTTP},
    {"PRINT is no HTTP/2", BYTES("PRINT / HTTP/1.1\r\n"), 6, CV_SNIFF_HTTP},
    {"PROXYCHECK is no PROXY", BYTES("PROXYCHECK / HTTP/1.1\r\n"), 11, CV_SNIFF_HTTP},
    {"longest method", BYTES("ABCDEFGHIJKLMNOPQRSTUVWX / "), 25, CV_SNIFF_HTTP},
    {"method too long", BYTES("ABCDEFGHIJKLMNOPQRSTUVWXY / "), 25, CV_SNIFF_UNKNOWN},
    {"one empty line", BYTES("\r\nGET / HTTP/1.1\r\n"), 6, CV_SNIFF_HTTP},
    {"longest of all", BYTES("\r\nABCDEFGHIJKLMNOPQRSTUVWX /"), 27, CV_SNIFF_HTTP},
    {"two empty lines", BYTES("\r\n\r\nGET /"), 5, CV_SNIFF_UNKNOWN},
    {"empty line, then RTMP", BYTES("\r\n\x03"), 3, CV_SNIFF_UNKNOWN},
    {"empty line, then TLS", BYTES("\r\n\x16\x03"), 3, CV_SNIFF_UNKNOWN},
    {"empty line, then a space", BYTES("\r\n GET"), 3, CV_SNIFF_UNKNOWN},
    {"line feed only", BYTES("\nGET / "), 1, CV_SNIFF_UNKNOWN},
    {"carriage return only", BYTES("\rGET / "), 2, CV_SNIFF_UNKNOWN},
    {"space first", BYTES(" GET / "), 1, CV_SNIFF_UNKNOWN},
    {"digit first", BYTES("1GET / "), 1, CV_SNIFF_UNKNOWN},
    {"lower case", BYTES("get / "), 1, CV_SNIFF_UNKNOWN},
    {"mixed case", BYTES("Get / "), 2, CV_SNIFF_UNKNOWN},
    {"tab behind the method", BYTES("GET\t/ "), 4, CV_SNIFF_UNKNOWN},
    {"SSH", BYTES("SSH-2.0-OpenSSH_9.2\r\n"), 6, CV_SNIFF_UNKNOWN},
    {"SMTP", BYTES("EHLO a.example\r\n"), 5, CV_SNIFF_HTTP}, // the HTTP engine says what is wrong
    {"HTTP/2", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 4, CV_SNIFF_HTTP2},
    {"HTTP/2 after an empty line", BYTES("\r\nPRI * HTTP/2.0\r\n"), 6, CV_SNIFF_HTTP},
    {"PROXY v1", BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), 6, CV_SNIFF_PROXY_V1},
    {"PROXY v2", BYTES("\r\n\r\n\0\r\nQUIT\n"), 5, CV_SNIFF_PROXY_V2},
    {"nearly PROXY v2", BYTES("\r\n\r\n\x01"), 5, CV_SNIFF_UNKNOWN},
    {"Flash", "<policy-file-request/>", 23, 23, CV_SNIFF_POLICY},
    {"Flash without its NUL", BYTES("<policy-file-request/>\n"), 23, CV_SNIFF_UNKNOWN},
    {"HTML", BYTES("<html>"), 2, CV_SNIFF_UNKNOWN},
    {"RTSP", BYTES("DESCRIBE rtsp://a/b RTSP/1.0\r\n"), 9, CV_SNIFF_HTTP}, // the same
};

enum { VECTORS = sizeof vectors / sizeof vectors[0] };

static enum cv_sniff sniff_guarded(const void *data, size_t len)
{
    struct guard guard = guard_copy(data, len);
    enum cv_sniff found = cv_sniff(guard.data, guard.len);
    guard_free(&guard);
    return found;
}

// bug_30: a peer that sends a byte at a time is known as early as can be, and asked no further.
static void bug_30_every_prefix_is_judged_as_early_as_can_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        for (size_t len = 0; len <= v->len; len++) {
            enum cv_sniff found = sniff_guarded(v->bytes, len);
            enum cv_sniff want = len < v->decided ? CV_SNIFF_MORE : v->want;
            if (found != want)
                fail_msg("%s, %zu bytes: %s, not %s", v->what, len, cv_sniff_name(found),
                         cv_sniff_name(want));
        }
    }
}

static void every_first_byte(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t first = (uint8_t)byte;
        enum cv_sniff want = CV_SNIFF_UNKNOWN;
        if (byte == 3)
            want = CV_SNIFF_RTMP;
        else if (byte == 6 || byte == 8 || byte == 9)
            want = CV_SNIFF_RTMPE;
        else if (byte == 0x16 || byte == '\r' || byte == '<' || (byte >= 'A' && byte <= 'Z'))
            want = CV_SNIFF_MORE;
        assert_int_equal(sniff_guarded(&first, 1), want);
    }
}

// An answer that was given holds, whatever follows.
static void answers_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        char bytes[64];
        size_t len = vectors[i].decided;
        memcpy(bytes, vectors[i].bytes, len);
        for (int next = 0; next < 256; next++) {
            bytes[len] = (char)next;
            assert_int_equal(cv_sniff(bytes, len + 1), vectors[i].want);
        }
    }
}

static void enough_bytes_always_give_an_answer(void **state)
{
    (void)state;
    uint8_t bytes[CV_SNIFF_BYTES_MAX];
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned rest = 0; rest < 256; rest++) {
            memset(bytes, (int)rest, sizeof bytes);
            bytes[0] = (uint8_t)first;
            assert_int_not_equal(cv_sniff(bytes, sizeof bytes), CV_SNIFF_MORE);
            bytes[0] = '\r';
            bytes[1] = '\n';
            bytes[2] = (uint8_t)first;
            assert_int_not_equal(cv_sniff(bytes, sizeof bytes), CV_SNIFF_MORE);
        }
    }
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(cv_sniff_name(CV_SNIFF_RTMPE), "RTMPE");
    for (int i = 0; i <= CV_SNIFF_UNKNOWN; i++)
        assert_true(strlen(cv_sniff_name((enum cv_sniff)i)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_30_every_prefix_is_judged_as_early_as_can_be),
        cmocka_unit_test(every_first_byte),
        cmocka_unit_test(answers_hold),
        cmocka_unit_test(enough_bytes_always_give_an_answer),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
