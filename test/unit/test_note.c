// Notes and batches: what threads send each other.
#include "harness.h"

#include "base/err.h"
#include "base/mem.h"
#include "server/note.h"

static const struct cv_publisher_id someone = {.thread = 2, .serial = 7};

static struct cv_path path_of(const char *text)
{
    struct cv_path path;
    assert_int_equal(cv_path_join(&path, cv_text_of(text), cv_text_of("")), CV_OK);
    return path;
}

static void a_batch_knows_whose_it_is(void **state)
{
    (void)state;
    struct cv_path path = path_of("live/a");
    struct cv_batch *batch = cv_batch_new(&path, &someone);
    assert_int_equal(batch->publisher.serial, 7);
    assert_int_equal(batch->publisher.thread, 2);
    assert_string_equal(batch->path.text, "live/a");
    assert_int_equal(batch->count, 0);
    cv_batch_free(&batch);
    assert_null(batch);
    cv_batch_free(&batch);
    batch = cv_batch_new(&path, NULL);
    assert_int_equal(batch->publisher.serial, 0);
    cv_batch_free(&batch);
}

static void a_batch_grows_to_its_cap_and_keeps_order(void **state)
{
    (void)state;
    struct cv_path path = path_of("live/a");
    struct cv_batch *batch = cv_batch_new(&path, &someone);
    struct cv_block *block = cv_block_copy("x", 1);
    struct cv_msg msg = {.payload = block};
    for (uint32_t i = 0; i < CV_BATCH_ITEMS_MAX; i++) {
        msg.ts_ms = i;
        msg.type = i % 2 ? CV_MSG_AUDIO : CV_MSG_VIDEO;
        assert_int_equal(cv_batch_add(&batch, &msg, CV_LOG_NONE), CV_OK);
        assert_true(batch->count <= batch->capacity && batch->capacity <= CV_BATCH_ITEMS_MAX);
    }
    assert_int_equal(block->refs, CV_BATCH_ITEMS_MAX + 1);
    assert_int_equal(cv_batch_add(&batch, &msg, CV_LOG_NONE), CV_E_QUEUE_FULL);
    assert_int_equal(block->refs, CV_BATCH_ITEMS_MAX + 1);
    assert_int_equal(batch->count, CV_BATCH_ITEMS_MAX);
    for (uint32_t i = 0; i < CV_BATCH_ITEMS_MAX; i++) {
        assert_int_equal(batch->items[i].ts_ms, i);
        assert_int_equal(batch->items[i].type, i % 2 ? CV_MSG_AUDIO : CV_MSG_VIDEO);
        assert_ptr_equal(batch->items[i].payload, block);
    }
    assert_int_equal(batch->publisher.serial, 7);
    assert_string_equal(batch->path.text, "live/a");
    cv_batch_free(&batch);
    assert_int_equal(block->refs, 1);
    cv_block_unref(&block);
}

static void a_batch_is_used_again(void **state)
{
    (void)state;
    struct cv_path path = path_of("live/a");
    struct cv_batch *batch = cv_batch_new(&path, &someone);
    struct cv_block *block = cv_block_copy("xy", 2);
    struct cv_msg msg = {.payload = block};
    const struct cv_batch *first = batch;
    assert_int_equal(cv_batch_add(&batch, &msg, CV_LOG_NONE), CV_OK);
    assert_int_equal(batch->bytes, 2);
    cv_batch_clear(&batch);
    assert_ptr_equal(batch, first);
    assert_int_equal(batch->count, 0);
    assert_int_equal(batch->bytes, 0);
    assert_int_equal(block->refs, 1);
    assert_int_equal(batch->publisher.serial, 7);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cv_batch_add(&batch, &msg, CV_LOG_NONE), CV_OK);
    cv_batch_clear(&batch); // too large to be kept
    assert_null(batch);
    assert_int_equal(block->refs, 1);
    cv_block_unref(&block);
}

static bool fill(void *arg)
{
    struct cv_block *block = arg;
    struct cv_path path = path_of("live/a");
    struct cv_batch *batch = cv_batch_new(&path, NULL);
    struct cv_msg msg = {.type = CV_MSG_AUDIO, .payload = block};
    bool all = batch;
    for (uint32_t i = 0; batch && i < CV_BATCH_ITEMS_MAX; i++) {
        msg.ts_ms = i;
        uint32_t count = batch->count;
        int err = cv_batch_add(&batch, &msg, CV_LOG_NONE);
        assert_int_equal(batch->count, count + (err == CV_OK));
        assert_int_equal(block->refs, batch->count + 1); // a failure has taken nothing
        all &= err == CV_OK;
    }
    cv_batch_free(&batch);
    assert_int_equal(block->refs, 1);
    return all;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    struct cv_block *block = cv_block_copy("x", 1);
    fail_nth(fill, block);
    cv_block_unref(&block);
}

static void a_note_gives_up_its_policy(void **state)
{
    (void)state;
    struct cv_config *config = NULL;
    struct cv_config_why why;
    assert_int_equal(cv_config_parse("c", "", 0, NULL, &config, &why), CV_OK);
    struct cv_keys *keys = cv_keys_new(NULL, 0);
    struct cv_tallies tallies = {0};
    struct cv_policy *policy = cv_policy_new(config, keys, &tallies);
    struct cv_note *note = cv_mem_zero(1, sizeof *note);
    note->policy = cv_policy_ref(policy);
    assert_int_equal(policy->refs, 2);
    cv_note_free(note);
    assert_int_equal(policy->refs, 1);
    cv_note_free(cv_mem_zero(1, sizeof *note)); // one without
    cv_policy_unref(&policy);
    cv_keys_unref(&keys);
    cv_config_unref(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_knows_whose_it_is),
        cmocka_unit_test(a_batch_grows_to_its_cap_and_keeps_order),
        cmocka_unit_test(a_batch_is_used_again),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(a_note_gives_up_its_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
