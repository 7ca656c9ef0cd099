// Slices: comparing, cutting, numbers, the forms for logs and for URLs.
#include "harness.h"

#include "base/err.h"
#include "base/text.h"

static const struct cv_text empty = {NULL, 0};

static void compares_by_bytes(void **state)
{
    (void)state;
    assert_true(cv_text_is(cv_text_of("live"), "live"));
    assert_false(cv_text_is(cv_text_of("live"), "liv"));
    assert_false(cv_text_is(cv_text_of("liv"), "live"));
    assert_false(cv_text_is(cv_text_of("Live"), "live"));
    assert_false(cv_text_is((struct cv_text){"live\0", 5}, "live"));
    assert_true(cv_text_is(empty, ""));
    assert_true(cv_text_equal(empty, cv_text_of("")));
    assert_true(cv_text_equal((struct cv_text){"a\0b", 3}, (struct cv_text){"a\0b", 3}));
    assert_false(cv_text_equal((struct cv_text){"a\0b", 3}, (struct cv_text){"a\0c", 3}));
}

static void starts_with_a_prefix(void **state)
{
    (void)state;
    assert_true(cv_text_starts(cv_text_of("mp4:x"), "mp4:"));
    assert_true(cv_text_starts(cv_text_of("mp4:"), "mp4:"));
    assert_false(cv_text_starts(cv_text_of("mp4"), "mp4:"));
    assert_true(cv_text_starts(empty, ""));
    assert_false(cv_text_starts(empty, "a"));
}

static void takes_up_to_a_separator(void **state)
{
    (void)state;
    struct cv_text rest = cv_text_of("a//b");
    assert_int_equal(cv_text_find(rest, '/'), 1);
    assert_true(cv_text_is(cv_text_take(&rest, '/'), "a"));
    assert_true(cv_text_is(cv_text_take(&rest, '/'), ""));
    assert_int_equal(cv_text_find(rest, '/'), 1); // none: the length
    assert_true(cv_text_is(cv_text_take(&rest, '/'), "b"));
    assert_int_equal(rest.len, 0);
    assert_true(cv_text_is(cv_text_take(&rest, '/'), ""));
    rest = cv_text_of("a/");
    assert_true(cv_text_is(cv_text_take(&rest, '/'), "a"));
    assert_int_equal(rest.len, 0);
    rest = empty;
    assert_true(cv_text_is(cv_text_take(&rest, '/'), ""));
    assert_true(cv_text_is(cv_text_skip(cv_text_of("abc"), 2), "c"));
    assert_true(cv_text_is(cv_text_skip(cv_text_of("abc"), 3), ""));
}

static void numbers_are_digits_in_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t min, max, value;
        int result;
    } rows[] = {
        {"0", 0, 9, 0, CV_OK},
        {"9", 0, 9, 9, CV_OK},
        {"10", 0, 9, 0, CV_E_SYNTAX},
        {"0", 1, 9, 0, CV_E_SYNTAX},
        {"1", 1, 9, 1, CV_OK},
        {"007", 0, 9, 7, CV_OK},
        {"65535", 1, 65535, 65535, CV_OK},
        {"65536", 1, 65535, 0, CV_E_SYNTAX},
        {"18446744073709551615", 0, UINT64_MAX, UINT64_MAX, CV_OK},
        {"18446744073709551616", 0, UINT64_MAX, 0, CV_E_SYNTAX},
        {"99999999999999999999999", 0, UINT64_MAX, 0, CV_E_SYNTAX},
        {"", 0, 9, 0, CV_E_SYNTAX},
        {"+1", 0, 9, 0, CV_E_SYNTAX},
        {"-1", 0, 9, 0, CV_E_SYNTAX},
        {" 1", 0, 9, 0, CV_E_SYNTAX},
        {"1 ", 0, 9, 0, CV_E_SYNTAX},
        {"0x1", 0, 9, 0, CV_E_SYNTAX},
        {"1.0", 0, 9, 0, CV_E_SYNTAX},
        {"/", 0, 99, 0, CV_E_SYNTAX}, // the bytes beside the digits
        {":", 0, 99, 0, CV_E_SYNTAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 4711;
        int result = cv_text_u64(cv_text_of(rows[i].text), rows[i].min, rows[i].max, &value);
        assert_int_equal(result, rows[i].result);
        assert_int_equal(value, result == CV_OK ? rows[i].value : 4711);
    }
}

static void bug_22_logs_get_escaped_text(void **state)
{
    (void)state;
    static const struct {
        struct cv_text text;
        const char *escaped;
    } rows[] = {
        {{"live/a b~", 9}, "live/a b~"},
        {{"a\"b'c\\d", 7}, "a\\\"b\\'c\\\\d"},
        {{"\n\r\t\x1b[31m", 8}, "\\x0a\\x0d\\x09\\x1b[31m"},
        {{"a\0b", 3}, "a\\x00b"},
        {{"\x1f\x20\x7e\x7f\x80\xff", 6}, "\\x1f ~\\x7f\\x80\\xff"},
        {{"%s%n", 4}, "%s%n"},
        {{NULL, 0}, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        memset(out, 'x', sizeof out);
        assert_int_equal(cv_text_escape(out, sizeof out, rows[i].text), strlen(rows[i].escaped));
        assert_string_equal(out, rows[i].escaped);
    }
}

// Every size of output: ends in a NUL, holds whole escapes only, and nothing behind it is touched.
static void bug_25_escape_is_cut_between_escapes(void **state)
{
    (void)state;
    const struct cv_text text = {"a\x01\"b", 4};
    static const size_t lens[] = {0, 1, 1, 1, 1, 5, 5, 7, 8, 8}; // a, \x01, \", b
    for (size_t size = 1; size <= sizeof lens / sizeof lens[0]; size++) {
        char zeros[16] = {0};
        struct guard out = guard_copy(zeros, size);
        size_t len = cv_text_escape((char *)out.data, size, text);
        assert_int_equal(len, lens[size - 1]);
        assert_int_equal(out.data[len], 0);
        assert_memory_equal(out.data, "a\\x01\\\"b", len);
        guard_free(&out);
    }
}

static void decodes_percent_once(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *decoded;
    } rows[] = {
        {"", ""},
        {"plain+text", "plain+text"},
        {"%41%4a%4A%7e", "AJJ~"},
        {"%2541", "%41"},
        {"%%41", "%A"},
        {"100%", "100%"},
        {"%4", "%4"},
        {"%4g%g4%", "%4g%g4%"},
        {"%-1%+1% 1", "%-1%+1% 1"},
        {"%c3%BC", "\xc3\xbc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct guard in = guard_copy(rows[i].text, strlen(rows[i].text));
        char out[64];
        size_t len = cv_text_percent_decode(out, sizeof out,
                                            (struct cv_text){(const char *)in.data, in.len});
        assert_int_equal(len, strlen(rows[i].decoded));
        assert_memory_equal(out, rows[i].decoded, len);
        guard_free(&in);
    }
    char nul = 'x';
    assert_int_equal(cv_text_percent_decode(&nul, 1, cv_text_of("%00")), 1);
    assert_int_equal(nul, 0);
}

static void bug_25_decode_stops_at_its_size(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 6; size++) {
        char zeros[8] = {0};
        struct guard out = guard_copy(zeros, size);
        assert_int_equal(cv_text_percent_decode((char *)out.data, size, cv_text_of("%61b%63d")), 4);
        assert_memory_equal(out.data, "abcd", size < 4 ? size : 4);
        guard_free(&out);
    }
}

static void compares_without_case(void **state)
{
    (void)state;
    assert_true(cv_text_is_nocase(cv_text_of("WebSocket"), "websocket"));
    assert_true(cv_text_is_nocase(cv_text_of("keep-alive"), "Keep-Alive"));
    assert_true(cv_text_is_nocase((struct cv_text){0}, ""));
    assert_false(cv_text_is_nocase(cv_text_of("upgrades"), "upgrade"));
    assert_false(cv_text_is_nocase(cv_text_of("@[`{"), "`{@["));
    assert_false(cv_text_is_nocase(cv_text_of("\xc4"), "\xe4"));
}

static void trims_blanks(void **state)
{
    (void)state;
    assert_true(cv_text_is(cv_text_trim(cv_text_of(" \t a b\t ")), "a b"));
    assert_true(cv_text_is(cv_text_trim(cv_text_of("a")), "a"));
    assert_true(cv_text_is(cv_text_trim(cv_text_of("\na\r")), "\na\r"));
    assert_int_equal(cv_text_trim(cv_text_of(" \t ")).len, 0);
    assert_int_equal(cv_text_trim((struct cv_text){0}).len, 0);
}

static void takes_words(void **state)
{
    (void)state;
    struct cv_text rest = cv_text_of(" \ta  bc\td\n ");
    assert_true(cv_text_is(cv_text_take_word(&rest), "a"));
    assert_true(cv_text_is(cv_text_take_word(&rest), "bc"));
    assert_true(cv_text_is(cv_text_take_word(&rest), "d\n"));
    assert_int_equal(cv_text_take_word(&rest).len, 0);
    assert_int_equal(rest.len, 0);
    rest = empty;
    assert_int_equal(cv_text_take_word(&rest).len, 0);
    struct guard copy = guard_copy("ab", 2);
    rest = (struct cv_text){(const char *)copy.data, copy.len};
    assert_true(cv_text_is(cv_text_take_word(&rest), "ab"));
    assert_int_equal(cv_text_take_word(&rest).len, 0);
    guard_free(&copy);
}

// RFC 4648, section 10.
static void base64_as_in_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfb", "//77"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[9];
        size_t len = strlen(rows[i].out);
        memset(out, '#', sizeof out);
        assert_int_equal(cv_text_base64(out, 8, rows[i].in, strlen(rows[i].in)), len);
        assert_memory_equal(out, rows[i].out, len);
        assert_int_equal(out[len], '#');
    }
}

static void bug_25_base64_stops_at_its_size(void **state)
{
    (void)state;
    char out[8] = "#######";
    assert_int_equal(cv_text_base64(out, 6, "foobar", 6), 8);
    assert_string_equal(out, "Zm9vYm#");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_as_in_the_rfc),
        cmocka_unit_test(bug_25_base64_stops_at_its_size),
        cmocka_unit_test(compares_by_bytes),
        cmocka_unit_test(compares_without_case),
        cmocka_unit_test(trims_blanks),
        cmocka_unit_test(takes_words),
        cmocka_unit_test(starts_with_a_prefix),
        cmocka_unit_test(takes_up_to_a_separator),
        cmocka_unit_test(numbers_are_digits_in_range),
        cmocka_unit_test(bug_22_logs_get_escaped_text),
        cmocka_unit_test(bug_25_escape_is_cut_between_escapes),
        cmocka_unit_test(decodes_percent_once),
        cmocka_unit_test(bug_25_decode_stops_at_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
