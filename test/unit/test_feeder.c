// FLV from a file or a pipe, on its way to a publisher: what is sent, in which order and when, and
// the sentence for each thing that is wrong with it. With it io/reader, which it reads by.
#include "harness.h"

#include "base/limits.h"
#include "cli/feeder.h"
#include "io/loop.h"
#include "io/reader.h"
#include "proto/flv.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SENT_MAX = 2048, BYTES_MAX = 1 << 20 };

struct scene {
    struct cv_loop *loop;
    struct cv_feeder *feeder;
    struct cv_timer guard; // a test that hangs fails
    struct cv_timer room;  // gives room again, a moment after it was refused
    uint64_t begin_us;
    uint32_t times[SENT_MAX];
    uint64_t at_us[SENT_MAX];
    uint8_t types[SENT_MAX];
    unsigned sent;
    unsigned refuse_every; // every n-th message is refused once; 0: none
    bool refused;          // the next one is taken
    unsigned stop_at;      // so many messages are enough; 0: go on
    int code;
    bool ended;
    char text[256];
};

// ---- data -----------------------------------------------------------------------------------

static void tag(struct cv_wr *wr, uint8_t type, uint32_t ts_ms, const char *text)
{
    cv_flv_write_tag(wr, type, ts_ms, text, (uint32_t)strlen(text));
}

// Metadata, and `frames` frames of video and audio, 10 ms apart.
static size_t make_clip(uint8_t *out, unsigned frames)
{
    struct cv_wr wr = cv_wr_fixed(out, BYTES_MAX);
    cv_flv_write_header(&wr, true, true);
    tag(&wr, CV_MSG_DATA_AMF0, 0, "\x02");
    tag(&wr, CV_MSG_DATA_AMF3, 0, "nobody writes this");
    for (unsigned i = 0; i < frames; i++) {
        tag(&wr, CV_MSG_VIDEO, 500 + 10 * i, "video");
        tag(&wr, CV_MSG_AUDIO, 500 + 10 * i, "audio");
    }
    assert_int_equal(wr.err, CV_OK);
    return wr.len;
}

static int file_of(const uint8_t *data, size_t len)
{
    int fd = memfd_create("feeder", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    return fd;
}

static int pipe_of(const uint8_t *data, size_t len)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, BYTES_MAX) > 0);
    assert_int_equal(write(fds[1], data, len), len);
    close(fds[1]);
    return fds[0];
}

// ---- a feeder at work -----------------------------------------------------------------------

static int on_send(void *arg, const struct cv_msg *msg)
{
    struct scene *scene = arg;
    assert_true(scene->sent < SENT_MAX);
    if (scene->refuse_every && !scene->refused && scene->sent % scene->refuse_every == 0) {
        scene->refused = true;
        cv_timer_start(&scene->room, 0);
        return CV_E_AGAIN;
    }
    scene->refused = false;
    scene->times[scene->sent] = msg->ts_ms;
    scene->types[scene->sent] = msg->type;
    scene->at_us[scene->sent] = cv_loop_now_us(scene->loop) - scene->begin_us;
    scene->sent++;
    if (scene->sent == scene->stop_at)
        cv_loop_stop(scene->loop);
    return CV_OK;
}

static void on_end(void *arg, int code, const struct cv_why *why)
{
    struct scene *scene = arg;
    assert_false(scene->ended);
    scene->ended = true;
    scene->code = code;
    snprintf(scene->text, sizeof scene->text, "%s", why->text);
    cv_feeder_free(&scene->feeder); // is allowed
    cv_loop_stop(scene->loop);
}

static void on_room(void *arg)
{
    struct scene *scene = arg;
    cv_feeder_resume(scene->feeder);
}

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("it hangs");
}

static void open_scene(struct scene *scene, int fd, bool loops)
{
    struct cv_feeder_config config = {
        .fd = fd, .name = "clip.flv", .loops = loops, .send = on_send, .on_end = on_end};
    memset(scene, 0, sizeof *scene);
    config.loop = scene->loop = cv_loop_new();
    assert_non_null(scene->loop);
    config.arg = scene;
    cv_timer_init(&scene->guard, scene->loop, on_guard, scene);
    cv_timer_init(&scene->room, scene->loop, on_room, scene);
    cv_timer_start(&scene->guard, 30 * 1000000);
    scene->begin_us = cv_loop_now_us(scene->loop);
    scene->feeder = cv_feeder_new(&config);
    assert_non_null(scene->feeder);
}

static void close_scene(struct scene *scene)
{
    cv_timer_stop(&scene->guard);
    cv_timer_stop(&scene->room);
    cv_feeder_free(&scene->feeder);
    cv_loop_free(scene->loop);
}

static void run(struct scene *scene)
{
    cv_feeder_start(scene->feeder);
    cv_loop_run(scene->loop);
}

static void expect_frames(const struct scene *scene, unsigned frames)
{
    assert_int_equal(scene->sent, 1 + 2 * frames);
    assert_int_equal(scene->types[0], CV_MSG_DATA_AMF0);
    for (unsigned i = 0; i < frames; i++) {
        assert_int_equal(scene->types[1 + 2 * i], CV_MSG_VIDEO);
        assert_int_equal(scene->types[2 + 2 * i], CV_MSG_AUDIO);
        assert_int_equal(scene->times[1 + 2 * i], 10 * i);
        assert_int_equal(scene->times[2 + 2 * i], 10 * i);
    }
}

// ---- tests ----------------------------------------------------------------------------------

static uint8_t clip[BYTES_MAX];

static void a_file_is_sent_at_its_pace(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, file_of(clip, make_clip(clip, 50)), false);
    run(&scene);
    assert_int_equal(scene.code, CV_OK);
    expect_frames(&scene, 50);
    for (unsigned i = 0; i < scene.sent; i++) // never before its time, but for the head start
        assert_true(scene.at_us[i] + CV_PACE_AHEAD_FILE_MS * 1000 >= scene.times[i] * 1000);
    assert_true(scene.at_us[scene.sent - 1] >= 200 * 1000);
    close_scene(&scene);
}

static void a_file_waits_for_the_start(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, file_of(clip, make_clip(clip, 5)), false);
    for (int i = 0; i < 200; i++)
        cv_loop_run_once(scene.loop);
    assert_int_equal(scene.sent, 0);
    run(&scene);
    expect_frames(&scene, 5);
    close_scene(&scene);
}

static void a_pipe_is_sent_as_it_comes(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, pipe_of(clip, make_clip(clip, 20)), true); // a pipe cannot begin again
    cv_loop_run(scene.loop);                                      // and does not wait for the start
    assert_int_equal(scene.code, CV_OK);
    expect_frames(&scene, 20);
    close_scene(&scene);
}

static void what_is_refused_comes_again(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, pipe_of(clip, make_clip(clip, 40)), false);
    scene.refuse_every = 3;
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_OK);
    expect_frames(&scene, 40);
    close_scene(&scene);
}

static void a_loop_goes_on_without_a_jump(void **state)
{
    (void)state;
    struct scene scene;
    uint32_t last_ms = 0;
    open_scene(&scene, file_of(clip, make_clip(clip, 4)), true);
    scene.stop_at = 9 * 8;
    run(&scene);
    for (unsigned i = 0; i < scene.sent; i++) {
        assert_true(scene.times[i] >= last_ms && scene.times[i] <= last_ms + 10);
        last_ms = scene.times[i];
    }
    assert_int_equal(last_ms, 8 * 40 - 10);
    assert_int_equal(cv_feeder_time_ms(scene.feeder), last_ms);
    close_scene(&scene);
}

static void a_long_file_is_read_in_blocks(void **state)
{
    (void)state;
    static char body[100 * 1024];
    struct scene scene;
    memset(body, 'x', sizeof body - 1);
    struct cv_wr wr = cv_wr_fixed(clip, BYTES_MAX);
    cv_flv_write_header(&wr, true, true);
    for (uint32_t i = 0; i < 8; i++)
        tag(&wr, CV_MSG_VIDEO, i, body);
    open_scene(&scene, file_of(clip, wr.len), false);
    run(&scene);
    assert_int_equal(scene.code, CV_OK);
    assert_int_equal(scene.sent, 8);
    close_scene(&scene);
}

static void what_is_wrong_is_said_in_a_sentence(void **state)
{
    (void)state;
    static const uint8_t head[] = "FLV\x01\x05\0\0\0\x09\0\0\0\0";
    static uint8_t broken[BYTES_MAX];
    size_t len = make_clip(clip, 3);
    memcpy(broken, clip, len);
    memcpy(broken + len, "\x08\xff\xff\xff\0\0\0\0\0\0\0", 11); // a sound of 16 MB
    const struct {
        const uint8_t *data;
        size_t len;
        int code;
        const char *text;
    } rows[] = {
        {(const uint8_t *)"", 0, CV_E_TRUNCATED, "clip.flv holds no FLV stream"},
        {(const uint8_t *)"FLV", 3, CV_E_TRUNCATED, "clip.flv holds no FLV stream"},
        {head, sizeof head - 1, CV_E_TRUNCATED, "clip.flv holds no FLV stream"},
        {(const uint8_t *)"RIFF....AVI LIST", 16, CV_E_FLV, "clip.flv is not FLV"},
        {clip, len - 7, CV_E_TRUNCATED, "clip.flv ends in the middle of a tag"},
        {broken, len + 11, CV_E_TOO_LONG, "clip.flv is damaged"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        open_scene(&scene,
                   i % 2 ? file_of(rows[i].data, rows[i].len) : pipe_of(rows[i].data, rows[i].len),
                   false);
        run(&scene);
        assert_int_equal(scene.code, rows[i].code);
        if (!strstr(scene.text, rows[i].text))
            fail_msg("row %zu: %s", i, scene.text);
        close_scene(&scene);
    }
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, open("/dev/null", O_WRONLY | O_CLOEXEC), false);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_E_SYSTEM);
    assert_string_equal(scene.text, "clip.flv: Bad file descriptor");
    close_scene(&scene);
}

static void it_may_be_freed_at_any_time(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        for (int kind = 0; kind < 2; kind++) {
            struct scene scene;
            size_t len = make_clip(clip, 10);
            open_scene(&scene, kind ? pipe_of(clip, len) : file_of(clip, len), true);
            cv_feeder_start(scene.feeder);
            for (int i = 0; i < turns; i++)
                cv_loop_run_once(scene.loop);
            close_scene(&scene);
        }
    }
}

static void a_pipe_keeps_its_flags(void **state)
{
    (void)state;
    struct scene scene;
    int fd = pipe_of(clip, make_clip(clip, 1));
    int shared = dup(fd); // as a shell's
    int flags = fcntl(shared, F_GETFL);
    open_scene(&scene, fd, false);
    assert_true(fcntl(shared, F_GETFL) & O_NONBLOCK);
    cv_loop_run(scene.loop);
    close_scene(&scene);
    assert_int_equal(fcntl(shared, F_GETFL), flags);
    close(shared);
}

struct memory {
    struct cv_loop *loop;
    int code;
    bool ended;
};

static int take_any(void *arg, const struct cv_msg *msg)
{
    (void)arg;
    (void)msg;
    return CV_OK;
}

static void on_memory_end(void *arg, int code, const struct cv_why *why)
{
    struct memory *memory = arg;
    assert_true(code == CV_OK || why->text[0]);
    memory->code = code;
    cv_loop_stop(memory->loop);
}

static bool feed_without_memory(void *arg)
{
    const size_t *len = arg;
    struct memory memory = {.loop = cv_loop_new()};
    int fd = pipe_of(clip, *len);
    struct cv_feeder_config config = {.loop = memory.loop,
                                      .fd = fd,
                                      .name = "clip.flv",
                                      .send = take_any,
                                      .on_end = on_memory_end,
                                      .arg = &memory};
    struct cv_feeder *feeder = memory.loop ? cv_feeder_new(&config) : NULL;
    if (feeder)
        cv_loop_run(memory.loop);
    else
        close(fd);
    bool good = feeder && memory.code == CV_OK;
    cv_feeder_free(&feeder);
    cv_loop_free(memory.loop);
    return good;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    size_t len = make_clip(clip, 3);
    fail_nth(feed_without_memory, &len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_sent_at_its_pace),
        cmocka_unit_test(a_file_waits_for_the_start),
        cmocka_unit_test(a_pipe_is_sent_as_it_comes),
        cmocka_unit_test(what_is_refused_comes_again),
        cmocka_unit_test(a_loop_goes_on_without_a_jump),
        cmocka_unit_test(a_long_file_is_read_in_blocks),
        cmocka_unit_test(what_is_wrong_is_said_in_a_sentence),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(it_may_be_freed_at_any_time),
        cmocka_unit_test(a_pipe_keeps_its_flags),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
