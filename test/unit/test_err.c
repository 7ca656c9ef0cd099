// Error codes: one table, and the first failure of an object.
#include "harness.h"

#include "base/err.h"

static const struct {
    int code;
    const char *name;
    enum cv_err_class class;
} rows[] = {
#define CV_ERR(name, value, class, text) {CV_E_##name, #name, CV_CLASS_##class},
#include "base/err_table.h"
#undef CV_ERR
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static void codes_are_negative_and_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(rows[i].code < 0);
        for (size_t k = i + 1; k < ROWS; k++)
            assert_int_not_equal(rows[i].code, rows[k].code);
    }
}

static void codes_have_name_text_and_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_string_equal(cv_err_name(rows[i].code), rows[i].name);
        assert_int_equal(cv_err_class(rows[i].code), rows[i].class);
        assert_int_not_equal(rows[i].class, CV_CLASS_NONE);
        const char *text = cv_err_text(rows[i].code);
        assert_true(strlen(text) > 0);
        for (; *text; text++)
            assert_true(*text >= 0x20 && *text <= 0x7e);
    }
    assert_string_equal(cv_err_name(CV_OK), "OK");
    assert_int_equal(cv_err_class(CV_OK), CV_CLASS_NONE);
}

static void unknown_codes_are_bugs(void **state)
{
    (void)state;
    static const int unknown[] = {1, -9999, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_string_equal(cv_err_name(unknown[i]), "UNKNOWN");
        assert_true(strlen(cv_err_text(unknown[i])) > 0);
        assert_int_equal(cv_err_class(unknown[i]), CV_CLASS_BUG);
    }
}

static void why_keeps_the_first_failure(void **state)
{
    (void)state;
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_why_set(&why, CV_E_SYNTAX, "first", "at %d", 7), CV_E_SYNTAX);
    assert_int_equal(cv_why_set(&why, CV_E_CLOSED, "second", "later"), CV_E_CLOSED);
    assert_int_equal(why.code, CV_E_SYNTAX);
    assert_string_equal(why.place, "first");
    assert_string_equal(why.text, "at 7");
    assert_int_equal(cv_why_set(NULL, CV_E_CLOSED, "none", "dropped"), CV_E_CLOSED);
}

static void why_is_printable(void **state)
{
    (void)state;
    char every[256];
    for (unsigned i = 0; i < 255; i++)
        every[i] = (char)(i + 1);
    every[255] = '\0';
    for (size_t from = 0; from < 255; from += 100) {
        struct cv_why why = {.code = CV_OK};
        cv_why_set(&why, CV_E_SYNTAX, "test", "%s", every + from);
        size_t len = strlen(why.text);
        assert_true(len > 0 && len < sizeof why.text);
        for (size_t i = 0; i < len; i++) {
            bool printable = every[from + i] >= 0x20 && every[from + i] <= 0x7e;
            assert_int_equal(why.text[i], printable ? every[from + i] : '?');
        }
    }
}

static void bug_25_why_is_cut_at_its_size(void **state)
{
    (void)state;
    char longest[sizeof((struct cv_why *)0)->text + 1];
    memset(longest, 'a', sizeof longest);
    for (size_t len = sizeof longest - 3; len < sizeof longest; len++) {
        struct cv_why why = {.code = CV_OK};
        cv_why_set(&why, CV_E_SYNTAX, "test", "%.*s", (int)len, longest);
        size_t max = sizeof why.text - 1;
        assert_int_equal(strlen(why.text), len < max ? len : max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_negative_and_unique),
        cmocka_unit_test(codes_have_name_text_and_class),
        cmocka_unit_test(unknown_codes_are_bugs),
        cmocka_unit_test(why_keeps_the_first_failure),
        cmocka_unit_test(why_is_printable),
        cmocka_unit_test(bug_25_why_is_cut_at_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
