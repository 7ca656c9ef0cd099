// Ranges of addresses: how they are written, and what is in them.
#include "harness.h"

#include "base/err.h"
#include "base/ip_range.h"

static int parse_guarded(const char *text, struct cv_ip_range *out)
{
    struct guard guard = guard_copy(text, strlen(text));
    int err = cv_ip_range_parse((struct cv_text){(const char *)guard.data, guard.len}, out);
    guard_free(&guard);
    return err;
}

static struct cv_ip_range range_of(const char *text)
{
    struct cv_ip_range range;
    if (parse_guarded(text, &range) != CV_OK)
        fail_msg("refused: %s", text);
    return range;
}

static struct cv_ip ip_of(const char *text)
{
    struct cv_ip ip;
    assert_int_equal(cv_ip_parse(cv_text_of(text), &ip), CV_OK);
    return ip;
}

static void ranges_hold_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        const char *ip;
        bool in;
    } rows[] = {
        {"10.0.0.0/8", "10.0.0.0", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"172.16.0.0/12", "172.16.0.0", true},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"172.16.0.0/12", "172.15.255.255", false},
        {"1.2.3.4/31", "1.2.3.5", true},
        {"1.2.3.4/31", "1.2.3.6", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"1.2.3.4/32", "1.2.3.4", true},
        {"1.2.3.4/32", "1.2.3.5", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "1.2.3.4", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"::1", "1.0.0.0", false},
        {"fd00::/8", "fdff:ffff::1", true},
        {"fd00::/8", "fe00::", false},
        {"2001:db8:0:8000::/49", "2001:db8:0:8000::", true},
        {"2001:db8:0:8000::/49", "2001:db8:0:ffff::", true},
        {"2001:db8:0:8000::/49", "2001:db8:0:7fff::", false},
        {"2001:db8::1/128", "2001:db8::1", true},
        {"2001:db8::1/128", "2001:db8::", false},
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"::ffff:10.0.0.0/104", "11.0.0.0", false},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"::ffff:0.0.0.0/96", "8.8.8.8", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_ip_range range = range_of(rows[i].range);
        struct cv_ip ip = ip_of(rows[i].ip);
        if (cv_ip_range_has(&range, &ip) != rows[i].in)
            fail_msg("%s in %s", rows[i].ip, rows[i].range);
    }
}

static void no_address_is_in_no_range(void **state)
{
    (void)state;
    struct cv_ip none = {0};
    struct cv_ip_range all4 = range_of("0.0.0.0/0");
    struct cv_ip_range all6 = range_of("::/0");
    assert_false(cv_ip_range_has(&all4, &none));
    assert_false(cv_ip_range_has(&all6, &none));
}

static void every_prefix_counts_its_bits(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 128; bits++) {
        struct cv_ip_range range = {.first = {.family = 6}, .prefix_bits = (uint8_t)bits};
        struct cv_ip ip = {.family = 6};
        unsigned last = bits - 1; // the last bit that counts, and the first that does not
        ip.bytes[last / 8] = (uint8_t)(0x80 >> last % 8);
        assert_false(cv_ip_range_has(&range, &ip));
        ip.bytes[last / 8] = 0;
        if (bits < 128)
            ip.bytes[bits / 8] = (uint8_t)(0x80 >> bits % 8);
        assert_true(cv_ip_range_has(&range, &ip));
    }
}

static void mistakes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/ 8",
        "10.0.0.0 /8",
        "10.0.0.0/8/8",
        "10.1.0.0/8",
        "10.0.0.0/-1",
        "1.2.3.4/31x",
        "1.2.3.5/31",
        "10/8",
        "10.0.0.0/255.0.0.0",
        "::/129",
        "::1/127",
        "fd00::1/8",
        "[::1]",
        "[::]/0",
        "fe80::1%lo",
        "localhost",
        "*",
        "::ffff:10.0.0.0/8",
        "::ffff:10.0.0.0/95",
        "10.0.0.0/4294967304",
        "1.2.3.4:80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct cv_ip_range range = {.prefix_bits = 77};
        if (parse_guarded(texts[i], &range) != CV_E_SYNTAX)
            fail_msg("accepted: %s", texts[i]);
        assert_int_equal(range.prefix_bits, 77);
    }
}

static void bits_behind_a_prefix_are_dropped_where_that_is_wanted(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"10.1.2.3/8", "10.0.0.0/8"},       {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.1.2.3", "10.1.2.3/32"},        {"172.31.1.1/12", "172.16.0.0/12"},
        {"fd00:1::1/8", "fd00::/8"},        {"::ffff:10.1.2.3/104", "10.0.0.0/8"},
        {"255.255.255.255/0", "0.0.0.0/0"},
    };
    struct cv_ip_range range;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_ip_range expected = range_of(rows[i][1]);
        assert_int_equal(cv_ip_range_parse_loose(cv_text_of(rows[i][0]), &range), CV_OK);
        assert_true(cv_ip_range_equal(&range, &expected));
    }
    assert_int_equal(cv_ip_range_parse_loose(cv_text_of("10.0.0.0/33"), &range), CV_E_SYNTAX);
    assert_int_equal(cv_ip_range_parse_loose(cv_text_of("10.0.0/8"), &range), CV_E_SYNTAX);
}

static void ranges_are_compared(void **state)
{
    (void)state;
    struct cv_ip_range one = range_of("10.0.0.0/8");
    struct cv_ip_range same = range_of("::ffff:10.0.0.0/104");
    struct cv_ip_range longer = range_of("10.0.0.0/9");
    struct cv_ip_range other = range_of("11.0.0.0/8");
    assert_true(cv_ip_range_equal(&one, &same));
    assert_false(cv_ip_range_equal(&one, &longer));
    assert_false(cv_ip_range_equal(&one, &other));
    assert_int_equal(cv_ip_range_bits_max(&one), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_hold_what_they_say),
        cmocka_unit_test(no_address_is_in_no_range),
        cmocka_unit_test(every_prefix_counts_its_bits),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(bits_behind_a_prefix_are_dropped_where_that_is_wanted),
        cmocka_unit_test(ranges_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
