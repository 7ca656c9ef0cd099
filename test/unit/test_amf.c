// The document and its accessors, and what the two formats share.
#include "amf_tree.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proto/amf0.h"
#include "proto/amf3.h"

#include <math.h>

static struct cv_amf number(double value)
{
    return (struct cv_amf){.type = CV_AMF_NUMBER, .number = value};
}

static void accessors_accept_null_and_wrong_types(void **state)
{
    (void)state;
    struct cv_amf text = {.type = CV_AMF_STRING, .text = {.at = "7", .len = 1}};
    struct cv_amf xml = {.type = CV_AMF_XML, .text = {.at = "<a/>", .len = 4}};
    const struct cv_amf *const values[] = {NULL, &text, &xml};
    for (size_t i = 0; i < 3; i++) {
        assert_null(cv_amf_get(values[i], "app"));
        assert_true(cv_amf_number(values[i], 5) == 5);
        assert_true(cv_amf_boolean(values[i], true));
        assert_false(cv_amf_boolean(values[i], false));
        assert_int_equal(cv_amf_u32(values[i], 9), 9);
    }
    assert_int_equal(cv_amf_text(NULL).len, 0);
    assert_int_equal(cv_amf_text(&xml).len, 0);
    assert_true(cv_text_is(cv_amf_text(&text), "7"));
}

static void text_compares_whole(void **state)
{
    (void)state;
    struct cv_text text = {.at = "application", .len = 3};
    assert_true(cv_text_is(text, "app"));
    assert_false(cv_text_is(text, "ap"));
    assert_false(cv_text_is(text, "appl"));
    assert_true(cv_text_is((struct cv_text){0}, ""));
    assert_false(cv_text_is((struct cv_text){0}, "a"));
}

static void last_member_wins(void **state)
{
    (void)state;
    struct cv_amf_doc *doc =
        amf_decode_hex(cv_amf0_decode, "03 0001 61 0101 0001 62 05 0001 61 0100 000009", CV_OK);
    const struct cv_amf *object = cv_amf_doc_first(doc);
    assert_false(cv_amf_boolean(cv_amf_get(object, "a"), true));
    assert_int_equal(cv_amf_get(object, "b")->type, CV_AMF_NULL);
    assert_null(cv_amf_get(object, "c"));
    assert_null(cv_amf_get(object, ""));
    cv_amf_doc_free(doc);
}

static void u32_has_edges(void **state)
{
    (void)state;
    static const struct {
        double number;
        uint32_t expected;
    } rows[] = {
        {0, 0},           {-0.0, 0},  {1.9, 1},       {4294967295.0, 4294967295u},
        {4294967296, 77}, {-0.5, 77}, {-1, 77},       {1e300, 77},
        {NAN, 77},        {-NAN, 77}, {INFINITY, 77}, {-INFINITY, 77},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_amf value = number(rows[i].number);
        assert_int_equal(cv_amf_u32(&value, 77), rows[i].expected);
    }
}

static void numbers_are_booleans(void **state)
{
    (void)state;
    struct cv_amf zero = number(0);
    struct cv_amf minus = number(-2);
    struct cv_amf nan = number(NAN);
    assert_false(cv_amf_boolean(&zero, true));
    assert_true(cv_amf_boolean(&minus, false));
    assert_false(cv_amf_boolean(&nan, true));
    assert_true(isnan(cv_amf_number(&nan, 1)));
}

static void document_lists_values(void **state)
{
    (void)state;
    struct cv_amf_doc *doc = amf_decode_hex(cv_amf0_decode, "05 0101 06", CV_OK);
    assert_int_equal(cv_amf_doc_at(doc, 0)->type, CV_AMF_NULL);
    assert_int_equal(cv_amf_doc_at(doc, 1)->type, CV_AMF_BOOLEAN);
    assert_int_equal(cv_amf_doc_at(doc, 2)->type, CV_AMF_UNDEFINED);
    assert_null(cv_amf_doc_at(doc, 3));
    assert_null(cv_amf_doc_at(doc, SIZE_MAX));
    const uint8_t more[] = {0x02};
    assert_int_equal(cv_amf3_decode(doc, more, 1, NULL), CV_OK);
    assert_int_equal(cv_amf_doc_at(doc, 3)->type, CV_AMF_BOOLEAN);
    cv_amf_doc_reset(doc);
    assert_null(cv_amf_doc_first(doc));
    assert_null(cv_amf_doc_at(doc, 0));
    cv_amf_doc_free(doc);
    cv_amf_doc_free(NULL);
}

static void bad_value_leaves_those_before_it(void **state)
{
    (void)state;
    struct cv_amf_doc *doc =
        amf_decode_hex(cv_amf0_decode, "020001 61 05 03 0001 62 04", CV_E_AMF_MARKER);
    assert_true(cv_text_is(cv_amf_text(cv_amf_doc_at(doc, 0)), "a"));
    assert_int_equal(cv_amf_doc_at(doc, 1)->type, CV_AMF_NULL);
    assert_null(cv_amf_doc_at(doc, 2));
    cv_amf_doc_free(doc);
}

// A strict array of `count` nulls.
static size_t array_of_nulls(uint8_t *to, size_t max, uint32_t count)
{
    struct cv_wr wr = cv_wr_fixed(to, max);
    cv_amf0_strict_array(&wr, count);
    for (uint32_t i = 0; i < count; i++)
        cv_amf0_null(&wr);
    assert_int_equal(wr.err, CV_OK);
    return wr.len;
}

static void document_is_reused(void **state)
{
    (void)state;
    static uint8_t bytes[20000];
    struct cv_mem_stats before = cv_mem_stats();
    struct cv_amf_doc *doc = cv_amf_doc_new();
    size_t len = array_of_nulls(bytes, sizeof bytes, 5000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cv_amf0_decode(doc, bytes, len, NULL), CV_OK);
        assert_int_equal(amf_count(cv_amf_doc_first(doc), 0), 5001);
        cv_amf_doc_reset(doc);
    }
    const uint8_t null = 0x05;
    uint64_t allocs = cv_mem_stats().allocs;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(cv_amf0_decode(doc, &null, 1, NULL), CV_OK);
        cv_amf_doc_reset(doc);
    }
    assert_int_equal(cv_mem_stats().allocs, allocs);
    cv_amf_doc_free(doc);
    struct cv_mem_stats after = cv_mem_stats();
    assert_int_equal(after.allocs - before.allocs, after.frees - before.frees);
}

static void bug_03_values_are_capped_over_all_calls(void **state)
{
    (void)state;
    static uint8_t bytes[20000];
    struct cv_amf_doc *doc = cv_amf_doc_new();
    size_t len = array_of_nulls(bytes, sizeof bytes, CV_LIMIT_AMF_NODES - 2);
    assert_int_equal(cv_amf0_decode(doc, bytes, len, NULL), CV_OK);
    const uint8_t nulls[] = {0x01, 0x01};
    struct cv_why why = {0};
    assert_int_equal(cv_amf3_decode(doc, nulls, 2, &why), CV_E_TOO_MANY);
    assert_int_equal(why.code, CV_E_TOO_MANY);
    assert_non_null(cv_amf_doc_at(doc, 1));
    assert_null(cv_amf_doc_at(doc, 2));
    cv_amf_doc_reset(doc);
    assert_int_equal(cv_amf3_decode(doc, nulls, 2, NULL), CV_OK);
    cv_amf_doc_free(doc);
}

// `outer` AMF0 arrays of one item, the innermost of which has `inner` AMF3 arrays.
static int decode_nested(unsigned outer, unsigned inner)
{
    uint8_t bytes[2000];
    struct cv_wr wr = cv_wr_fixed(bytes, sizeof bytes);
    for (unsigned i = 0; i < outer; i++)
        cv_amf0_strict_array(&wr, 1);
    cv_wr_u8(&wr, 0x11);
    for (unsigned i = 0; i < inner; i++)
        cv_wr_u24(&wr, 0x090301);
    cv_wr_u8(&wr, 0x01);
    assert_int_equal(wr.err, CV_OK);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    int code = cv_amf0_decode(doc, bytes, wr.len, NULL);
    cv_amf_doc_free(doc);
    return code;
}

static void bug_03_depth_is_bounded_over_both_formats(void **state)
{
    (void)state;
    for (unsigned outer = 0; outer <= CV_LIMIT_AMF_DEPTH; outer++) {
        unsigned inner = CV_LIMIT_AMF_DEPTH - outer;
        assert_int_equal(decode_nested(outer, inner), CV_OK);
        assert_int_equal(decode_nested(outer, inner + 1), CV_E_TOO_DEEP);
        assert_int_equal(decode_nested(outer, 200), CV_E_TOO_DEEP);
    }
    assert_int_equal(decode_nested(200, 0), CV_E_TOO_DEEP);
}

static void round_trip(amf_decode_fn decode, amf_write_fn write, const struct cv_amf *value)
{
    struct cv_block *block = amf_bytes(write, value);
    struct guard guard = guard_copy(block->data, block->len);
    struct cv_amf_doc *doc = cv_amf_doc_new();
    struct cv_why why = {0};
    if (decode(doc, guard.data, guard.len, &why) != CV_OK)
        fail_msg("%s: %s", cv_err_name(why.code), why.text);
    const struct cv_amf *again = cv_amf_doc_first(doc);
    assert_non_null(again);
    assert_null(again->next);
    assert_true(amf_same(value, again));
    struct cv_block *second = amf_bytes(write, again);
    assert_int_equal(second->len, block->len);
    assert_memory_equal(second->data, block->data, block->len);
    cv_block_unref(&second);
    cv_amf_doc_free(doc);
    guard_free(&guard);
    cv_block_unref(&block);
}

static void random_values_round_trip(void **state)
{
    (void)state;
    static struct amf_random random;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        random.seed = seed;
        random.amf3 = false;
        round_trip(cv_amf0_decode, cv_amf0_value, amf_random_value(&random));
        random.amf3 = true;
        round_trip(cv_amf3_decode, cv_amf3_value, amf_random_value(&random));
    }
}

static void random_values_survive_every_cut(void **state)
{
    (void)state;
    static struct amf_random random;
    random.amf3 = true;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        random.seed = seed;
        struct cv_block *block = amf_bytes(cv_amf3_value, amf_random_value(&random));
        amf_each_prefix(cv_amf3_decode, block->data, block->len);
        cv_block_unref(&block);
        random.seed = seed;
        block = amf_bytes(cv_amf0_value, amf_random_value(&random));
        amf_each_prefix(cv_amf0_decode, block->data, block->len);
        cv_block_unref(&block);
    }
}

// Any byte may be wrong: no crash, no code outside the contract, and what comes out can be written.
static void bug_02_damaged_bytes_are_survived(void **state)
{
    (void)state;
    static struct amf_random random;
    random.amf3 = true;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        random.seed = seed;
        struct cv_block *block = amf_bytes(cv_amf0_value, amf_random_value(&random));
        for (size_t i = 0; i < block->len && i < 300; i++) {
            uint8_t old = block->data[i];
            block->data[i] = (uint8_t)(old ^ (1 + (seed * 31 + i * 17) % 255));
            struct guard guard = guard_copy(block->data, block->len);
            struct cv_amf_doc *doc = cv_amf_doc_new();
            int code = cv_amf0_decode(doc, guard.data, guard.len, NULL);
            assert_true(cv_err_class(code) != CV_CLASS_BUG && cv_err_class(code) != CV_CLASS_NOMEM);
            for (const struct cv_amf *value = cv_amf_doc_first(doc); value; value = value->next) {
                struct cv_block *again = amf_bytes(cv_amf0_value, value);
                cv_block_unref(&again);
            }
            cv_amf_doc_free(doc);
            guard_free(&guard);
            block->data[i] = old;
        }
        cv_block_unref(&block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accessors_accept_null_and_wrong_types),
        cmocka_unit_test(text_compares_whole),
        cmocka_unit_test(last_member_wins),
        cmocka_unit_test(u32_has_edges),
        cmocka_unit_test(numbers_are_booleans),
        cmocka_unit_test(document_lists_values),
        cmocka_unit_test(bad_value_leaves_those_before_it),
        cmocka_unit_test(document_is_reused),
        cmocka_unit_test(bug_03_values_are_capped_over_all_calls),
        cmocka_unit_test(bug_03_depth_is_bounded_over_both_formats),
        cmocka_unit_test(random_values_round_trip),
        cmocka_unit_test(random_values_survive_every_cut),
        cmocka_unit_test(bug_02_damaged_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
