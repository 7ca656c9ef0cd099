// The server's commands and life cycles, driven by hand in one thread: every interleaving is the
// test's choice.
#include "server_kit.h"

#include "io/clock.h"
#include "io/socket.h"
#include "server/stream.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

static struct kit kit;

static const char with_keys[] = "log_level: error\nlatency_ms: 0\n";

static void open_all(struct client *clients, unsigned count, unsigned workers)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(client_open(&clients[i], &kit, i % workers));
}

static struct cv_stream *stream_at(unsigned worker, const char *name)
{
    struct cv_path path;
    struct cv_stream *stream = NULL;
    assert_int_equal(cv_path_join(&path, cv_text_of("live"), cv_text_of(name)), CV_OK);
    HASH_FIND(hh, kit.workers[worker]->streams, path.text, path.len, stream);
    return stream;
}

// ---- publish and play, wherever home, publisher and viewer are ------------------------------

static void check_journey(unsigned home, unsigned publisher_at, unsigned viewer_at)
{
    char name[32];
    struct client c[2]; // publisher, viewer
    kit_name(&kit, home, home * 100 + publisher_at * 10 + viewer_at, name);
    assert_true(client_open(&c[0], &kit, publisher_at));
    assert_true(client_open(&c[1], &kit, viewer_at));
    assert_true(client_publish(&c[0], 1, name));
    client_headers(&c[0], 1);
    client_video(&c[0], 1, 1, true, 0);
    assert_true(client_step(&c[0]));
    assert_true(client_play(&c[1], 1, name));
    assert_true(client_wait(&c[1], "video 1 1"));
    for (uint32_t n = 2; n < 300; n++) {
        client_video(&c[0], 1, n, false, 100);
        client_audio(&c[0], 1, n);
    }
    client_command(&c[0], 0, "FCUnpublish", name);
    client_command_number(&c[0], 0, "deleteStream", 1);
    while (client_index(&c[1], "eof 1") == UINT_MAX && client_step(&c[0]))
        client_wait(&c[1], "eof 1");
    // Everything came once, in order, before the end was told.
    unsigned last = 0;
    for (uint32_t n = 2; n < 300; n++) {
        char text[32];
        snprintf(text, sizeof text, "audio 1 %u", n);
        assert_int_equal(client_count(&c[1], text), 1);
        assert_true(client_index(&c[1], text) > last);
        last = client_index(&c[1], text);
    }
    assert_true(client_index(&c[1], "status 1 NetStream.Play.UnpublishNotify") > last);
    assert_true(client_index(&c[1], "eof 1") >
                client_index(&c[1], "status 1 NetStream.Play.UnpublishNotify"));
    clients_close(c, 2);
}

static void media_crosses_threads(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        kit_start(&kit, workers, false, NULL);
        for (unsigned i = 0; i < workers * workers * workers; i++)
            check_journey(i % workers, i / workers % workers, i / workers / workers);
        kit_stop(&kit);
    }
}

static void counters_tell_the_truth(void **state)
{
    (void)state;
    struct client c[2];
    char name[32];
    kit_start(&kit, 2, false, NULL);
    kit_name(&kit, 0, 0, name);
    open_all(c, 2, 2);
    assert_true(client_publish(&c[0], 1, name));
    client_audio(&c[0], 1, 1);
    assert_true(client_play(&c[1], 1, name));
    for (uint32_t n = 2; n <= 50; n++)
        client_audio(&c[0], 1, n);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 50"));
    struct cv_worker_stats stats = kit_stats(&kit);
    assert_int_equal(stats.connections, 2);
    assert_int_equal(stats.publishers, 1);
    assert_int_equal(stats.viewers, 1);
    assert_int_equal(stats.messages_in, 50);
    assert_true(stats.messages_out >= 49);
    clients_close(c, 2);
    kit_stop(&kit);
}

// Who joins a stream that pauses gets what it needs to begin at once, on every thread.
static void headers_come_before_the_next_frame(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct client c[2];
        char name[32];
        kit_start(&kit, 2, false, NULL);
        kit_name(&kit, home, 0, name);
        open_all(c, 2, 2);
        assert_true(client_publish(&c[0], 1, name));
        client_sound_headers(&c[0], 1);
        for (uint32_t n = 0; n < 60; n++)
            client_audio(&c[0], 1, n);
        kit_settle(&kit, c, 1);
        assert_true(client_play(&c[1], 1, name));
        assert_true(client_wait(&c[1], "data 1")); // sample access
        assert_true(client_wait(&c[1], "data 1"));
        assert_true(client_wait(&c[1], "header 1"));
        for (uint32_t n = 60; n < 80; n++)
            client_audio(&c[0], 1, n);
        client_step(&c[0]);
        assert_true(client_wait(&c[1], "audio 1 79"));
        assert_int_equal(client_count(&c[1], "header 1"), 1);
        assert_int_equal(client_count(&c[1], "audio 1 60"), 1);
        assert_int_equal(client_count(&c[1], "audio 1 59"), 0);
        clients_close(c, 2);
        kit_stop(&kit);
    }
}

// Whoever was there before gets everything, however much comes at once.
static void who_waits_misses_nothing(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 3; home++) {
        struct client c[3];
        char name[32];
        kit_start(&kit, 3, false, NULL);
        kit_name(&kit, home, 0, name);
        open_all(c, 3, 3);
        client_command(&c[1], 1, "play", name);
        kit_settle(&kit, c, 3);
        client_command(&c[2], 1, "play", name);
        client_command(&c[0], 1, "publish", name);
        client_video(&c[0], 1, 1, false, 0); // of use to nobody
        for (uint32_t n = 2; n < 90; n++)
            client_video(&c[0], 1, n, n % 10 == 2, 0);
        client_step(&c[0]);
        assert_true(client_wait(&c[1], "video 1 89"));
        for (uint32_t n = 1; n < 90; n++) {
            char text[32];
            snprintf(text, sizeof text, "video 1 %u", n);
            assert_int_equal(client_count(&c[1], text), n > 1);
        }
        clients_close(c, 3);
        kit_stop(&kit);
    }
}

// Even a publishing that comes, whole, between two turns of the viewer's.
static void who_waits_gets_what_is_over_at_once(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct client c[2];
        char name[32];
        kit_start(&kit, 2, false, NULL);
        kit_name(&kit, home, 0, name);
        open_all(c, 2, 2);
        client_command(&c[1], 1, "play", name);
        kit_settle(&kit, c, 2);
        assert_true(client_publish(&c[0], 1, name));
        client_headers(&c[0], 1);
        for (uint32_t n = 1; n < 50; n++)
            client_video(&c[0], 1, n, n == 1, 0);
        client_command_number(&c[0], 0, "deleteStream", 1);
        client_step(&c[0]);
        assert_true(client_wait(&c[1], "video 1 49"));
        assert_true(client_wait(&c[1], "status 1 NetStream.Play.UnpublishNotify"));
        assert_int_equal(client_count(&c[1], "video 1 1"), 1);
        assert_int_equal(client_count(&c[1], "header 1"), 2);
        kit_settle(&kit, c, 2);
        assert_int_equal(client_count(&c[1], "status 1 NetStream.Play.UnpublishNotify"), 1);
        clients_close(c, 2);
        kit_stop(&kit);
    }
}

// ---- commands -------------------------------------------------------------------------------

static void a_player_need_not_wait_for_answers(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 2, false, NULL);
    assert_true(client_open(&c[0], &kit, 0));
    assert_true(client_publish(&c[0], 1, "one"));
    client_audio(&c[0], 1, 1);
    assert_true(client_dial(&c[1], &kit, 1));
    client_connect(&c[1], "live");
    client_create_stream(&c[1]);
    client_command(&c[1], 1, "play", "one");
    assert_true(client_wait(&c[1], "status 1 NetStream.Play.Start"));
    client_audio(&c[0], 1, 2);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 2"));
    clients_close(c, 2);
    kit_stop(&kit);
}

static void play_switches_to_another_stream(void **state)
{
    (void)state;
    struct client c[3];
    kit_start(&kit, 2, false, NULL);
    open_all(c, 3, 2);
    assert_true(client_publish(&c[0], 1, "one"));
    assert_true(client_publish(&c[1], 1, "two"));
    assert_true(client_play(&c[2], 1, "one"));
    assert_true(client_play(&c[2], 1, "two"));
    for (uint32_t n = 1; n < 5; n++) {
        client_audio(&c[0], 1, n);
        client_audio(&c[1], 1, 1000 + n);
    }
    client_step(&c[0]);
    client_step(&c[1]);
    assert_true(client_wait(&c[2], "audio 1 1004"));
    assert_int_equal(client_count(&c[2], "audio 1 4"), 0);
    assert_int_equal(kit_stats(&kit).viewers, 1);
    clients_close(c, 3);
    kit_stop(&kit);
}

static void publish_and_play_on_one_connection(void **state)
{
    (void)state;
    struct client c[1];
    kit_start(&kit, 2, false, NULL);
    open_all(c, 1, 2);
    client_create_stream(&c[0]);
    assert_true(client_wait(&c[0], "result 3 3")); // ids are 1, 3, 4, ...
    assert_true(client_publish(&c[0], 1, "own"));
    assert_true(client_play(&c[0], 3, "own"));
    client_audio(&c[0], 1, 7);
    assert_true(client_wait(&c[0], "audio 3 7"));
    client_command_number(&c[0], 0, "deleteStream", 1);
    assert_true(client_wait(&c[0], "eof 3"));
    clients_close(c, 1);
    kit_stop(&kit);
}

static void pause_and_kinds_of_media(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 2, false, NULL);
    open_all(c, 2, 2);
    assert_true(client_publish(&c[0], 1, "p"));
    assert_true(client_play(&c[1], 1, "p"));
    client_command_boolean(&c[1], 1, "pause", true);
    assert_true(client_wait(&c[1], "status 1 NetStream.Pause.Notify"));
    client_audio(&c[0], 1, 1);
    kit_settle(&kit, c, 2);
    client_command_boolean(&c[1], 1, "pause", false);
    assert_true(client_wait(&c[1], "status 1 NetStream.Unpause.Notify"));
    client_command_boolean(&c[1], 1, "receiveVideo", false);
    kit_settle(&kit, c, 2);
    client_video(&c[0], 1, 2, true, 0);
    client_audio(&c[0], 1, 3);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 3"));
    assert_int_equal(client_count(&c[1], "audio 1 1"), 0);
    assert_int_equal(client_count(&c[1], "video 1 2"), 0);
    client_command_boolean(&c[1], 1, "receiveVideo", true);
    assert_true(client_wait(&c[1], "status 1 NetStream.Seek.Notify"));
    client_video(&c[0], 1, 4, false, 0);
    client_video(&c[0], 1, 5, true, 0);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "video 1 5"));
    assert_int_equal(client_count(&c[1], "video 1 4"), 0);
    client_command(&c[1], 0, "getStreamLength", "p");
    client_command(&c[1], 0, "FCSubscribe", "p");
    assert_true(client_wait(&c[1], "onFCSubscribe NetStream.Play.Start"));
    clients_close(c, 2);
    kit_stop(&kit);
}

static void a_malformed_message_ends_its_connection_alone(void **state)
{
    (void)state;
    struct client c[3];
    kit_start(&kit, 1, false, "open_publish: true\nlatency_ms: 0\nlog_level: error\n");
    open_all(c, 3, 1);
    assert_true(client_publish(&c[0], 1, "m"));
    assert_true(client_play(&c[1], 1, "m"));
    client_command(&c[2], 0, "connect", NULL); // a second one
    client_wait(&c[2], "closed");
    assert_true(c[2].closed);
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    clients_close(c, 3);
    kit_stop(&kit);
}

// ---- who may publish ------------------------------------------------------------------------

// The refused one goes on sending, reads late, and still finds our last words.
static void check_refused_encoder(unsigned worker)
{
    struct client c[2];
    kit_start(&kit, 2, false, with_keys);
    assert_true(client_open(&c[0], &kit, 0));
    assert_true(client_publish(&c[0], 1, "taken?key=one"));
    assert_true(client_open(&c[1], &kit, worker));
    client_command(&c[1], 1, "publish", "taken?key=two");
    for (uint32_t n = 0; n < 600; n++) // more than waits for an answer
        client_audio(&c[1], 1, n);
    c[1].mute = true;
    kit_settle(&kit, c, 2);
    for (uint32_t n = 0; n < 600; n++)
        client_audio(&c[1], 1, n);
    kit_settle(&kit, c, 2);
    c[1].mute = false;
    assert_true(client_wait(&c[1], "status 1 NetStream.Publish.BadName"));
    assert_true(client_wait_closed(&c[1]));
    client_audio(&c[0], 1, 1); // the first one is not disturbed
    assert_true(client_step(&c[0]));
    clients_close(c, 2);
    kit_stop(&kit);
}

static void a_refused_encoder_reads_our_last_words(void **state)
{
    (void)state;
    check_refused_encoder(0);
    check_refused_encoder(1);
}

// A connection that lingers while its client sends must not keep the loop awake for nothing.
static void bug_24_lingering_is_no_busy_loop(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false, with_keys);
    open_all(c, 2, 1);
    assert_true(client_publish(&c[0], 1, "taken?key=one"));
    client_command(&c[1], 1, "publish", "taken?key=two");
    for (uint32_t n = 0; n < 600; n++)
        client_audio(&c[1], 1, n);
    assert_true(client_wait(&c[1], "closed"));
    kit_settle(&kit, c, 2);
    int unread = 0;
    for (int i = 0; i < 600; i++)
        client_audio(&c[1], 1, 9);
    kit_settle(&kit, c, 2);
    unread = (int)cv_socket_unacked_bytes(c[1].fd);
    assert_int_equal(unread, 0); // TCP's word: all has arrived; and the server has taken it:
    assert_true(kit_stats(&kit).bytes_in > 2 * 600 * 7);
    clients_close(c, 2);
    kit_stop(&kit);
}

static void takeover(void **state)
{
    (void)state;
    struct client c[3];
    kit_start(&kit, 2, false,
              "open_publish: true\nlatency_ms: 0\nlog_level: error\napps:\n"
              "  - name: live\n    takeover: true\n");
    open_all(c, 3, 2);
    assert_true(client_publish(&c[0], 1, "t"));
    client_audio(&c[0], 1, 1);
    assert_true(client_play(&c[2], 1, "t"));
    assert_true(client_publish(&c[1], 1, "t"));
    client_audio(&c[0], 1, 5);
    client_step(&c[0]);
    client_audio(&c[1], 1, 500);
    client_step(&c[1]);
    assert_true(client_wait(&c[2], "audio 1 500"));
    assert_int_equal(client_count(&c[2], "status 1 NetStream.Play.UnpublishNotify"), 0);
    assert_true(client_wait(&c[0], "status 1 NetStream.Publish.BadName"));
    assert_true(client_wait_closed(&c[0]));
    client_close(&c[0]);
    kit_settle(&kit, &c[1], 2);
    client_audio(&c[1], 1, 501); // the end of the first one ends nothing
    client_step(&c[1]);
    assert_true(client_wait(&c[2], "audio 1 501"));
    clients_close(&c[1], 2);
    kit_stop(&kit);
}

static void a_publisher_returns_within_its_grace(void **state)
{
    (void)state;
    struct client c[3];
    kit_start(&kit, 2, false, NULL);
    open_all(c, 3, 2);
    assert_true(client_publish(&c[0], 1, "g"));
    assert_true(client_play(&c[2], 1, "g"));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[2], "audio 1 1"));
    client_close(&c[0]); // without a word
    kit_settle(&kit, &c[1], 2);
    assert_true(client_publish(&c[1], 1, "g"));
    client_audio(&c[1], 1, 2);
    client_step(&c[1]);
    assert_true(client_wait(&c[2], "audio 1 2"));
    assert_int_equal(client_count(&c[2], "status 1 NetStream.Play.UnpublishNotify"), 0);
    clients_close(&c[1], 2);
    kit_stop(&kit);
}

// ---- a publisher and its ghost --------------------------------------------------------------

static void publish_with(struct client *client, const char *name, const char *key)
{
    char text[64];
    snprintf(text, sizeof text, "%s?key=%s", name, key);
    client_command(client, 1, "publish", text);
    client_step(client);
}

// c[0] publishes, c[2] plays, c[1] is the one who comes; home, publisher and comer are where the
// bits say.
static void begin_ghost(struct client c[3], unsigned where, char name[32])
{
    kit_start(&kit, 2, false, with_keys);
    kit_name(&kit, where & 1, where, name);
    assert_true(client_open(&c[0], &kit, where >> 1 & 1));
    assert_true(client_open(&c[1], &kit, where >> 2 & 1));
    assert_true(client_open(&c[2], &kit, 0));
    publish_with(&c[0], name, "one");
    assert_true(client_wait(&c[0], "status 1 NetStream.Publish.Start"));
    assert_true(client_play(&c[2], 1, name));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[2], "audio 1 1"));
}

static void end_ghost(struct client c[3])
{
    clients_close(c, 3);
    kit_stop(&kit);
}

// Its connection stands there and says nothing; who comes with its key waits, and goes on.
static void check_ghost_replaced(unsigned where)
{
    struct client c[3];
    char name[32];
    begin_ghost(c, where, name);
    uint64_t silent_us = cv_clock_now_us();
    publish_with(&c[1], name, "one");
    assert_true(client_wait(&c[1], "status 1 NetStream.Publish.Start"));
    uint64_t waited_us = cv_clock_now_us() - silent_us;
    assert_true(waited_us >= CV_GHOST_SILENCE_MS * 900);
    assert_int_equal(client_count(&c[1], "status 1 NetStream.Publish.BadName"), 0);
    client_audio(&c[0], 1, 2); // too late
    client_step(&c[0]);
    client_audio(&c[1], 1, 100);
    client_step(&c[1]);
    assert_true(client_wait(&c[2], "audio 1 100"));
    assert_int_equal(client_count(&c[2], "audio 1 2"), 0);
    assert_int_equal(client_count(&c[2], "status 1 NetStream.Play.UnpublishNotify"), 0);
    assert_true(client_wait(&c[0], "status 1 NetStream.Publish.BadName"));
    assert_true(client_wait_closed(&c[0]));
    end_ghost(c);
}

static void a_ghost_gives_way_to_its_publisher(void **state)
{
    (void)state;
    for (unsigned where = 0; where < 8; where += 3)
        check_ghost_replaced(where);
}

// Who is heard stays; who asked is told after a while, and that the name is busy at once when it
// has another key or is the second who asks.
static void a_living_publisher_is_not_thrown_out(void **state)
{
    (void)state;
    struct client c[3];
    struct client more[2];
    char name[32];
    begin_ghost(c, 4, name);
    open_all(more, 2, 2);
    publish_with(&more[0], name, "two");
    assert_true(client_wait(&more[0], "status 1 NetStream.Publish.BadName"));
    publish_with(&c[1], name, "one");
    kit_settle(&kit, c, 3);
    uint64_t asked_us = cv_clock_now_us();
    publish_with(&more[1], name, "one");
    assert_true(client_wait(&more[1], "status 1 NetStream.Publish.BadName"));
    assert_true(cv_clock_now_us() - asked_us < CV_GHOST_SILENCE_MS * 1000);
    uint32_t n = 2;
    for (; client_index(&c[1], "status 1 NetStream.Publish.BadName") == UINT_MAX; n++) {
        assert_true(cv_clock_now_us() - asked_us < 3 * CV_GHOST_WAIT_MS * 1000);
        client_audio(&c[0], 1, n);
        kit_settle(&kit, c, 3);
    }
    assert_true(cv_clock_now_us() - asked_us >= CV_GHOST_SILENCE_MS * 900);
    assert_int_equal(client_count(&c[1], "status 1 NetStream.Publish.Start"), 0);
    client_audio(&c[0], 1, n);
    client_step(&c[0]);
    char last[32];
    snprintf(last, sizeof last, "audio 1 %u", n);
    assert_true(client_wait(&c[2], last));
    clients_close(more, 2);
    end_ghost(c);
}

// What the cut line still held arrives late, and then its end: the one who waits goes on at once.
static void a_ghost_that_ends_is_followed_at_once(void **state)
{
    (void)state;
    for (unsigned clean = 0; clean < 2; clean++) {
        struct client c[3];
        char name[32];
        begin_ghost(c, 6, name);
        publish_with(&c[1], name, "one");
        kit_settle(&kit, c, 3);
        client_audio(&c[0], 1, 2);
        if (clean)
            client_command_number(&c[0], 0, "deleteStream", 1);
        client_step(&c[0]);
        uint64_t ended_us = cv_clock_now_us();
        if (!clean)
            client_close(&c[0]);
        assert_true(client_wait(&c[1], "status 1 NetStream.Publish.Start"));
        assert_true(cv_clock_now_us() - ended_us < CV_GHOST_SILENCE_MS * 900);
        client_audio(&c[1], 1, 3);
        client_step(&c[1]);
        assert_true(client_wait(&c[2], "audio 1 3"));
        assert_int_equal(client_count(&c[2], "status 1 NetStream.Play.UnpublishNotify"), 0);
        if (!clean)
            clients_close(&c[1], 2);
        else
            clients_close(c, 3);
        kit_stop(&kit);
    }
}

// The one who waits goes away, and another one may wait; the server stops while somebody waits.
static void who_waits_for_a_ghost_may_leave(void **state)
{
    (void)state;
    struct client c[3];
    struct client next;
    char name[32];
    begin_ghost(c, 5, name);
    publish_with(&c[1], name, "one");
    kit_settle(&kit, c, 3);
    client_command_number(&c[1], 0, "deleteStream", 1);
    kit_settle(&kit, c, 3);
    assert_true(client_open(&next, &kit, 0));
    publish_with(&next, name, "one");
    assert_true(client_wait(&next, "status 1 NetStream.Publish.Start"));
    client_create_stream(&c[1]);
    kit_settle(&kit, c, 3);
    publish_with(&c[1], name, "one");
    kit_settle(&kit, c, 3);
    assert_int_equal(client_count(&c[1], "status 1 NetStream.Publish.BadName"), 0);
    client_close(&next);
    end_ghost(c);
}

static void caps_of_app_and_stream(void **state)
{
    (void)state;
    struct client c[4];
    kit_start(
        &kit, 2, false,
        "open_publish: true\nlatency_ms: 0\nlog_level: error\napps:\n"
        "  - name: live\n    streams_max: 1\n    viewers_max: 2\n    stream_viewers_max: 1\n");
    open_all(c, 4, 2);
    assert_true(client_publish(&c[0], 1, "a"));
    client_command(&c[1], 1, "publish", "b");
    assert_true(client_wait(&c[1], "status 1 NetStream.Publish.BadName"));
    assert_true(client_play(&c[2], 1, "a"));
    client_command(&c[3], 1, "play", "a");
    assert_true(client_wait(&c[3], "status 1 NetStream.Play.Failed"));
    clients_close(&c[1], 3);
    client_command_number(&c[0], 0, "deleteStream", 1);
    kit_settle(&kit, c, 1);
    client_create_stream(&c[0]);
    kit_settle(&kit, c, 1);
    assert_true(client_publish(&c[0], 1, "c")); // the place is free again
    client_close(&c[0]);
    kit_stop(&kit);
}

// ---- publishers that come and go on one connection ------------------------------------------

// Message stream ids are used again: an answer to a publisher that has gone is not for the next.
static void bug_24_answers_find_only_their_own_publisher(void **state)
{
    (void)state;
    struct client c[2];
    char taken[32];
    char other[32];
    char with_key[48];
    kit_start(&kit, 3, false, with_keys);
    kit_name(&kit, 0, 1, taken);
    kit_name(&kit, 2, 2, other);
    assert_true(client_open(&c[0], &kit, 0));
    assert_true(client_open(&c[1], &kit, 1));
    snprintf(with_key, sizeof with_key, "%s?key=one", taken);
    assert_true(client_publish(&c[0], 1, with_key));
    kit.frozen[2] = true; // the home of `other` is slow
    snprintf(with_key, sizeof with_key, "%s?key=two", taken);
    client_command(&c[1], 1, "publish", with_key);
    client_command_number(&c[1], 0, "deleteStream", 1);
    client_create_stream(&c[1]);
    snprintf(with_key, sizeof with_key, "%s?key=one", other);
    client_command(&c[1], 1, "publish", with_key);
    kit_settle(&kit, c, 2); // "busy" for the first name arrives while the second one waits
    assert_false(c[1].closed);
    assert_int_equal(client_count(&c[1], "status 1 NetStream.Publish.BadName"), 0);
    kit.frozen[2] = false;
    assert_true(client_wait(&c[1], "status 1 NetStream.Publish.Start"));
    assert_non_null(stream_at(2, other));
    clients_close(c, 2);
    kit_stop(&kit);
}

// Two publishers of one connection have media on their way; the first one's turn lets the
// connection go on, and what it says next ends the second.
static void bug_24_publishers_are_freed_while_their_list_is_walked(void **state)
{
    (void)state;
    struct client c[1];
    char a[32];
    char b[32];
    kit_start(&kit, 2, false, NULL);
    kit_name(&kit, 1, 1, a);
    kit_name(&kit, 1, 2, b);
    open_all(c, 1, 1);
    client_create_stream(&c[0]);
    assert_true(client_wait(&c[0], "result 3 3"));
    client_command(&c[0], 1, "publish", a);
    client_command(&c[0], 3, "publish", b);
    for (uint32_t n = 0; n < 20; n++)
        client_audio(&c[0], 3, n);
    for (uint32_t n = 0; n < 200; n++)
        client_audio(&c[0], 1, n);
    client_command_number(&c[0], 0, "deleteStream", 3);
    client_command_number(&c[0], 0, "deleteStream", 1);
    kit_settle(&kit, c, 1);
    assert_int_equal(kit_stats(&kit).publishers, 0);
    assert_false(c[0].closed);
    clients_close(c, 1);
    kit_stop(&kit);
}

// What was held back while home had not answered leaves, although nothing else happens.
static void media_that_waited_for_the_answer_leaves(void **state)
{
    (void)state;
    struct client c[2];
    char name[32];
    for (unsigned home = 0; home < 2; home++) {
        kit_start(&kit, 2, false, NULL);
        kit_name(&kit, home, 1, name);
        open_all(c, 2, 2);
        client_command(&c[1], 1, "play", name);
        kit_settle(&kit, &c[1], 1);
        client_command(&c[0], 1, "publish", name);
        for (uint32_t n = 1; n <= 700; n++)
            client_audio(&c[0], 1, n);
        client_step(&c[0]);
        assert_true(client_wait(&c[1], "audio 1 700"));
        assert_int_equal(client_count(&c[1], "audio 1 1"), 1);
        clients_close(c, 2);
        kit_stop(&kit);
    }
}

static void put_u24(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 16);
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)value;
}

// The same with an aggregate: its messages are not bytes that wait, but they wait.
static void the_rest_of_an_aggregate_is_not_forgotten(void **state)
{
    (void)state;
    enum { ITEMS = 300, ITEM_BYTES = 11 + 6 + 4 };
    struct client c[2];
    struct cv_block *payload = cv_block_new((size_t)ITEMS * ITEM_BYTES);
    for (uint32_t n = 1; n <= ITEMS; n++) {
        uint8_t item[ITEM_BYTES] = {CV_MSG_AUDIO, 0, 0, 6};
        put_u24(item + 4, n * 10);
        item[11] = 0xaf;
        item[12] = 1;
        put_u24(item + 14, n);
        item[ITEM_BYTES - 1] = 17;
        cv_block_append(payload, item, sizeof item);
    }
    kit_start(&kit, 2, false, NULL);
    open_all(c, 2, 2);
    client_command(&c[1], 1, "play", "agg");
    kit_settle(&kit, &c[1], 1);
    client_command(&c[0], 1, "publish", "agg");
    struct cv_msg msg = {.type = CV_MSG_AGGREGATE, .stream_id = 1, .ts_ms = 10, .payload = payload};
    assert_int_equal(cv_rtmp_send(c[0].rtmp, &msg, CV_CSID_VIDEO), CV_OK);
    cv_block_unref(&payload);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 300"));
    assert_int_equal(client_count(&c[1], "audio 1 150"), 1);
    clients_close(c, 2);
    kit_stop(&kit);
}

// ---- outlets that come and go ---------------------------------------------------------------

// A viewer leaves and another comes in one turn: media that was on its way to the first one's
// outlet is not for the second's, whose own subscription brings it again.
static void bug_24_an_outlet_made_again_gets_nothing_of_the_old_one(void **state)
{
    (void)state;
    struct client c[3];
    char name[32];
    kit_start(&kit, 2, false, NULL);
    kit_name(&kit, 0, 1, name);
    assert_true(client_open(&c[0], &kit, 0));
    assert_true(client_open(&c[1], &kit, 1));
    assert_true(client_open(&c[2], &kit, 1));
    assert_true(client_publish(&c[0], 1, name));
    client_headers(&c[0], 1);
    client_video(&c[0], 1, 1, true, 0);
    assert_true(client_step(&c[0]));
    assert_true(client_play(&c[1], 1, name));
    assert_true(client_wait(&c[1], "video 1 1"));
    kit.frozen[1] = true;
    for (uint32_t n = 2; n < 10; n++)
        client_audio(&c[0], 1, n);
    kit_settle(&kit, c, 1); // a batch for the viewers of thread 1 is on its way
    client_command_number(&c[1], 0, "deleteStream", 1);
    client_command(&c[2], 1, "play", name);
    client_step(&c[1]);
    client_step(&c[2]);
    kit.frozen[0] = true;
    kit.frozen[1] = false;
    kit_settle(&kit, &c[1], 2);
    kit.frozen[0] = false;
    client_audio(&c[0], 1, 10);
    client_step(&c[0]);
    assert_true(client_wait(&c[2], "audio 1 10"));
    for (uint32_t n = 2; n < 10; n++) {
        char text[32];
        snprintf(text, sizeof text, "audio 1 %u", n);
        assert_int_equal(client_count(&c[2], text), 1);
    }
    clients_close(c, 3);
    kit_stop(&kit);
}

static void streams_do_not_outlive_their_viewers(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 2, false, NULL);
    open_all(c, 2, 2);
    for (int i = 0; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof name, "nobody-%d", i);
        client_command(&c[i % 2], 1, "play", name);
        client_command(&c[i % 2], 1, "closeStream", NULL);
    }
    kit_settle(&kit, c, 2);
    assert_null(kit.workers[0]->streams);
    assert_null(kit.workers[1]->streams);
    assert_null(kit.workers[0]->outlets);
    assert_null(kit.workers[1]->outlets);
    clients_close(c, 2);
    kit_stop(&kit);
}

// ---- full mailboxes -------------------------------------------------------------------------

// A viewer's thread stands still while more is published than its mailbox takes: what it loses is
// counted, what it gets is in order, and the end comes last.
static void bug_10_a_slow_thread_loses_nothing_in_silence(void **state)
{
    (void)state;
    enum { FRAMES = 5000 };
    struct client c[2];
    char name[32];
    kit_start(&kit, 2, false,
              "open_publish: true\nlatency_ms: 0\nlog_level: error\napps:\n"
              "  - name: live\n    log_s_max: 10\n");
    kit_name(&kit, 0, 1, name);
    open_all(c, 2, 2);
    assert_true(client_publish(&c[0], 1, name));
    assert_true(client_play(&c[1], 1, name));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    kit.frozen[1] = true;
    for (uint32_t n = 2; n <= FRAMES; n++) {
        client_audio(&c[0], 1, n);
        client_step(&c[0]);
        kit_turn(&kit); // one batch each
    }
    client_command_number(&c[0], 0, "deleteStream", 1);
    kit_settle(&kit, c, 1);
    kit.frozen[1] = false;
    assert_true(client_wait(&c[1], "eof 1"));
    unsigned got = 0;
    unsigned before = 0;
    for (unsigned i = 0; i < c[1].seen_count; i++) {
        unsigned number;
        if (sscanf(c[1].seen[i].text, "audio 1 %u", &number) != 1)
            continue;
        assert_true(number > before);
        before = number;
        got++;
    }
    assert_int_equal(before, FRAMES); // the last one came, and before the end
    struct cv_worker_stats stats = kit_stats(&kit);
    assert_true(got < FRAMES);
    assert_int_equal(stats.skipped, FRAMES - got);
    clients_close(c, 2);
    kit_stop(&kit);
}

// The home stands still: its publisher is not read any more, and nothing is lost.
static void bug_10_a_slow_home_holds_up_its_publisher(void **state)
{
    (void)state;
    struct client c[2];
    char name[32];
    kit_start(&kit, 2, false,
              "open_publish: true\nlatency_ms: 0\nlog_level: error\napps:\n"
              "  - name: live\n    log_s_max: 600\n");
    kit_name(&kit, 1, 1, name);
    open_all(c, 2, 2);
    assert_true(client_publish(&c[0], 1, name));
    assert_true(client_play(&c[1], 1, name));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    kit.frozen[1] = true;
    uint32_t n = 1;
    for (int turn = 0; turn < 1200; turn++) {
        for (int i = 0; i < 2; i++)
            client_audio(&c[0], 1, ++n);
        client_step(&c[0]);
        kit_turn(&kit);
    }
    kit.frozen[1] = false;
    char last[32];
    snprintf(last, sizeof last, "audio 1 %u", n);
    client_step(&c[0]);
    for (int i = 0; i < 1000 && client_count(&c[1], last) == 0; i++) {
        client_step(&c[0]);
        client_step(&c[1]);
        kit_turn(&kit);
    }
    unsigned got = 0;
    for (unsigned i = 0; i < c[1].seen_count; i++) {
        unsigned number;
        if (sscanf(c[1].seen[i].text, "audio 1 %u", &number) == 1)
            assert_int_equal(number, ++got);
    }
    assert_int_equal(got, n);
    clients_close(c, 2);
    kit_stop(&kit);
}

// A refused publisher whose media found the mailbox full, freed while nothing of it is listed.
static void bug_24_a_refused_publisher_with_media_and_a_full_mailbox(void **state)
{
    (void)state;
    struct client c[3];
    char name[32];
    char filler[32];
    kit_start(&kit, 2, false, NULL);
    kit_name(&kit, 1, 1, name);
    kit_name(&kit, 1, 2, filler);
    assert_true(client_open(&c[0], &kit, 1));
    assert_true(client_open(&c[1], &kit, 0));
    assert_true(client_open(&c[2], &kit, 0));
    assert_true(client_publish(&c[0], 1, name));
    assert_true(client_publish(&c[2], 1, filler));
    client_command(&c[1], 1, "publish", name);
    for (uint32_t n = 0; n < 50; n++)
        client_audio(&c[1], 1, n);
    client_step(&c[1]);
    cv_loop_run_once(kit.workers[0]->loop);
    cv_loop_run_once(kit.workers[0]->loop); // asked
    cv_loop_run_once(kit.workers[1]->loop); // answered: no
    kit.frozen[1] = true;
    for (uint32_t n = 1; n < 1500; n++) {
        client_audio(&c[2], 1, n);
        client_step(&c[2]);
        kit_turn(&kit);
    }
    client_close(&c[1]);
    for (int i = 0; i < 20; i++)
        kit_turn(&kit);
    kit.frozen[1] = false;
    client_close(&c[0]);
    client_close(&c[2]);
    kit_stop(&kit);
}

// ---- time -----------------------------------------------------------------------------------

static bool is_gone(void *arg)
{
    return !client_step(arg);
}

static void bug_30_silent_peers_are_closed(void **state)
{
    (void)state;
    struct client c[8];
    kit_start(&kit, 1, false, "log_level: error\nlimits:\n  handshake_s: 1\n");
    uint64_t begin = cv_clock_now_us();
    for (int i = 0; i < 8; i++) {
        assert_true(client_dial(&c[i], &kit, 0));
        struct cv_gather *gather = calloc(1, sizeof *gather);
        cv_rtmp_pull(c[i].rtmp, gather);
        cv_rtmp_sent(c[i].rtmp, gather->bytes); // it stays here
        free(gather);
    }
    for (int i = 0; i < 8; i++)
        assert_true(kit_until(&kit, is_gone, &c[i]));
    uint64_t took_ms = (cv_clock_now_us() - begin) / 1000;
    assert_true(took_ms >= 900 && took_ms < 5000);
    assert_int_equal(kit_stats(&kit).connections, 0);
    clients_close(c, 8);
    kit_stop(&kit);
}

// The second viewer that waits for the same publisher has a clock of its own.
static void every_waiting_viewer_is_told(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false, "log_level: error\napps:\n  - name: live\n    play_wait_s: 1\n");
    open_all(c, 2, 1);
    client_command(&c[0], 1, "play", "never");
    kit_settle(&kit, c, 2);
    client_command(&c[1], 1, "play", "never");
    kit_settle(&kit, c, 2);
    assert_true(client_wait(&c[0], "status 1 NetStream.Play.StreamNotFound"));
    uint64_t begin = cv_clock_now_us();
    assert_true(client_wait(&c[1], "status 1 NetStream.Play.StreamNotFound"));
    assert_true(cv_clock_now_us() - begin < 5000000);
    clients_close(c, 2);
    kit_stop(&kit);
}

// One stream that does not come ends nothing else on the connection.
static void waiting_in_vain_ends_only_that_stream(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false,
              "open_publish: true\nlatency_ms: 0\nlog_level: error\napps:\n"
              "  - name: live\n    play_wait_s: 1\n");
    open_all(c, 2, 1);
    assert_true(client_publish(&c[0], 1, "there"));
    client_create_stream(&c[1]);
    assert_true(client_wait(&c[1], "result 3 3"));
    assert_true(client_play(&c[1], 1, "there"));
    client_command(&c[1], 3, "play", "never");
    assert_true(client_wait(&c[1], "status 3 NetStream.Play.StreamNotFound"));
    kit_settle(&kit, c, 2);
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    clients_close(c, 2);
    kit_stop(&kit);
}

// A connection whose playing has ended has to say something now and then again.
static void a_former_viewer_may_not_idle_for_ever(void **state)
{
    (void)state;
    struct client c[1];
    kit_start(&kit, 1, false,
              "open_publish: true\nlog_level: error\nlatency_ms: 0\nlimits:\n  idle_s: 5\n");
    open_all(c, 1, 1);
    client_create_stream(&c[0]);
    assert_true(client_publish(&c[0], 1, "x"));
    assert_true(client_play(&c[0], 3, "x"));
    client_command_number(&c[0], 0, "deleteStream", 3);
    client_command_number(&c[0], 0, "deleteStream", 1);
    assert_true(client_wait_closed(&c[0]));
    clients_close(c, 1);
    kit_stop(&kit);
}

static void slow_viewers_jump_and_dead_ones_are_closed(void **state)
{
    (void)state;
    struct client c[3];
    kit_start(&kit, 2, false,
              "open_publish: true\nlatency_ms: 0\nlog_level: error\n"
              "limits:\n  write_stall_s: 1\n"
              "apps:\n  - name: live\n    log_bytes_max: 1048576\n");
    open_all(c, 3, 2);
    cv_socket_set_send_buffer(c[2].fd, 4096);
    assert_true(client_publish(&c[0], 1, "s"));
    assert_true(client_play(&c[1], 1, "s"));
    assert_true(client_play(&c[2], 1, "s"));
    c[2].mute = true;
    uint64_t deadline = cv_clock_now_us() + 10000000;
    uint32_t n = 0;
    while (kit_stats(&kit).viewers == 2 && cv_clock_now_us() < deadline) {
        client_video(&c[0], 1, n, n % 10 == 0, 60000);
        n++;
        client_step(&c[0]);
        client_step(&c[1]);
    }
    assert_int_equal(kit_stats(&kit).viewers, 1);
    assert_true(client_step(&c[1]));
    clients_close(c, 3);
    kit_stop(&kit);
}

// ---- the end --------------------------------------------------------------------------------

static void stop_tells_players(void **state)
{
    (void)state;
    struct client c[3];
    kit_start(&kit, 2, false, "open_publish: true\nlatency_ms: 1000\nlog_level: error\n");
    open_all(c, 3, 2);
    assert_true(client_publish(&c[0], 1, "e"));
    assert_true(client_play(&c[1], 1, "e"));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    client_audio(&c[0], 1, 2); // waits for the flush window
    client_step(&c[0]);
    for (int i = 0; i < 5; i++)
        kit_turn(&kit);
    struct cv_note stop = {.kind = CV_NOTE_STOP};
    kit_tell_all(&kit, &stop);
    kit_tell_all(&kit, &stop); // an impatient administrator
    assert_true(client_wait(&c[1], "audio 1 2"));
    assert_true(client_wait(&c[1], "status 1 NetStream.Play.UnpublishNotify"));
    assert_true(client_wait(&c[1], "eof 1"));
    assert_true(client_wait_closed(&c[1]));
    clients_close(c, 3);
    kit_stop(&kit);
}

// Publishers are asking, viewers are subscribing, batches are on their way: and then the end.
static void bug_24_stop_with_everything_on_its_way(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 6; turns++) {
        struct client c[6];
        kit_start(&kit, 3, false, NULL);
        open_all(c, 6, 3);
        for (unsigned i = 0; i < 6; i++) {
            char name[32];
            kit_name(&kit, i % 2, i / 2, name);
            client_command(&c[i], 1, i < 3 ? "publish" : "play", name);
            client_audio(&c[i], 1, 1);
            client_step(&c[i]);
        }
        for (unsigned i = 0; i < turns; i++)
            cv_loop_run_once(kit.workers[i % 3]->loop);
        struct cv_note stop = {.kind = CV_NOTE_STOP};
        struct cv_note policy = {.kind = CV_NOTE_POLICY, .policy = kit.policy};
        kit_tell_all(&kit, &policy);
        kit_tell(&kit, turns % 3, &stop);
        if (turns & 1)
            clients_close(c, 6);
        kit_stop(&kit);
        if (!(turns & 1))
            clients_close(c, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_crosses_threads),
        cmocka_unit_test(counters_tell_the_truth),
        cmocka_unit_test(headers_come_before_the_next_frame),
        cmocka_unit_test(who_waits_misses_nothing),
        cmocka_unit_test(who_waits_gets_what_is_over_at_once),
        cmocka_unit_test(a_player_need_not_wait_for_answers),
        cmocka_unit_test(play_switches_to_another_stream),
        cmocka_unit_test(publish_and_play_on_one_connection),
        cmocka_unit_test(pause_and_kinds_of_media),
        cmocka_unit_test(a_malformed_message_ends_its_connection_alone),
        cmocka_unit_test(a_refused_encoder_reads_our_last_words),
        cmocka_unit_test(bug_24_lingering_is_no_busy_loop),
        cmocka_unit_test(takeover),
        cmocka_unit_test(a_ghost_gives_way_to_its_publisher),
        cmocka_unit_test(a_living_publisher_is_not_thrown_out),
        cmocka_unit_test(a_ghost_that_ends_is_followed_at_once),
        cmocka_unit_test(who_waits_for_a_ghost_may_leave),
        cmocka_unit_test(a_publisher_returns_within_its_grace),
        cmocka_unit_test(caps_of_app_and_stream),
        cmocka_unit_test(bug_24_answers_find_only_their_own_publisher),
        cmocka_unit_test(bug_24_publishers_are_freed_while_their_list_is_walked),
        cmocka_unit_test(media_that_waited_for_the_answer_leaves),
        cmocka_unit_test(the_rest_of_an_aggregate_is_not_forgotten),
        cmocka_unit_test(bug_24_an_outlet_made_again_gets_nothing_of_the_old_one),
        cmocka_unit_test(streams_do_not_outlive_their_viewers),
        cmocka_unit_test(bug_10_a_slow_thread_loses_nothing_in_silence),
        cmocka_unit_test(bug_10_a_slow_home_holds_up_its_publisher),
        cmocka_unit_test(bug_24_a_refused_publisher_with_media_and_a_full_mailbox),
        cmocka_unit_test(bug_30_silent_peers_are_closed),
        cmocka_unit_test(every_waiting_viewer_is_told),
        cmocka_unit_test(waiting_in_vain_ends_only_that_stream),
        cmocka_unit_test(a_former_viewer_may_not_idle_for_ever),
        cmocka_unit_test(slow_viewers_jump_and_dead_ones_are_closed),
        cmocka_unit_test(stop_tells_players),
        cmocka_unit_test(bug_24_stop_with_everything_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
