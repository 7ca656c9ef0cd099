// Viewers at the same place are sent the same run (media/run.h): whatever else they are and do,
// each gets everything once and in order; and who cannot take all of it goes on where it was cut.
#include "server_kit.h"

#include "chunk_kit.h"
#include "server/conn.h"
#include "server/netconn.h"

#include <stdio.h>
#include <sys/socket.h>

static struct kit kit;

#define LIMITS "apps:\n  - name: live\n    log_bytes_max: 100000000\n    log_s_max: 600\n"
static const char by_calls[] =
    "open_publish: true\nlog_level: error\nlatency_ms: 0\nio_uring: off\n" LIMITS;
static const char by_ring[] =
    "open_publish: true\nlog_level: error\nlatency_ms: 0\nio_uring: on\n" LIMITS;

enum { PLAYERS = 6, ALL = PLAYERS + 1, FIRST_NUMBER = 2 };

// Publisher first, then players: two plain ones, two that can resume, one that will not hear audio
// and one that plays twice.
static void open_all(struct client *c, const char *yaml)
{
    kit_start(&kit, 1, false, yaml);
    for (unsigned i = 0; i < ALL; i++)
        assert_true(client_open(&c[i], &kit, 0));
    assert_true(client_publish(&c[0], 1, "a"));
    client_headers(&c[0], 1);
    client_video(&c[0], 1, 0, true, 0);
    client_play_resume(&c[3], "a", "");
    client_play_resume(&c[4], "a", "");
    client_create_stream(&c[6]);
    assert_true(client_wait(&c[6], "result 3 3"));
    client_command(&c[6], 3, "play", "a");
    for (unsigned i = 1; i < ALL; i++) {
        if (i != 3 && i != 4)
            client_command(&c[i], 1, "play", "a");
    }
    kit_settle(&kit, c, ALL);
    client_command_boolean(&c[5], 1, "receiveAudio", false);
    kit_settle(&kit, c, ALL);
    for (unsigned i = 1; i < ALL; i++)
        assert_int_equal(client_count(&c[i], "video 1 0"), 1);
}

static void close_all(struct client *c)
{
    clients_close(c, ALL);
    kit_stop(&kit);
}

// From 0 to `last`, each once, in order; frames of both kinds where they are wanted.
static void check_player(const struct client *client, uint32_t stream, unsigned last, bool audio)
{
    unsigned next[2] = {0, 1};
    for (unsigned i = 0; i < client->seen_count; i++) {
        char kind[8];
        unsigned on, number;
        if (sscanf(client->seen[i].text, "%7s %u %u", kind, &on, &number) != 3 || on != stream)
            continue;
        if (strcmp(kind, "video") == 0)
            assert_int_equal(number, next[0]++);
        else if (strcmp(kind, "audio") == 0)
            assert_int_equal(number, next[1]++);
    }
    assert_int_equal(next[0], last + 1);
    assert_int_equal(next[1], audio ? last + 1 : 1);
}

static void check_all(const struct client *c, unsigned last)
{
    char position[32];
    for (unsigned i = 1; i < ALL; i++)
        check_player(&c[i], 1, last, i != 5);
    check_player(&c[6], 3, last, true);
    snprintf(position, sizeof position, ":%u", 2 * last + FIRST_NUMBER + 1);
    for (unsigned i = 3; i < 5; i++) {
        assert_string_equal(strchr(c[i].position, ':'), position);
        assert_int_equal(client_count(&c[i], "position 2"), 1);
        for (unsigned n = 0, told = 0; n < c[i].seen_count; n++) // never again
            assert_true((told += strncmp(c[i].seen[n].text, "position", 8) == 0) <= 1);
    }
}

static void publish(struct client *client, unsigned number, size_t pad)
{
    client_video(client, 1, number, number % 50 == 0, pad);
    client_audio(client, 1, number);
}

static void check_shared(const char *yaml)
{
    struct client c[ALL];
    open_all(c, yaml);
    const struct cv_run *run = &kit.workers[0]->run;
    for (unsigned n = 1; n <= 40; n++) {
        publish(&c[0], n, n * 100);
        kit_settle(&kit, c, n % 4 ? 1 : ALL);
        assert_null(run->log); // outside of a flush there is none
        assert_int_equal(run->to, 2 * n + FIRST_NUMBER + 1);
        assert_int_equal(run->editions, n);
    }
    check_all(c, 40);
    close_all(c);
}

static void set_buffer(int fd, int option, int bytes)
{
    assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes), 0);
}

// Little fits into their sockets.
static void narrow(struct client *c)
{
    struct cv_conn *conn;
    DL_FOREACH (kit.workers[0]->sockets, conn)
        set_buffer(conn->channel.fd, SO_SNDBUF, 65536);
    for (unsigned i = 1; i < ALL; i++)
        set_buffer(c[i].fd, SO_RCVBUF, 65536);
}

// Connections whose engines have the rest of what was cut.
static unsigned count_cut(void)
{
    unsigned cut = 0;
    for (struct cv_netconn *conn = kit.workers[0]->conns; conn; conn = conn->hh.next)
        cut += conn->blocked && cv_rtmp_out_count(conn->rtmp) > 0;
    return cut;
}

static void check_cut(const char *yaml)
{
    struct client c[ALL];
    uint32_t random = 7;
    unsigned cut = 0;
    unsigned last = 0;
    uint32_t bytes_max = kit_tls ? 300000 : 60000; // the buffers of a bridge are wide
    open_all(c, yaml);
    narrow(c);
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 1; i < ALL; i++)
            c[i].mute = random_below(&random, 3) == 0;
        for (unsigned frames = random_below(&random, 8); frames; frames--)
            publish(&c[0], ++last, random_below(&random, bytes_max));
        kit_settle(&kit, c, ALL);
        cut += count_cut();
    }
    for (unsigned i = 1; i < ALL; i++)
        c[i].mute = false;
    char text[32];
    snprintf(text, sizeof text, "audio 1 %u", last);
    for (unsigned i = 1; i < ALL; i++) {
        c[i].at = 0;
        if (i != 5)
            assert_true(client_wait(&c[i], text));
    }
    kit_settle(&kit, c, ALL);
    assert_true(cut > 20);
    assert_int_equal(kit_stats(&kit).jumps, 0);
    check_all(c, last);
    close_all(c);
}

// What a player says between, and is answered, keeps its place among the media.
static void check_talking(const char *yaml)
{
    struct client c[ALL];
    open_all(c, yaml);
    for (unsigned n = 1; n <= 60; n++) {
        publish(&c[0], n, n * 10);
        for (unsigned i = 1; i < ALL; i++) {
            if ((n + i) % 3 == 0)
                client_command(&c[i], 0, "getStreamLength", "a");
            client_step(&c[i]);
        }
        client_step(&c[0]);
        kit_turn(&kit);
    }
    kit_settle(&kit, c, ALL);
    check_all(c, 60);
    close_all(c);
}

// ---- all of it, both ways ----------------------------------------------------------------------

static void viewers_share_a_run(void **state)
{
    (void)state;
    check_shared(by_calls);
    check_shared(by_ring);
}

static void who_is_cut_goes_on_in_its_engine(void **state)
{
    (void)state;
    check_cut(by_calls);
    check_cut(by_ring);
}

static void answers_keep_their_place(void **state)
{
    (void)state;
    check_talking(by_calls);
    check_talking(by_ring);
}

// A player that stops and one that changes its mind get what they asked for.
static void pauses_and_kinds_are_minded(void **state)
{
    (void)state;
    struct client c[ALL];
    open_all(c, by_calls);
    client_command_boolean(&c[1], 1, "pause", true);
    client_command_boolean(&c[2], 1, "receiveVideo", false);
    kit_settle(&kit, c, ALL);
    for (unsigned n = 1; n <= 60; n++)
        publish(&c[0], n, 10);
    kit_settle(&kit, c, ALL);
    assert_int_equal(client_count(&c[1], "video 1 60") + client_count(&c[1], "audio 1 1"), 0);
    assert_int_equal(client_count(&c[2], "video 1 60"), 0);
    assert_int_equal(client_count(&c[2], "audio 1 60"), 1);
    client_command_boolean(&c[1], 1, "pause", false);
    client_command_boolean(&c[2], 1, "receiveVideo", true);
    kit_settle(&kit, c, ALL);
    for (unsigned n = 61; n <= 110; n++)
        publish(&c[0], n, 10);
    kit_settle(&kit, c, ALL);
    assert_int_equal(client_count(&c[1], "video 1 49"), 0); // the newest group of pictures
    assert_int_equal(client_count(&c[1], "video 1 50"), 1);
    assert_int_equal(client_count(&c[1], "video 1 110"), 1);
    assert_int_equal(client_count(&c[2], "video 1 99"), 0); // from a key frame on
    assert_int_equal(client_count(&c[2], "video 1 100"), 1);
    check_player(&c[3], 1, 110, true);
    close_all(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(viewers_share_a_run),
        cmocka_unit_test(who_is_cut_goes_on_in_its_engine),
        cmocka_unit_test(answers_keep_their_place),
        cmocka_unit_test(pauses_and_kinds_are_minded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
