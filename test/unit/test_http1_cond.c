// Conditional requests: tags weak and strong, dates, and which condition goes before which.
#include "harness.h"

#include "proto/http1_cond.h"

#define TAG    "\"4d2-17a\""
#define EARLY  "Sun, 06 Nov 1994 08:49:36 GMT"
#define EXACT  "Sun, 06 Nov 1994 08:49:37 GMT"
#define EXACT2 "Sunday, 06-Nov-94 08:49:37 GMT"
#define LATE   "Sun, 06 Nov 1994 08:49:38 GMT"

static struct cv_http1_version version(void)
{
    return (struct cv_http1_version){
        .etag = cv_text_of(TAG), .modified_s = 784111777, .now_s = 1750000000};
}

// A request's fields in pairs of name and value; both end in NULL.
struct row {
    const char *fields[8];
    int expected;
};

enum { FIELDS_MAX = 4 };

static struct cv_http1_fields fields_of(const struct row *row,
                                        struct cv_http1_field fields[FIELDS_MAX])
{
    size_t count = 0;
    for (; count < FIELDS_MAX && row->fields[2 * count]; count++) {
        fields[count].name = cv_text_of(row->fields[2 * count]);
        fields[count].value = cv_text_of(row->fields[2 * count + 1]);
    }
    return (struct cv_http1_fields){fields, count};
}

enum { SEND = CV_HTTP1_COND_SEND, SAME = CV_HTTP1_COND_NOT_MODIFIED, NO = CV_HTTP1_COND_FAILED };

static void conditions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{NULL}, SEND},
        {{"Accept", "*/*"}, SEND},

        {{"If-None-Match", TAG}, SAME},
        {{"if-none-match", "W/" TAG}, SAME}, // compared weakly
        {{"If-None-Match", "*"}, SAME},
        {{"If-None-Match", "\"a\", \"b\", " TAG}, SAME},
        {{"If-None-Match", ",, " TAG}, SAME},
        {{"If-None-Match", "\"a,b\"," TAG}, SAME}, // a comma in a tag
        {{"If-None-Match", "\"\"," TAG}, SAME},
        {{"If-None-Match", "\"a\"", "If-None-Match", TAG}, SAME},
        {{"If-None-Match", "\"a\""}, SEND},
        {{"If-None-Match", "4d2-17a"}, SEND}, // no quotes
        {{"If-None-Match", "w/" TAG}, SEND},  // W has a case
        {{"If-None-Match", "\"4d2-17A\""}, SEND},
        {{"If-None-Match", "\"4d2-17a"}, SEND},
        {{"If-None-Match", "\""}, SEND},
        {{"If-None-Match", "W/"}, SEND},
        {{"If-None-Match", "W/ " TAG}, SEND},
        {{"If-None-Match", ""}, SEND},
        {{"If-None-Match", "**"}, SEND},

        {{"If-Modified-Since", EXACT}, SAME},
        {{"If-Modified-Since", EXACT2}, SAME},
        {{"If-Modified-Since", LATE}, SAME},
        {{"If-Modified-Since", EARLY}, SEND},
        {{"If-Modified-Since", "yesterday"}, SEND},
        {{"If-Modified-Since", LATE, "If-Modified-Since", LATE}, SEND},
        // a tag goes before a date, whatever either says
        {{"If-None-Match", "\"a\"", "If-Modified-Since", LATE}, SEND},
        {{"If-None-Match", TAG, "If-Modified-Since", EARLY}, SAME},

        {{"If-Match", TAG}, SEND},
        {{"If-Match", "*"}, SEND},
        {{"If-Match", "\"a\", " TAG}, SEND},
        {{"If-Match", "W/" TAG}, NO}, // compared strongly
        {{"If-Match", "\"a\""}, NO},
        {{"If-Match", ""}, NO},
        {{"If-Unmodified-Since", EXACT}, SEND},
        {{"If-Unmodified-Since", LATE}, SEND},
        {{"If-Unmodified-Since", EARLY}, NO},
        {{"If-Unmodified-Since", "yesterday"}, SEND},
        {{"If-Match", TAG, "If-Unmodified-Since", EARLY}, SEND},
        {{"If-Match", "\"a\"", "If-Unmodified-Since", LATE}, NO},
        {{"If-Match", "\"a\"", "If-None-Match", TAG}, NO},
        {{"If-Match", TAG, "If-None-Match", TAG}, SAME},
        {{"If-Unmodified-Since", EARLY, "If-None-Match", TAG}, NO},
    };
    struct cv_http1_version now = version();
    struct cv_http1_field fields[FIELDS_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int found = (int)cv_http1_cond_check(fields_of(&rows[i], fields), &now);
        if (found != rows[i].expected)
            fail_msg("row %zu: %d, not %d", i, found, rows[i].expected);
    }
}

static void if_range(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{NULL}, true},
        {{"If-Range", TAG}, true},
        {{"If-Range", EXACT}, true},
        {{"If-Range", EXACT2}, true},
        {{"If-Range", "W/" TAG}, false}, // only strong ones (13.1.5)
        {{"If-Range", "\"a\""}, false},
        {{"If-Range", "*"}, false},
        {{"If-Range", EARLY}, false},
        {{"If-Range", LATE}, false}, // the date must be exact
        {{"If-Range", "yesterday"}, false},
        {{"If-Range", ""}, false},
        {{"If-Range", TAG, "If-Range", TAG}, false},
    };
    struct cv_http1_version now = version();
    struct cv_http1_field fields[FIELDS_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cv_http1_cond_if_range(fields_of(&rows[i], fields), &now) != (bool)rows[i].expected)
            fail_msg("row %zu", i);
    }
}

// Lists that are cut anywhere are never read past their end.
static void tags_cut_anywhere(void **state)
{
    (void)state;
    static const char list[] = " , \"a\",W/\"b,c\" ,W/" TAG;
    struct cv_http1_version now = version();
    for (size_t len = 0; len < sizeof list; len++) {
        struct guard guard = guard_copy(list, len);
        struct cv_http1_field field = {cv_text_of("If-None-Match"),
                                       {(const char *)guard.data, guard.len}};
        enum cv_http1_cond found = cv_http1_cond_check((struct cv_http1_fields){&field, 1}, &now);
        assert_int_equal(found, len >= sizeof list - 1 ? SAME : SEND);
        guard_free(&guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),
        cmocka_unit_test(if_range),
        cmocka_unit_test(tags_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
