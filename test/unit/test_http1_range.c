// Ranges of bytes: what is served, what is outside, what is ignored; numbers of any length.
#include "harness.h"

#include "proto/http1_range.h"

static struct cv_http1_range parse(const char *value, uint64_t size)
{
    struct guard guard = guard_copy(value, strlen(value));
    struct cv_http1_range range =
        cv_http1_range_parse((struct cv_text){(const char *)guard.data, guard.len}, size);
    guard_free(&guard);
    return range;
}

struct row {
    const char *value;
    uint64_t size;
    uint64_t first;
    uint64_t len;
};

static void parts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=0-0", 10, 0, 1},
        {"bytes=0-499", 10000, 0, 500},
        {"bytes=500-999", 10000, 500, 500},
        {"bytes=9999-9999", 10000, 9999, 1},
        {"bytes=9500-", 10000, 9500, 500},
        {"bytes=0-", 10000, 0, 10000},
        {"bytes=-500", 10000, 9500, 500},
        {"bytes=-1", 10000, 9999, 1},
        {"bytes=-10000", 10000, 0, 10000},
        {"bytes=-10001", 10000, 0, 10000},
        {"bytes=9990-20000", 10000, 9990, 10},
        {"bytes=0-18446744073709551615", 10, 0, 10},
        {"bytes=3-99999999999999999999999999999999999999999", 10, 3, 7},
        {"bytes=-99999999999999999999999999999999999999999", 10, 0, 10},
        {"bytes=18446744073709551613-18446744073709551614", UINT64_MAX, UINT64_MAX - 2, 2},
        {"bytes=-18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"bytes=000000000000000000000000000003-4", 10, 3, 2},
        {"Bytes=1-2", 10, 1, 2},
        {"bytes= 1-2 ", 10, 1, 2},
        {"bytes=1-2,", 10, 1, 2}, // empty elements of a list do not count (RFC 9110, 5.6.1)
        {"bytes=, ,1-2", 10, 1, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_http1_range range = parse(rows[i].value, rows[i].size);
        if (range.kind != CV_HTTP1_RANGE_PART)
            fail_msg("no part: \"%s\"", rows[i].value);
        assert_int_equal(range.first, rows[i].first);
        assert_int_equal(range.len, rows[i].len);
    }
}

static void outside(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=10-", 10, 0, 0},
        {"bytes=10-20", 10, 0, 0},
        {"bytes=99999999999999999999999999999999-", 10, 0, 0},
        {"bytes=18446744073709551616-18446744073709551617", UINT64_MAX, 0, 0},
        {"bytes=-0", 10, 0, 0},
        {"bytes=-0", 0, 0, 0},
        {"bytes=0-", 0, 0, 0},
        {"bytes=0-0", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (parse(rows[i].value, rows[i].size).kind != CV_HTTP1_RANGE_OUTSIDE)
            fail_msg("not outside: \"%s\"", rows[i].value);
    }
}

static void ignored(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-3",
        "bytes=-5-3",
        "bytes=1-2-3",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=0x1-2",
        "bytes:1-2",
        "bytes =1-2",
        " bytes=1-2",
        "items=1-2",
        "seconds=1-2",
        "=1-2",
        "bytes=1-2,3-4",
        "bytes=0-0,-1",
        "bytes=1-2, junk",
        "bytes=1-2=3",
        "1-2",
        "none",
        "bytes=0-1,0-1,0-1,0-1",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct cv_http1_range range = parse(values[i], 10);
        if (range.kind != CV_HTTP1_RANGE_WHOLE)
            fail_msg("not ignored: \"%s\"", values[i]);
        assert_int_equal(range.first, 0);
        assert_int_equal(range.len, 10);
    }
}

// "The last 5 bytes" of nothing are satisfiable by the letter, and can only be the whole.
static void the_end_of_nothing(void **state)
{
    (void)state;
    struct cv_http1_range range = parse("bytes=-5", 0);
    assert_int_equal(range.kind, CV_HTTP1_RANGE_WHOLE);
    assert_int_equal(range.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(outside),
        cmocka_unit_test(ignored),
        cmocka_unit_test(the_end_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
