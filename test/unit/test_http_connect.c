// CONNECT: what is asked, and what a proxy answers, however it is cut.
#include "harness.h"

#include "base/limits.h"
#include "proto/http_connect.h"

// ---- the request --------------------------------------------------------------------------------

static int written(char *out, size_t size, const struct cv_http_connect_config *config)
{
    struct cv_wr wr = cv_wr_fixed(out, size - 1);
    cv_http_connect_write(&wr, config);
    out[wr.len] = '\0';
    return wr.err;
}

static void request_names_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *host, *target;
        uint16_t port;
    } rows[] = {
        {"example.org", "example.org:80", 80},
        {"10.0.0.1", "10.0.0.1:1935", 1935},
        {"::1", "[::1]:65535", 65535},
        {"fe80::1%eth0", "[fe80::1]:80", 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024], expected[1024] = "CONNECT ";
        append_text(expected, sizeof expected, rows[i].target);
        append_text(expected, sizeof expected, " HTTP/1.1\r\nHost: ");
        append_text(expected, sizeof expected, rows[i].target);
        append_text(expected, sizeof expected, "\r\n\r\n");
        struct cv_http_connect_config config = {.host = cv_text_of(rows[i].host),
                                                .port = rows[i].port};
        assert_int_equal(written(text, sizeof text, &config), CV_OK);
        assert_string_equal(text, expected);
    }
}

static void request_has_credentials(void **state)
{
    (void)state;
    char text[1024];
    struct cv_http_connect_config config = {
        .host = cv_text_of("h"),
        .port = 80,
        .user_agent = cv_text_of("Agent/1"),
        .user = cv_text_of("Aladdin"), // RFC 7617, section 2
        .password = cv_text_of("open sesame"),
    };
    assert_int_equal(written(text, sizeof text, &config), CV_OK);
    assert_string_equal(text, "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nUser-Agent: Agent/1\r\n"
                              "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

static void texts_that_would_break_the_head_are_refused(void **state)
{
    (void)state;
    static char longer[3000], text[4096];
    static const char *const hosts[] = {"",    "a b",   "a\r\nX: y", "user@host",
                                        "a/b", "a:b c", longer};
    memset(longer, 'x', sizeof longer - 1);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct cv_http_connect_config config = {.host = cv_text_of(hosts[i]), .port = 80};
        assert_int_equal(written(text, sizeof text, &config), CV_E_USAGE);
        assert_string_equal(text, "");
    }
    struct cv_http_connect_config config = {.host = cv_text_of("h"), .port = 80};
    config.user_agent = cv_text_of("a\r\nX: y");
    assert_int_equal(written(text, sizeof text, &config), CV_E_USAGE);
    config.user_agent = cv_text_of("");
    config.user = cv_text_of(longer);
    assert_int_equal(written(text, sizeof text, &config), CV_E_USAGE);
}

// ---- the answer ---------------------------------------------------------------------------------

struct answer {
    int result; // of the last feed
    uint32_t status;
    char rest[256];
    size_t fed; // bytes of the answer that were fed
};

// In two pieces, the second one cut to pieces of `piece` bytes, each before an unreadable page.
// What comes behind the piece with the verdict is not fed: it is the tunnel's.
static struct answer hear(const char *text, size_t len, size_t first, size_t piece)
{
    struct answer answer = {.result = 0};
    struct cv_http_connect *connect = cv_http_connect_new();
    assert_non_null(connect);
    while (answer.result == 0 && answer.fed < len) {
        struct cv_http_connect_answer out;
        size_t want = answer.fed < first ? first - answer.fed : piece;
        size_t take = want < len - answer.fed ? want : len - answer.fed;
        struct guard copy = guard_copy(text + answer.fed, take);
        answer.result = cv_http_connect_feed(connect, copy.data, copy.len, &out);
        answer.fed += take;
        if (answer.result == 1) {
            answer.status = out.head->status;
            assert_true(out.rest.len < sizeof answer.rest);
            if (out.rest.len)
                memcpy(answer.rest, out.rest.at, out.rest.len);
        }
        assert_int_equal(cv_http_connect_why(connect)->code,
                         answer.result < 0 ? answer.result : CV_OK);
        guard_free(&copy);
    }
    cv_http_connect_free(connect);
    return answer;
}

static void expect_answer(const char *text, uint32_t status, const char *rest)
{
    size_t len = strlen(text);
    struct answer whole = hear(text, len, len, len);
    assert_int_equal(whole.result, 1);
    assert_int_equal(whole.status, status);
    assert_string_equal(whole.rest, rest);
    for (size_t piece = 1; piece <= len; piece += len - 1) {
        for (size_t first = 0; first < len; first++) {
            struct answer cut = hear(text, len, first, piece);
            assert_int_equal(cut.result, 1);
            assert_int_equal(cut.status, status);
            // What was not fed and what was handed over are together what follows the head.
            if (status / 100 == 2) {
                append_text(cut.rest, sizeof cut.rest, text + cut.fed);
                assert_string_equal(cut.rest, rest);
            }
        }
    }
}

static void tunnel_stands_behind_a_2xx(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t status;
        const char *rest;
    } rows[] = {
        {"HTTP/1.1 200 Connection established\r\n\r\n", 200, ""},
        {"HTTP/1.0 200 OK\r\n\r\n", 200, ""},
        {"HTTP/1.1 200\r\n\r\n", 200, ""},
        {"HTTP/1.1 299 Fine\r\nVia: x\r\n\r\n", 299, ""},
        {"HTTP/1.1 204 No Content\r\n\r\nabc", 204, "abc"},
        {"HTTP/1.1 200 OK\r\n\r\n\x03\xff\r\n\r\nHTTP/1.1 403 X\r\n\r\n", 200,
         "\x03\xff\r\n\r\nHTTP/1.1 403 X\r\n\r\n"},
        // RFC 9110, section 9.3.6: there is no body, whatever is announced
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 200, "abcdef"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nabc", 200, "abc"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", 200, "3\r\nabc"},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", 200, "abc"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\n\r\nabc",
         200, "abc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_answer(rows[i].text, rows[i].status, rows[i].rest);
}

static void other_answers_are_told_without_their_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t status;
    } rows[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
         "Content-Length: 5\r\n\r\nhello",
         407},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\nhel", 403},
        {"HTTP/1.1 403 Forbidden\r\n\r\nuntil close", 403},
        {"HTTP/1.0 405 Method Not Allowed\r\n\r\n", 405},
        {"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\nx", 502},
        {"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", 302},
        {"HTTP/1.1 304 Not Modified\r\n\r\n", 304},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_answer(rows[i].text, rows[i].status, "");
}

static void head_of_a_refusal_can_be_read(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n";
    struct cv_http_connect *connect = cv_http_connect_new();
    struct cv_http_connect_answer answer;
    struct guard copy = guard_copy(text, strlen(text));
    assert_int_equal(cv_http_connect_feed(connect, copy.data, copy.len, &answer), 1);
    guard_free(&copy); // the head is the engine's own
    assert_true(cv_text_is(cv_http1_header(answer.head, "Proxy-Authenticate"), "NTLM"));
    cv_http_connect_free(connect);
}

static void bug_14_hostile_answers_fail(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\x15\x03\x01\x00\x02\x02\x28........................",
        "\x03 RTMP, and no proxy\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 999 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i]);
        for (size_t first = 0; first <= len; first++) {
            struct answer answer = hear(rows[i], len, first, first % 2 ? 1 : len);
            if (answer.result != CV_E_HTTP)
                fail_msg("%s: %d", rows[i], answer.result);
        }
    }
}

static void bug_14_endless_answers_end(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *again;
    } rows[] = {
        {"HTTP/1.1 200 ", "aaaaaaaaaaaaaaaa"},
        {"HTTP/1.1 200 OK\r\n", "X: aaaaaaaaaaaaaaaa\r\n"},
        {"HTTP/1.1 200 OK\r\nX: ", "aaaaaaaaaaaaaaaa"},
        {"", "HTTP/1.1 100 Continue\r\n\r\n"},
        {"", "\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_http_connect *connect = cv_http_connect_new();
        struct cv_http_connect_answer answer;
        size_t fed = strlen(rows[i].begin);
        int result = cv_http_connect_feed(connect, rows[i].begin, fed, &answer);
        while (result == 0 && fed <= CV_LIMIT_HTTP_HEAD_BYTES) {
            fed += strlen(rows[i].again);
            result = cv_http_connect_feed(connect, rows[i].again, strlen(rows[i].again), &answer);
        }
        assert_true(result == CV_E_HTTP || result == CV_E_TOO_LONG);
        cv_http_connect_free(connect);
    }
}

static bool hear_without_memory(void *arg)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\nabc";
    (void)arg;
    struct cv_http_connect_answer answer;
    struct cv_http_connect *connect = cv_http_connect_new();
    if (!connect)
        return false;
    int result = cv_http_connect_feed(connect, text, strlen(text), &answer);
    assert_true(result == 1 || result == CV_E_NOMEM);
    if (result == 1)
        assert_true(cv_text_is(answer.rest, "abc"));
    cv_http_connect_free(connect);
    return result == 1;
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    fail_nth(hear_without_memory, NULL);
    cv_http_connect_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_names_host_and_port),
        cmocka_unit_test(request_has_credentials),
        cmocka_unit_test(texts_that_would_break_the_head_are_refused),
        cmocka_unit_test(tunnel_stands_behind_a_2xx),
        cmocka_unit_test(other_answers_are_told_without_their_bodies),
        cmocka_unit_test(head_of_a_refusal_can_be_read),
        cmocka_unit_test(bug_14_hostile_answers_fail),
        cmocka_unit_test(bug_14_endless_answers_end),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
