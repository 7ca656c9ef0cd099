// UTF-8: every code point, every pair of bytes, cut anywhere.
#include "harness.h"

#include "base/utf8.h"

// By arithmetic, not by a table: the way RFC 3629 defines it.
static size_t encode(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)(0xff00 >> (more + 1) | code);
    return more + 1;
}

static bool is_text(const uint8_t *bytes, size_t len)
{
    struct cv_utf8 utf8 = {0};
    return cv_utf8_feed(&utf8, bytes, len) && cv_utf8_complete(&utf8);
}

static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x200000; code++) {
        uint8_t bytes[4];
        size_t len = encode(code, bytes);
        bool surrogate = code >= 0xd800 && code < 0xe000;
        if (is_text(bytes, len) != (code < 0x110000 && !surrogate))
            fail_msg("U+%04X", code);
        for (size_t cut = 1; cut < len; cut++)
            assert_false(is_text(bytes, cut));
    }
}

static void pieces(void **state)
{
    (void)state;
    const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct cv_utf8 utf8 = {0};
        struct guard guard = guard_copy(text, cut);
        assert_true(cv_utf8_feed(&utf8, guard.data, guard.len));
        assert_true(cv_utf8_feed(&utf8, text + cut, sizeof text - cut));
        assert_true(cv_utf8_complete(&utf8));
        guard_free(&guard);
    }
}

static void what_is_no_text(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "80",       "bf",       "c0 80",       "c1 bf",       "e0 80 80",    "e0 9f bf",
        "ed a0 80", "ed bf bf", "f0 8f bf bf", "f4 90 80 80", "f5 80 80 80", "ff",
        "fe",       "c3 41",    "e2 82 41",    "f0 9f 98 c3", "c3 a4 a4",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t bytes[8];
        struct cv_utf8 utf8 = {0};
        assert_false(cv_utf8_feed(&utf8, bytes, hex_bytes(wrong[i], bytes, sizeof bytes)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(pieces),
        cmocka_unit_test(what_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
