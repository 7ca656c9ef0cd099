// Where a URL leads: the parts, the ways, what is hidden, what is refused, the limits.
#include "harness.h"

#include "client/target.h"

#include <stdio.h>

// Parses from a slice that ends at an unreadable page: everything in the target is its own.
static int parse_guarded(struct cv_target *out, const char *url, struct cv_why *why)
{
    struct guard copy = guard_copy(url, strlen(url));
    int result = cv_target_parse(out, (struct cv_text){(const char *)copy.data, copy.len}, why);
    guard_free(&copy);
    return result;
}

static void parts_are_written_for_their_uses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *authority, *tc_url, *app, *name, *display;
        uint16_t port;
    } rows[] = {
        {"rtmp://h/live/a", "h", "h", "rtmp://h/live", "live", "a", "rtmp://h/live/a", 80},
        {"rtmp://h:80/live/a", "h", "h", "rtmp://h/live", "live", "a", "rtmp://h/live/a", 80},
        {"rtmp://h:1935/live/a", "h", "h:1935", "rtmp://h:1935/live", "live", "a",
         "rtmp://h:1935/live/a", 1935},
        {"rtmp://h/live", "h", "h", "rtmp://h/live", "live", "", "rtmp://h/live", 80},
        {"rtmp://h/live/", "h", "h", "rtmp://h/live", "live", "", "rtmp://h/live", 80},
        {"rtmp://h", "h", "h", "rtmp://h/", "", "", "rtmp://h/", 80},
        {"rtmp://h/a/b/c/d", "h", "h", "rtmp://h/a/b", "a/b", "c/d", "rtmp://h/a/b/c/d", 80},
        {"rtmpt://h/live/a", "h", "h", "rtmp://h/live", "live", "a", "rtmpt://h/live/a", 80},
        {"ws://h/live/a", "h", "h", "rtmp://h/live", "live", "a", "ws://h/live/a", 80},
        {"HTTP://h/live/a", "h", "h", "rtmp://h/live", "live", "a", "http://h/live/a", 80},
        {"rtmps://h/live/a", "h", "h", "rtmps://h/live", "live", "a", "rtmps://h/live/a", 443},
        {"rtmps://h:443/live", "h", "h", "rtmps://h/live", "live", "", "rtmps://h/live", 443},
        {"RTMPS://h:80/live/a", "h", "h:80", "rtmps://h:80/live", "live", "a",
         "rtmps://h:80/live/a", 80},
        {"rtmp://h:443/live/a", "h", "h:443", "rtmp://h:443/live", "live", "a",
         "rtmp://h:443/live/a", 443},
        {"rtmpts://h/live/a", "h", "h", "rtmps://h/live", "live", "a", "rtmpts://h/live/a", 443},
        {"wss://h:8443/live/a", "h", "h:8443", "rtmps://h:8443/live", "live", "a",
         "wss://h:8443/live/a", 8443},
        {"https://[::1]/live/a", "::1", "[::1]", "rtmps://[::1]/live", "live", "a",
         "https://[::1]/live/a", 443},
        {"rtmp://10.0.0.1/live/a", "10.0.0.1", "10.0.0.1", "rtmp://10.0.0.1/live", "live", "a",
         "rtmp://10.0.0.1/live/a", 80},
        {"rtmp://[::1]/live/a", "::1", "[::1]", "rtmp://[::1]/live", "live", "a",
         "rtmp://[::1]/live/a", 80},
        {"rtmp://[::1]:8080/live/a", "::1", "[::1]:8080", "rtmp://[::1]:8080/live", "live", "a",
         "rtmp://[::1]:8080/live/a", 8080},
        {"rtmp://[fe80::1%25lo]/l/a", "fe80::1%lo", "[fe80::1]", "rtmp://[fe80::1]/l", "l", "a",
         "rtmp://[fe80::1]/l/a", 80},
        {"rtmp://[fe80::1%lo]:8/l/a", "fe80::1%lo", "[fe80::1]:8", "rtmp://[fe80::1]:8/l", "l", "a",
         "rtmp://[fe80::1]:8/l/a", 8},
        {"rtmp://[fe80::1%25]/l/a", "fe80::1%25", "[fe80::1]", "rtmp://[fe80::1]/l", "l", "a",
         "rtmp://[fe80::1]/l/a", 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_target target;
        memset(&target, 0xa5, sizeof target);
        assert_int_equal(parse_guarded(&target, rows[i].url, NULL), CV_OK);
        assert_string_equal(target.host, rows[i].host);
        assert_string_equal(target.authority, rows[i].authority);
        assert_string_equal(target.tc_url, rows[i].tc_url);
        assert_string_equal(target.app, rows[i].app);
        assert_string_equal(target.name, rows[i].name);
        assert_string_equal(target.display, rows[i].display);
        assert_int_equal(target.port, rows[i].port);
    }
}

static void scheme_says_the_way(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum cv_via via;
    } rows[] = {
        {"rtmp://h/a/b", CV_VIA_AUTO},    {"http://h/a/b", CV_VIA_AUTO},
        {"rtmpt://h/a/b", CV_VIA_RTMPT},  {"ws://h/a/b", CV_VIA_SOCKET},
        {"rtmps://h/a/b", CV_VIA_AUTO},   {"https://h/a/b", CV_VIA_AUTO},
        {"rtmpts://h/a/b", CV_VIA_RTMPT}, {"wss://h/a/b", CV_VIA_SOCKET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_target target;
        assert_int_equal(parse_guarded(&target, rows[i].url, NULL), CV_OK);
        assert_int_equal(target.via, rows[i].via);
    }
}

// A URL with a port means that one port, whatever its number.
static void scheme_and_port_say_whether_tls_is_spoken(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum cv_security security;
        uint16_t port, secure_port;
        const char *secure_authority;
    } rows[] = {
        {"rtmp://h/a/b", CV_SECURITY_EITHER, 80, 443, "h"},
        {"rtmpt://h/a/b", CV_SECURITY_EITHER, 80, 443, "h"},
        {"ws://[fe80::1%25lo]/a/b", CV_SECURITY_EITHER, 80, 443, "[fe80::1]"},
        {"http://h/a/b", CV_SECURITY_EITHER, 80, 443, "h"},
        {"rtmp://h:80/a/b", CV_SECURITY_PLAIN, 80, 0, ""},
        {"rtmp://h:443/a/b", CV_SECURITY_PLAIN, 443, 0, ""},
        {"ws://h:1935/a/b", CV_SECURITY_PLAIN, 1935, 0, ""},
        {"rtmps://h/a/b", CV_SECURITY_ONLY, 443, 443, "h"},
        {"rtmpts://h:443/a/b", CV_SECURITY_ONLY, 443, 443, "h"},
        {"wss://h:80/a/b", CV_SECURITY_ONLY, 80, 80, "h:80"},
        {"https://[::1]:8443/a/b", CV_SECURITY_ONLY, 8443, 8443, "[::1]:8443"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_target target;
        memset(&target, 0xa5, sizeof target);
        assert_int_equal(parse_guarded(&target, rows[i].url, NULL), CV_OK);
        assert_int_equal(target.security, rows[i].security);
        assert_int_equal(target.port, rows[i].port);
        assert_int_equal(target.secure_port, rows[i].secure_port);
        assert_string_equal(target.secure_authority, rows[i].secure_authority);
    }
}

// The server gets the queries, people do not; a password goes nowhere.
static void bug_22_display_shows_no_secret(void **state)
{
    (void)state;
    static const struct {
        const char *url, *app, *name, *display;
    } rows[] = {
        {"rtmp://h/live/a?key=secret", "live", "a?key=secret", "rtmp://h/live/a"},
        {"rtmp://h/live?key=secret/a", "live?key=secret", "a", "rtmp://h/live/a"},
        {"rtmp://h/live?key=secret", "live?key=secret", "", "rtmp://h/live"},
        {"rtmp://h/?key=secret/a?key=secret", "?key=secret", "a?key=secret", "rtmp://h//a"},
        {"rtmp://u:secret@h/live/a", "live", "a", "rtmp://h/live/a"},
        {"rtmps://u:secret@h/live/a?key=secret", "live", "a?key=secret", "rtmps://h/live/a"},
        {"rtmp://secret@h/live/a?x?secret", "live", "a?x?secret", "rtmp://h/live/a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_target target;
        assert_int_equal(parse_guarded(&target, rows[i].url, NULL), CV_OK);
        assert_string_equal(target.app, rows[i].app);
        assert_string_equal(target.name, rows[i].name);
        assert_string_equal(target.display, rows[i].display);
        assert_null(strstr(target.authority, "secret"));
        assert_null(strstr(target.secure_authority, "secret"));
        assert_null(strstr(target.host, "secret"));
    }
}

static void bug_22_refusals_quote_no_secret(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "rtmps://u:secret@h:0/live/a?key=secret",
        "rtmpe://u:secret@h/live/a?key=secret",
        "rtmp://u:secret@h:x/live/a?key=secret",
        "rtmp://u:secret@/live/a",
        "secret",
        "rtmp://h/live/a b?key=secret",
        "",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_target target, before;
        struct cv_why why = {.code = CV_OK};
        memset(&target, 0xa5, sizeof target);
        before = target;
        assert_int_equal(parse_guarded(&target, rows[i], &why), CV_E_URL);
        assert_int_equal(why.code, CV_E_URL);
        assert_true(why.text[0] != '\0');
        assert_null(strstr(why.text, "secret"));
        assert_memory_equal(&target, &before, sizeof target);
    }
}

// `before`, so many letters, `behind`.
static int parse_long(struct cv_target *out, const char *before, int letters, const char *behind)
{
    char text[CV_LIMIT_URL_BYTES * 2] = "";
    append_text(text, sizeof text, before);
    size_t len = strlen(text);
    memset(text + len, 'a', (size_t)letters);
    text[len + (size_t)letters] = '\0';
    append_text(text, sizeof text, behind);
    return parse_guarded(out, text, NULL);
}

static void bug_25_parts_end_exactly_at_their_limits(void **state)
{
    (void)state;
    static const struct {
        const char *before, *behind;
        int max, code;
    } rows[] = {
        {"rtmp://", ":65535/live/a", CV_LIMIT_HOST_BYTES, CV_E_URL},
        {"rtmp://h/", "/a", CV_LIMIT_APP_BYTES, CV_E_TOO_LONG},
        {"rtmp://h/", "", CV_LIMIT_APP_BYTES, CV_E_TOO_LONG},
        {"rtmp://h/live/", "", CV_LIMIT_NAME_BYTES, CV_E_TOO_LONG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_target target;
        for (int over = 0; over < 2; over++)
            assert_int_equal(
                parse_long(&target, rows[i].before, rows[i].max + over, rows[i].behind),
                over ? rows[i].code : CV_OK);
    }
}

// The longest of everything at once: the texts that are put together have room.
static void bug_25_the_longest_target_fits(void **state)
{
    (void)state;
    char host[CV_LIMIT_HOST_BYTES + 1], app[CV_LIMIT_APP_BYTES + 1], name[CV_LIMIT_NAME_BYTES + 1];
    char text[CV_LIMIT_URL_BYTES + 1];
    struct cv_target target;
    memset(host, '1', sizeof host);
    memset(app, 'a', sizeof app);
    memset(name, 'n', sizeof name);
    memcpy(host, "::1%", 4);
    host[CV_LIMIT_HOST_BYTES] = app[CV_LIMIT_APP_BYTES] = name[CV_LIMIT_NAME_BYTES] = '\0';
    snprintf(text, sizeof text, "rtmpt://[%s]:65535/%s/%s", host, app, name);
    assert_int_equal(parse_guarded(&target, text, NULL), CV_OK);
    assert_string_equal(target.host, host);
    memset(host, '1', 4);
    snprintf(text, sizeof text, "rtmpts://%s:65535/%s/%s", host, app, name);
    assert_int_equal(parse_guarded(&target, text, NULL), CV_OK);
    assert_string_equal(target.display, text);
    assert_string_equal(target.app, app);
    assert_string_equal(target.name, name);
    assert_int_equal(strlen(target.authority), CV_LIMIT_HOST_BYTES + 6);
    assert_string_equal(target.secure_authority, target.authority);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_written_for_their_uses),
        cmocka_unit_test(scheme_says_the_way),
        cmocka_unit_test(scheme_and_port_say_whether_tls_is_spoken),
        cmocka_unit_test(bug_22_display_shows_no_secret),
        cmocka_unit_test(bug_22_refusals_quote_no_secret),
        cmocka_unit_test(bug_25_parts_end_exactly_at_their_limits),
        cmocka_unit_test(bug_25_the_longest_target_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
