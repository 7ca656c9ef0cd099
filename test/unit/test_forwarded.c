// X-Forwarded-For and X-Forwarded-Proto: only what trusted hops say.
#include "harness.h"

#include "base/err.h"
#include "proto/forwarded.h"

// Trusts 10.x.x.x and fd00::/8; counts the questions.
static bool trust_inner(void *arg, const struct cv_ip *ip)
{
    int *asked = arg;
    ++*asked;
    return (ip->family == 4 && ip->bytes[0] == 10) || (ip->family == 6 && ip->bytes[0] == 0xfd);
}

static struct cv_ip ip_of(const char *text)
{
    struct cv_ip ip;
    assert_int_equal(cv_ip_parse(cv_text_of(text), &ip), CV_OK);
    return ip;
}

enum { FIELDS_MAX = 16 };

// The list in one field, and in one field for each of its hops, between fields that are none.
static void expect_in_fields(const char *list, const struct cv_ip *peer, const struct cv_ip *want)
{
    struct cv_http1_field at[2 * FIELDS_MAX] = {{cv_text_of("x-forwarded-for"), cv_text_of(list)}};
    struct cv_http1_fields fields = {at, 1};
    int asked = 0;
    struct cv_ip got = cv_forwarded_client_of(fields, peer, trust_inner, &asked);
    assert_true(cv_ip_equal(&got, want));
    struct cv_text rest = cv_text_of(list);
    fields.count = 0;
    while (rest.len) {
        at[fields.count++] =
            (struct cv_http1_field){cv_text_of("X-Forwarded-For"), cv_text_take(&rest, ',')};
        at[fields.count++] =
            (struct cv_http1_field){cv_text_of("X-Forwarded-Fo"), cv_text_of("66.6.6.6")};
    }
    got = cv_forwarded_client_of(fields, peer, trust_inner, &asked);
    if (!cv_ip_equal(&got, want))
        fail_msg("%s in several fields", list);
}

static void client_is_the_last_untrusted_hop(void **state)
{
    (void)state;
    static const struct {
        const char *peer;
        const char *list;
        const char *client;
    } cases[] = {
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "1.2.3.4", "1.2.3.4"},
        {"9.9.9.9", "1.2.3.4", "9.9.9.9"}, // the peer is nobody: it may write what it likes
        {"10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"},
        {"10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"},
        {"10.0.0.1", "1.2.3.4,10.0.0.3,\t10.0.0.2 ", "1.2.3.4"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"}, // all trusted: the farthest
        {"10.0.0.1", "1.2.3.4, , ,", "1.2.3.4"},
        {"10.0.0.1", "1.2.3.4:5678", "1.2.3.4"},
        {"10.0.0.1", "[2001:db8::1]:5678", "2001:db8::1"},
        {"10.0.0.1", "[2001:db8::1]", "2001:db8::1"},
        {"10.0.0.1", "2001:db8::1", "2001:db8::1"},
        {"fd00::1", "::ffff:1.2.3.4, fd00::2", "1.2.3.4"},
        {"10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"},
        {"10.0.0.1", "1.2.3.4, 10.0.0.2, _hidden, 10.0.0.3", "10.0.0.3"},
        {"10.0.0.1", "1.2.3.4:", "10.0.0.1"},
        {"10.0.0.1", "1.2.3.4:65536", "10.0.0.1"},
        {"10.0.0.1", "1.2.3.4:x", "10.0.0.1"},
        {"10.0.0.1", "[::1", "10.0.0.1"},
        {"10.0.0.1", "[::1]x", "10.0.0.1"},
        {"10.0.0.1", "[::1]:", "10.0.0.1"},
        {"10.0.0.1", "[1.2.3.4]:80", "10.0.0.1"},
        {"10.0.0.1", "[", "10.0.0.1"},
        {"10.0.0.1", "1.2.3.4 5.6.7.8", "10.0.0.1"},
        {"10.0.0.1", "\"1.2.3.4\"", "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int asked = 0;
        struct cv_ip peer = ip_of(cases[i].peer);
        struct cv_ip want = ip_of(cases[i].client);
        struct guard guard = guard_copy(cases[i].list, strlen(cases[i].list));
        struct cv_text list = {(const char *)guard.data, guard.len};
        struct cv_ip got = cv_forwarded_client(list, &peer, trust_inner, &asked);
        if (!cv_ip_equal(&got, &want))
            fail_msg("%s: not %s", cases[i].list, cases[i].client);
        guard_free(&guard);
        expect_in_fields(cases[i].list, &peer, &want);
    }
}

static void long_lists_are_not_walked(void **state)
{
    (void)state;
    static char list[80000] = "1.2.3.4";
    for (int i = 0; i < 7000; i++)
        memcpy(list + 7 + 10 * i, ", 10.0.0.2", 11);
    int asked = 0;
    struct cv_ip peer = ip_of("10.0.0.1");
    struct cv_ip want = ip_of("10.0.0.2");
    struct cv_ip got = cv_forwarded_client(cv_text_of(list), &peer, trust_inner, &asked);
    assert_true(cv_ip_equal(&got, &want));
    assert_int_equal(asked, 32);
    struct cv_http1_field at[100];
    for (int i = 0; i < 100; i++)
        at[i] = (struct cv_http1_field){cv_text_of("X-Forwarded-For"), cv_text_of("10.0.0.2")};
    at[0].value = cv_text_of("1.2.3.4");
    asked = 0;
    got = cv_forwarded_client_of((struct cv_http1_fields){at, 100}, &peer, trust_inner, &asked);
    assert_true(cv_ip_equal(&got, &want));
    assert_int_equal(asked, 32);
}

static void schemes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum cv_forwarded_scheme want;
    } cases[] = {
        {"https", CV_FORWARDED_HTTPS},     {"HTTPS ", CV_FORWARDED_HTTPS},
        {"http", CV_FORWARDED_HTTP},       {"wss", CV_FORWARDED_HTTPS},
        {"ws", CV_FORWARDED_HTTP},         {"http, https", CV_FORWARDED_HTTPS},
        {"https,http", CV_FORWARDED_HTTP}, {"", CV_FORWARDED_NONE},
        {"https,", CV_FORWARDED_NONE},     {"httpsx", CV_FORWARDED_NONE},
        {"spdy", CV_FORWARDED_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(cv_forwarded_scheme_of(cv_text_of(cases[i].value)), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_is_the_last_untrusted_hop),
        cmocka_unit_test(long_lists_are_not_walked),
        cmocka_unit_test(schemes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
