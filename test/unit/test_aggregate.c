// Aggregate messages: what is inside, when it plays, and what is refused.
#include "harness.h"

#include "base/limits.h"
#include "proto/aggregate.h"
#include "proto/message.h"

enum { MAX_BYTES = 256 * 1024 };

static struct cv_block *built(void (*add)(struct cv_wr *wr))
{
    struct cv_wr wr = cv_wr_growing(MAX_BYTES);
    add(&wr);
    struct cv_block *block = cv_wr_take(&wr);
    assert_non_null(block);
    return block;
}

static void add_three(struct cv_wr *wr)
{
    cv_aggregate_add(wr, CV_MSG_VIDEO, 5000, "\x17\x01", 2);
    cv_aggregate_add(wr, CV_MSG_AUDIO, 5023, "\xaf\x01\x21", 3);
    cv_aggregate_add(wr, CV_MSG_DATA_AMF0, 4990, "", 0);
}

static void expect(struct cv_aggregate *walk, uint8_t type, uint32_t ts_ms, uint32_t len)
{
    struct cv_aggregate_item item;
    assert_int_equal(cv_aggregate_next(walk, &item), 1);
    assert_int_equal(item.type, type);
    assert_int_equal(item.ts_ms, ts_ms);
    assert_int_equal(item.len, len);
}

static void times_count_from_the_aggregate(void **state)
{
    (void)state;
    struct cv_block *block = built(add_three);
    struct guard guard = guard_copy(block->data, block->len);
    struct cv_aggregate walk = cv_aggregate_over(100, guard.data, guard.len);
    expect(&walk, CV_MSG_VIDEO, 100, 2);
    expect(&walk, CV_MSG_AUDIO, 123, 3);
    expect(&walk, CV_MSG_DATA_AMF0, 90, 0);
    struct cv_aggregate_item item;
    assert_int_equal(cv_aggregate_next(&walk, &item), 0);
    assert_int_equal(cv_aggregate_next(&walk, &item), 0);
    assert_int_equal(walk.count, 3);
    guard_free(&guard);
    cv_block_unref(&block);
}

static void add_around_the_wrap(struct cv_wr *wr)
{
    cv_aggregate_add(wr, CV_MSG_AUDIO, 0xfffffff0, "a", 1);
    cv_aggregate_add(wr, CV_MSG_AUDIO, 0x00000010, "b", 1);
}

static void bug_09_times_wrap(void **state)
{
    (void)state;
    struct cv_block *block = built(add_around_the_wrap);
    struct cv_aggregate walk = cv_aggregate_over(0xfffffff8, block->data, block->len);
    expect(&walk, CV_MSG_AUDIO, 0xfffffff8, 1);
    expect(&walk, CV_MSG_AUDIO, 0x00000018, 1);
    cv_block_unref(&block);
}

// The high byte of the time stands behind the low ones, as in FLV.
static void layout_is_that_of_flv(void **state)
{
    (void)state;
    uint8_t bytes[64];
    size_t len = hex_bytes("08 000002 000000 00 000001 af01 0000000d"
                           "09 000001 000005 01 000001 17 ffffffff",
                           bytes, sizeof bytes);
    struct cv_aggregate walk = cv_aggregate_over(7, bytes, len);
    expect(&walk, CV_MSG_AUDIO, 7, 2);
    expect(&walk, CV_MSG_VIDEO, 7 + 0x01000005, 1);
    struct cv_aggregate_item item;
    assert_int_equal(cv_aggregate_next(&walk, &item), 0);
}

static void empty_aggregate_has_no_messages(void **state)
{
    (void)state;
    struct cv_aggregate walk = cv_aggregate_over(7, NULL, 0);
    struct cv_aggregate_item item;
    assert_int_equal(cv_aggregate_next(&walk, &item), 0);
}

// Reads all; returns the last result.
static int drained(struct cv_aggregate *walk, uint32_t *bytes)
{
    struct cv_aggregate_item item;
    int got;
    while ((got = cv_aggregate_next(walk, &item)) > 0)
        *bytes += item.len;
    return got;
}

static void bug_05_cut_anywhere(void **state)
{
    (void)state;
    struct cv_block *block = built(add_three);
    // sizes at which a message is complete, with and without its back pointer
    const size_t whole[] = {0, 13, 17, 31, 35, 46, 50};
    size_t next = 0;
    for (size_t cut = 0; cut <= block->len; cut++) {
        struct guard guard = guard_copy(block->data, cut);
        struct cv_aggregate walk = cv_aggregate_over(1, guard.data, guard.len);
        uint32_t bytes = 0;
        int err = drained(&walk, &bytes);
        bool good = whole[next] == cut;
        next += good;
        assert_int_equal(err, good ? CV_OK : CV_E_TRUNCATED);
        assert_int_equal(walk.why.code, err);
        assert_int_equal(drained(&walk, &bytes), err);
        guard_free(&guard);
    }
    assert_int_equal(next, 7);
    cv_block_unref(&block);
}

static void bug_05_lengths_inside_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int err;
    } bad[] = {
        {"08 ffffff 000000 00 000000 af", CV_E_TRUNCATED},
        {"08 000002 000000 00 000000 af", CV_E_TRUNCATED},
        {"08 000001 000000 00 000000 af 0000", CV_E_TRUNCATED},
        {"16 000000 000000 00 000000 0000000b", CV_E_SYNTAX}, // an aggregate in an aggregate
        {"01 000004 000000 00 000000 00000080 0000000f", CV_E_SYNTAX},
        {"14 000000 000000 00 000000 0000000b", CV_E_SYNTAX},
        {"28 000001 000000 00 000000 af 0000000c", CV_E_SYNTAX}, // encrypted
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[64];
        struct guard guard = guard_copy(bytes, hex_bytes(bad[i].hex, bytes, sizeof bytes));
        struct cv_aggregate walk = cv_aggregate_over(0, guard.data, guard.len);
        struct cv_aggregate_item item = {.len = 77};
        int err = cv_aggregate_next(&walk, &item);
        if (err != bad[i].err || walk.why.code != err || item.len != 77)
            fail_msg("%s: %d %s", bad[i].hex, err, walk.why.text);
        guard_free(&guard);
    }
}

// The cap of a data message is that of a data message on its own.
static void bug_06_caps_hold_inside(void **state)
{
    (void)state;
    static const uint8_t zeros[CV_LIMIT_COMMAND_BYTES + 1];
    for (uint32_t more = 0; more <= 1; more++) {
        struct cv_wr wr = cv_wr_growing(2 * sizeof zeros);
        cv_aggregate_add(&wr, CV_MSG_DATA_AMF0, 0, zeros, CV_LIMIT_COMMAND_BYTES + more);
        struct cv_block *block = cv_wr_take(&wr);
        assert_non_null(block);
        struct cv_aggregate walk = cv_aggregate_over(0, block->data, block->len);
        struct cv_aggregate_item item;
        assert_int_equal(cv_aggregate_next(&walk, &item), more ? CV_E_TOO_LONG : 1);
        cv_block_unref(&block);
    }
}

static void add_too_many(struct cv_wr *wr)
{
    for (int i = 0; i <= CV_LIMIT_AGGREGATE_MESSAGES; i++)
        cv_aggregate_add(wr, CV_MSG_AUDIO, 0, NULL, 0);
}

static void messages_have_a_cap(void **state)
{
    (void)state;
    struct cv_block *block = built(add_too_many);
    uint32_t bytes = 0;
    struct cv_aggregate walk = cv_aggregate_over(0, block->data, block->len - 15);
    assert_int_equal(drained(&walk, &bytes), CV_OK);
    assert_int_equal(walk.count, CV_LIMIT_AGGREGATE_MESSAGES);
    walk = cv_aggregate_over(0, block->data, block->len);
    assert_int_equal(drained(&walk, &bytes), CV_E_TOO_MANY);
    cv_block_unref(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_count_from_the_aggregate),
        cmocka_unit_test(bug_09_times_wrap),
        cmocka_unit_test(layout_is_that_of_flv),
        cmocka_unit_test(empty_aggregate_has_no_messages),
        cmocka_unit_test(bug_05_cut_anywhere),
        cmocka_unit_test(bug_05_lengths_inside_are_checked),
        cmocka_unit_test(bug_06_caps_hold_inside),
        cmocka_unit_test(messages_have_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
