// The line of time of a recording that is sent as if it were live, and when each message is due.
#include "harness.h"

#include "base/limits.h"
#include "media/pacer.h"
#include "proto/message.h"

enum { A = CV_MSG_AUDIO, V = CV_MSG_VIDEO, D = CV_MSG_DATA_AMF0, AGAIN = 0, ROWS_MAX = 12 };

// A message as it comes, and the time with which it goes out; type AGAIN: cv_pacer_again.
struct row {
    uint8_t type;
    uint32_t in_ms;
    uint64_t out_ms;
};

static void check_rows(const char *what, const struct row *rows, unsigned count)
{
    struct cv_pacer pacer = cv_pacer_new(0);
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].type == AGAIN) {
            cv_pacer_again(&pacer);
            continue;
        }
        uint64_t out_ms = cv_pacer_stamp(&pacer, rows[i].type, rows[i].in_ms);
        if (out_ms != rows[i].out_ms)
            fail_msg("%s, row %u: %llu, not %llu", what, i, (unsigned long long)out_ms,
                     (unsigned long long)rows[i].out_ms);
    }
}

static void times_go_out_as_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        unsigned count;
        struct row rows[ROWS_MAX];
    } cases[] = {
        {"as it is", 5, {{D, 0, 0}, {V, 0, 0}, {A, 0, 0}, {A, 23, 23}, {V, 40, 40}}},
        {"begins anywhere", 4, {{D, 0, 0}, {V, 3600000, 0}, {A, 3600010, 10}, {V, 3600040, 40}}},
        {"the second kind is earlier", 3, {{V, 1000, 0}, {A, 990, 0}, {A, 1013, 13}}},
        {"small steps back are kept", 3, {{V, 0, 0}, {V, 80, 80}, {V, 40, 40}}},
        {"32 bits wrap", 3, {{V, 0xffffffd8, 0}, {V, 0, 40}, {V, 40, 80}}},
        {"31 bits wrap", 4, {{V, 0x7fffffb0, 0}, {V, 0x7fffffd8, 40}, {V, 0, 80}, {V, 40, 120}}},
        {"24 bits wrap", 4, {{V, 0xffffb0, 0}, {V, 0xffffd8, 40}, {V, 0, 80}, {V, 40, 120}}},
        {"begins again by itself",
         7,
         {{V, 0, 0},
          {A, 10, 10},
          {V, 2000, 2000},
          {A, 2010, 2010},
          {V, 0, 2050},
          {A, 10, 2060},
          {V, 40, 2090}}},
        {"begins again in a loop",
         7,
         {{V, 0, 0}, {V, 33, 33}, {A, 40, 40}, {AGAIN, 0, 0}, {D, 0, 40}, {V, 0, 73}, {A, 7, 80}}},
        {"a loop of one frame", 4, {{V, 5, 0}, {AGAIN, 0, 0}, {V, 5, 40}, {V, 45, 80}}},
        {"again before anything", 2, {{AGAIN, 0, 0}, {V, 77, 0}}},
        {"a hole that is kept", 2, {{V, 0, 0}, {V, CV_PACE_GAP_MS, CV_PACE_GAP_MS}}},
        {"a hole that is closed",
         4,
         {{V, 0, 0}, {V, 50, 50}, {V, 51 + CV_PACE_GAP_MS, 100}, {V, 101 + CV_PACE_GAP_MS, 150}}},
        {"data move nothing",
         5,
         {{V, 500, 0}, {V, 1400, 900}, {V, 2300, 1800}, {D, 0, 1800}, {D, 2290, 1790}}},
        {"data far ahead move nothing", 4, {{V, 0, 0}, {V, 40, 40}, {D, 900000, 40}, {V, 80, 80}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_rows(cases[i].what, cases[i].rows, cases[i].count);
}

static void loops_never_go_back(void **state)
{
    (void)state;
    struct cv_pacer pacer = cv_pacer_new(0);
    uint64_t last_ms = 0;
    for (unsigned loop = 0; loop < 100; loop++) {
        for (uint32_t at = 0; at < 1000; at += 40) {
            uint64_t out_ms = cv_pacer_stamp(&pacer, V, 500 + at);
            assert_int_equal(out_ms, loop * 1000 + at);
            assert_true(loop + at == 0 || out_ms > last_ms);
            last_ms = out_ms;
        }
        cv_pacer_again(&pacer);
    }
    assert_int_equal(cv_pacer_time_ms(&pacer), last_ms);
}

static void messages_are_due_at_their_time(void **state)
{
    (void)state;
    struct cv_pacer pacer = cv_pacer_new(200);
    assert_int_equal(cv_pacer_due_us(&pacer, 5000), 0); // no clock yet
    cv_pacer_start(&pacer, 1000000);
    assert_int_equal(cv_pacer_due_us(&pacer, 0), 800000);
    assert_int_equal(cv_pacer_due_us(&pacer, 200), 1000000);
    assert_int_equal(cv_pacer_due_us(&pacer, 5000), 5800000);
    struct cv_pacer early = cv_pacer_new(200);
    cv_pacer_start(&early, 50000);
    assert_int_equal(cv_pacer_due_us(&early, 100), 0);
}

// Whatever comes: no jump of the line by more than what is allowed, and nothing overflows.
static void any_times_make_one_line(void **state)
{
    (void)state;
    struct cv_pacer pacer = cv_pacer_new(0);
    uint32_t seed = 7;
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint64_t before_ms = cv_pacer_time_ms(&pacer);
        uint8_t type = seed >> 8 & 1 ? V : seed >> 9 & 1 ? A : D;
        uint64_t out_ms = cv_pacer_stamp(&pacer, type, seed ^ seed >> 5);
        assert_true(out_ms <= before_ms + CV_PACE_GAP_MS);
        assert_true(out_ms + CV_PACE_GAP_MS >= before_ms || type != V);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_go_out_as_one_line),
        cmocka_unit_test(loops_never_go_back),
        cmocka_unit_test(messages_are_due_at_their_time),
        cmocka_unit_test(any_times_make_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
