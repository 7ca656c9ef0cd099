// Which proxy leads out: the option, the environment, what is reached without it, what is refused.
#include "harness.h"

#include "client/proxy.h"

#include <stdio.h>

// ---- an environment ---------------------------------------------------------------------------

static const char *const *environment; // NAME=value ..., then NULL

static const char *find_variable(const char *name)
{
    size_t len = strlen(name);
    for (const char *const *row = environment; *row; row++) {
        if (strncmp(*row, name, len) == 0 && (*row)[len] == '=')
            return *row + len + 1;
    }
    return NULL;
}

static int find_all(struct cv_proxies *out, const char *option, const struct cv_target *target,
                    struct cv_why *why)
{
    struct guard copy = guard_copy(option, strlen(option));
    memset(out, 0xa5, sizeof *out);
    int result = cv_proxies_find(out, (struct cv_text){(const char *)copy.data, copy.len}, target,
                                 find_variable, why);
    guard_free(&copy);
    return result;
}

// The one for plain text.
static int find(struct cv_proxy *out, const char *option, const char *host, uint16_t port,
                struct cv_why *why)
{
    struct cv_proxies proxies;
    struct cv_target target = {.port = port};
    snprintf(target.host, sizeof target.host, "%s", host);
    int result = find_all(&proxies, option, &target, why);
    *out = proxies.plain;
    if (result == CV_OK)
        assert_string_equal(proxies.secure.host, "");
    return result;
}

enum { VARIABLES_MAX = 6 };

// ---- which one ----------------------------------------------------------------------------------

static void option_and_environment_are_asked_in_their_order(void **state)
{
    (void)state;
    static const struct {
        const char *option, *host;
        const char *environment[VARIABLES_MAX];
    } rows[] = {
        {"", "", {NULL}},
        {"o", "o", {"http_proxy=e", "no_proxy=*", NULL}}, // it wins over exceptions too
        {"none", "", {"http_proxy=e", NULL}},
        {" NONE ", "", {"http_proxy=e", NULL}},
        {" \t", "e", {"http_proxy=e", NULL}},
        {"", "e", {"http_proxy=e", "HTTP_PROXY=f", "all_proxy=g", "ALL_PROXY=h", NULL}},
        {"", "f", {"HTTP_PROXY=f", "all_proxy=g", "ALL_PROXY=h", NULL}},
        {"", "g", {"all_proxy=g", "ALL_PROXY=h", NULL}},
        {"", "h", {"ALL_PROXY=h", NULL}},
        {"", "f", {"http_proxy=", "HTTP_PROXY=f", NULL}},
        {"", "", {"http_proxy=", NULL}},
        {"", "", {"HTTPS_PROXY=x", "https_proxy=x", NULL}},
        // CVE-2016-5385: what a client of a CGI program says is not ours
        {"", "", {"HTTP_PROXY=f", "REQUEST_METHOD=GET", NULL}},
        {"", "", {"HTTP_PROXY=f", "REQUEST_METHOD=", NULL}},
        {"", "g", {"HTTP_PROXY=f", "REQUEST_METHOD=GET", "all_proxy=g", NULL}},
        {"", "e", {"http_proxy=e", "REQUEST_METHOD=GET", NULL}},
        {"", "", {"http_proxy=e", "no_proxy=h", NULL}},
        {"", "", {"http_proxy=e", "NO_PROXY=h", NULL}},
        {"", "", {"http_proxy=e", "no_proxy=", "NO_PROXY=h", NULL}},
        {"", "e", {"http_proxy=e", "no_proxy=x", "NO_PROXY=h", NULL}},
        {"", "", {"http_proxy=socks5://malformed", "no_proxy=h", NULL}}, // not needed: not judged
        {"none", "", {"http_proxy=socks5://malformed", NULL}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_proxy proxy;
        environment = rows[i].environment;
        assert_int_equal(find(&proxy, rows[i].option, "h", 80, NULL), CV_OK);
        assert_string_equal(proxy.host, rows[i].host);
        assert_int_equal(proxy.port, rows[i].host[0] ? 80 : 0);
    }
}

static void tls_has_a_variable_of_its_own(void **state)
{
    (void)state;
    static const struct {
        enum cv_security security;
        const char *option, *plain, *secure;
        const char *environment[VARIABLES_MAX];
    } rows[] = {
        {CV_SECURITY_EITHER, "", "e", "s", {"http_proxy=e", "https_proxy=s", NULL}},
        {CV_SECURITY_EITHER, "", "e", "", {"http_proxy=e", "HTTP_PROXY=f", NULL}},
        {CV_SECURITY_EITHER, "", "", "s", {"HTTPS_PROXY=s", NULL}},
        {CV_SECURITY_EITHER, "", "g", "s", {"https_proxy=s", "HTTPS_PROXY=t", "all_proxy=g", NULL}},
        {CV_SECURITY_EITHER, "", "h", "h", {"ALL_PROXY=h", NULL}},
        {CV_SECURITY_EITHER, "o", "o", "o", {"http_proxy=e", "https_proxy=s", NULL}},
        {CV_SECURITY_EITHER, "none", "", "", {"http_proxy=e", "https_proxy=s", NULL}},
        // exceptions know ports
        {CV_SECURITY_EITHER, "", "", "s", {"http_proxy=e", "https_proxy=s", "no_proxy=h:80", NULL}},
        {CV_SECURITY_EITHER, "", "e", "", {"all_proxy=e", "no_proxy=h:443", NULL}},
        // what is not needed is not judged
        {CV_SECURITY_PLAIN, "", "e", "", {"http_proxy=e", "https_proxy=socks5://malformed", NULL}},
        {CV_SECURITY_ONLY, "", "", "s", {"http_proxy=socks5://malformed", "https_proxy=s", NULL}},
        {CV_SECURITY_ONLY, "o", "", "o", {NULL}},
        {CV_SECURITY_ONLY, "", "", "", {"http_proxy=e", NULL}},
        // a CGI program's client cannot say it
        {CV_SECURITY_ONLY, "", "", "s", {"HTTPS_PROXY=s", "REQUEST_METHOD=GET", NULL}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_proxies proxies;
        struct cv_target target = {
            .host = "h", .port = 80, .secure_port = 443, .security = rows[i].security};
        environment = rows[i].environment;
        assert_int_equal(find_all(&proxies, rows[i].option, &target, NULL), CV_OK);
        assert_string_equal(proxies.plain.host, rows[i].plain);
        assert_string_equal(proxies.secure.host, rows[i].secure);
    }
}

static void a_malformed_one_of_two_leaves_nothing(void **state)
{
    (void)state;
    static const char *const variables[] = {"http_proxy=e", "https_proxy=https://e", NULL};
    const struct cv_target target = {
        .host = "h", .port = 80, .secure_port = 443, .security = CV_SECURITY_EITHER};
    struct cv_proxies proxies, before;
    struct cv_why why = {.code = CV_OK};
    memset(&before, 0xa5, sizeof before);
    environment = variables;
    assert_int_equal(find_all(&proxies, "", &target, &why), CV_E_URL);
    assert_non_null(strstr(why.text, "https_proxy"));
    assert_memory_equal(&proxies, &before, sizeof before);
}

static void values_have_their_parts(void **state)
{
    (void)state;
    static const struct {
        const char *value, *host, *user, *password;
        uint16_t port;
    } rows[] = {
        {"proxy", "proxy", "", "", 80},
        {"proxy:3128", "proxy", "", "", 3128},
        {"http://proxy", "proxy", "", "", 80},
        {"HTTP://proxy:3128/", "proxy", "", "", 3128},
        {"  proxy:3128\t", "proxy", "", "", 3128},
        {"10.0.0.1:8080", "10.0.0.1", "", "", 8080},
        {"[fd00::1]:8080", "fd00::1", "", "", 8080},
        {"http://[fe80::1%25eth0]", "fe80::1%eth0", "", "", 80},
        {"http://u:p@proxy", "proxy", "u", "p", 80},
        {"u:p@proxy:8", "proxy", "u", "p", 8},
        {"u@proxy", "proxy", "u", "", 80},
        {"@proxy", "proxy", "", "", 80},
        {"u:@proxy", "proxy", "u", "", 80},
        {"dom%5cu%40x:p%3a%2F%25@proxy", "proxy", "dom\\u@x", "p:/%", 80},
        {"u:p:q@r@proxy", "proxy", "u", "p:q@r", 80},
        {"u:100%@proxy", "proxy", "u", "100%", 80},
        {"u:a+b@proxy", "proxy", "u", "a+b", 80},
        {"u:f%c3%bcr@proxy", "proxy", "u", "f\xc3\xbcr", 80},
    };
    static const char *const nothing[] = {NULL};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_proxy proxy;
        environment = nothing;
        assert_int_equal(find(&proxy, rows[i].value, "h", 80, NULL), CV_OK);
        assert_string_equal(proxy.host, rows[i].host);
        assert_string_equal(proxy.user, rows[i].user);
        assert_string_equal(proxy.password, rows[i].password);
        assert_int_equal(proxy.port, rows[i].port);
    }
}

// ---- what is reached without it -----------------------------------------------------------------

static bool goes_through(const char *no_proxy, const char *host, uint16_t port)
{
    struct cv_proxy proxy;
    char list[512] = "no_proxy=";
    const char *const variables[] = {"http_proxy=proxy", list, NULL};
    append_text(list, sizeof list, no_proxy);
    environment = variables;
    assert_int_equal(find(&proxy, "", host, port, NULL), CV_OK);
    return proxy.host[0] != '\0';
}

static void no_proxy_lists_what_is_reached_without(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        bool through;
    } rows[] = {
        {"", "example.com", true},
        {"*", "example.com", false},
        {"*", "10.0.0.1", false},
        {"*", "fd00::1", false},
        // names, and all below them
        {"example.com", "example.com", false},
        {"example.com", "www.example.com", false},
        {"example.com", "a.b.example.com", false},
        {"example.com", "notexample.com", true},
        {"example.com", "example.com.evil.org", true},
        {"example.com", "com", true},
        {"example.com", "ample.com", true},
        {".example.com", "example.com", false},
        {".example.com", "www.example.com", false},
        {".example.com", "notexample.com", true},
        {"*.example.com", "www.example.com", false},
        {"*example.com", "www.example.com", true},
        {"EXAMPLE.com", "www.Example.COM", false},
        {"example.com.", "example.com", false},
        {"example.com", "example.com.", false},
        {"com", "example.com", false},
        {".", "example.com", true},
        {"[example.com]", "example.com", false}, // brackets do no harm
        {"ex@mple", "example", true},
        // lists
        {"a,b,example.com", "example.com", false},
        {" a , example.com ,b", "example.com", false},
        {"a b\texample.com\n", "example.com", false},
        {",,, ,example.com,,", "example.com", false},
        {"a,b", "example.com", true},
        {"exam ple.com", "example.com", true},
        {"a,*", "example.com", false},
        // ports
        {"example.com:80", "example.com", false},
        {"example.com:81", "example.com", true},
        {"example.com:81,example.com:80", "example.com", false},
        {"example.com:", "example.com", false},
        {"example.com:x", "example.com", true},
        {"example.com:0", "example.com", true},
        {"example.com:65616", "example.com", true},
        {"*:80", "example.com", false},
        {"*:81", "example.com", true},
        {"10.0.0.1:80", "10.0.0.1", false},
        {"10.0.0.1:81", "10.0.0.1", true},
        {"10.0.0.0/8:80", "10.0.0.1", false},
        {"[fd00::1]:80", "fd00::1", false},
        {"[fd00::1]:81", "fd00::1", true},
        {"[fd00::1]x", "fd00::1", true},
        // addresses
        {"10.0.0.1", "10.0.0.1", false},
        {"10.0.0.1", "10.0.0.2", true},
        {"10.0.0.1", "110.0.0.1", true},
        {"0.0.1", "10.0.0.1", true}, // not as a name
        {".1", "10.0.0.1", true},
        {"10.0.0.1", "x.10.0.0.1", false}, // a name, however odd
        {"fd00::1", "fd00::1", false},
        {"FD00:0:0::1", "fd00::1", false},
        {"[fd00::1]", "fd00::1", false},
        {"fd00::1", "fd00::2", true},
        {"fe80::1", "fe80::1%eth0", false},
        {"::ffff:10.0.0.1", "10.0.0.1", false},
        {"10.0.0.1", "::ffff:10.0.0.1", false},
        // ranges
        {"10.0.0.0/8", "10.255.0.1", false},
        {"10.0.0.0/8", "11.0.0.1", true},
        {"10.1.2.3/8", "10.255.0.1", false},
        {"10.0.0.0/33", "10.0.0.0", true},
        {"10.0.0.0/", "10.0.0.0", true},
        {"10.0.0.0/8", "example.com", true},
        {"0.0.0.0/0", "8.8.8.8", false},
        {"0.0.0.0/0", "fd00::1", true},
        {"fd00::/8", "fd12::1", false},
        {"fd00::/8", "fe12::1", true},
        {"::/0", "2001:db8::1", false},
        {"192.168.0.0/16,10.0.0.0/8", "10.1.1.1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (goes_through(rows[i].list, rows[i].host, 80) != rows[i].through)
            fail_msg("%s, %s", rows[i].list, rows[i].host);
    }
}

static void loopback_is_reached_without(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool through;
    } rows[] = {
        {"localhost", false},  {"LocalHost.", false},       {"a.localhost", false},
        {"127.0.0.1", false},  {"127.255.255.255", false},  {"::1", false},
        {"0:0::0:1", false},   {"::ffff:127.0.0.1", false}, {"notlocalhost", true},
        {"localhost.x", true}, {"128.0.0.1", true},         {"::2", true},
        {"127.0.0.1.x", true}, {"126.255.255.255", true},
    };
    static const char *const nothing[] = {NULL};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_proxy proxy;
        assert_int_equal(goes_through("", rows[i].host, 80), rows[i].through);
        environment = nothing;
        assert_int_equal(find(&proxy, "proxy", rows[i].host, 80, NULL), CV_OK);
        assert_string_equal(proxy.host, "proxy"); // who asks for it by an option gets it
    }
}

// ---- what is refused ----------------------------------------------------------------------------

static const char *const malformed[] = {
    "socks5://u:secret@proxy:1080",
    "https://u:secret@proxy",
    "rtmp://u:secret@proxy",
    "ftp://u:secret@proxy",
    "http://",
    "http://u:secret@",
    "http://u:secret@:3128",
    "http://u:secret@proxy:",
    "http://u:secret@proxy:0",
    "http://u:secret@proxy:65536",
    "http://u:secret@proxy:x",
    "http://u:secret@proxy/secret.pac",
    "http://u:secret@proxy?secret",
    "http://u:secret@proxy/?secret",
    "http://u:secret@pro xy",
    "http://u:se/cret@proxy",
    "u:secret",
    "u:secret@[::1",
    ":secret@proxy",
    "u%3Ax:secret@proxy",
    "u:secret%00@proxy",
    "u%0D%0AX-secret:p@proxy",
    "u:secret%7f@proxy",
    "http:/proxy",
    "//proxy",
};

static void bug_22_malformed_values_are_named_and_not_quoted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof malformed / sizeof malformed[0]; i++) {
        struct cv_proxy proxy, before;
        struct cv_why why = {.code = CV_OK};
        char variable[256] = "all_proxy=";
        const char *const variables[] = {variable, NULL};
        bool by_option = i % 2;
        environment = variables;
        append_text(variable, sizeof variable, malformed[i / 2]);
        memset(&before, 0xa5, sizeof before);
        int err = find(&proxy, by_option ? malformed[i / 2] : "", "h", 80, &why);
        if (err != CV_E_URL)
            fail_msg("%s", malformed[i / 2]);
        assert_int_equal(why.code, CV_E_URL);
        assert_non_null(strstr(why.text, by_option ? "option" : "all_proxy"));
        assert_null(strstr(why.text, "secret"));
        assert_memory_equal(&proxy, &before, sizeof proxy);
        assert_int_equal(find(&proxy, by_option ? malformed[i / 2] : "", "h", 80, NULL), CV_E_URL);
    }
}

static void bug_25_values_end_exactly_at_their_limits(void **state)
{
    (void)state;
    static const struct {
        const char *before, *behind;
        int max;
    } rows[] = {
        {"", ":8", CV_LIMIT_HOST_BYTES},
        {"", ":p@proxy", CV_LIMIT_PROXY_CREDENTIAL_BYTES},
        {"u:", "@proxy", CV_LIMIT_PROXY_CREDENTIAL_BYTES},
        {"u:", "%41@proxy", CV_LIMIT_PROXY_CREDENTIAL_BYTES - 1},
    };
    static const char *const nothing[] = {NULL};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int over = 0; over < 2; over++) {
            char value[512] = "";
            struct cv_proxy proxy;
            append_text(value, sizeof value, rows[i].before);
            memset(value + strlen(value), 'a', (size_t)(rows[i].max + over));
            append_text(value, sizeof value, rows[i].behind);
            environment = nothing;
            assert_int_equal(find(&proxy, value, "h", 80, NULL), over ? CV_E_URL : CV_OK);
        }
    }
}

// With our http:// in front of it, it must not overrun either.
static void bug_25_long_values_are_refused(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL};
    char value[CV_LIMIT_URL_BYTES + 16];
    for (size_t len = CV_LIMIT_URL_BYTES - 16; len < sizeof value - 1; len++) {
        struct cv_proxy proxy;
        memset(value, 'a', len);
        value[len] = '\0';
        environment = nothing;
        assert_int_equal(find(&proxy, value, "h", 80, NULL), CV_E_URL);
        memcpy(value, "http://", 7);
        assert_int_equal(find(&proxy, value, "h", 80, NULL), CV_E_URL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(option_and_environment_are_asked_in_their_order),
        cmocka_unit_test(tls_has_a_variable_of_its_own),
        cmocka_unit_test(a_malformed_one_of_two_leaves_nothing),
        cmocka_unit_test(values_have_their_parts),
        cmocka_unit_test(no_proxy_lists_what_is_reached_without),
        cmocka_unit_test(loopback_is_reached_without),
        cmocka_unit_test(bug_22_malformed_values_are_named_and_not_quoted),
        cmocka_unit_test(bug_25_values_end_exactly_at_their_limits),
        cmocka_unit_test(bug_25_long_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
