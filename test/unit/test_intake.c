// Where a new line of time begins in what a client plays.
#include "harness.h"

#include "media_kit.h"

#include "base/err.h"
#include "base/limits.h"
#include "media/intake.h"

struct scene {
    struct cv_stream_log log;
    struct cv_intake intake;
    struct cv_cursor cursor;
};

static void open_scene(struct scene *scene)
{
    cv_stream_log_init(&scene->log, &roomy);
    scene->intake = cv_intake_new(&scene->log);
    scene->cursor = cv_cursor_new();
    cv_cursor_wait(&scene->cursor, &scene->log);
}

static int put(struct scene *scene, uint8_t type, uint32_t ts_ms, const char *hex)
{
    uint8_t bytes[64];
    size_t len = hex_bytes(hex, bytes, sizeof bytes);
    struct cv_block *block = cv_block_copy(bytes, len);
    assert_non_null(block);
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .payload = block};
    int taken = cv_intake_put(&scene->intake, &msg);
    cv_block_unref(&block);
    return taken;
}

static void key(struct scene *scene, uint32_t ts_ms)
{
    assert_int_equal(put(scene, CV_MSG_VIDEO, ts_ms, "17 01 000000 01"), 1);
}

static void inter(struct scene *scene, uint32_t ts_ms)
{
    assert_int_equal(put(scene, CV_MSG_VIDEO, ts_ms, "27 01 000000 02"), 1);
}

static void audio(struct scene *scene, uint32_t ts_ms)
{
    assert_int_equal(put(scene, CV_MSG_AUDIO, ts_ms, "af 01 03"), 1);
}

static void header(struct scene *scene, uint32_t ts_ms)
{
    assert_int_equal(put(scene, CV_MSG_VIDEO, ts_ms, "17 00 000000 01"), 1);
}

// The times of the frames in the log.
static void expect_times(struct scene *scene, const uint32_t *times, unsigned count)
{
    struct cv_msg msg;
    unsigned n = 0;
    while (cv_cursor_next(&scene->cursor, &scene->log, &msg) > 0) {
        if (msg.type == CV_MSG_DATA_AMF0 || msg.payload->data[1] == 0)
            continue;
        assert_true(n < count);
        assert_int_equal(msg.ts_ms, times[n]);
        n++;
    }
    assert_int_equal(n, count);
    cv_stream_log_done(&scene->log);
}

static void what_flash_needs_is_left_out(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    assert_int_equal(
        put(&scene, CV_MSG_DATA_AMF0, 0, "02 0011 7c52746d7053616d706c65416363657373 0101 0101"),
        0);
    assert_false(scene.log.started);
    assert_int_equal(put(&scene, CV_MSG_DATA_AMF0, 0, "02 0001 7c"), 1);
    expect_times(&scene, NULL, 0);
}

static void a_cut_that_was_resumed_changes_nothing(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    key(&scene, 1000);
    inter(&scene, 1040);
    cv_intake_resumed(&scene.intake);
    inter(&scene, 1080); // not even a key frame is needed
    inter(&scene, 1120);
    expect_times(&scene, (const uint32_t[]){1000, 1040, 1080, 1120}, 4);
}

static void a_cut_that_was_not_begins_at_a_key_frame(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    header(&scene, 1000);
    key(&scene, 1000);
    inter(&scene, 1040);
    cv_intake_resumed(&scene.intake);
    header(&scene, 0);
    inter(&scene, 0); // of no use
    key(&scene, 40);
    inter(&scene, 80);
    struct cv_msg msg;
    uint32_t last_ms = 0;
    unsigned frames = 0;
    while (cv_cursor_next(&scene.cursor, &scene.log, &msg) > 0) {
        assert_true(msg.ts_ms >= last_ms);
        last_ms = msg.ts_ms;
        frames += msg.payload->data[1] == 1;
    }
    assert_int_equal(frames, 4);
    cv_stream_log_done(&scene.log);
}

static void times_that_fall_back_are_moved(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    key(&scene, 100000);
    audio(&scene, 100010);
    inter(&scene, 100040);
    key(&scene, 0); // the publisher has begun anew, and nobody told
    audio(&scene, 10);
    inter(&scene, 40);
    struct cv_msg msg;
    uint32_t last_ms = 0;
    while (cv_cursor_next(&scene.cursor, &scene.log, &msg) > 0) {
        assert_true(msg.ts_ms >= last_ms);
        last_ms = msg.ts_ms;
    }
    assert_true(last_ms > 100040 && last_ms < 101000);
    cv_stream_log_done(&scene.log);
}

static void small_steps_back_are_none(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    key(&scene, 2000);
    inter(&scene, 2000 - CV_PACE_BACK_MS);
    audio(&scene, 0); // the first of its kind
    inter(&scene, 2040);
    expect_times(&scene, (const uint32_t[]){2000, 1000, 0, 2040}, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_flash_needs_is_left_out),
        cmocka_unit_test(a_cut_that_was_resumed_changes_nothing),
        cmocka_unit_test(a_cut_that_was_not_begins_at_a_key_frame),
        cmocka_unit_test(times_that_fall_back_are_moved),
        cmocka_unit_test(small_steps_back_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
