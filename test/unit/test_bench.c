// The bench's own instruments: a measuring tool that sees nothing proves nothing.
#include "harness.h"

#include "base/err.h"
#include "base/wire.h"
#include "cli/bench_run.h"
#include "cli/bench_stream.h"
#include "cli/histogram.h"
#include "media/avtag.h"
#include "media/metadata.h"

#include <unistd.h>

static const struct cv_bench_shape shape = {
    .bitrate_kbps = 2500, .fps = 30, .audio_kbps = 128, .gop_s = 2};

// ---- histogram ------------------------------------------------------------------------------

static void small_values_are_exact(void **state)
{
    (void)state;
    static struct cv_histogram histogram;
    histogram = (struct cv_histogram){0};
    assert_int_equal(cv_histogram_at(&histogram, 50), 0);
    for (uint64_t i = 1; i <= 20; i++)
        cv_histogram_add(&histogram, i);
    assert_int_equal(cv_histogram_at(&histogram, 50), 10);
    assert_int_equal(cv_histogram_at(&histogram, 95), 19);
    assert_int_equal(cv_histogram_at(&histogram, 100), 20);
    assert_int_equal(cv_histogram_at(&histogram, 0), 1);
}

static void large_values_are_right_to_one_part_in_32(void **state)
{
    (void)state;
    static struct cv_histogram histogram;
    for (uint64_t value = 1; value < UINT32_MAX; value = value * 9 / 8 + 1) {
        histogram = (struct cv_histogram){0};
        cv_histogram_add(&histogram, value);
        cv_histogram_add(&histogram, UINT32_MAX);
        uint64_t half = cv_histogram_at(&histogram, 50);
        assert_true(half >= value && half <= value + value / 32);
    }
}

static void values_past_the_end_count_as_the_largest(void **state)
{
    (void)state;
    static struct cv_histogram histogram;
    histogram = (struct cv_histogram){0};
    cv_histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram.max, UINT64_MAX);
    assert_true(cv_histogram_at(&histogram, 99) >= UINT32_MAX);
}

// ---- stream ---------------------------------------------------------------------------------

static struct cv_msg next_of(struct cv_bench_source *source)
{
    struct cv_msg msg;
    assert_int_equal(cv_bench_source_next(source, 1000 + source->sequence, &msg), CV_OK);
    return msg;
}

static void stream_has_the_rate_that_was_asked_for(void **state)
{
    (void)state;
    struct cv_bench_source source = {.shape = shape};
    uint64_t bytes = 0;
    uint64_t keys = 0;
    uint64_t key_bytes = 0;
    uint64_t last_us = 0;
    while (cv_bench_source_due_us(&source) < 20 * UINT64_C(1000000)) {
        assert_true(cv_bench_source_due_us(&source) >= last_us);
        last_us = cv_bench_source_due_us(&source);
        struct cv_msg msg = next_of(&source);
        struct cv_avtag tag;
        bool video = msg.type == CV_MSG_VIDEO;
        assert_int_equal(msg.ts_ms, last_us / 1000);
        assert_int_equal(cv_avtag_parse(&tag, video, msg.payload->data, msg.payload->len, NULL),
                         CV_OK);
        assert_int_equal(tag.role, CV_AV_FRAME);
        bytes += msg.payload->len;
        keys += tag.key;
        key_bytes += tag.key ? msg.payload->len : 0;
        cv_block_unref(&msg.payload);
    }
    assert_in_range(bytes * 8 / 20 / 1000, 2400, 2600);
    assert_int_equal(keys, 10);
    assert_int_equal(source.video, 600);
    assert_in_range(source.audio, 860, 863);
    assert_in_range(key_bytes / keys * 600 / bytes, 4, 12);
}

static void headers_are_headers(void **state)
{
    (void)state;
    struct cv_block *blocks[] = {cv_bench_video_header(), cv_bench_audio_header()};
    for (int i = 0; i < 2; i++) {
        struct cv_avtag tag;
        assert_int_equal(cv_avtag_parse(&tag, i == 0, blocks[i]->data, blocks[i]->len, NULL),
                         CV_OK);
        assert_int_equal(tag.role, CV_AV_CONFIG);
        struct cv_bench_checker checker = {0};
        struct cv_msg msg = {.type = i ? CV_MSG_AUDIO : CV_MSG_VIDEO, .payload = blocks[i]};
        uint64_t sent_us;
        assert_int_equal(cv_bench_check(&checker, &msg, &sent_us), CV_BENCH_HEADER);
        cv_block_unref(&blocks[i]);
    }
    struct cv_block *metadata = cv_bench_metadata(&shape);
    size_t offset;
    assert_int_equal(cv_data_classify(metadata, &offset), CV_DATA_METADATA);
    cv_block_unref(&metadata);
}

// ---- checks ---------------------------------------------------------------------------------

// Gives the checker the messages 0 to 9, but as `order` says; 10 ends it.
static struct cv_bench_checker check_order(const int *order)
{
    struct cv_bench_source source = {.shape = shape, .id = 7};
    struct cv_bench_checker checker = {.id = 7};
    struct cv_msg messages[10];
    for (int i = 0; i < 10; i++)
        messages[i] = next_of(&source);
    for (; *order < 10; order++) {
        uint64_t sent_us = 0;
        enum cv_bench_seen seen = cv_bench_check(&checker, &messages[*order], &sent_us);
        assert_int_equal(seen, *order == 0 ? CV_BENCH_KEY : CV_BENCH_OTHER);
        assert_int_equal(sent_us, 1000 + *order);
    }
    for (int i = 0; i < 10; i++)
        cv_block_unref(&messages[i].payload);
    return checker;
}

static void whole_stream_has_no_faults(void **state)
{
    (void)state;
    struct cv_bench_checker seen = check_order((int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    assert_int_equal(seen.messages, 10);
    assert_int_equal(seen.gaps + seen.doubles + seen.damaged, 0);
    assert_int_equal(seen.next, 10);
}

static void missing_and_repeated_messages_are_seen(void **state)
{
    (void)state;
    struct cv_bench_checker seen = check_order((int[]){0, 1, 4, 5, 9, 10});
    assert_int_equal(seen.gaps, 5);
    seen = check_order((int[]){0, 1, 1, 2, 0, 3, 10});
    assert_int_equal(seen.doubles, 2);
    assert_int_equal(seen.gaps, 0);
}

static void every_damaged_byte_is_seen(void **state)
{
    (void)state;
    struct cv_bench_source source = {.shape = {.bitrate_kbps = 64, .fps = 30, .gop_s = 1}};
    struct cv_msg msg = next_of(&source);
    for (uint32_t at = 10; at < msg.payload->len; at++) {
        struct cv_bench_checker checker = {0};
        uint64_t sent_us;
        bool time_or_number = at >= 10 + 8 && at < 10 + 24; // its own value is right, whatever
        msg.payload->data[at] ^= 0x10;
        enum cv_bench_seen seen = cv_bench_check(&checker, &msg, &sent_us);
        if (!time_or_number)
            assert_int_equal(seen, CV_BENCH_DAMAGED);
        msg.payload->data[at] ^= 0x10;
    }
    cv_block_unref(&msg.payload);
}

static void cut_and_foreign_messages_are_damaged(void **state)
{
    (void)state;
    struct cv_bench_source source = {.shape = shape, .id = 1};
    struct cv_msg msg = next_of(&source);
    struct cv_bench_checker other = {.id = 2};
    uint64_t sent_us;
    assert_int_equal(cv_bench_check(&other, &msg, &sent_us), CV_BENCH_DAMAGED);
    for (uint32_t len = 2; len < 60; len++) {
        struct cv_bench_checker checker = {.id = 1};
        struct cv_block *cut = cv_block_copy(msg.payload->data, len);
        struct cv_msg short_msg = {.type = CV_MSG_VIDEO, .payload = cut};
        assert_int_equal(cv_bench_check(&checker, &short_msg, &sent_us), CV_BENCH_DAMAGED);
        assert_int_equal(checker.damaged, 1);
        cv_block_unref(&cut);
    }
    cv_block_unref(&msg.payload);
}

// ---- who checks, where it runs, what it costs -------------------------------------------------

static void picked_are_as_many_as_wanted_and_evenly_spread(void **state)
{
    (void)state;
    static const uint64_t totals[] = {1, 2, 7, 60, 500};
    for (size_t t = 0; t < sizeof totals / sizeof totals[0]; t++) {
        for (uint64_t picked = 0; picked <= totals[t]; picked++) {
            uint64_t count = 0;
            for (uint64_t i = 0; i < totals[t]; i++) {
                count += cv_bench_is_picked(i, picked, totals[t]);
                assert_int_equal(count, (i + 1) * picked / totals[t]);
            }
            assert_int_equal(count, picked);
        }
    }
}

static void steps_are_judged(void **state)
{
    (void)state;
    static const struct {
        struct cv_bench_step step;
        bool held;
        enum cv_bench_verdict verdict;
    } rows[] = {
        // lost, messages, due, p99, processor of the bench
        {{0, 1000, 1000, 999.9, 50}, true, CV_BENCH_HOLDS},
        {{0, 900, 1000, 1000, 95}, true, CV_BENCH_HOLDS},
        {{0, 1000, 1000, 1000.1, 50}, false, CV_BENCH_LIMITED_P99},
        {{0, 899, 1000, 10, 50}, false, CV_BENCH_LIMITED_P99}, // the rest is later still
        {{0, 0, 1000, 0, 5}, false, CV_BENCH_LIMITED_P99},
        {{1, 1000, 1000, 10, 50}, false, CV_BENCH_LIMITED_LOST},
        {{1, 1000, 1000, 5000, 50}, false, CV_BENCH_LIMITED_LOST},
        {{0, 1000, 1000, 10, 96}, true, CV_BENCH_LIMITED_BENCH},
        {{1, 1000, 1000, 5000, 99}, false, CV_BENCH_LIMITED_BENCH},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(cv_bench_step_held(&rows[i].step, 1000), rows[i].held);
        assert_int_equal(cv_bench_judge(&rows[i].step, 1000), rows[i].verdict);
    }
}

static void lists_of_processors_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t set; // 0: no list
    } rows[] = {
        {"0", 1},
        {"1", 2},
        {"0,2-3", 13},
        {"2-3,0", 13},
        {"63", UINT64_C(1) << 63},
        {"0-63", ~UINT64_C(0)},
        {"1,1", 2},
        {"", 0},
        {",", 0},
        {"0,", 0},
        {"64", 0},
        {"3-2", 0},
        {"1-", 0},
        {"-1", 0},
        {"a", 0},
        {"0 ,1", 0},
        {"0-1-2", 0},
        {"0,,1", 0},
        {"99999999999999999999", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t set = 77;
        assert_int_equal(cv_bench_read_cpus(cv_text_of(rows[i].text), &set), rows[i].set != 0);
        assert_true(set == (rows[i].set ? rows[i].set : 77));
    }
}

static void load_of_threads_is_told_by_what_they_used_in_between(void **state)
{
    (void)state;
    static const struct cv_bench_threads begin = {3, {{10, 500000}, {11, 0}, {12, 100}}};
    static const struct cv_bench_threads end = {
        4, {{13, 10000}, {10, 900000}, {11, 9000}, {12, 100}}}; // 13 is new
    struct cv_bench_thread_load load = cv_bench_thread_load(&begin, &end, 1000000);
    assert_int_equal(load.percent_max + 0.5, 40);
    assert_int_equal(load.busy, 2);
    load = cv_bench_thread_load(&begin, &begin, 1000000);
    assert_int_equal(load.percent_max, 0);
    assert_int_equal(load.busy, 0);
}

static void own_process_has_threads_and_memory(void **state)
{
    (void)state;
    static struct cv_bench_threads threads;
    cv_bench_threads_of(getpid(), &threads);
    assert_in_range(threads.count, 1, CV_BENCH_THREADS_MAX);
    assert_true(cv_bench_usage_of(getpid()).rss_bytes > 100000);
    cv_bench_threads_of(0, &threads);
    assert_int_equal(threads.count, 0);
    assert_int_equal(cv_bench_usage_of(0).rss_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(large_values_are_right_to_one_part_in_32),
        cmocka_unit_test(values_past_the_end_count_as_the_largest),
        cmocka_unit_test(stream_has_the_rate_that_was_asked_for),
        cmocka_unit_test(headers_are_headers),
        cmocka_unit_test(whole_stream_has_no_faults),
        cmocka_unit_test(missing_and_repeated_messages_are_seen),
        cmocka_unit_test(every_damaged_byte_is_seen),
        cmocka_unit_test(cut_and_foreign_messages_are_damaged),
        cmocka_unit_test(picked_are_as_many_as_wanted_and_evenly_spread),
        cmocka_unit_test(steps_are_judged),
        cmocka_unit_test(lists_of_processors_are_read),
        cmocka_unit_test(load_of_threads_is_told_by_what_they_used_in_between),
        cmocka_unit_test(own_process_has_threads_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
