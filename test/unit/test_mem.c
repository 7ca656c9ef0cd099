// The door to the heap: counters, failures on demand.
#include "harness.h"

#include "base/mem.h"

// The sanitizer would stop the program at a request that calloc(3) answers with NULL.
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void counters_tell_what_happened(void **state)
{
    (void)state;
    struct cv_mem_stats before = cv_mem_stats();
    void *a = cv_mem_alloc(10);
    uint8_t *b = cv_mem_zero(4, 5);
    char *c = cv_mem_text("abc", 2);
    assert_true(a && b && c);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(b[i], 0);
    assert_string_equal(c, "ab");
    a = cv_mem_resize(a, 1000);
    assert_non_null(a);
    assert_int_equal(cv_mem_stats().allocs - before.allocs, 4);
    assert_int_equal(cv_mem_stats().frees - before.frees, 0);
    cv_mem_free(a);
    cv_mem_free(b);
    cv_mem_free(c);
    cv_mem_free(NULL);
    assert_int_equal(cv_mem_stats().allocs - before.allocs, 4);
    assert_int_equal(cv_mem_stats().frees - before.frees, 3);
}

static void text_may_be_empty(void **state)
{
    (void)state;
    char *text = cv_mem_text(NULL, 0);
    assert_non_null(text);
    assert_string_equal(text, "");
    cv_mem_free(text);
}

static void resize_keeps_the_bytes(void **state)
{
    (void)state;
    char *text = cv_mem_text("kept", 4);
    assert_non_null(text);
    text = cv_mem_resize(text, 100000);
    assert_non_null(text);
    assert_string_equal(text, "kept");
    cv_mem_free(text);
}

static void overflowing_product_is_no_memory(void **state)
{
    (void)state;
    struct cv_mem_stats before = cv_mem_stats();
    volatile size_t huge = SIZE_MAX / 2 + 1; // volatile: the compiler would warn
    assert_null(cv_mem_zero(huge, 2));
    assert_int_equal(cv_mem_stats().allocs, before.allocs);
}

static void *call(int which, void *memory)
{
    switch (which) {
    case 0:
        return cv_mem_alloc(8);
    case 1:
        return cv_mem_zero(2, 4);
    case 2:
        return cv_mem_text("text", 4);
    default:
        return cv_mem_resize(memory, 64);
    }
}

static void each_way_in_can_fail(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        char *memory = cv_mem_text("untouched", 9);
        assert_non_null(memory);
        struct cv_mem_stats before = cv_mem_stats();
        cv_mem_fail_nth(1);
        assert_null(call(which, memory));
        assert_int_equal(cv_mem_stats().allocs, before.allocs);
        assert_string_equal(memory, "untouched");
        void *again = call(which, memory); // it strikes once
        assert_non_null(again);
        cv_mem_free(again);
        if (which < 3)
            cv_mem_free(memory);
    }
}

static void fail_nth_strikes_at_n(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 5; n++) {
        cv_mem_fail_nth(n);
        for (uint64_t i = 1; i <= 6; i++) {
            void *memory = cv_mem_alloc(1);
            assert_int_equal(memory == NULL, i == n);
            cv_mem_free(memory);
        }
        assert_int_equal(cv_mem_fail_nth(0), 0);
    }
    cv_mem_fail_nth(3);
    cv_mem_free(cv_mem_alloc(1));
    assert_int_equal(cv_mem_fail_nth(0), 2); // two were to go, and now it is off
    void *memory = cv_mem_alloc(1);
    assert_non_null(memory);
    cv_mem_free(memory);
}

// ---- the harness's own promise: every allocation of a run fails once -------------------------

enum { ALLOCATIONS = 3 };
static bool has_failed[ALLOCATIONS];
static int runs;

static bool three_allocations(void *arg)
{
    (void)arg;
    void *memory[ALLOCATIONS] = {NULL};
    int i = 0;
    while (i < ALLOCATIONS && (memory[i] = cv_mem_alloc(1)))
        i++;
    runs++;
    if (i < ALLOCATIONS)
        has_failed[i] = true;
    for (int k = 0; k < i; k++)
        cv_mem_free(memory[k]);
    return i == ALLOCATIONS;
}

static void fail_nth_fails_each_allocation(void **state)
{
    (void)state;
    struct cv_mem_stats before = cv_mem_stats();
    fail_nth(three_allocations, NULL);
    assert_int_equal(runs, ALLOCATIONS + 1);
    for (int i = 0; i < ALLOCATIONS; i++)
        assert_true(has_failed[i]);
    struct cv_mem_stats after = cv_mem_stats();
    assert_int_equal(after.allocs - before.allocs, 0 + 1 + 2 + 3);
    assert_int_equal(after.frees - before.frees, after.allocs - before.allocs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_tell_what_happened),
        cmocka_unit_test(text_may_be_empty),
        cmocka_unit_test(resize_keeps_the_bytes),
        cmocka_unit_test(overflowing_product_is_no_memory),
        cmocka_unit_test(each_way_in_can_fail),
        cmocka_unit_test(fail_nth_strikes_at_n),
        cmocka_unit_test(fail_nth_fails_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
