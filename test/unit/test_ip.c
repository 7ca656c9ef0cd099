// Texts of IP addresses, against the C library's reader.
#include "harness.h"

#include "base/err.h"
#include "base/ip.h"
#include "chunk_kit.h"

#include <arpa/inet.h>

static int parse_guarded(const char *text, struct cv_ip *out)
{
    struct guard guard = guard_copy(text, strlen(text));
    int err = cv_ip_parse((struct cv_text){(const char *)guard.data, guard.len}, out);
    guard_free(&guard);
    return err;
}

// The same verdict and address as inet_pton.
static void compare(const char *text)
{
    uint8_t bytes[16] = {0};
    struct cv_ip want = {0};
    struct cv_ip got = {.family = 99};
    if (inet_pton(AF_INET, text, bytes) == 1)
        want = cv_ip_v4(bytes);
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        want = cv_ip_v6(bytes);
    int err = parse_guarded(text, &got);
    if ((err == CV_OK) != (want.family != 0))
        fail_msg("'%s': %d", text, err);
    if (err == CV_OK)
        assert_true(cv_ip_equal(&got, &want));
    else
        assert_int_equal(got.family, 99);
}

static void texts(void **state)
{
    (void)state;
    static const char *const all[] = {
        "1.2.3.4",
        "0.0.0.0",
        "255.255.255.255",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "01.2.3.4",
        "1.2.3.00",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.0x1",
        "",
        ".",
        "a",
        "1.2.3.-4",
        "1.2.3.4294967297",
        "::",
        "::1",
        "1::",
        "1::8",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "1:2:3:4:5:6:7:8::",
        "::1::",
        "1:::2",
        ":::",
        ":",
        ":1",
        "1:",
        "1:2:",
        ":1:2:3:4:5:6:7",
        "12345::",
        "abcd::EF01",
        "g::",
        "::ffff:1.2.3.4",
        "::1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:1.2.3.4",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "1::1.2.3",
        "::ffff:1.2.3.04",
        "fe80::1%eth0",
        "[::1]",
        "::1]",
        "::0001",
        "::00001",
        "64:ff9b::1.2.3.4",
        "0:0:0:0:0:ffff:102:304",
        "::1:1.2.3.4:",
        "1:2::3:4::5",
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        compare(all[i]);
}

static void random_texts(void **state)
{
    (void)state;
    static const char letters[] = "::::....0123aF25";
    uint32_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        char text[40];
        size_t len = random_below(&seed, 24);
        for (size_t k = 0; k < len; k++)
            text[k] = letters[random_below(&seed, sizeof letters - 1)];
        text[len] = '\0';
        compare(text);
    }
}

// Every address, printed by the C library, comes back.
static void printed_addresses_come_back(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int i = 0; i < 50000; i++) {
        uint8_t bytes[16];
        char text[INET6_ADDRSTRLEN];
        for (int k = 0; k < 16; k++)
            bytes[k] = (uint8_t)(random_below(&seed, 3) ? 0 : next_random(&seed));
        struct cv_ip want = cv_ip_v6(bytes);
        struct cv_ip got;
        inet_ntop(AF_INET6, bytes, text, sizeof text);
        assert_int_equal(parse_guarded(text, &got), CV_OK);
        assert_true(cv_ip_equal(&got, &want));
    }
}

static void one_host_has_one_address(void **state)
{
    (void)state;
    struct cv_ip a;
    struct cv_ip b;
    assert_int_equal(parse_guarded("::ffff:10.0.0.1", &a), CV_OK);
    assert_int_equal(parse_guarded("10.0.0.1", &b), CV_OK);
    assert_int_equal(a.family, 4);
    assert_true(cv_ip_equal(&a, &b));
    assert_int_equal(parse_guarded("::10.0.0.1", &a), CV_OK); // not a mapped one
    assert_int_equal(a.family, 6);
    assert_false(cv_ip_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(printed_addresses_come_back),
        cmocka_unit_test(one_host_has_one_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
