// Gathers: borrowed and copied vectors, and each of the three limits.
#include "harness.h"

#include "base/gather.h"

static struct cv_gather gather; // too large for a stack frame of its own in each test

static void collects_in_order(void **state)
{
    (void)state;
    cv_gather_clear(&gather);
    static const char payload[] = "payload";
    char header[] = "head";
    assert_true(cv_gather_copy(&gather, header, 4));
    assert_true(cv_gather_borrow(&gather, payload, 7));
    memset(header, 'x', 4); // the gather has its own copy of this one
    assert_int_equal(gather.count, 2);
    assert_int_equal(gather.bytes, 11);
    assert_memory_equal(gather.vectors[0].iov_base, "head", 4);
    assert_int_equal(gather.vectors[0].iov_len, 4);
    assert_ptr_equal(gather.vectors[1].iov_base, payload);
    assert_int_equal(gather.vectors[1].iov_len, 7);
    assert_false(cv_gather_full(&gather));
    cv_gather_clear(&gather);
    assert_int_equal(gather.count, 0);
    assert_int_equal(gather.bytes, 0);
    assert_int_equal(gather.scratch_used, 0);
}

static void nothing_takes_no_vector(void **state)
{
    (void)state;
    cv_gather_clear(&gather);
    assert_true(cv_gather_borrow(&gather, NULL, 0));
    assert_true(cv_gather_copy(&gather, NULL, 0));
    assert_int_equal(gather.count, 0);
}

static void vectors_end_at_their_limit(void **state)
{
    (void)state;
    cv_gather_clear(&gather);
    for (int i = 0; i < CV_GATHER_VECTORS; i++) {
        assert_false(cv_gather_full(&gather));
        assert_true(cv_gather_borrow(&gather, "a", 1));
    }
    assert_true(cv_gather_full(&gather));
    assert_false(cv_gather_borrow(&gather, "a", 1));
    assert_false(cv_gather_copy(&gather, "a", 1));
    assert_int_equal(gather.count, CV_GATHER_VECTORS);
    assert_int_equal(gather.bytes, CV_GATHER_VECTORS);
    assert_int_equal(gather.scratch_used, 0);
}

static void scratch_ends_at_its_limit(void **state)
{
    (void)state;
    static uint8_t bytes[CV_GATHER_SCRATCH_BYTES + 1];
    cv_gather_clear(&gather);
    assert_false(cv_gather_copy(&gather, bytes, CV_GATHER_SCRATCH_BYTES + 1));
    assert_int_equal(gather.count, 0);
    assert_true(cv_gather_copy(&gather, bytes, CV_GATHER_SCRATCH_BYTES - 1));
    assert_false(cv_gather_copy(&gather, bytes, 2));
    assert_int_equal(gather.count, 1);
    assert_int_equal(gather.bytes, CV_GATHER_SCRATCH_BYTES - 1);
    assert_true(cv_gather_copy(&gather, "z", 1));
    assert_int_equal(gather.scratch[CV_GATHER_SCRATCH_BYTES - 1], 'z');
    assert_false(cv_gather_copy(&gather, bytes, 1));
    assert_false(cv_gather_copy(&gather, bytes, SIZE_MAX));
    assert_true(cv_gather_borrow(&gather, bytes, 1)); // only the scratch is used up
}

// One vector may go past the byte limit, so that a frame larger than it still leaves; then it ends.
static void bytes_end_at_their_limit(void **state)
{
    (void)state;
    static uint8_t bytes[2 * CV_GATHER_BYTES_MAX];
    cv_gather_clear(&gather);
    assert_true(cv_gather_borrow(&gather, bytes, CV_GATHER_BYTES_MAX - 1));
    assert_false(cv_gather_full(&gather));
    assert_true(cv_gather_borrow(&gather, bytes, 1));
    assert_true(cv_gather_full(&gather));
    assert_false(cv_gather_borrow(&gather, bytes, 1));
    assert_false(cv_gather_copy(&gather, bytes, 1));
    assert_int_equal(gather.bytes, CV_GATHER_BYTES_MAX);

    cv_gather_clear(&gather);
    assert_true(cv_gather_borrow(&gather, bytes, sizeof bytes));
    assert_true(cv_gather_full(&gather));
    assert_false(cv_gather_borrow(&gather, bytes, 1));
}

static void a_header_is_filled_in_later(void **state)
{
    (void)state;
    cv_gather_clear(&gather);
    assert_true(cv_gather_copy(&gather, "before", 6));
    int header = cv_gather_reserve(&gather, 10);
    assert_int_equal(header, 1);
    assert_true(cv_gather_copy(&gather, "after", 5));
    assert_int_equal(gather.bytes, 21);
    cv_gather_fill(&gather, header, "head", 4);
    assert_int_equal(gather.bytes, 15);
    assert_int_equal(gather.count, 3);
    assert_memory_equal(gather.vectors[0].iov_base, "before", 6);
    assert_int_equal(gather.vectors[1].iov_len, 4);
    assert_memory_equal(gather.vectors[1].iov_base, "head", 4);
    assert_memory_equal(gather.vectors[2].iov_base, "after", 5);
}

static void no_room_to_reserve(void **state)
{
    (void)state;
    cv_gather_clear(&gather);
    assert_int_equal(cv_gather_reserve(&gather, CV_GATHER_SCRATCH_BYTES + 1), -1);
    assert_int_equal(cv_gather_reserve(&gather, CV_GATHER_SCRATCH_BYTES), 0);
    assert_int_equal(cv_gather_reserve(&gather, 1), -1);
    cv_gather_clear(&gather);
    for (int i = 0; i < CV_GATHER_VECTORS; i++)
        assert_true(cv_gather_borrow(&gather, "a", 1));
    assert_int_equal(cv_gather_reserve(&gather, 1), -1);
    assert_int_equal(gather.scratch_used, 0);
}

static void cut_anywhere(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes <= 12; bytes++) {
        cv_gather_clear(&gather);
        assert_true(cv_gather_borrow(&gather, "abc", 3));
        assert_true(cv_gather_borrow(&gather, "d", 1));
        assert_true(cv_gather_borrow(&gather, "efghij", 6));
        cv_gather_cut(&gather, bytes);
        size_t left = 0;
        for (int i = 0; i < gather.count; i++) {
            assert_true(gather.vectors[i].iov_len > 0);
            left += gather.vectors[i].iov_len;
        }
        assert_int_equal(gather.bytes, bytes < 10 ? bytes : 10);
        assert_int_equal(left, gather.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collects_in_order),          cmocka_unit_test(nothing_takes_no_vector),
        cmocka_unit_test(vectors_end_at_their_limit), cmocka_unit_test(scratch_ends_at_its_limit),
        cmocka_unit_test(bytes_end_at_their_limit),   cmocka_unit_test(a_header_is_filled_in_later),
        cmocka_unit_test(no_room_to_reserve),         cmocka_unit_test(cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
