// RTMP over WebSocket in the server, driven by hand in one thread.
#include "server_kit.h"

#include "server/log.h"
#include "server/netconn.h"

#include <fcntl.h>
#include <stdio.h>

static struct kit kit;

static const char yaml[] = "open_publish: true\nlog_level: error\nlatency_ms: 0\n"
                           "apps:\n  - name: live\n    grace_s: 0\n    log_s_max: 600\n";

// ---- journeys -------------------------------------------------------------------------------

static bool open_client(struct client *client, unsigned worker, bool ws)
{
    return ws ? client_open_ws(client, &kit, worker) : client_open(client, &kit, worker);
}

static void expect_all(const struct client *viewer, uint32_t count)
{
    uint32_t got = 0;
    for (unsigned i = 0; i < viewer->seen_count; i++) {
        unsigned number;
        if (sscanf(viewer->seen[i].text, "audio 1 %u", &number) == 1)
            assert_int_equal(number, ++got);
    }
    assert_int_equal(got, count);
}

static void check_journey(unsigned home, bool ws_in, bool ws_out)
{
    struct client c[2]; // publisher, viewer
    char name[32];
    kit_name(&kit, home, 1, name);
    assert_true(open_client(&c[0], 0, ws_in));
    assert_true(open_client(&c[1], 1, ws_out));
    assert_true(client_publish(&c[0], 1, name));
    assert_true(client_play(&c[1], 1, name));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    for (uint32_t n = 2; n <= 500; n++)
        client_audio(&c[0], 1, n);
    client_command_number(&c[0], 0, "deleteStream", 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "status 1 NetStream.Play.UnpublishNotify"));
    expect_all(&c[1], 500);
    client_close(&c[0]);
    client_close(&c[1]);
    assert_true(kit_until(&kit, kit_is_clean, &kit));
}

static void websocket_and_plain_meet(void **state)
{
    (void)state;
    kit_start(&kit, 2, false, yaml);
    for (unsigned i = 0; i < 6; i++)
        check_journey(i % 2, i / 2 != 1, i / 2 != 0);
    kit_stop(&kit);
}

static unsigned worker_of_webs(void)
{
    static const uint8_t loopback[] = {127, 0, 0, 1};
    struct cv_addr addr = {.family = CV_ADDR_IPV4};
    memcpy(addr.ip, loopback, sizeof loopback);
    return cv_worker_choose(kit.workers[0], addr.ip, sizeof addr.ip);
}

// What was unpacked already when its publisher had to wait comes later, once and in order.
static void bug_10_a_slow_home_holds_up_its_publisher(void **state)
{
    (void)state;
    struct client c[2];
    char name[32];
    kit_start(&kit, 2, false, yaml);
    unsigned home = 1 - worker_of_webs();
    kit_name(&kit, home, 1, name);
    assert_true(client_open_ws(&c[0], &kit, 0));
    assert_true(client_open(&c[1], &kit, home));
    assert_true(client_publish(&c[0], 1, name));
    assert_true(client_play(&c[1], 1, name));
    client_audio(&c[0], 1, 1);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "audio 1 1"));
    kit.frozen[home] = true;
    uint32_t n = 1;
    bool paused = false;
    for (int turn = 0; turn < 1300; turn++) {
        for (int i = 0; i < 3; i++) { // frames that are read at once
            client_audio(&c[0], 1, ++n);
            client_step(&c[0]);
        }
        kit_turn(&kit);
        paused |= kit.workers[1 - home]->paused_conns != NULL;
    }
    assert_true(paused);
    kit.frozen[home] = false;
    char last[32];
    snprintf(last, sizeof last, "audio 1 %u", n);
    for (int i = 0; i < 1000 && client_count(&c[1], last) == 0; i++) {
        client_step(&c[0]);
        client_step(&c[1]);
        kit_turn(&kit);
    }
    expect_all(&c[1], n);
    client_close(&c[0]);
    client_close(&c[1]);
    kit_stop(&kit);
}

// ---- frames ---------------------------------------------------------------------------------

static void pings_are_answered(void **state)
{
    (void)state;
    struct client client;
    kit_start(&kit, 1, false, yaml);
    assert_true(client_open_ws(&client, &kit, 0));
    cv_ws_ping(client.ws);
    assert_true(client_wait(&client, "pong"));
    client_close(&client);
    kit_stop(&kit);
}

// Viewers are told at once, not when the publisher's connection is gone at last.
static void check_close(struct client *publisher, struct client *viewer, const char *seen)
{
    assert_true(client_wait(publisher, seen));
    assert_true(client_wait(viewer, "status 1 NetStream.Play.UnpublishNotify"));
    assert_int_equal(kit_stats(&kit).connections, 2);
    assert_true(client_wait_closed(publisher));
    client_close(publisher);
    client_close(viewer);
    assert_true(kit_until(&kit, kit_is_clean, &kit));
}

static void start_stream(struct client *publisher, struct client *viewer)
{
    assert_true(client_open_ws(publisher, &kit, 0));
    assert_true(client_open_ws(viewer, &kit, 0));
    assert_true(client_publish(publisher, 1, "a"));
    assert_true(client_play(viewer, 1, "a"));
}

static void a_close_is_answered_and_ends_the_stream(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false, yaml);
    start_stream(&c[0], &c[1]);
    cv_ws_close(c[0].ws, CV_WS_GOING_AWAY, NULL);
    check_close(&c[0], &c[1], "ws close 1001");
    kit_stop(&kit);
}

static void text_is_refused(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false, yaml);
    start_stream(&c[0], &c[1]);
    assert_int_equal(cv_ws_send(c[0].ws, true, "hello", 5), CV_OK);
    check_close(&c[0], &c[1], "ws close 1003");
    kit_stop(&kit);
}

// ---- ends -----------------------------------------------------------------------------------

static void a_slow_viewer_is_ended_with_its_frame_half_sent(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false, yaml);
    start_stream(&c[0], &c[1]);
    c[1].mute = true;
    for (uint32_t n = 0; n < 600; n++) {
        client_video(&c[0], 1, n, n % 10 == 0, 100000);
        client_step(&c[0]);
        kit_turn(&kit);
    }
    // It reads again: what was begun is finished, then there are jumps.
    c[1].mute = false;
    client_video(&c[0], 1, 600, true, 0);
    client_step(&c[0]);
    assert_true(client_wait(&c[1], "video 1 600"));
    assert_true(client_count(&c[1], "video 1 300") == 0);
    // It stops to read again, and closes: nobody waits for what it does not take.
    c[1].mute = true;
    for (uint32_t n = 601; n < 900; n++) {
        client_video(&c[0], 1, n, n % 10 == 0, 100000);
        client_step(&c[0]);
        kit_turn(&kit);
    }
    cv_ws_close(c[1].ws, CV_WS_NORMAL, NULL);
    client_step(&c[1]);
    for (int i = 0; i < 20; i++)
        kit_turn(&kit);
    assert_int_equal(kit_stats(&kit).viewers, 0);
    c[1].mute = false;
    assert_true(client_wait(&c[1], "ws close 1000"));
    client_close(&c[1]);
    client_close(&c[0]);
    kit_stop(&kit);
}

static void stop_is_told(void **state)
{
    (void)state;
    struct client c[2];
    kit_start(&kit, 1, false, yaml);
    start_stream(&c[0], &c[1]);
    struct cv_note stop = {.kind = CV_NOTE_STOP};
    assert_true(kit_tell_all(&kit, &stop));
    assert_true(client_wait(&c[1], "status 1 NetStream.Play.UnpublishNotify"));
    assert_true(client_wait(&c[1], "ws close 1001"));
    assert_true(client_wait(&c[0], "ws close 1001"));
    assert_true(client_wait_closed(&c[1]));
    client_close(&c[0]);
    client_close(&c[1]);
    kit_stop(&kit);
}

// ---- memory ---------------------------------------------------------------------------------

// False: nothing failed any more.
static bool live_with_failure(uint64_t n)
{
    struct client c[2];
    uint64_t left = n;
    assert_true(client_dial_ws(&c[0], &kit, 0));
    assert_true(client_dial_ws(&c[1], &kit, 0));
    kit_step_failing(&kit, c, 2, &left);
    for (unsigned i = 0; i < 2; i++) {
        client_connect(&c[i], "live");
        client_create_stream(&c[i]);
    }
    kit_step_failing(&kit, c, 2, &left);
    client_command(&c[0], 1, "publish", "a");
    client_command(&c[1], 1, "play", "a");
    kit_step_failing(&kit, c, 2, &left);
    for (uint32_t number = 0; number < 40; number++)
        client_video(&c[0], 1, number, number % 20 == 0, 100);
    cv_ws_ping(c[0].ws);
    kit_step_failing(&kit, c, 2, &left);
    cv_ws_close(c[0].ws, CV_WS_NORMAL, NULL);
    kit_step_failing(&kit, c, 2, &left);
    client_close(&c[0]);
    client_close(&c[1]);
    kit_turn_failing(&kit, &left);
    return left == 0;
}

static void bug_24_every_allocation_fails_once(void **state)
{
    (void)state;
    uint64_t n = 1;
    kit_start(&kit, 1, false, yaml);
    for (; live_with_failure(n); n++) {
        assert_true(kit_until(&kit, kit_is_clean, &kit));
        assert_true(n < 100000);
    }
    assert_true(n > 50);
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(websocket_and_plain_meet),
        cmocka_unit_test(bug_10_a_slow_home_holds_up_its_publisher),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(a_close_is_answered_and_ends_the_stream),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(a_slow_viewer_is_ended_with_its_frame_half_sent),
        cmocka_unit_test(stop_is_told),
        cmocka_unit_test(bug_24_every_allocation_fails_once),
    };
    cv_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); // one line for each failure
    return cmocka_run_group_tests(tests, NULL, NULL);
}
