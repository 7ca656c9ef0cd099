// Dates of HTTP: the three forms, the calendar against the system's own, and what is no date.
#include "harness.h"

#include "base/err.h"
#include "proto/http1_date.h"

#include <stdio.h>
#include <time.h>

static const int64_t now_s = 1750000000; // June 2025

static int64_t parse(const char *text)
{
    int64_t seconds = -1;
    struct guard guard = guard_copy(text, strlen(text));
    int err =
        cv_http1_date_parse((struct cv_text){(const char *)guard.data, guard.len}, now_s, &seconds);
    guard_free(&guard);
    assert_true(err == CV_OK || err == CV_E_SYNTAX);
    assert_true(err == CV_OK || seconds == -1);
    return err == CV_OK ? seconds : -1;
}

static void three_forms_of_one_time(void **state)
{
    (void)state;
    assert_int_equal(parse("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(parse("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(parse("Sun Nov  6 08:49:37 1994"), 784111777);
    assert_int_equal(parse("Wed Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
    assert_int_equal(parse("Wednesday, 16-Nov-94 08:49:37 GMT"), 784111777 + 10 * 86400);
}

static void edges_of_time(void **state)
{
    (void)state;
    assert_int_equal(parse("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(parse("Fri, 31 Dec 9999 23:59:59 GMT"), INT64_C(253402300799));
    assert_int_equal(parse("Sat, 01 Jan 1583 00:00:00 GMT"), INT64_C(-12212553600));
    assert_int_equal(parse("Tue, 29 Feb 2000 12:00:00 GMT"), 951825600);
    assert_int_equal(parse("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800); // a leap second
}

// RFC 9110, 5.6.7: more than 50 years ahead means the past.
static void two_digits_of_a_year(void **state)
{
    (void)state;
    assert_int_equal(parse("Sunday, 06-Nov-75 00:00:00 GMT"), 3340224000);
    assert_int_equal(parse("Sunday, 06-Nov-76 00:00:00 GMT"), 216086400);
    assert_int_equal(parse("Sunday, 06-Nov-00 00:00:00 GMT"), 973468800);
    int64_t seconds;
    struct cv_text text = cv_text_of("Sunday, 06-Nov-94 08:49:37 GMT");
    assert_int_equal(cv_http1_date_parse(text, INT64_MIN, &seconds), CV_OK);
    assert_int_equal(seconds, 784111777);
    assert_int_equal(cv_http1_date_parse(text, INT64_MAX, &seconds), CV_OK);
    assert_true(seconds > INT64_C(253200000000)); // 9994
}

static void what_is_no_date(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT+",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Now 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 08:49:37 GMT",
        "Wed, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1582 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sun, 06 Nov 1994 0x:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sundae, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sunday,",
        ",",
        "Wednesday, 06-Nov-94 08:49:37 GMT and more of it",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov   08:49:37 1994",
        "Sun Nov    08:49:37 1994",
        "1994-11-06T08:49:37Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i]) != -1)
            fail_msg("taken for a date: \"%s\"", bad[i]);
    }
}

// Every day of 600 years, and odd seconds: written as the system writes it, and read again.
static void the_calendar_is_the_systems(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 365 * 600; day++) {
        time_t seconds = (time_t)(day * 86400 + day * 7919 % 86400);
        char expected[64];
        char written[CV_HTTP1_DATE_CHARS + 1];
        struct tm utc;
        gmtime_r(&seconds, &utc);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        cv_http1_date_write(written, seconds);
        assert_string_equal(written, expected);
        int64_t read;
        assert_int_equal(cv_http1_date_parse(cv_text_of(written), now_s, &read), CV_OK);
        assert_int_equal(read, seconds);
    }
}

static void times_outside_become_the_nearest(void **state)
{
    (void)state;
    char written[CV_HTTP1_DATE_CHARS + 1];
    cv_http1_date_write(written, -1);
    assert_string_equal(written, "Thu, 01 Jan 1970 00:00:00 GMT");
    cv_http1_date_write(written, INT64_MIN);
    assert_string_equal(written, "Thu, 01 Jan 1970 00:00:00 GMT");
    cv_http1_date_write(written, INT64_C(253402300799));
    assert_string_equal(written, "Fri, 31 Dec 9999 23:59:59 GMT");
    cv_http1_date_write(written, INT64_MAX);
    assert_string_equal(written, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void cut_anywhere_is_no_date(void **state)
{
    (void)state;
    static const char *const whole[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Wednesday, 16-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        for (size_t len = 0; len < strlen(whole[i]); len++) {
            snprintf(text, sizeof text, "%.*s", (int)len, whole[i]);
            assert_int_equal(parse(text), -1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_forms_of_one_time),
        cmocka_unit_test(edges_of_time),
        cmocka_unit_test(two_digits_of_a_year),
        cmocka_unit_test(what_is_no_date),
        cmocka_unit_test(the_calendar_is_the_systems),
        cmocka_unit_test(times_outside_become_the_nearest),
        cmocka_unit_test(cut_anywhere_is_no_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
