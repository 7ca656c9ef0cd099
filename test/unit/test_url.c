// URLs: every scheme, the parts, what is refused, the limits, the client's cut.
#include "harness.h"

#include "base/limits.h"
#include "base/url.h"

// Parses from a slice that ends at an unreadable page. The parts are not to be read afterwards.
static int parse_guarded(struct cv_url *out, struct cv_text text, struct cv_why *why)
{
    struct guard copy = guard_copy(text.at, text.len);
    int result = cv_url_parse(out, (struct cv_text){(const char *)copy.data, copy.len}, why);
    guard_free(&copy);
    return result;
}

static void assert_text(struct cv_text text, const char *expected)
{
    if (!cv_text_is(text, expected))
        fail_msg("\"%.*s\" is not \"%s\"", (int)text.len, text.at, expected);
}

static void each_scheme_has_its_port(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum cv_scheme scheme;
        uint16_t port;
        bool tls;
    } rows[] = {
        {"rtmp://h", CV_SCHEME_RTMP, 80, false},     {"rtmpt://h", CV_SCHEME_RTMPT, 80, false},
        {"rtmps://h", CV_SCHEME_RTMPS, 443, true},   {"rtmpts://h", CV_SCHEME_RTMPTS, 443, true},
        {"ws://h", CV_SCHEME_WS, 80, false},         {"wss://h", CV_SCHEME_WSS, 443, true},
        {"http://h", CV_SCHEME_HTTP, 80, false},     {"https://h", CV_SCHEME_HTTPS, 443, true},
        {"RtMpTs://h", CV_SCHEME_RTMPTS, 443, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_url url;
        assert_int_equal(cv_url_parse(&url, cv_text_of(rows[i].url), NULL), CV_OK);
        assert_int_equal(url.scheme, rows[i].scheme);
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.tls, rows[i].tls);
        assert_false(url.port_given);
        assert_text(url.host, "h");
        if (i < 8)
            assert_memory_equal(cv_scheme_name(url.scheme), rows[i].url,
                                strlen(cv_scheme_name(url.scheme)));
    }
}

static void parts_are_lent(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *password, *host, *path, *query;
        uint16_t port;
        bool port_given, ipv6;
    } rows[] = {
        {"rtmp://h/live/x?k=1", "", "", "h", "/live/x", "k=1", 80, false, false},
        {"rtmp://h:1935/live", "", "", "h", "/live", "", 1935, true, false},
        {"rtmp://h:80/live", "", "", "h", "/live", "", 80, true, false},
        {"rtmp://h:1", "", "", "h", "", "", 1, true, false},
        {"rtmp://h:65535", "", "", "h", "", "", 65535, true, false},
        {"rtmp://h?k", "", "", "h", "", "k", 80, false, false},
        {"rtmp://h/?", "", "", "h", "/", "", 80, false, false},
        {"rtmp://h/a?b?c", "", "", "h", "/a", "b?c", 80, false, false},
        {"rtmp://h/a#b?c#d", "", "", "h", "/a#b", "c#d", 80, false, false},
        {"rtmp://h/a@b:c", "", "", "h", "/a@b:c", "", 80, false, false},
        {"rtmp://h?u=http://x@y:1/", "", "", "h", "", "u=http://x@y:1/", 80, false, false},
        {"rtmp://u@h/a", "u", "", "h", "/a", "", 80, false, false},
        {"rtmp://u:p@h:8/a", "u", "p", "h", "/a", "", 8, true, false},
        {"rtmp://u:p:q@r@h/a", "u", "p:q@r", "h", "/a", "", 80, false, false},
        {"rtmp://:p@h", "", "p", "h", "", "", 80, false, false},
        {"rtmp://@h", "", "", "h", "", "", 80, false, false},
        {"rtmp://%75:%70@h", "%75", "%70", "h", "", "", 80, false, false},
        {"rtmp://a-1.b_c.example./x", "", "", "a-1.b_c.example.", "/x", "", 80, false, false},
        {"rtmp://127.0.0.1:1935/x", "", "", "127.0.0.1", "/x", "", 1935, true, false},
        {"rtmp://[::1]/x", "", "", "::1", "/x", "", 80, false, true},
        {"rtmp://[::1]:1935/x", "", "", "::1", "/x", "", 1935, true, true},
        {"rtmp://u:p@[2001:DB8::1]:8", "u", "p", "2001:DB8::1", "", "", 8, true, true},
        {"rtmp://[::ffff:1.2.3.4]", "", "", "::ffff:1.2.3.4", "", "", 80, false, true},
        {"rtmp://[fe80::1%25eth0]", "", "", "fe80::1%25eth0", "", "", 80, false, true},
        {"rtmp://[fe80::1%eth0]/", "", "", "fe80::1%eth0", "/", "", 80, false, true},
        {"rtmp://h/f\xc3\xbcr", "", "", "h", "/f\xc3\xbcr", "", 80, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_url url;
        assert_int_equal(cv_url_parse(&url, cv_text_of(rows[i].url), NULL), CV_OK);
        assert_text(url.user, rows[i].user);
        assert_text(url.password, rows[i].password);
        assert_text(url.host, rows[i].host);
        assert_text(url.path, rows[i].path);
        assert_text(url.query, rows[i].query);
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.port_given, rows[i].port_given);
        assert_int_equal(url.ipv6, rows[i].ipv6);
    }
}

static void malformed_urls_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        ":",
        "://",
        "://h",
        "rtmp",
        "rtmp:",
        "rtmp:h",
        "rtmp:/h",
        "rtmp:/h//",
        "rtmp//h",
        "//h/live",
        "h/live",
        "h:80/live",
        "rtmpe://h",
        "rtmpx://h",
        "rtm://h",
        "ftp://h",
        "file:///etc/passwd",
        " rtmp://h",
        "rtmp ://h",
        "rtmp://",
        "rtmp:///live",
        "rtmp://?x",
        "rtmp://:80/live",
        "rtmp://u:p@/live",
        "rtmp://u:p@:80/live",
        "rtmp://h:/live",
        "rtmp://h:0/live",
        "rtmp://h:65536/live",
        "rtmp://h:4294967376/live",
        "rtmp://h:18446744073709551696/live",
        "rtmp://h:-1",
        "rtmp://h:+80",
        "rtmp://h:80x",
        "rtmp://h:8:0",
        "rtmp://::1/live",
        "rtmp://[::1/live",
        "rtmp://::1]/live",
        "rtmp://[]/live",
        "rtmp://[::1]x/live",
        "rtmp://[::1]80/live",
        "rtmp://[::1]:/live",
        "rtmp://[h]/live",
        "rtmp://[1.2.3.4]/live",
        "rtmp://[1:2]/live",
        "rtmp://[::g]/live",
        "rtmp://[::1%e/0]/live",
        "rtmp://[::1%e%0]/live",
        "rtmp://[[::1]]/live",
        "rtmp://h#x",
        "rtmp://h\\live",
        "rtmp://h%2elive",
        "rtmp://h,i/live",
        "rtmp://h live=1",
        "rtmp://h/a b",
        "rtmp://h/a\r\nHost: x",
        "rtmp://h/a\tb",
        "rtmp://h/a\x7f",
        "rtmp://h\xc3\xbc/live", // names beyond ASCII are written in punycode
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_url url = {.port = 4711};
        struct cv_why why = {.code = CV_OK};
        if (parse_guarded(&url, cv_text_of(rows[i]), &why) != CV_E_URL)
            fail_msg("accepted \"%s\"", rows[i]);
        assert_int_equal(url.port, 4711);
        assert_int_equal(why.code, CV_E_URL);
        assert_string_equal(why.place, "url");
        assert_true(why.text[0] != '\0');
    }
}

static void nul_is_refused_everywhere(void **state)
{
    (void)state;
    const char *whole = "rtmp://u:p@[::1]:80/a?b";
    for (size_t at = 0; at < strlen(whole); at++) {
        char text[32];
        size_t len = strlen(whole);
        memcpy(text, whole, len);
        text[at] = '\0';
        struct cv_url url;
        assert_int_equal(parse_guarded(&url, (struct cv_text){text, len}, NULL), CV_E_URL);
    }
}

static void bug_22_reasons_do_not_quote_the_password(void **state)
{
    (void)state;
    struct cv_url url;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_url_parse(&url, cv_text_of("rtmp://u:secret@h:x/secret"), &why), CV_E_URL);
    assert_null(strstr(why.text, "secret"));
}

// Each prefix is either a URL of its own or refused, and is never read past its end.
static void every_prefix_parses_or_fails_cleanly(void **state)
{
    (void)state;
    const struct cv_text whole = cv_text_of("rtmpts://u:p@[fe80::1%25e]:443/live/x?key=K#y");
    for (size_t len = 0; len <= whole.len; len++) {
        struct cv_url url;
        int result = parse_guarded(&url, (struct cv_text){whole.at, len}, NULL);
        size_t host_ends = cv_text_find(whole, ']') + 1;
        bool complete = len == host_ends || len > host_ends + 1; // not "...]:"
        bool user_as_host = len == strlen("rtmpts://u");
        assert_int_equal(result, complete || user_as_host ? CV_OK : CV_E_URL);
    }
}

static void bug_25_url_ends_exactly_at_its_limit(void **state)
{
    (void)state;
    char text[CV_LIMIT_URL_BYTES + 1];
    memset(text, 'a', sizeof text);
    memcpy(text, "rtmp://h/", 9);
    struct cv_url url;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(parse_guarded(&url, (struct cv_text){text, CV_LIMIT_URL_BYTES}, &why), CV_OK);
    assert_int_equal(url.path.len, CV_LIMIT_URL_BYTES - 8);
    assert_int_equal(why.code, CV_OK);
    assert_int_equal(parse_guarded(&url, (struct cv_text){text, CV_LIMIT_URL_BYTES + 1}, &why),
                     CV_E_TOO_LONG);
    assert_int_equal(why.code, CV_E_TOO_LONG);
}

static void bug_25_host_ends_exactly_at_its_limit(void **state)
{
    (void)state;
    char text[7 + CV_LIMIT_HOST_BYTES + 1];
    memset(text, 'a', sizeof text);
    memcpy(text, "rtmp://", 7);
    struct cv_url url;
    assert_int_equal(parse_guarded(&url, (struct cv_text){text, sizeof text - 1}, NULL), CV_OK);
    assert_int_equal(url.host.len, CV_LIMIT_HOST_BYTES);
    assert_int_equal(parse_guarded(&url, (struct cv_text){text, sizeof text}, NULL), CV_E_URL);
}

static void client_cuts_app_and_name_as_ffmpeg(void **state)
{
    (void)state;
    static const struct {
        const char *url, *app, *name;
    } rows[] = {
        {"rtmp://h/live/x", "live", "x"},
        {"rtmp://h/live/x?key=K", "live", "x?key=K"},
        {"rtmp://h/live/x?u=a/b/c", "live", "x?u=a/b/c"},
        {"rtmp://h/live/room/x?k=1", "live/room", "x?k=1"},
        {"rtmp://h/a/b/c/d?x=1", "a/b", "c/d?x=1"},
        {"rtmp://h/app", "app", ""},
        {"rtmp://h/app/", "app", ""},
        {"rtmp://h/app?t=1", "app?t=1", ""},
        {"rtmp://h/app?t=1/key", "app?t=1", "key"},
        {"rtmp://h/app?t=1/key?u=2", "app?t=1", "key?u=2"},
        {"rtmp://h//live/x", "live", "x"},
        {"rtmp://h", "", ""},
        {"rtmp://h/", "", ""},
        {"rtmp://h///", "", ""},
        {"rtmp://h?x", "?x", ""},
        {"rtmp://h/?x", "?x", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_url url;
        struct cv_text app, name;
        assert_int_equal(cv_url_parse(&url, cv_text_of(rows[i].url), NULL), CV_OK);
        cv_url_split(&url, &app, &name);
        assert_text(app, rows[i].app);
        assert_text(name, rows[i].name);
    }
}

static void bug_25_host_is_written_for_the_resolver(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"rtmp://h.example:8/a", "h.example"},   {"rtmp://[::1]/a", "::1"},
        {"rtmp://[fe80::1%25lo]", "fe80::1%lo"}, {"rtmp://[fe80::1%lo]", "fe80::1%lo"},
        {"rtmp://[fe80::1%25]", "fe80::1%25"},   {"rtmp://[fe80::1%]", "fe80::1"},
    };
    char host[CV_LIMIT_HOST_BYTES + 1];
    struct cv_url url;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(cv_url_parse(&url, cv_text_of(rows[i][0]), NULL), CV_OK);
        cv_url_host(&url, host);
        assert_string_equal(host, rows[i][1]);
    }
    char longest[16 + CV_LIMIT_HOST_BYTES] = "rtmp://";
    memset(longest + 7, 'a', CV_LIMIT_HOST_BYTES);
    assert_int_equal(cv_url_parse(&url, cv_text_of(longest), NULL), CV_OK);
    cv_url_host(&url, host);
    assert_string_equal(host, longest + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scheme_has_its_port),
        cmocka_unit_test(parts_are_lent),
        cmocka_unit_test(malformed_urls_are_refused),
        cmocka_unit_test(nul_is_refused_everywhere),
        cmocka_unit_test(bug_22_reasons_do_not_quote_the_password),
        cmocka_unit_test(every_prefix_parses_or_fails_cleanly),
        cmocka_unit_test(bug_25_url_ends_exactly_at_its_limit),
        cmocka_unit_test(bug_25_host_ends_exactly_at_its_limit),
        cmocka_unit_test(client_cuts_app_and_name_as_ffmpeg),
        cmocka_unit_test(bug_25_host_is_written_for_the_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
