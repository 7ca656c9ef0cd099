// Publishers that go on after a cut: nothing is lost, nothing comes twice, and viewers notice
// nothing, wherever home and connections are, and whatever has become of the old one. Driven by
// hand, and on real threads (also under the thread sanitizer).
#include "server_kit.h"

#include "io/clock.h"
#include "io/socket.h"
#include "io/thread.h"
#include "server/publisher.h"
#include "server/resume.h"
#include "server/stream.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static struct kit kit;

enum { HEADERS_BYTES = 100 }; // codec headers are among the first bytes of a publishing

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 20\n";

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
    kit_settle(&kit, scene->c, 3);
}

static void end_scene(struct scene *scene)
{
    clients_close(scene->c, 3);
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
        kit_settle(&kit, &scene->c[1], 2);
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

// ---- what a token is worth --------------------------------------------------------------------

static const char with_keys[] = "log_level: error\nlatency_ms: 0\n";
static const char yaml_takeover[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                    "apps:\n  - name: live\n    takeover: true\n";

static struct cv_stream *stream_of(const struct scene *scene, unsigned home)
{
    struct cv_path path;
    struct cv_stream *stream = NULL;
    assert_int_equal(cv_path_join(&path, cv_text_of("live"), cv_text_of(scene->name)), CV_OK);
    HASH_FIND(hh, kit.workers[home]->streams, path.text, path.len, stream);
    return stream;
}

// The old line has published frames up to `last`, and the server has them.
static void publish_some(struct scene *scene, unsigned last)
{
    unsigned taken;
    assert_true(starts_resumed(&scene->c[0], scene->name, "", &taken));
    queue_messages(&scene->c[0], 1, last);
    client_step(&scene->c[0]);
    see_last(&scene->c[2], last);
}

static void nobody_gets_in_by_a_wrong_token(void **state)
{
    (void)state;
    static const char *const wrong[] = {"0", "00000000000000000000000000000000",
                                        "0000000000000000000000000000000000",
                                        "not a token, though of 32 bytes!"};
    for (unsigned i = 0; i < 6; i++) {
        struct scene scene;
        unsigned taken;
        char upper[72];
        begin_scene(&scene, i, yaml);
        publish_some(&scene, 30);
        for (unsigned at = 0; at < sizeof upper; at++) // the right one, but not as we write it
            upper[at] = (char)toupper(scene.c[0].token[at]);
        client_close(&scene.c[0]);
        kit_settle(&kit, &scene.c[1], 2);
        if (i == 5)
            upper[CV_RESUME_TOKEN_CHARS - 1] ^= 1;
        const char *token = i < 4 ? wrong[i] : upper;
        assert_true(starts_resumed(&scene.c[1], scene.name, token, &taken));
        assert_int_equal(taken, 0);
        assert_int_equal(strlen(scene.c[1].token), CV_RESUME_TOKEN_CHARS);
        assert_string_not_equal(scene.c[1].token, token);
        clients_close(&scene.c[1], 2);
        kit_stop(&kit);
    }
}

static void a_token_is_good_for_its_stream_only(void **state)
{
    (void)state;
    struct scene scene;
    unsigned taken;
    char other[32];
    begin_scene(&scene, 2, yaml);
    kit_name(&kit, 0, 77, other);
    publish_some(&scene, 30);
    assert_true(starts_resumed(&scene.c[1], other, scene.c[0].token, &taken));
    assert_int_equal(taken, 0);
    assert_string_not_equal(scene.c[1].token, scene.c[0].token);
    queue_messages(&scene.c[0], 31, 40);
    client_step(&scene.c[0]);
    see_last(&scene.c[2], 40);
    end_scene(&scene);
}

// It says which publishing is meant, and is no permission.
static void bug_33_a_token_is_no_key(void **state)
{
    (void)state;
    static const char *const keys[] = {"", "?key=", "?key=three", "?key=two"};
    for (unsigned i = 0; i < 4; i++) {
        struct scene scene;
        char name[64];
        begin_scene(&scene, 6, with_keys);
        snprintf(name, sizeof name, "%s?key=one", scene.name);
        client_publish_resume(&scene.c[0], name, "");
        assert_true(client_wait(&scene.c[0], "resume 0"));
        queue_messages(&scene.c[0], 1, 30);
        client_step(&scene.c[0]);
        see_last(&scene.c[2], 30);
        snprintf(name, sizeof name, "%s%s", scene.name, keys[i]);
        client_publish_resume(&scene.c[1], name, scene.c[0].token);
        if (i < 3)
            assert_true(client_wait_closed(&scene.c[1]));
        else
            assert_true(client_wait(&scene.c[1], "resume 30"));
        queue_messages(&scene.c[i < 3 ? 0 : 1], 31, 40);
        client_step(&scene.c[i < 3 ? 0 : 1]);
        see_last(&scene.c[2], 40);
        check_seen(&scene.c[2], 40);
        end_scene(&scene);
    }
}

static const char yaml_no_grace[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                    "apps:\n  - name: live\n    grace_s: 0\n";

// The stream is there still, for those who watch it; its publishing is over, and they know.
static void who_comes_too_late_begins_anew(void **state)
{
    (void)state;
    for (unsigned where = 0; where < 16; where++) {
        struct scene scene;
        unsigned taken;
        begin_scene(&scene, where, yaml_no_grace);
        publish_some(&scene, 30);
        client_close(&scene.c[0]);
        assert_true(client_wait(&scene.c[2], "status 1 NetStream.Play.UnpublishNotify"));
        assert_true(starts_resumed(&scene.c[1], scene.name, scene.c[0].token, &taken));
        assert_int_equal(taken, 0);
        assert_string_not_equal(scene.c[1].token, scene.c[0].token);
        assert_true(client_wait(&scene.c[2], "status 1 NetStream.Play.PublishNotify"));
        clients_close(&scene.c[1], 2);
        kit_stop(&kit);
    }
}

static const char yaml_one[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                               "apps:\n  - name: live\n    streams_max: 1\n    grace_s: 20\n";

// The app is full with the old line, whose place the new one takes. No other token makes room.
static void a_full_app_has_room_for_who_returns(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct scene scene;
        struct client more;
        begin_scene(&scene, 2 * i, yaml_one);
        assert_true(client_open(&more, &kit, i & 1));
        publish_some(&scene, 30);
        bool elsewhere = i & 1;
        client_publish_resume(&more, elsewhere ? "another" : scene.name,
                              elsewhere ? scene.c[0].token : "00000000000000000000000000000000");
        assert_true(client_wait(&more, "status 1 NetStream.Publish.BadName"));
        assert_true(client_wait_closed(&more));
        client_close(&more);
        unsigned streams = HASH_COUNT(kit.workers[0]->streams);
        assert_int_equal(streams + HASH_COUNT(kit.workers[1]->streams), 1);
        unsigned taken;
        assert_true(starts_resumed(&scene.c[1], scene.name, scene.c[0].token, &taken));
        assert_int_equal(taken, 30);
        queue_messages(&scene.c[1], 31, 40);
        client_step(&scene.c[1]);
        see_last(&scene.c[2], 40);
        check_seen(&scene.c[2], 40);
        assert_true(client_wait_closed(&scene.c[0]));
        client_close(&scene.c[0]);
        kit_settle(&kit, &scene.c[1], 2);
        assert_true(client_open(&scene.c[0], &kit, i & 1));
        client_command(&scene.c[0], 1, "publish", "another"); // it is as full as before
        assert_true(client_wait(&scene.c[0], "status 1 NetStream.Publish.BadName"));
        end_scene(&scene);
    }
}

// In its grace time a stream has no place of its own: somebody else may have taken it.
static void a_place_that_was_left_may_be_taken(void **state)
{
    (void)state;
    struct scene scene;
    struct client more;
    begin_scene(&scene, 2, yaml_one);
    assert_true(client_open(&more, &kit, 0));
    publish_some(&scene, 30);
    client_close(&scene.c[0]);
    kit_settle(&kit, &scene.c[1], 2);
    client_command(&more, 1, "publish", "another");
    assert_true(client_wait(&more, "status 1 NetStream.Publish.Start"));
    client_publish_resume(&scene.c[1], scene.name, scene.c[0].token);
    assert_true(client_wait(&scene.c[1], "status 1 NetStream.Publish.BadName"));
    client_close(&more);
    clients_close(&scene.c[1], 2);
    kit_stop(&kit);
}

// FCUnpublish, deleteStream or closeStream: there is nothing to go on with.
static void what_was_ended_on_purpose_is_over(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct scene scene;
        unsigned taken;
        begin_scene(&scene, how * 3, yaml);
        publish_some(&scene, 30);
        if (how == 0)
            client_command(&scene.c[0], 0, "FCUnpublish", scene.name);
        else if (how == 1)
            client_command_number(&scene.c[0], 0, "deleteStream", 1);
        else
            client_command(&scene.c[0], 1, "closeStream", NULL);
        client_step(&scene.c[0]);
        assert_true(client_wait(&scene.c[2], "status 1 NetStream.Play.UnpublishNotify"));
        assert_true(starts_resumed(&scene.c[1], scene.name, scene.c[0].token, &taken));
        assert_int_equal(taken, 0);
        assert_string_not_equal(scene.c[1].token, scene.c[0].token);
        end_scene(&scene);
    }
}

static void nobody_is_told_who_has_not_asked(void **state)
{
    (void)state;
    struct scene scene;
    begin_scene(&scene, 5, yaml);
    assert_true(client_publish(&scene.c[0], 1, scene.name));
    queue_messages(&scene.c[0], 1, 30);
    client_step(&scene.c[0]);
    see_last(&scene.c[2], 30);
    uint64_t until_us = cv_clock_now_us() + 2 * CV_RESUME_TELL_MS * 1000;
    while (cv_clock_now_us() < until_us)
        kit_settle(&kit, scene.c, 3);
    assert_string_equal(scene.c[0].token, "");
    for (unsigned i = 0; i < scene.c[0].seen_count; i++)
        assert_null(strstr(scene.c[0].seen[i].text, "taken"));
    end_scene(&scene);
}

// Each 250 ms at most, and always the whole truth in the end.
static void a_publisher_is_told_what_has_been_taken(void **state)
{
    (void)state;
    enum { LAST = 100 };
    struct scene scene;
    unsigned taken;
    begin_scene(&scene, 3, yaml);
    uint64_t begun_us = cv_clock_now_us();
    assert_true(starts_resumed(&scene.c[0], scene.name, "", &taken));
    for (unsigned n = 1; n <= LAST; n++) {
        queue_message(&scene.c[0], n);
        kit_settle(&kit, scene.c, 1);
        uint64_t pause_us = cv_clock_now_us() + 8000;
        while (cv_clock_now_us() < pause_us)
            kit_settle(&kit, scene.c, 1);
    }
    assert_true(client_wait(&scene.c[0], "taken 100"));
    uint64_t passed_us = cv_clock_now_us() - begun_us;
    unsigned told = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < scene.c[0].seen_count; i++) {
        if (sscanf(scene.c[0].seen[i].text, "taken %u", &taken) != 1)
            continue;
        assert_true(taken > last && taken <= LAST);
        last = taken;
        told++;
    }
    assert_true(told >= 2);
    assert_true(told * CV_RESUME_TELL_MS * UINT64_C(1000) <= passed_us);
    uint64_t until_us = cv_clock_now_us() + 2 * CV_RESUME_TELL_MS * 1000;
    while (cv_clock_now_us() < until_us)
        kit_settle(&kit, scene.c, 3);
    assert_int_equal(client_count(&scene.c[0], "taken 100"), 1);
    end_scene(&scene);
}

// ---- who waits for the old line's last word ---------------------------------------------------

// Its thread stands still, with bytes of the old line unread: c[1] has asked and waits.
static void begin_waiting(struct scene *scene, struct client *more)
{
    begin_scene(scene, 2, yaml); // home and new line are on thread 0, the old line is on 1
    assert_true(client_open(more, &kit, 0));
    publish_some(scene, 30);
    kit.frozen[1] = true;
    queue_messages(&scene->c[0], 31, 50);
    client_step(&scene->c[0]);
    client_publish_resume(&scene->c[1], scene->name, scene->c[0].token);
    kit_settle(&kit, scene->c, 3);
    assert_int_equal(client_count(&scene->c[1], "status 1 NetStream.Publish.Start"), 0);
}

static void check_goes_on(struct scene *scene, struct client *client)
{
    unsigned taken = UINT_MAX;
    assert_true(client_wait(client, "status 1 NetStream.Publish.Start"));
    assert_int_equal(sscanf(client->seen[client->at].text, "resume %u", &taken), 1);
    assert_in_range(taken, 30, 50);
    assert_string_equal(client->token, scene->c[0].token);
    queue_messages(client, taken + 1, 60);
    client_step(client);
    see_last(&scene->c[2], 60);
    check_seen(&scene->c[2], 60);
}

static void nothing_but_its_end_says_that_the_old_line_has_ended(void **state)
{
    (void)state;
    struct scene scene;
    struct client more;
    begin_waiting(&scene, &more);
    struct cv_note heard = {.kind = CV_NOTE_HEARD}; // long ago, and it comes late
    heard.path = stream_of(&scene, 0)->path;
    heard.publisher = stream_of(&scene, 0)->publisher;
    assert_true(kit_tell(&kit, 0, &heard));
    kit_settle(&kit, scene.c, 3);
    assert_int_equal(client_count(&scene.c[1], "status 1 NetStream.Publish.Start"), 0);
    kit.frozen[1] = false;
    check_goes_on(&scene, &scene.c[1]);
    client_close(&more);
    end_scene(&scene);
}

// A client may give up a connection and come on another one.
static void the_last_who_comes_with_the_token_goes_on(void **state)
{
    (void)state;
    struct scene scene;
    struct client more;
    begin_waiting(&scene, &more);
    client_publish_resume(&more, scene.name, scene.c[0].token);
    client_step(&more);
    assert_true(client_wait(&scene.c[1], "status 1 NetStream.Publish.BadName"));
    kit_settle(&kit, scene.c, 3);
    kit.frozen[1] = false;
    check_goes_on(&scene, &more);
    client_close(&more);
    end_scene(&scene);
}

static void who_waits_may_leave(void **state)
{
    (void)state;
    for (unsigned clean = 0; clean < 2; clean++) {
        struct scene scene;
        struct client more;
        begin_waiting(&scene, &more);
        if (clean)
            client_command_number(&scene.c[1], 0, "deleteStream", 1);
        client_step(&scene.c[1]);
        if (!clean)
            client_close(&scene.c[1]);
        kit_settle(&kit, &scene.c[2], 1);
        kit.frozen[1] = false;
        kit_settle(&kit, &scene.c[2], 1);
        assert_int_equal(stream_of(&scene, 0)->state, CV_STREAM_GRACE);
        client_publish_resume(&more, scene.name, scene.c[0].token);
        check_goes_on(&scene, &more);
        client_close(&more);
        client_close(&scene.c[0]);
        client_close(&scene.c[2]);
        if (clean)
            client_close(&scene.c[1]);
        kit_stop(&kit);
    }
}

// Who asks with the key alone waits for silence; who has the token need not.
static void the_token_goes_before_the_key(void **state)
{
    (void)state;
    struct scene scene;
    struct client more;
    begin_scene(&scene, 2, yaml);
    assert_true(client_open(&more, &kit, 0));
    publish_some(&scene, 30);
    client_command(&more, 1, "publish", scene.name);
    client_step(&more);
    kit_settle(&kit, scene.c, 3);
    uint64_t asked_us = cv_clock_now_us();
    client_publish_resume(&scene.c[1], scene.name, scene.c[0].token);
    check_goes_on(&scene, &scene.c[1]);
    assert_true(cv_clock_now_us() - asked_us < CV_GHOST_SILENCE_MS * 900);
    assert_true(client_wait(&more, "status 1 NetStream.Publish.BadName"));
    client_close(&more);
    end_scene(&scene);
}

// An app that lets publishers take over counts just as well.
static void a_takeover_with_the_token_loses_nothing(void **state)
{
    (void)state;
    struct scene scene;
    begin_scene(&scene, 2, yaml_takeover);
    publish_some(&scene, 30);
    queue_messages(&scene.c[0], 31, 50);
    client_step(&scene.c[0]);
    client_publish_resume(&scene.c[1], scene.name, scene.c[0].token);
    check_goes_on(&scene, &scene.c[1]);
    assert_true(client_wait_closed(&scene.c[0]));
    end_scene(&scene);
}

// The old line has more on its way home than the mailbox takes: that has not been taken.
static void a_home_that_is_behind_loses_nothing(void **state)
{
    (void)state;
    for (unsigned where = 2; where < 8; where += 4) { // the new line with the home, and elsewhere
        enum { LAST = 3000 };
        struct scene scene;
        unsigned taken = UINT_MAX;
        begin_scene(&scene, where, yaml);
        publish_some(&scene, 30);
        kit.frozen[0] = true;
        for (unsigned n = 31; n <= LAST; n++) {
            client_video(&scene.c[0], 1, n, false, 0);
            kit_turn(&kit);
            client_step(&scene.c[0]);
        }
        client_publish_resume(&scene.c[1], scene.name, scene.c[0].token);
        client_step(&scene.c[1]);
        kit_turn(&kit);
        kit.frozen[0] = false;
        assert_true(client_wait(&scene.c[1], "status 1 NetStream.Publish.Start"));
        assert_int_equal(sscanf(scene.c[1].seen[scene.c[1].at].text, "resume %u", &taken), 1);
        assert_in_range(taken, 30, LAST);
        for (unsigned n = taken + 1; n <= LAST + 10; n++) {
            client_video(&scene.c[1], 1, n, false, 0);
            client_step(&scene.c[1]);
            kit_turn(&kit);
        }
        see_last(&scene.c[2], LAST + 10);
        check_seen(&scene.c[2], LAST + 10);
        end_scene(&scene);
    }
}

// What its client has been told may be forgotten there, whoever is faster at home.
static void what_a_client_was_told_counts(void **state)
{
    (void)state;
    enum { HOME = 1, TOLD = 60 };
    struct client c[3];
    char name[32];
    unsigned taken = UINT_MAX;
    kit_start(&kit, 3, false, yaml);
    kit_name(&kit, HOME, 0, name);
    assert_true(client_open(&c[0], &kit, 2));
    assert_true(client_open(&c[1], &kit, 0));
    assert_true(client_open(&c[2], &kit, HOME));
    client_command(&c[2], 1, "play", name);
    kit_settle(&kit, c, 3);
    assert_true(starts_resumed(&c[0], name, "", &taken));
    kit.frozen[HOME] = true;
    queue_messages(&c[0], 1, TOLD);
    client_step(&c[0]);
    assert_true(client_wait(&c[0], "taken 60")); // it is on its way home
    client_publish_resume(&c[1], name, c[0].token);
    kit_settle(&kit, c, 2);
    kit.frozen[HOME] = false;
    assert_true(client_wait(&c[1], "resume 60"));
    queue_messages(&c[1], TOLD + 1, TOLD + 20);
    client_step(&c[1]);
    see_last(&c[2], TOLD + 20);
    check_seen(&c[2], TOLD + 20);
    clients_close(c, 3);
    kit_stop(&kit);
}

// The old line says goodbye while somebody waits for its end: that was on purpose.
static void a_goodbye_is_believed_while_somebody_waits(void **state)
{
    (void)state;
    struct scene scene;
    struct client more;
    begin_waiting(&scene, &more);
    struct cv_note goodbye = {.kind = CV_NOTE_UNPUBLISH, .flag = true};
    goodbye.path = stream_of(&scene, 0)->path;
    goodbye.publisher = stream_of(&scene, 0)->publisher;
    assert_true(kit_tell(&kit, 0, &goodbye));
    assert_true(client_wait(&scene.c[1], "resume 0"));
    assert_string_not_equal(scene.c[1].token, scene.c[0].token);
    kit.frozen[1] = false;
    kit_settle(&kit, scene.c, 3);
    queue_messages(&scene.c[1], 43, 60);
    client_step(&scene.c[1]);
    see_last(&scene.c[2], 60);
    client_close(&more);
    end_scene(&scene);
}

// ---- on real threads ------------------------------------------------------------------------

static bool publish_on(struct client *client, const char *name, char token[72], unsigned *taken)
{
    bool ok = starts_resumed(client, name, token, taken);
    memcpy(token, client->token, sizeof client->token);
    return ok;
}

// Cut again and again, at any moment, by a new line that opens while the old one still sends.
static void check_cuts_on_threads(unsigned workers, unsigned home)
{
    enum { ROUNDS = 40, EACH = 25 };
    struct client lines[2];
    struct client viewer;
    char name[32];
    char token[72] = "";
    unsigned taken = 0;
    kit_start(&kit, workers, true, yaml);
    kit_name(&kit, home, workers, name);
    assert_true(client_open(&viewer, &kit, 0));
    client_command(&viewer, 1, "play", name);
    client_create_stream(&viewer);
    assert_true(client_wait(&viewer, "result 4 3")); // play has been seen
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct client *line = &lines[round & 1];
        assert_true(client_open(line, &kit, round % workers));
        assert_true(publish_on(line, name, token, &taken));
        if (round)
            client_close(&lines[~round & 1]);
        assert_in_range(taken, 0, round * EACH);
        assert_int_not_equal(taken, 1);
        queue_messages(line, taken + 1, (round + 1) * EACH);
        client_step(line);
        client_step(&viewer);
    }
    see_last(&viewer, ROUNDS * EACH);
    check_seen(&viewer, ROUNDS * EACH);
    client_close(&lines[(ROUNDS - 1) & 1]);
    client_close(&viewer);
    kit_stop(&kit);
}

static void cuts_on_real_threads(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++)
        check_cuts_on_threads(workers, workers - 1);
}

// ---- without memory -------------------------------------------------------------------------

// A publishing and its return, while the old line is there and in its grace time. False: nothing
// failed any more.
static bool resume_with_failure(uint64_t n, const char *name)
{
    struct client c[4];
    uint64_t left = n;
    for (unsigned i = 0; i < 4; i++)
        assert_true(client_open(&c[i], &kit, i % 2));
    client_command(&c[3], 1, "play", name);
    client_publish_resume(&c[0], name, "");
    kit_step_failing(&kit, c, 4, &left);
    queue_messages(&c[0], 1, 10);
    kit_step_failing(&kit, c, 4, &left);
    client_publish_resume(&c[1], name, c[0].token);
    kit_step_failing(&kit, c, 4, &left);
    queue_messages(&c[1], 11, 20);
    kit_step_failing(&kit, &c[1], 3, &left);
    client_close(&c[1]);
    kit_turn_failing(&kit, &left);
    client_publish_resume(&c[2], name, c[0].token);
    kit_step_failing(&kit, &c[2], 2, &left);
    client_command_number(&c[2], 0, "deleteStream", 1);
    kit_step_failing(&kit, &c[2], 2, &left);
    client_close(&c[0]);
    clients_close(&c[2], 2);
    kit_turn_failing(&kit, &left);
    return left == 0;
}

static void bug_24_every_allocation_of_a_return_fails_once(void **state)
{
    (void)state;
    kit_start(&kit, 2, false,
              "open_publish: true\nlog_level: error\nlatency_ms: 0\napps:\n  - name: live\n"
              "    grace_s: 1\n");
    for (unsigned home = 0; home < 2; home++) {
        char name[32];
        uint64_t n = 1;
        // Names differ: some failures leave a stream in its grace time.
        for (kit_name(&kit, home, 0, name); resume_with_failure(n, name); n++) {
            kit_name(&kit, home, (unsigned)n, name);
            assert_true(n < 10000);
        }
        assert_true(n > 20);
    }
    assert_true(kit_until(&kit, kit_is_clean, &kit));
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishers_go_on_after_a_cut_anywhere),
        cmocka_unit_test(nobody_gets_in_by_a_wrong_token),
        cmocka_unit_test(a_token_is_good_for_its_stream_only),
        cmocka_unit_test(bug_33_a_token_is_no_key),
        cmocka_unit_test(who_comes_too_late_begins_anew),
        cmocka_unit_test(a_full_app_has_room_for_who_returns),
        cmocka_unit_test(a_place_that_was_left_may_be_taken),
        cmocka_unit_test(what_was_ended_on_purpose_is_over),
        cmocka_unit_test(nobody_is_told_who_has_not_asked),
        cmocka_unit_test(a_publisher_is_told_what_has_been_taken),
        cmocka_unit_test(nothing_but_its_end_says_that_the_old_line_has_ended),
        cmocka_unit_test(the_last_who_comes_with_the_token_goes_on),
        cmocka_unit_test(who_waits_may_leave),
        cmocka_unit_test(the_token_goes_before_the_key),
        cmocka_unit_test(a_takeover_with_the_token_loses_nothing),
        cmocka_unit_test(a_home_that_is_behind_loses_nothing),
        cmocka_unit_test(what_a_client_was_told_counts),
        cmocka_unit_test(a_goodbye_is_believed_while_somebody_waits),
        cmocka_unit_test(cuts_on_real_threads),
        cmocka_unit_test(bug_24_every_allocation_of_a_return_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
