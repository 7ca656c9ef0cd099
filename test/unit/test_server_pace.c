// Publishers that are read once in a window: when that begins and ends, and that nobody can tell.
#include "server_kit.h"

#include "base/mem.h"
#include "io/socket.h"
#include "server/pace.h"
#include "server/publisher.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

// A window that is over soon, for what takes many of them.
static const char yaml_short[] = "open_publish: true\nlog_level: error\nlatency_ms: 4\n"
                                 "apps:\n  - name: live\n    grace_s: 0\n";
// One that is not over while a test does something.
static const char yaml_long[] = "open_publish: true\nlog_level: error\nlatency_ms: 25\n"
                                "apps:\n  - name: live\n    grace_s: 0\n";
static const char yaml_none[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                                "apps:\n  - name: live\n    grace_s: 0\n";

static struct kit kit;

// ---- others, who publish and are silent -----------------------------------------------------

static struct client others[CV_PACE_PUBLISHERS];
static unsigned other_count;

static void one_more(void)
{
    char name[32];
    struct client *other = &others[other_count++];
    snprintf(name, sizeof name, "other%u", other_count);
    assert_true(client_open(other, &kit, 0) && client_publish(other, 1, name));
}

static void start_with(unsigned count, unsigned workers, const char *yaml)
{
    kit_start(&kit, workers, false, yaml);
    while (other_count < count)
        one_more();
}

// With one publisher more, the first thread has so many that some are read at a pace.
static void start(unsigned workers, const char *yaml)
{
    start_with(CV_PACE_PUBLISHERS - 1, workers, yaml);
}

static void close_others(void)
{
    clients_close(others, other_count);
    other_count = 0;
}

static void stop(void)
{
    close_others();
    kit_stop(&kit);
}

// ---- who is ---------------------------------------------------------------------------------

static uint32_t paced(void)
{
    uint32_t sum = 0;
    for (unsigned w = 0; w < kit.shared.workers; w++) {
        for (unsigned phase = 0; phase < CV_PACE_PHASES; phase++)
            sum += kit.workers[w]->pacer.counts[phase];
    }
    return sum;
}

static bool some_are_paced(void *arg)
{
    return paced() == *(uint32_t *)arg;
}

static bool wait_paced(uint32_t count)
{
    return kit_until(&kit, some_are_paced, &count);
}

struct flow {
    struct client *client;
    uint32_t stream;
    uint32_t sent;
    uint32_t paced;
};

static bool flows(void *arg)
{
    struct flow *flow = arg;
    client_audio(flow->client, flow->stream, flow->sent++);
    client_step(flow->client);
    return paced() == flow->paced;
}

// Publishes until that many are paced. How many messages it took; 0: it did not happen.
static uint32_t flow_until(struct client *client, uint32_t stream, uint32_t count)
{
    struct flow flow = {.client = client, .stream = stream, .paced = count};
    return kit_until(&kit, flows, &flow) ? flow.sent : 0;
}

static void check_all(const struct client *viewer, uint32_t from, uint32_t to)
{
    char text[32];
    for (uint32_t n = from; n < to; n++) {
        snprintf(text, sizeof text, "audio 1 %u", n);
        assert_int_equal(client_count(viewer, text), 1);
    }
}

static void journey(unsigned workers, unsigned home)
{
    char name[32];
    char last[32];
    struct client c[2];
    start(workers, yaml_short);
    kit_name(&kit, home, 1, name);
    assert_true(client_open(&c[0], &kit, 0) && client_open(&c[1], &kit, workers - 1));
    assert_true(client_publish(&c[0], 1, name));
    client_audio(&c[0], 1, 100000);
    client_command(&c[1], 1, "play", name);
    assert_true(client_wait(&c[1], "status 1 NetStream.Play.Start"));
    uint32_t sent = flow_until(&c[0], 1, 1);
    assert_true(sent >= 64 - 1);
    // Small ones, and some that are too much to wait for their time.
    for (uint32_t n = 0; n < 50; n++)
        client_audio(&c[0], 1, sent++);
    for (uint32_t n = 0; n < 5; n++)
        client_video(&c[0], 1, 200000 + n, false, 40000);
    client_audio(&c[0], 1, sent++);
    assert_true(client_step(&c[0]));
    snprintf(last, sizeof last, "audio 1 %u", sent - 1);
    assert_true(client_wait(&c[1], last));
    check_all(&c[1], 1, sent);
    // What else it says is heard, too.
    client_create_stream(&c[0]);
    assert_true(client_wait(&c[0], "result 4 3"));
    clients_close(c, 2);
    assert_true(wait_paced(0));
    close_others();
    assert_true(kit_until(&kit, kit_is_clean, &kit));
    stop();
}

static void who_sends_often_is_read_at_a_pace(void **state)
{
    (void)state;
    journey(1, 0);
    journey(2, 0);
    journey(2, 1);
}

static void the_descriptor_is_silent_meanwhile(void **state)
{
    (void)state;
    struct client c;
    start(1, yaml_long);
    assert_true(client_open(&c, &kit, 0) && client_publish(&c, 1, "a"));
    uint32_t sent = flow_until(&c, 1, 1);
    assert_true(sent);
    kit_settle(&kit, &c, 1);
    // Sixteen turns of the loop: nothing is read but by the clock, of which one tick at most
    // passes.
    uint64_t before = kit_stats(&kit).messages_in;
    uint64_t tick = kit.workers[0]->pacer.tick;
    for (uint32_t n = 0; n < 8; n++) {
        client_audio(&c, 1, sent++);
        assert_true(client_step(&c));
        kit_turn(&kit);
    }
    if (kit.workers[0]->pacer.tick == tick)
        assert_int_equal(kit_stats(&kit).messages_in, before);
    // But of much it tells at once.
    tick = kit.workers[0]->pacer.tick;
    client_video(&c, 1, sent, false, 3 * CV_PACE_BYTES);
    assert_true(client_step(&c));
    for (int i = 0; i < 8; i++) {
        client_step(&c);
        kit_turn(&kit);
    }
    assert_true(kit_stats(&kit).messages_in > before);
    client_close(&c);
    close_others();
    assert_true(kit_until(&kit, kit_is_clean, &kit)); // its end, too: long before the window's
    stop();
}

static void who_sends_seldom_is_not(void **state)
{
    (void)state;
    struct client c;
    start(1, yaml_short);
    assert_true(client_open(&c, &kit, 0) && client_publish(&c, 1, "a"));
    uint32_t sent = flow_until(&c, 1, 1);
    assert_true(sent);
    assert_true(wait_paced(0)); // it has fallen silent
    uint64_t before = kit_stats(&kit).messages_in;
    client_audio(&c, 1, sent);
    assert_true(client_step(&c));
    for (int i = 0; i < 3; i++)
        kit_turn(&kit);
    assert_int_equal(kit_stats(&kit).messages_in, before + 1);
    assert_true(flow_until(&c, 1, 1)); // and again
    client_close(&c);
    stop();
}

static void publish_at_no_pace(struct client *client)
{
    assert_true(client_open(client, &kit, 0) && client_publish(client, 1, "a"));
    for (uint32_t n = 0; n < 200; n++) {
        client_audio(client, 1, n);
        assert_true(client_step(client));
        kit_turn(&kit);
        assert_int_equal(paced(), 0);
    }
}

static void without_a_window_nobody_is(void **state)
{
    (void)state;
    struct client c;
    start(1, yaml_none);
    publish_at_no_pace(&c);
    kit_reload(&kit, yaml_short);
    assert_true(flow_until(&c, 1, 1));
    kit_reload(&kit, yaml_none);
    assert_true(wait_paced(0));
    client_audio(&c, 1, 0);
    client_close(&c);
    stop();
}

static void on_a_thread_with_few_nobody_is(void **state)
{
    (void)state;
    struct client c;
    start_with(CV_PACE_PUBLISHERS - 2, 1, yaml_short);
    publish_at_no_pace(&c);
    one_more();
    assert_true(flow_until(&c, 1, 1));
    client_close(&c);
    stop();
}

static uint32_t id_of(uint32_t n)
{
    return n ? n + 2 : 1;
}

// The lists are walked while what is read ends publishers, also others of the same connection.
static void a_reading_may_end_publishers(void **state)
{
    (void)state;
    enum { CLIENTS = 6, STREAMS = 5 };
    struct client c[CLIENTS];
    start(1, yaml_long);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        assert_true(client_open(&c[i], &kit, 0));
        for (uint32_t n = 0; n < STREAMS; n++) {
            char name[32];
            snprintf(name, sizeof name, "s%u-%u", i, n);
            if (n > 0)
                client_create_stream(&c[i]);
            assert_true(client_publish(&c[i], id_of(n), name));
            assert_true(flow_until(&c[i], id_of(n), i * STREAMS + n + 1));
        }
    }
    kit_settle(&kit, c, CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        for (uint32_t n = 0; n < STREAMS; n++)
            client_command_number(&c[i], 0, "deleteStream", id_of(n));
        assert_true(client_step(&c[i]));
    }
    kit_reload(&kit, yaml_short);
    assert_true(wait_paced(0));
    for (uint32_t i = 0; i < CLIENTS; i++) { // nobody is deaf afterwards
        client_create_stream(&c[i]);
        char text[32];
        snprintf(text, sizeof text, "result %.0f 1", c[i].transaction - 1);
        assert_true(client_wait(&c[i], text));
    }
    clients_close(c, CLIENTS);
    stop();
}

static void shares_of_a_window(void **state)
{
    (void)state;
    assert_int_equal(cv_pace_floor_us(123456, 20000), 120000);
    assert_int_equal(cv_pace_floor_us(125000, 20000), 125000);
    assert_int_equal(cv_pace_floor_us(124999, 20000), 120000);
    assert_int_equal(cv_pace_floor_us(123456, 0), 123456);
    assert_int_equal(cv_pace_floor_us(123456, 3), 123456);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sends_often_is_read_at_a_pace),
        cmocka_unit_test(the_descriptor_is_silent_meanwhile),
        cmocka_unit_test(who_sends_seldom_is_not),
        cmocka_unit_test(without_a_window_nobody_is),
        cmocka_unit_test(on_a_thread_with_few_nobody_is),
        cmocka_unit_test(a_reading_may_end_publishers),
        cmocka_unit_test(shares_of_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
