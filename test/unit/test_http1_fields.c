// HTTP/1 fields: names without case, lists, hop-by-hop fields, hosts.
#include "harness.h"

#include "proto/http1_fields.h"

static struct cv_text text(const char *literal)
{
    return cv_text_of(literal);
}

static struct cv_http1_field field(const char *name, const char *value)
{
    return (struct cv_http1_field){text(name), text(value)};
}

static void characters_of_names_and_values(void **state)
{
    (void)state;
    const char *const separators = "\"(),/:;<=>?@[\\]{}";
    for (int c = 0; c < 256; c++) {
        bool visible = c > 0x20 && c < 0x7f;
        bool token = visible && !strchr(separators, c);
        bool value = visible || c == ' ' || c == '\t' || c >= 0x80;
        assert_int_equal(cv_http1_token_char((char)c), token);
        assert_int_equal(cv_http1_value_char((char)c), value);
    }
    assert_true(cv_http1_is_token(text("X-a!1")));
    assert_false(cv_http1_is_token(text("X a")));
    assert_false(cv_http1_is_token(text("")));
    assert_true(cv_http1_is_value(text("")));
    assert_false(cv_http1_is_value(text("a\nb")));
}

static void names_have_no_case(void **state)
{
    (void)state;
    assert_true(cv_http1_name_is(text("cOnTent-LENGTH"), "Content-Length"));
    assert_false(cv_http1_name_is(text("Content-Lengt"), "Content-Length"));
    assert_false(cv_http1_name_is(text("Content-Length2"), "Content-Length"));
    assert_false(cv_http1_name_is(text("Content\rLength"), "Content-Length")); // '-' is 0x2d
    assert_false(cv_http1_name_is(text("@"), "`"));
}

static void finds_and_counts(void **state)
{
    (void)state;
    const struct cv_http1_field list[] = {field("A", "1"), field("b", ""), field("a", "2")};
    struct cv_http1_fields fields = {list, 3};
    assert_true(cv_text_is(cv_http1_find(fields, "a"), "1"));
    struct cv_text empty = cv_http1_find(fields, "B");
    assert_non_null(empty.at);
    assert_int_equal(empty.len, 0);
    assert_null(cv_http1_find(fields, "c").at);
    assert_int_equal(cv_http1_count(fields, "A"), 2);
    assert_int_equal(cv_http1_count(fields, "c"), 0);
    fields.count = 0;
    assert_null(cv_http1_find(fields, "a").at);
}

static void takes_lists_apart(void **state)
{
    (void)state;
    struct cv_text list = text(" ,, keep-alive ,\tUpgrade,x y,");
    struct cv_text token;
    static const char *const expected[] = {"keep-alive", "Upgrade", "x y"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(cv_http1_token_take(&list, &token));
        assert_true(cv_text_is(token, expected[i]));
    }
    assert_false(cv_http1_token_take(&list, &token));
    assert_true(cv_text_is(cv_http1_trim(text(" \t a b \t")), "a b"));
    assert_int_equal(cv_http1_trim(text(" \t ")).len, 0);
}

static void lists_go_over_several_fields(void **state)
{
    (void)state;
    const struct cv_http1_field list[] = {field("Connection", "close"), field("X", "upgrade"),
                                          field("connection", "a, Keep-Alive")};
    struct cv_http1_fields fields = {list, 3};
    assert_true(cv_http1_has_token(fields, "Connection", "keep-alive"));
    assert_true(cv_http1_has_token(fields, "CONNECTION", "Close"));
    assert_false(cv_http1_has_token(fields, "Connection", "upgrade"));
    assert_false(cv_http1_has_token(fields, "Connection", "keep"));
}

static void hop_by_hop_fields(void **state)
{
    (void)state;
    const struct cv_http1_field list[] = {
        field("Connection", "X-Mine, host"),
        field("Connection", "content-length,Close"),
    };
    struct cv_http1_fields fields = {list, 2};
    static const char *const dropped[] = {
        "connection",
        "Keep-Alive",
        "proxy-connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "UPGRADE",
        "x-mine",
        "close",
    };
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        assert_true(cv_http1_is_hop_by_hop(fields, text(dropped[i])));
    static const char *const kept[] = {"Host", "Content-Length", "Cookie", "X-Min", ""};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_false(cv_http1_is_hop_by_hop(fields, text(kept[i])));
}

static void hosts_with_ports(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a", "1.2.3.4:80", "a-b_c.d~:", "[::1]", "[::1.2.3.4]:0", "A.b:65535"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(cv_http1_is_authority(text(good[i])));
    static const char *const bad[] = {"",       ":80",     "a:-1",   "a:65536", "a:8 0", "[]",
                                      "[::1",   "[::1]80", "[g::]x", "::1",     "a,b",   "a/b",
                                      "u@a:80", "a b",     "a\\b",   "a%20",    "[",     "a:1:2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(cv_http1_is_authority(text(bad[i])));
}

static void redirections_to_other_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *location, *authority;
        bool elsewhere;
    } rows[] = {
        {"http://a.b/x", "a.b", false},
        {"https://A.B:443", "a.b:80", false},
        {"//a.b?x", "a.b", false},
        {"HTTPS://[::1]:443/", "[::1]", false},
        {"/x//c/", "a.b", false},
        {"x", "a.b", false},
        {"", "a.b", false},
        {"http:/c/", "a.b", false},
        {"http://c/a.b", "a.b", true},
        {"https://a.b.c/", "a.b", true},
        {"//c", "a.b", true},
        {"http://", "a.b", true},
        {"https://[::2]/", "[::1]:80", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(cv_http1_leads_elsewhere(text(rows[i].location), text(rows[i].authority)),
                         rows[i].elsewhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_names_and_values),
        cmocka_unit_test(names_have_no_case),
        cmocka_unit_test(finds_and_counts),
        cmocka_unit_test(takes_lists_apart),
        cmocka_unit_test(lists_go_over_several_fields),
        cmocka_unit_test(hop_by_hop_fields),
        cmocka_unit_test(hosts_with_ports),
        cmocka_unit_test(redirections_to_other_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
