// Cursors over wire bytes: values, sticky errors, growth and caps.
#include "harness.h"

#include "base/err.h"
#include "base/wire.h"

static void reads_each_width(void **state)
{
    (void)state;
    uint8_t bytes[64];
    size_t len =
        hex_bytes("01 0203 040506 0708090a 01000000 400921fb54442d18", bytes, sizeof bytes);
    struct guard guard = guard_copy(bytes, len);
    struct cv_rd rd = cv_rd_over(guard.data, guard.len);
    assert_int_equal(cv_rd_u8(&rd), 1);
    assert_int_equal(cv_rd_u16(&rd), 0x0203);
    assert_int_equal(cv_rd_u24(&rd), 0x040506);
    assert_int_equal(cv_rd_u32(&rd), 0x0708090a);
    assert_int_equal(cv_rd_u32le(&rd), 1);
    assert_true(cv_rd_double(&rd) == 3.141592653589793);
    assert_int_equal(rd.err, CV_OK);
    assert_int_equal(cv_rd_left(&rd), 0);
    guard_free(&guard);
}

static void read_error_sticks(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 2, 3};
    struct cv_rd rd = cv_rd_over(bytes, sizeof bytes);
    assert_int_equal(cv_rd_u32(&rd), 0);
    assert_int_equal(rd.err, CV_E_TRUNCATED);
    assert_int_equal(cv_rd_u8(&rd), 0);
    assert_null(cv_rd_bytes(&rd, 1));
    struct cv_rd sub = cv_rd_sub(&rd, 1);
    assert_int_equal(sub.err, CV_E_TRUNCATED);
    assert_int_equal(cv_rd_left(&sub), 0);
}

static void sub_cursor_is_bounded(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 2, 3, 4};
    struct cv_rd rd = cv_rd_over(bytes, sizeof bytes);
    struct cv_rd sub = cv_rd_sub(&rd, 2);
    assert_int_equal(cv_rd_u16(&sub), 0x0102);
    assert_int_equal(cv_rd_u8(&sub), 0);
    assert_int_equal(sub.err, CV_E_TRUNCATED);
    assert_int_equal(cv_rd_u16(&rd), 0x0304);
    assert_int_equal(rd.err, CV_OK);
}

static void fixed_writer_stops_at_its_end(void **state)
{
    (void)state;
    uint8_t memory[4];
    struct cv_wr wr = cv_wr_fixed(memory, sizeof memory);
    cv_wr_u24(&wr, 0x010203);
    cv_wr_u16(&wr, 0xffff);
    assert_int_equal(wr.err, CV_E_TOO_LONG);
    cv_wr_u8(&wr, 9);
    assert_int_equal(wr.len, 3);
}

static void growing_writer_round_trip(void **state)
{
    (void)state;
    struct cv_wr wr = cv_wr_growing(100000);
    cv_wr_u32(&wr, 0);
    for (uint32_t i = 0; i < 10000; i++)
        cv_wr_u32le(&wr, i);
    cv_wr_double(&wr, -0.5);
    cv_wr_u32_at(&wr, 0, 42);
    struct cv_block *block = cv_wr_take(&wr);
    assert_non_null(block);
    struct cv_rd rd = cv_rd_over(block->data, block->len);
    assert_int_equal(cv_rd_u32(&rd), 42);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(cv_rd_u32le(&rd), i);
    assert_true(cv_rd_double(&rd) == -0.5);
    assert_int_equal(cv_rd_left(&rd), 0);
    cv_block_unref(&block);
}

static void growing_writer_keeps_its_cap(void **state)
{
    (void)state;
    struct cv_wr wr = cv_wr_growing(300);
    for (int i = 0; i < 100; i++)
        cv_wr_u32(&wr, 1);
    assert_int_equal(wr.err, CV_E_TOO_LONG);
    assert_null(cv_wr_take(&wr));
    assert_null(wr.block);
}

static bool write_a_lot(void *arg)
{
    (void)arg;
    struct cv_wr wr = cv_wr_growing(100000);
    for (uint32_t i = 0; i < 5000; i++)
        cv_wr_u32(&wr, i);
    struct cv_block *block = cv_wr_take(&wr);
    bool succeeded = block != NULL;
    assert_int_equal(wr.err, succeeded ? CV_OK : CV_E_NOMEM);
    cv_block_unref(&block);
    return succeeded;
}

static void writer_survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(write_a_lot, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_width),
        cmocka_unit_test(read_error_sticks),
        cmocka_unit_test(sub_cursor_is_bounded),
        cmocka_unit_test(fixed_writer_stops_at_its_end),
        cmocka_unit_test(growing_writer_round_trip),
        cmocka_unit_test(growing_writer_keeps_its_cap),
        cmocka_unit_test(writer_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
