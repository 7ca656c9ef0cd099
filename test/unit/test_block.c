// Blocks: counting references, growing, running out of memory.
#include "harness.h"

#include "base/block.h"
#include "base/err.h"
#include "base/mem.h"

static void new_block_is_empty(void **state)
{
    (void)state;
    static const size_t capacities[] = {0, 1, 4096};
    for (size_t i = 0; i < 3; i++) {
        struct cv_block *block = cv_block_new(capacities[i]);
        assert_non_null(block);
        assert_int_equal(atomic_load(&block->refs), 1);
        assert_int_equal(block->len, 0);
        assert_int_equal(block->capacity, capacities[i]);
        cv_block_unref(&block);
    }
}

static void copy_holds_the_bytes(void **state)
{
    (void)state;
    struct cv_block *block = cv_block_copy("a\0b", 3);
    assert_non_null(block);
    assert_int_equal(block->len, 3);
    assert_memory_equal(block->data, "a\0b", 3);
    cv_block_unref(&block);
    block = cv_block_copy(NULL, 0);
    assert_non_null(block);
    assert_int_equal(block->len, 0);
    cv_block_unref(&block);
}

static void last_reference_frees(void **state)
{
    (void)state;
    uint64_t frees = cv_mem_stats().frees;
    struct cv_block *first = cv_block_copy("abc", 3);
    assert_non_null(first);
    struct cv_block *second = cv_block_ref(first);
    struct cv_block *third = cv_block_ref(second);
    assert_ptr_equal(first, third);
    assert_int_equal(atomic_load(&first->refs), 3);
    cv_block_unref(&first);
    assert_null(first);
    cv_block_unref(&third);
    assert_int_equal(cv_mem_stats().frees, frees);
    assert_int_equal(atomic_load(&second->refs), 1);
    assert_memory_equal(second->data, "abc", 3);
    cv_block_unref(&second);
    assert_null(second);
    assert_int_equal(cv_mem_stats().frees, frees + 1);
    cv_block_unref(&second); // nothing is there any more
    assert_int_equal(cv_mem_stats().frees, frees + 1);
}

static void append_fills_to_the_last_byte(void **state)
{
    (void)state;
    struct cv_block *block = cv_block_new(6);
    assert_non_null(block);
    cv_block_append(block, "abc", 3);
    cv_block_append(block, NULL, 0);
    cv_block_append(block, "def", 3);
    assert_int_equal(block->len, 6);
    assert_memory_equal(block->data, "abcdef", 6);
    cv_block_append(block, NULL, 0);
    assert_int_equal(block->len, 6);
    cv_block_unref(&block);
}

static void reserve_grows_and_keeps(void **state)
{
    (void)state;
    struct cv_block *block = cv_block_copy("abc", 3);
    assert_non_null(block);
    struct cv_block *before = block;
    assert_int_equal(cv_block_reserve(&block, 2), CV_OK); // enough is there
    assert_int_equal(cv_block_reserve(&block, 3), CV_OK);
    assert_ptr_equal(block, before);
    assert_int_equal(block->capacity, 3);
    for (size_t capacity = 4; capacity < 100000; capacity *= 3) {
        assert_int_equal(cv_block_reserve(&block, capacity), CV_OK);
        assert_int_equal(block->capacity, capacity);
        assert_int_equal(block->len, 3);
        assert_memory_equal(block->data, "abc", 3);
        block->data[capacity - 1] = 0; // the room is really there: the sanitizer watches
    }
    cv_block_unref(&block);
}

static void reserve_without_memory_changes_nothing(void **state)
{
    (void)state;
    struct cv_block *block = cv_block_copy("abc", 3);
    assert_non_null(block);
    struct cv_block *before = block;
    cv_mem_fail_nth(1);
    assert_int_equal(cv_block_reserve(&block, 100), CV_E_NOMEM);
    assert_int_equal(cv_block_reserve(&block, (size_t)UINT32_MAX + 1), CV_E_NOMEM);
    assert_ptr_equal(block, before);
    assert_int_equal(block->capacity, 3);
    assert_memory_equal(block->data, "abc", 3);
    cv_block_unref(&block);
}

static void bug_05_sizes_past_32_bits_are_refused(void **state)
{
    (void)state;
    uint64_t allocs = cv_mem_stats().allocs;
    assert_null(cv_block_new((size_t)UINT32_MAX + 1));
    assert_null(cv_block_new(SIZE_MAX));
    assert_null(cv_block_new(SIZE_MAX - sizeof(struct cv_block) + 1));
    assert_int_equal(cv_mem_stats().allocs, allocs);
}

static bool copy_and_grow(void *arg)
{
    (void)arg;
    struct cv_block *block = cv_block_copy("abc", 3);
    bool grown = block && cv_block_reserve(&block, 100) == CV_OK;
    cv_block_unref(&block);
    return grown;
}

static void blocks_survive_failing_memory(void **state)
{
    (void)state;
    struct cv_mem_stats before = cv_mem_stats();
    fail_nth(copy_and_grow, NULL);
    // the growing calls of realloc count as allocations, but free nothing on their own
    assert_int_equal(cv_mem_stats().frees - before.frees, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_block_is_empty),
        cmocka_unit_test(copy_holds_the_bytes),
        cmocka_unit_test(last_reference_frees),
        cmocka_unit_test(append_fills_to_the_last_byte),
        cmocka_unit_test(reserve_grows_and_keeps),
        cmocka_unit_test(reserve_without_memory_changes_nothing),
        cmocka_unit_test(bug_05_sizes_past_32_bits_are_refused),
        cmocka_unit_test(blocks_survive_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
