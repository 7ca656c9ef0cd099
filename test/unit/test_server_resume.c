// Publishers that go on after a cut: nothing is lost, nothing comes twice, and viewers notice
// nothing, wherever home and connections are, and whatever has become of the old one. Driven by
// hand, and on real threads (also under the thread sanitizer).
#include "server_kit.h"

#include "base/mem.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/thread.h"
#include "server/publisher.h"
#include "server/resume.h"
#include "server/stream.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static struct kit kit;

enum { HEADERS_BYTES = 100 }; // codec headers are among the first bytes of a publishing

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 20\n";

static void settle(struct client *clients, unsigned count)
{
    for (int i = 0; i < 40; i++) {
        kit_turn(&kit);
        for (unsigned c = 0; c < count; c++)
            client_step(&clients[c]);
    }
}

static void close_all(struct client *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        client_close(&clients[i]);
}

// ---- a publishing of numbered messages --------------------------------------------------------
//
// Message 1 and 2 are codec headers, message n is frame n, with a key frame each 20.

static void queue_message(struct client *client, unsigned n)
{
    if (n == 1)
        client_headers(client, 1); // two messages
    else if (n > 2)
        client_video(client, 1, n, n % 20 == 3, n % 7 * 100);
}

static void queue_messages(struct client *client, unsigned from, unsigned to)
{
    for (unsigned n = from; n <= to; n++)
        queue_message(client, n);
}

// Exactly the first `len` bytes of what waits go out, then the line is dead.
static void send_bytes(struct client *client, size_t len)
{
    struct cv_gather *gather = malloc(sizeof *gather);
    assert_non_null(gather);
    while (len) {
        cv_gather_clear(gather);
        cv_rtmp_pull(client->rtmp, gather);
        assert_true(gather->count > 0);
        size_t first = gather->vectors[0].iov_len < len ? gather->vectors[0].iov_len : len;
        ssize_t sent = write(client->fd, gather->vectors[0].iov_base, first);
        if (sent < 0) // the server takes what is there
            kit_turn(&kit);
        else
            cv_rtmp_sent(client->rtmp, (size_t)sent);
        len -= sent < 0 ? 0 : (size_t)sent;
    }
    free(gather);
}

static bool starts_resumed(struct client *client, const char *name, const char *token,
                           unsigned *taken)
{
    client_publish_resume(client, name, token);
    if (!client_wait(client, "status 1 NetStream.Publish.Start"))
        return false;
    const char *text = client->seen[client->at].text;
    return sscanf(text, "resume %u", taken) == 1;
}

static void see_last(struct client *viewer, unsigned last)
{
    char text[32];
    snprintf(text, sizeof text, "video 1 %u", last);
    assert_true(client_wait(viewer, text));
}

// Frames 3 to `last`, each once, in order; headers once; nothing that speaks of a new beginning.
static void check_seen(const struct client *viewer, unsigned last)
{
    unsigned n = 3;
    for (unsigned i = 0; i < viewer->seen_count; i++) {
        unsigned number;
        if (sscanf(viewer->seen[i].text, "video 1 %u", &number) != 1)
            continue;
        assert_int_equal(number, n);
        n++;
    }
    assert_int_equal(n, last + 1);
    assert_int_equal(client_count(viewer, "header 1"), 2);
    assert_int_equal(client_count(viewer, "status 1 NetStream.Play.UnpublishNotify"), 0);
    assert_int_equal(client_count(viewer, "status 1 NetStream.Play.PublishNotify"), 0);
    assert_int_equal(client_count(viewer, "begin 1"), 1);
}

// ---- cut anywhere -----------------------------------------------------------------------------

enum old_line {
    OLD_SILENT,  // stands there; nothing comes any more
    OLD_UNREAD,  // its last bytes lie unread in the socket when the client comes back
    OLD_SENDING, // goes on to send, while the client is back already
    OLD_CLOSED,  // the client is back before the server has seen its end
    OLD_GRACE,   // has been gone for a while
    OLD_KINDS,
};

struct scene {
    struct client c[3]; // the old line, the new one, a viewer
    char name[32];
};

// home, old line, new line and viewer are where the bits say.
static void begin_scene(struct scene *scene, unsigned where, const char *config)
{
    kit_start(&kit, 2, false, config);
    kit_name(&kit, where & 1, where, scene->name);
    assert_true(client_open(&scene->c[0], &kit, where >> 1 & 1));
    assert_true(client_open(&scene->c[1], &kit, where >> 2 & 1));
    assert_true(client_open(&scene->c[2], &kit, where >> 3 & 1));
    client_command(&scene->c[2], 1, "play", scene->name);
    settle(scene->c, 3);
}

static void end_scene(struct scene *scene)
{
    close_all(scene->c, 3);
    kit_stop(&kit);
}

static void cut_old_line(struct scene *scene, enum old_line kind, size_t bytes)
{
    struct client *old = &scene->c[0];
    send_bytes(old, bytes);
    old->mute = true;
    if (kind == OLD_CLOSED || kind == OLD_GRACE)
        cv_socket_close(&old->fd);
    if (kind != OLD_UNREAD && kind != OLD_CLOSED)
        settle(&scene->c[1], 2);
}

static void check_cut(unsigned where, enum old_line kind, size_t bytes)
{
    enum { SENT = 60, LAST = 120 };
    struct scene scene;
    unsigned taken = UINT_MAX;
    begin_scene(&scene, where, yaml);
    assert_true(starts_resumed(&scene.c[0], scene.name, "", &taken));
    assert_int_equal(taken, 0);
    char token[72];
    memcpy(token, scene.c[0].token, sizeof token);
    assert_int_equal(strlen(token), CV_RESUME_TOKEN_CHARS);
    queue_messages(&scene.c[0], 1, SENT);
    cut_old_line(&scene, kind, bytes);
    assert_true(starts_resumed(&scene.c[1], scene.name, token, &taken));
    assert_string_equal(scene.c[1].token, token);
    assert_true(taken != 1 && taken <= SENT);
    if (kind == OLD_SENDING)
        send_bytes(&scene.c[0], 3000);
    queue_messages(&scene.c[1], taken + 1, LAST);
    client_step(&scene.c[1]);
    see_last(&scene.c[2], LAST);
    check_seen(&scene.c[2], LAST);
    end_scene(&scene);
}

static void publishers_go_on_after_a_cut_anywhere(void **state)
{
    (void)state;
    size_t bytes = HEADERS_BYTES;
    for (unsigned i = 0; i < 48 * OLD_KINDS; i++) {
        check_cut(i * 7 % 16, i % OLD_KINDS, bytes);
        bytes = HEADERS_BYTES + (bytes + 389) % 16000;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishers_go_on_after_a_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
