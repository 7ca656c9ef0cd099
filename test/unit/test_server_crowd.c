// A crowd: so many viewers of one stream that they are sent to together, and that audio goes with
// the pictures. Each connection plays the stream eight times, so that a crowd needs few of them,
// and so that a batch meets connections that are in it already.
#include "server_kit.h"

#include "io/clock.h"
#include "io/send_ring.h"
#include "server/outlet.h"

#include <stdio.h>

enum { CONNECTIONS = 33, VIEWERS = CONNECTIONS * CV_LIMIT_NET_STREAMS, TRIES = 50 };

static_assert(VIEWERS >= (int)CV_MANY_VIEWERS, "not a crowd");

static struct kit kit;
static struct client publisher;
static struct client crowd[CONNECTIONS];

// The id of a connection's n-th message stream: 2 is nobody's, clients have taken it for granted.
static unsigned stream_id(unsigned n)
{
    return n == 1 ? 1 : n + 1;
}

static void play_all(struct client *client, unsigned streams)
{
    for (unsigned n = 2; n <= streams; n++)
        client_create_stream(client);
    for (unsigned n = 1; n <= streams; n++)
        client_command(client, stream_id(n), "play", "a");
}

static void begin(const char *yaml, unsigned connections, unsigned streams)
{
    kit_start(&kit, 1, false, yaml);
    assert_true(client_open(&publisher, &kit, 0));
    assert_true(client_publish(&publisher, 1, "a"));
    client_headers(&publisher, 1);
    client_video(&publisher, 1, 0, true, 0);
    client_step(&publisher);
    for (unsigned i = 0; i < connections; i++) {
        assert_true(client_open(&crowd[i], &kit, 0));
        play_all(&crowd[i], streams);
    }
    for (unsigned i = 0; i < connections; i++)
        assert_true(client_wait(&crowd[i], "video 1 0"));
    assert_int_equal(kit.workers[0]->outlets->seat_count, connections * streams);
}

static void end(unsigned connections)
{
    clients_close(crowd, connections);
    client_close(&publisher);
    kit_stop(&kit);
}

static void see_everywhere(unsigned connections, const char *kind, unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "%s %u %u", kind, stream_id(CV_LIMIT_NET_STREAMS), number);
    for (unsigned i = 0; i < connections; i++)
        assert_true(client_wait(&crowd[i], text));
}

// Each viewer has the frames from 0 to `last`, each once, in order.
static void check_each_once(const struct client *client, unsigned last)
{
    unsigned next[CV_LIMIT_NET_STREAMS + 2] = {0};
    for (unsigned i = 0; i < client->seen_count; i++) {
        unsigned stream;
        unsigned number;
        if (sscanf(client->seen[i].text, "video %u %u", &stream, &number) != 2)
            continue;
        assert_true(stream <= stream_id(CV_LIMIT_NET_STREAMS));
        assert_int_equal(number, next[stream]);
        next[stream]++;
    }
    for (unsigned n = 1; n <= CV_LIMIT_NET_STREAMS; n++)
        assert_int_equal(next[stream_id(n)], last + 1);
}

// ---- together -------------------------------------------------------------------------------

static const char *const use_rows[] = {"auto", "on", "off"};

static void each_viewer_gets_each_frame_once(void **state)
{
    (void)state;
    bool has_ring = cv_send_ring_probe(NULL) == CV_OK;
    for (size_t i = 0; i < sizeof use_rows / sizeof use_rows[0]; i++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml,
                 "open_publish: true\nlog_level: error\nlatency_ms: 0\nio_uring: %s\n",
                 use_rows[i]);
        begin(yaml, CONNECTIONS, CV_LIMIT_NET_STREAMS);
        for (unsigned n = 1; n <= 20; n++) {
            client_video(&publisher, 1, n, n % 10 == 0, n * 500); // some fill sockets
            client_step(&publisher);
            kit_turn(&kit);
        }
        see_everywhere(CONNECTIONS, "video", 20);
        for (unsigned n = 0; n < CONNECTIONS; n++)
            check_each_once(&crowd[n], 20);
        bool together = has_ring && kit.workers[0]->policy->config->io_uring != CV_USE_OFF;
        assert_int_equal(kit_stats(&kit).batched > 0, together);
        end(CONNECTIONS);
    }
}

// What is in a batch may fail: it is doomed, and the others get theirs.
static void those_who_leave_harm_nobody(void **state)
{
    (void)state;
    begin(NULL, CONNECTIONS, CV_LIMIT_NET_STREAMS);
    for (unsigned n = 1; n < 20; n++) {
        client_close(&crowd[CONNECTIONS - n]);
        client_video(&publisher, 1, n, false, 40000);
        client_step(&publisher);
        kit_turn(&kit);
    }
    see_everywhere(CONNECTIONS - 19, "video", 19);
    for (unsigned n = 0; n < CONNECTIONS - 19; n++)
        check_each_once(&crowd[n], 19);
    clients_close(crowd, CONNECTIONS - 19);
    client_close(&publisher);
    kit_stop(&kit);
}

// ---- audio rides ----------------------------------------------------------------------------

static void say_audio(unsigned n)
{
    client_audio(&publisher, 1, n);
    client_step(&publisher);
    for (int i = 0; i < 3; i++)
        kit_turn(&kit);
}

static bool waits(void)
{
    return cv_timer_is_set(&kit.workers[0]->outlets->window);
}

// It waits, and is there with the picture, in the same writes. A machine may be so slow that the
// wait is over before we look: then once more.
static void audio_goes_with_the_next_picture(void **state)
{
    (void)state;
    bool went = false;
    begin(NULL, CONNECTIONS, CV_LIMIT_NET_STREAMS);
    for (unsigned n = 1; n <= TRIES && !went; n++) {
        uint64_t flushes = kit.workers[0]->stats.flushes;
        say_audio(n);
        bool waited = waits() && kit.workers[0]->stats.flushes == flushes;
        client_video(&publisher, 1, n, false, 0);
        client_step(&publisher);
        kit_turn(&kit);
        kit_turn(&kit);
        went = waited && !waits() && kit.workers[0]->stats.flushes == flushes + CONNECTIONS;
        see_everywhere(CONNECTIONS, "audio", n);
        see_everywhere(CONNECTIONS, "video", n);
    }
    assert_true(went);
    end(CONNECTIONS);
}

static void audio_without_a_picture_comes_by_itself(void **state)
{
    (void)state;
    begin(NULL, CONNECTIONS, CV_LIMIT_NET_STREAMS);
    say_audio(1);
    see_everywhere(CONNECTIONS, "audio", 1);
    end(CONNECTIONS);
}

enum { WINDOW_US = 50000 };

static bool window_is_long_over(void *arg)
{
    const struct cv_outlet *outlet = arg;
    return cv_clock_now_us() > outlet->flushed_us + 2 * WINDOW_US;
}

// With a window: the first of what is new waits for the rest, however long ago the last flush was.
static void a_window_begins_with_what_waits(void **state)
{
    (void)state;
    bool went = false;
    begin("open_publish: true\nlog_level: error\nlatency_ms: 50\n", CONNECTIONS,
          CV_LIMIT_NET_STREAMS);
    for (unsigned n = 1; n <= 2 * TRIES && !went; n += 2) {
        assert_true(kit_until(&kit, window_is_long_over, kit.workers[0]->outlets));
        uint64_t flushes = kit.workers[0]->stats.flushes;
        for (unsigned i = n; i < n + 2; i++) {
            client_video(&publisher, 1, i, false, 0);
            client_step(&publisher);
            kit_turn(&kit);
            kit_turn(&kit);
        }
        bool waited = waits() && kit.workers[0]->stats.flushes == flushes;
        see_everywhere(CONNECTIONS, "video", n + 1);
        went = waited && kit.workers[0]->stats.flushes == flushes + CONNECTIONS;
    }
    assert_true(went);
    end(CONNECTIONS);
}

static void few_viewers_never_wait(void **state)
{
    (void)state;
    begin(NULL, 4, CV_LIMIT_NET_STREAMS);
    for (unsigned n = 1; n < 10; n++) {
        say_audio(n);
        assert_false(waits());
        see_everywhere(4, "audio", n);
    }
    end(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_viewer_gets_each_frame_once),
        cmocka_unit_test(those_who_leave_harm_nobody),
        cmocka_unit_test(audio_goes_with_the_next_picture),
        cmocka_unit_test(audio_without_a_picture_comes_by_itself),
        cmocka_unit_test(a_window_begins_with_what_waits),
        cmocka_unit_test(few_viewers_never_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
