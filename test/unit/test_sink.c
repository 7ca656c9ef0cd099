// A stream as FLV in a file or a pipe: what is written, to slow readers too, and what is said when
// that fails.
#include "harness.h"

#include "media_kit.h"

#include "base/limits.h"
#include "cli/sink.h"
#include "io/loop.h"
#include "io/signals.h"
#include "proto/flv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct scene {
    struct cv_loop *loop;
    struct cv_sink *sink;
    int code;
    bool ended;
    char text[256];
    char folder[64];
    char path[80];
};

static void on_end(void *arg, int code, const struct cv_why *why)
{
    struct scene *scene = arg;
    assert_false(scene->ended);
    scene->ended = true;
    scene->code = code;
    snprintf(scene->text, sizeof scene->text, "%s", why->text);
    cv_sink_free(&scene->sink); // is allowed
    cv_loop_stop(scene->loop);
}

static void open_sink(struct scene *scene, const char *path)
{
    struct cv_why why = {.code = CV_OK};
    scene->loop = cv_loop_new();
    assert_non_null(scene->loop);
    int fd;
    assert_int_equal(cv_sink_descriptor(&fd, path, &why), CV_OK);
    scene->sink = cv_sink_new(scene->loop, fd, path, on_end, scene);
    assert_non_null(scene->sink);
}

static void open_scene(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/culvert-sink-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/out.flv", scene->folder);
    open_sink(scene, scene->path);
}

static void close_scene(struct scene *scene)
{
    cv_sink_free(&scene->sink);
    cv_loop_free(scene->loop);
    if (scene->folder[0])
        assert_int_equal(remove_tree(scene->folder), 0);
}

static void put(struct scene *scene, uint8_t type, uint32_t ts_ms, const char *head, size_t len)
{
    struct cv_block *block = cv_block_new(len);
    assert_non_null(block);
    memset(block->data, 'x', len);
    hex_bytes(head, block->data, len);
    block->len = (uint32_t)len;
    struct cv_msg msg = {.type = type, .ts_ms = ts_ms, .payload = block};
    cv_sink_put(scene->sink, &msg);
    cv_block_unref(&block);
}

static void put_video(struct scene *scene, uint32_t ts_ms, bool key, size_t len)
{
    put(scene, CV_MSG_VIDEO, ts_ms, key ? "17 01 000000" : "27 01 000000", len);
}

static void put_sound(struct scene *scene, uint32_t ts_ms)
{
    put(scene, CV_MSG_AUDIO, ts_ms, "af 01", 20);
}

// What is in FLV data, as "header:AV v0 a10 ...".
static void list_tags(const uint8_t *data, size_t len, char *out, size_t size)
{
    struct cv_flv_reader *reader = cv_flv_reader_new(CV_LIMIT_MEDIA_BYTES);
    struct cv_flv_event event;
    size_t used = 0;
    out[0] = '\0';
    cv_flv_reader_feed(reader, data, len);
    while (cv_flv_reader_next(reader, &event) > 0) {
        if (event.kind == CV_FLV_HEADER)
            used += (size_t)snprintf(out + used, size - used, "%s%s", event.has_audio ? "A" : "",
                                     event.has_video ? "V" : "");
        else
            used += (size_t)snprintf(out + used, size - used, " %c%u",
                                     event.type == CV_MSG_VIDEO   ? 'v'
                                     : event.type == CV_MSG_AUDIO ? 'a'
                                                                  : 'd',
                                     event.ts_ms);
        assert_true(used < size);
        cv_block_unref(&event.payload);
    }
    assert_int_equal(cv_flv_reader_end(reader), CV_OK);
    cv_flv_reader_free(reader);
}

static void expect_file(const char *path, const char *wanted)
{
    static uint8_t data[65536];
    char text[1024];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(data, 1, sizeof data, file);
    fclose(file);
    list_tags(data, len, text, sizeof text);
    assert_string_equal(text, wanted);
}

// ---- files ----------------------------------------------------------------------------------

static void a_stream_is_written_from_its_first_message_on(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    put(&scene, CV_MSG_DATA_AMF0, 0, "02 000a 6f6e4d65746144617461 05", 14);
    put(&scene, CV_MSG_VIDEO, 5000, "17 00 000000", 9);
    put_video(&scene, 5000, true, 30);
    put_video(&scene, 5040, false, 30);
    put_sound(&scene, 5050);
    put_video(&scene, 5080, false, 30);
    cv_sink_finish(scene.sink);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_OK);
    expect_file(scene.path, "AV d0 v0 v0 v40 a50 v80");
    close_scene(&scene);
}

static void one_track_alone_is_named_alone(void **state)
{
    (void)state;
    struct scene scene;
    struct stat stat;
    open_scene(&scene);
    for (uint32_t at = 0; at < 2000; at += 500)
        put_sound(&scene, at);
    assert_int_equal(lstat(scene.path, &stat), 0);
    assert_int_equal(stat.st_size, 0); // a second track may still come
    put_sound(&scene, 2000);
    assert_int_equal(lstat(scene.path, &stat), 0);
    assert_true(stat.st_size > 0);
    cv_sink_finish(scene.sink);
    cv_loop_run(scene.loop);
    expect_file(scene.path, "A a0 a500 a1000 a1500 a2000");
    close_scene(&scene);
}

static void nothing_leaves_a_file_as_it_was(void **state)
{
    (void)state;
    struct scene scene;
    char text[8] = "";
    open_scene(&scene);
    FILE *file = fopen(scene.path, "w");
    fputs("before", file);
    fclose(file);
    cv_sink_finish(scene.sink);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_OK);
    file = fopen(scene.path, "r");
    assert_int_equal(fread(text, 1, sizeof text - 1, file), 6);
    fclose(file);
    assert_string_equal(text, "before");
    close_scene(&scene);
}

static void a_longer_file_is_cut_off(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    FILE *file = fopen(scene.path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("before", file);
    fclose(file);
    put_video(&scene, 0, true, 30);
    put_sound(&scene, 0);
    cv_sink_finish(scene.sink);
    cv_loop_run(scene.loop);
    expect_file(scene.path, "AV v0 a0");
    close_scene(&scene);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct cv_why why = {.code = CV_OK};
    int fd = -1;
    assert_int_equal(cv_sink_descriptor(&fd, "/nosuchfolder/x.flv", &why), CV_E_SYSTEM);
    assert_int_equal(fd, -1);
    assert_string_equal(why.text, "/nosuchfolder/x.flv: No such file or directory");
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    struct scene scene;
    memset(&scene, 0, sizeof scene);
    open_sink(&scene, "/dev/full");
    put_video(&scene, 0, true, 30);
    put_sound(&scene, 0);
    put_sound(&scene, 20); // behind the failure: ignored
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_E_SYSTEM);
    assert_string_equal(scene.text, "/dev/full: No space left on device");
    close_scene(&scene);
}

// ---- pipes ----------------------------------------------------------------------------------

static void open_pipe(struct scene *scene, int *out_fd)
{
    int fds[2];
    memset(scene, 0, sizeof *scene);
    char path[32];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", fds[1]);
    snprintf(scene->path, sizeof scene->path, "%s", path);
    open_sink(scene, scene->path);
    close(fds[1]);
    *out_fd = fds[0];
}

static void a_reader_that_has_gone_is_told(void **state)
{
    (void)state;
    struct scene scene;
    int fd;
    cv_signals_ignore_pipe();
    open_pipe(&scene, &fd);
    close(fd);
    put_video(&scene, 0, true, 30);
    put_sound(&scene, 0);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_E_CLOSED);
    close_scene(&scene);
}

static size_t read_all_of(int fd, uint8_t *out, size_t max)
{
    size_t len = 0;
    ssize_t got;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (len < max && (got = read(fd, out + len, max - len)) > 0)
        len += (size_t)got;
    return len;
}

// Nobody reads; then somebody does: whole tags, from a key frame on, and a bounded memory.
static void a_slow_reader_skips_to_a_key_frame(void **state)
{
    (void)state;
    static uint8_t data[8 << 20];
    struct scene scene;
    size_t len = 0;
    int fd;
    open_pipe(&scene, &fd);
    put_sound(&scene, 0);
    for (uint32_t at = 0; at <= 4 * CV_PLAY_BEHIND_MS; at += 100)
        put_video(&scene, at, at % 1000 == 0, 10000);
    for (int i = 0; i < 100000 && !scene.ended; i++) {
        len += read_all_of(fd, data + len, sizeof data - len);
        if (i == 1)
            cv_sink_finish(scene.sink);
        if (i == 2)
            assert_true(cv_sink_skipped(scene.sink) > 600);
        cv_loop_run_once(scene.loop);
    }
    len += read_all_of(fd, data + len, sizeof data - len);
    assert_true(scene.ended);
    assert_int_equal(scene.code, CV_OK);
    static char text[65536];
    list_tags(data, len, text, sizeof text);
    assert_non_null(strstr(text, " v120000")); // the newest key frame
    assert_null(strstr(text, " v60000 "));
    close(fd);
    close_scene(&scene);
}

static void it_may_be_freed_while_it_waits(void **state)
{
    (void)state;
    struct scene scene;
    int fd;
    open_pipe(&scene, &fd);
    put_sound(&scene, 0);
    for (uint32_t at = 0; at < 1000; at += 10)
        put_video(&scene, at, at == 0, 10000);
    cv_loop_run_once(scene.loop);
    cv_sink_finish(scene.sink);
    cv_loop_run_once(scene.loop);
    assert_false(scene.ended);
    close_scene(&scene);
    close(fd);
}

// ---- memory ---------------------------------------------------------------------------------

static bool write_without_memory(void *arg)
{
    struct scene *scene = arg;
    int fd;
    scene->ended = false;
    scene->loop = cv_loop_new();
    if (scene->loop) {
        assert_int_equal(cv_sink_descriptor(&fd, scene->path, NULL), CV_OK);
        scene->sink = cv_sink_new(scene->loop, fd, scene->path, on_end, scene);
    }
    if (!scene->sink) {
        cv_loop_free(scene->loop);
        return false;
    }
    static const uint8_t key[] = {0x17, 1, 0, 0, 0, 9};
    static const uint8_t sound[] = {0xaf, 1, 9};
    struct cv_block *payloads[] = {cv_block_copy(key, sizeof key),
                                   cv_block_copy(sound, sizeof sound)};
    for (int i = 0; i < 2; i++) {
        struct cv_msg msg = {.type = i ? CV_MSG_AUDIO : CV_MSG_VIDEO, .payload = payloads[i]};
        if (payloads[i])
            cv_sink_put(scene->sink, &msg);
        cv_block_unref(&payloads[i]);
    }
    cv_sink_finish(scene->sink);
    cv_loop_run(scene->loop);
    assert_true(scene->ended);
    cv_loop_free(scene->loop);
    return scene->code == CV_OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    cv_sink_free(&scene.sink);
    cv_loop_free(scene.loop);
    fail_nth(write_without_memory, &scene);
    assert_int_equal(remove_tree(scene.folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_written_from_its_first_message_on),
        cmocka_unit_test(one_track_alone_is_named_alone),
        cmocka_unit_test(nothing_leaves_a_file_as_it_was),
        cmocka_unit_test(a_longer_file_is_cut_off),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(a_reader_that_has_gone_is_told),
        cmocka_unit_test(a_slow_reader_skips_to_a_key_frame),
        cmocka_unit_test(it_may_be_freed_while_it_waits),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
