// What the HTTP/1 engine refuses: messages that two programs could read in two ways, and messages
// past a limit.
#include "http1_kit.h"

#include "base/err.h"
#include "base/limits.h"

#include <stdio.h>

static struct http1_run run;

struct vector {
    uint32_t refusal; // 0: accepted
    const char *text;
};

// Runs each text in every cut. Nothing of a refused message but perhaps the beginning of its body
// has come out.
static void run_table(struct http1_run settings, const struct vector *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run = settings;
        http1_run_split(&run, table[i].text, strlen(table[i].text));
        if (run.refusal != table[i].refusal)
            fail_msg("%u instead of %u for: %s\n%s", run.refusal, table[i].refusal, table[i].text,
                     run.text);
        assert_int_equal(strstr(run.text, "END") != NULL, table[i].refusal == 0);
    }
}

#define RUN_TABLE(settings, table)                                                                 \
    run_table((settings), (table), sizeof(table) / sizeof((table)[0]))

static const struct http1_run requests = {.role = CV_HTTP1_REQUESTS};

#define LINE "POST / HTTP/1.1\r\nHost: h\r\n"

static void bug_16_lengths_and_codings(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {0, LINE "Content-Length: 3\r\n\r\nabc"},
        {0, LINE "Content-Length:3\r\n\r\nabc"},
        {0, LINE "Content-Length: \t003 \r\n\r\nabc"},
        // both
        {400, LINE "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n"},
        {400, LINE "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc"},
        {400, LINE "Content-Length:\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        // twice
        {400, LINE "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
        {400, LINE "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
        {400, LINE "Content-Length: 0\r\nX: y\r\ncontent-length: 3\r\n\r\nabc"},
        {400, LINE "Content-Length: 3, 3\r\n\r\nabc"},
        {400, LINE "Content-Length: 3,4\r\n\r\nabc"},
        // not a plain number
        {400, LINE "Content-Length: +3\r\n\r\nabc"},
        {400, LINE "Content-Length: -3\r\n\r\nabc"},
        {400, LINE "Content-Length: 0x3\r\n\r\nabc"},
        {400, LINE "Content-Length: 3 4\r\n\r\nabc"},
        {400, LINE "Content-Length: 3.0\r\n\r\nabc"},
        {400, LINE "Content-Length: 3;\r\n\r\nabc"},
        {400, LINE "Content-Length: \"3\"\r\n\r\nabc"},
        {400, LINE "Content-Length: \xd9\xa3\r\n\r\nabc"}, // an Arabic three
        {400, LINE "Content-Length: \r\n\r\nabc"},
        {400, LINE "Content-Length: three\r\n\r\nabc"},
        {400, LINE "Content-Length: 18446744073709551619\r\n\r\nabc"}, // 2^64 + 3
        {400, LINE "Content-Length: 9223372036854775808\r\n\r\nabc"},
        {400, LINE "Content-Length: 0000000000000000000000000003\r\n\r\nabc"},
        // codings that are not exactly chunked
        {400, LINE "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunk\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: identity\r\n\r\n"},
        {400, LINE "Transfer-Encoding:\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: \xc2\xa0"
                   "chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    };
    RUN_TABLE(requests, table);
}

static void bug_16_names_that_hide_a_framing_header(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {400, LINE "Content-Length : 3\r\n\r\nabc"},
        {400, LINE "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, // would be a fold of Host
        {400, LINE "X: y\r\nTransfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding: chunked\r\n ,x\r\n\r\n0\r\n\r\n"},
        {400, LINE "Content-Length: 1\r\n 0\r\n\r\nabc"},
        {400, LINE "Content-Length:\r\n\t3\r\n\r\nabc"},
        {400, LINE "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Content_Length: 3\r\n\r\nabc"},
        {400, LINE "CONTENT_length: 3\r\n\r\nabc"},
        {400, LINE "Transfer Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "Transfer-Encoding\x01: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "\x0bTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, LINE "\"Content-Length\": 3\r\n\r\nabc"},
        {400, LINE "Content-Length\xff: 3\r\n\r\nabc"},
        {400, LINE ": chunked\r\n\r\n"},
        {400, LINE "X\r\n\r\n"},
        {400, LINE "X: y\r\n \r\n\r\n"}, // a line that only looks empty
        {400, LINE "X: y\r\n \t\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n Host: h\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n\tX: y\r\nHost: h\r\n\r\n"},
    };
    RUN_TABLE(requests, table);
}

static void bug_16_line_ends_and_control_characters(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {400, "GET / HTTP/1.1\nHost: h\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\n\n"},
        {400, "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\rContent-Length: 3\r\n\r\nabc"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n"},
        {400, "GET / HTTP/1.1\rHost: h\r\n\r\n"},
        {400, "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "\r\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\nX: \x7f\r\n\r\n"},
        {400, "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "G\x08T / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "\x03junk\r\n"},
    };
    RUN_TABLE(requests, table);
    static const char with_nul[] = "GET / HTTP/1.1\r\nHost: h\0x\r\n\r\n";
    run = requests;
    http1_run_split(&run, with_nul, sizeof with_nul - 1);
    assert_int_equal(run.refusal, 400);
}

#define CHUNKED LINE "Transfer-Encoding: chunked\r\n\r\n"

static void bug_16_chunks(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {0, CHUNKED "3\r\nabc\r\n0\r\n\r\n"},
        {0, CHUNKED "000000000000003;a=b;c=\"d\"\r\nabc\r\n00\r\n\r\n"},
        {0, CHUNKED "1\r\na\r\n0\r\n\r\n" CHUNKED "1\r\nb\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n"},
        {400, CHUNKED "\r\n\r\n"}, // no size is not the last chunk
        {400, CHUNKED ";a\r\n\r\n"},
        {400, CHUNKED "3\rXabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3\r\nabc\rX0\r\n\r\n"},
        {400, CHUNKED "3\r\nabcX\n0\r\n\r\n"},
        {400, CHUNKED "0\rX\r\n"},
        {400, CHUNKED "0\r\n\rX"},
        {400, CHUNKED "0\r\nA: b\rX\r\n"},
        {400, CHUNKED " 3\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3 \r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3\t\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "+3\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "-1\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3g\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED ";a\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3,3\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "0000000000000003\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n"}, // 2^64 + 3
        {400, CHUNKED "3\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3\rabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3\r\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3;a\nabc\r\n0\r\n\r\n"}, // the extension that hides a line
        {400, CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3;\x01\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3\r\nabc\n0\r\n\r\n"},
        {400, CHUNKED "3\r\nabc0\r\n\r\n"},
        {400, CHUNKED "3\r\nabcd\r\n0\r\n\r\n"},
        {400, CHUNKED "3\r\nabc\r\r\n0\r\n\r\n"},
        {400, CHUNKED "3\r\nab\r\n0\r\n\r\n"},
        {400, CHUNKED "0\n\r\n"},
        {400, CHUNKED "0\r\n\n"},
        {400, CHUNKED "0\r\nX\r\n\r\n"},
        {400, CHUNKED "0\r\nX : y\r\n\r\n"},
        {400, CHUNKED "0\r\n X: y\r\n\r\n"},
        {400, CHUNKED "0\r\n: y\r\n\r\n"},
        {400, CHUNKED "0\r\nX: a\nb\r\n\r\n"},
        {400, CHUNKED "0\r\nX: a\r\rb\r\n\r\n"},
        {400, CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n"},
    };
    RUN_TABLE(requests, table);
}

static void bug_16_start_lines(void **state)
{
    (void)state;
#define REST "\r\nHost: h\r\n\r\n"
    static const struct vector table[] = {
        {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {505, "GET / HTTP/2.0" REST},
        {505, "GET / HTTP/1.2" REST},
        {505, "GET / HTTP/0.9" REST},
        {400, "GET /\r\n\r\n"},
        {400, "GET / HTTP/1.10" REST},
        {400, "GET / HTTP/01.1" REST},
        {400, "GET / HTTP/1" REST},
        {400, "GET / http/1.1" REST},
        {400, "GET / ICE/1.0" REST},
        {400, "GET / HTTP/1.1 " REST},
        {400, "GET /  HTTP/1.1" REST},
        {400, "GET  / HTTP/1.1" REST},
        {400, " GET / HTTP/1.1" REST},
        {400, "GET\t/ HTTP/1.1" REST},
        {400, "GET /\tHTTP/1.1" REST},
        {400, "GET /a b HTTP/1.1" REST},
        {400, "GET /a#b HTTP/1.1" REST},
        {400, "GET HTTP/1.1" REST},
        {400, "G{T / HTTP/1.1" REST},
        {400, "GET: / HTTP/1.1" REST},
        {400, "HTTP/1.1 200 OK\r\n\r\n"},
        {501, "get / HTTP/1.1" REST},
        {501, "BREW / HTTP/1.1" REST},
        {501, "GETX / HTTP/1.1" REST},
        {501, "TRACE / HTTP/1.1" REST},
        {501, "CONNECT h:443 HTTP/1.1" REST},
        // targets
        {400, "GET a HTTP/1.1" REST},
        {400, "GET * HTTP/1.1" REST},
        {400, "GET ?a HTTP/1.1" REST},
        {400, "GET h:80 HTTP/1.1" REST},
        {400, "GET ftp://h/ HTTP/1.1" REST},
        {400, "GET http:/h/ HTTP/1.1" REST},
        {400, "GET http:///h HTTP/1.1" REST},
        {400, "GET http://u@h/ HTTP/1.1" REST},
        {400, "GET http://u:p@h/ HTTP/1.1" REST},
        {400, "GET http://h:1x/ HTTP/1.1" REST},
        {400, "GET http://h\\@b/ HTTP/1.1" REST},
    };
    RUN_TABLE(requests, table);
}

static void bug_16_hosts(void **state)
{
    (void)state;
#define GET "GET / HTTP/1.1\r\n"
    static const struct vector table[] = {
        {0, GET "host: a-b_c.~d:65535\r\n\r\n"},
        {0, GET "HOST: [fe80::1]\r\n\r\n"},
        {400, GET "\r\n"},
        {400, GET "Host:\r\n\r\n"},
        {400, GET "Host: a\r\nHost: a\r\n\r\n"},
        {400, GET "Host: a\r\nhost: b\r\n\r\n"},
        {400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
        {400, "GET http://a/ HTTP/1.1\r\n\r\n"},
        {400, "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"},
        {400, GET "Host: a b\r\n\r\n"},
        {400, GET "Host: a, b\r\n\r\n"},
        {400, GET "Host: a/b\r\n\r\n"},
        {400, GET "Host: u@a\r\n\r\n"},
        {400, GET "Host: a:b\r\n\r\n"},
        {400, GET "Host: a:80:80\r\n\r\n"},
        {400, GET "Host: a:65536\r\n\r\n"},
        {400, GET "Host: :80\r\n\r\n"},
        {400, GET "Host: [::1\r\n\r\n"},
        {400, GET "Host: []\r\n\r\n"},
        {400, GET "Host: ::1\r\n\r\n"},
        {400, GET "Host: a\xc3\xa4\r\n\r\n"},
        {400, GET "Host: a\r\n b\r\n\r\n"},
        {400, GET "Host: a%00b\r\n\r\n"},
        {417, GET "Host: a\r\nExpect: 200-ok\r\n\r\n"},
        {417, GET "Host: a\r\nExpect: 100-continue\r\nExpect: x\r\n\r\n"},
    };
    RUN_TABLE(requests, table);
}

// The response to the second request must not be what the body of the first one says.
static void bug_16_a_body_is_never_a_request(void **state)
{
    (void)state;
    static const char text[] = LINE "Content-Length: 41\r\n\r\n"
                                    "GET /admin HTTP/1.1\r\nHost: internal\r\nX: y"
                                    "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    run = requests;
    http1_run_split(&run, text, strlen(text));
    assert_int_equal(run.refusal, 0);
    assert_non_null(strstr(run.text, "body=GET /admin"));
    assert_non_null(strstr(run.text, "\nEND\nGET /next host=h"));
}

// ---- responses --------------------------------------------------------------------------------

// What our client or proxy reads from a server: lengths that lie, ends that do not come.
static void bug_14_responses_that_cannot_be_trusted(void **state)
{
    (void)state;
#define OK "HTTP/1.1 200 OK\r\n"
    static const struct vector table[] = {
        {0, OK "Content-Length: 2\r\n\r\nok"},
        {502, OK "Content-Length: -1\r\n\r\nok"},
        {502, OK "Content-length: 4294967298x\r\n\r\nok"},
        {502, OK "Content-Length: 99999999999999999999\r\n\r\nok"},
        {502, OK "Content-Length: 3\r\n\r\nok"},        // the connection ends first
        {502, OK "Content-Length: 99999999\r\n\r\nok"}, // past the cap of a body
        {502, OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
        {502, OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {502, OK "Transfer-Encoding: gzip\r\n\r\nok"},
        {502, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n"},
        {502, OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
        {502, OK "Content-Length: 2\n\nok"},
        {502, OK "no colon\r\n\r\n"},
        {502, OK},
        {502, ""},
        {502, "HTTP/1.1 20 OK\r\n\r\n"},
        {502, "HTTP/1.1 2000 OK\r\n\r\n"},
        {502, "HTTP/1.1 099 OK\r\n\r\n"},
        {502, "HTTP/1.1 600 OK\r\n\r\n"},
        {502, "HTTP/1.1 +20 OK\r\n\r\n"},
        {502, "HTTP/1.1  200 OK\r\n\r\n"},
        {502, "HTTP/1.1200 OK\r\n\r\n"},
        {502, "HTTP/2 200\r\n\r\n"},
        {502, "ICY 200 OK\r\n\r\n"},
        {502, "<html>no head\r\n"},
        {502, "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
        {502, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    };
    struct http1_run responses = {.role = CV_HTTP1_RESPONSES, .methods = "G"};
    RUN_TABLE(responses, table);
    responses.methods = "U";
    static const struct vector upgrades[] = {
        {0, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
        {502, "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n"},
        {502, "HTTP/1.1 101 S\r\n\r\n"},
    };
    RUN_TABLE(responses, upgrades);
}

static void bug_14_interim_responses_end(void **state)
{
    (void)state;
    char text[(CV_LIMIT_HTTP_INTERIM + 1) * 32] = "";
    run = (struct http1_run){.role = CV_HTTP1_RESPONSES, .methods = "G", .open_end = true};
    for (int i = 0; i < CV_LIMIT_HTTP_INTERIM; i++)
        append_text(text, sizeof text, "HTTP/1.1 100 Go\r\n\r\n");
    http1_run_whole(&run, text);
    assert_int_equal(run.err, CV_OK);
    append_text(text, sizeof text, "HTTP/1.1 100 Go\r\n\r\n");
    http1_run_whole(&run, text);
    assert_int_equal(run.err, CV_E_HTTP);
}

// ---- limits -----------------------------------------------------------------------------------

static void requests_cut_short_are_no_requests(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {400, "GET / HT"},
        {400, "GET / HTTP/1.1\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\n\r"},
        {400, LINE "Content-Length: 3\r\n\r\nab"},
        {400, CHUNKED "3\r\nab"},
        {400, CHUNKED "0\r\n"},
    };
    RUN_TABLE(requests, table);
    assert_int_equal(run.err, CV_E_TRUNCATED);
}

// `before`, then `fill` bytes 'a', then `after`: the refusal, the same whole and byte by byte.
static uint32_t refusal_of(const char *before, size_t fill, const char *after)
{
    static char text[4 * CV_LIMIT_HTTP_HEAD_BYTES];
    static struct http1_run other;
    size_t len = strlen(before);
    assert_true(len + fill + strlen(after) < sizeof text);
    memcpy(text, before, len);
    memset(text + len, 'a', fill);
    len += fill;
    memcpy(text + len, after, strlen(after));
    len += strlen(after);
    run = other = requests;
    http1_run(&run, text, len, len, 1);
    http1_run(&other, text, len, 1, 1);
    assert_string_equal(run.text, other.text);
    return run.refusal;
}

static void heads_end_exactly_at_their_limits(void **state)
{
    (void)state;
    static const char tail[] = " HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_int_equal(refusal_of("GET /", CV_LIMIT_HTTP_TARGET_BYTES - 1, tail), 0);
    assert_int_equal(refusal_of("GET /", CV_LIMIT_HTTP_TARGET_BYTES, tail), 414);
    assert_int_equal(refusal_of("GET /", 2 * CV_LIMIT_HTTP_HEAD_BYTES, ""), 414); // no end in sight
    assert_int_equal(refusal_of("GET /", 2 * CV_LIMIT_HTTP_HEAD_BYTES, "\x01"), 414);

    static const char before[] = "GET / HTTP/1.1\r\nHost: h\r\nX:";
    size_t fill = CV_LIMIT_HTTP_HEAD_BYTES - strlen(before) - 4;
    assert_int_equal(refusal_of(before, fill, "\r\n\r\n"), 0);
    assert_int_equal(refusal_of(before, fill + 1, "\r\n\r\n"), 431);
    assert_int_equal(refusal_of(before, 2 * CV_LIMIT_HTTP_HEAD_BYTES, ""), 431);
    assert_int_equal(run.err, CV_E_TOO_LONG);
}

static uint32_t refusal_with_lines(uint32_t count)
{
    static char text[CV_LIMIT_HTTP_HEAD_BYTES];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (uint32_t i = 1; i < count; i++)
        append_text(text, sizeof text, "a: b\r\n");
    append_text(text, sizeof text, "\r\n");
    run = requests;
    http1_run_whole(&run, text);
    return run.refusal;
}

static void header_lines_are_counted(void **state)
{
    (void)state;
    assert_int_equal(refusal_with_lines(CV_LIMIT_HTTP_FIELDS), 0);
    assert_int_equal(refusal_with_lines(CV_LIMIT_HTTP_FIELDS + 1), 431);
}

static void empty_lines_are_counted(void **state)
{
    (void)state;
    run = requests;
    http1_run_whole(&run, "\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert_int_equal(run.refusal, 0);
    http1_run_whole(&run, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert_int_equal(run.refusal, 400);
}

static void extensions_and_trailers_end_at_their_limits(void **state)
{
    (void)state;
    size_t ext = CV_LIMIT_HTTP_CHUNK_EXT_BYTES - 1; // with the CR
    assert_int_equal(refusal_of(CHUNKED "3;", ext, "\r\nabc\r\n0\r\n\r\n"), 0);
    assert_int_equal(refusal_of(CHUNKED "3;", ext + 1, "\r\nabc\r\n0\r\n\r\n"), 400);
    assert_int_equal(refusal_of(CHUNKED "1;", ext, "\r\n1\r\n1;2\r\n2\r\n0\r\n\r\n"), 0);
    size_t trailer = CV_LIMIT_HTTP_TRAILER_BYTES - strlen("X:\r\n\r\n");
    assert_int_equal(refusal_of(CHUNKED "0\r\nX:", trailer, "\r\n\r\n"), 0);
    assert_int_equal(refusal_of(CHUNKED "0\r\nX:", trailer + 1, "\r\n\r\n"), 431);
}

static void bodies_end_at_the_owners_limit(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {0, LINE "Content-Length: 5\r\n\r\n12345"},
        {413, LINE "Content-Length: 6\r\n\r\n123456"},
        {413, LINE "Content-Length: 999999999999999999\r\n\r\n"},
        {0, CHUNKED "5\r\n12345\r\n0\r\n\r\n"},
        {0, CHUNKED "2\r\n12\r\n3\r\n345\r\n0\r\n\r\n"},
        {413, CHUNKED "6\r\n123456\r\n0\r\n\r\n"},
        {413, CHUNKED "3\r\n123\r\n3\r\n456\r\n0\r\n\r\n"},
        {413, CHUNKED "fffffffffffffff\r\n"},
    };
    struct http1_run settings = requests;
    settings.body_max = 5;
    RUN_TABLE(settings, table);
    assert_int_equal(run.err, CV_E_TOO_LONG);
    static const struct vector responses[] = {
        {0, "HTTP/1.0 200 OK\r\n\r\n12345"},
        {502, "HTTP/1.0 200 OK\r\n\r\n123456"},
    };
    settings = (struct http1_run){.role = CV_HTTP1_RESPONSES, .methods = "G", .body_max = 5};
    RUN_TABLE(settings, responses);
}

static void bodies_may_have_no_limit(void **state)
{
    (void)state;
    static const struct vector table[] = {
        {400, LINE "Content-Length: 999999999999999999\r\n\r\nab"}, // it only ends too early
        {400, CHUNKED "fffffffffffffff\r\nab"},
    };
    struct http1_run settings = requests;
    settings.body_max = UINT64_MAX;
    RUN_TABLE(settings, table);
    assert_int_equal(run.err, CV_E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_16_lengths_and_codings),
        cmocka_unit_test(bug_16_names_that_hide_a_framing_header),
        cmocka_unit_test(bug_16_line_ends_and_control_characters),
        cmocka_unit_test(bug_16_chunks),
        cmocka_unit_test(bug_16_start_lines),
        cmocka_unit_test(bug_16_hosts),
        cmocka_unit_test(bug_16_a_body_is_never_a_request),
        cmocka_unit_test(bug_14_responses_that_cannot_be_trusted),
        cmocka_unit_test(bug_14_interim_responses_end),
        cmocka_unit_test(requests_cut_short_are_no_requests),
        cmocka_unit_test(heads_end_exactly_at_their_limits),
        cmocka_unit_test(header_lines_are_counted),
        cmocka_unit_test(empty_lines_are_counted),
        cmocka_unit_test(extensions_and_trailers_end_at_their_limits),
        cmocka_unit_test(bodies_end_at_the_owners_limit),
        cmocka_unit_test(bodies_may_have_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
