// The client's connection against real workers: ways, cuts, replaced ways, goodbyes, want of
// memory; in plain text, and inside TLS.
#include "road_kit.h"

#include "base/mem.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/socket.h"

#include <stdio.h>

// ---- ways -------------------------------------------------------------------------------------

enum { MESSAGES = 120 };

// A publisher and a player go through the road; the way is the wanted one; every message comes.
static void expect_through(enum habit habit, enum cv_via via, const char *way, unsigned attempts)
{
    struct scene scene = {0};
    struct caller publisher = {.limit = MESSAGES};
    struct caller player = {0};
    scene_open(&scene, habit, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, via);
    caller_start(&scene, &player, &scene.road.addr, CV_RTMP_CLIENT_PLAY, via);
    scene_until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
    caller_expect_whole(&player, MESSAGES);
    assert_string_equal(publisher.name, way);
    assert_string_equal(player.name, way);
    assert_int_equal(publisher.attempts, attempts);
    assert_int_equal(publisher.cuts + player.cuts, 0);
    cv_connection_close(publisher.connection);
    scene_until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    scene_until(&scene, NULL, &player.ended);
    assert_int_equal(player.end, CV_END_FINISHED);
    scene_end(&scene, &publisher, &player);
}

static void an_open_road_is_rtmp_behind_an_offer(void **state)
{
    (void)state;
    const char *name =
        road_is_secure() ? "RTMPS behind an HTTPS offer" : "RTMP behind an HTTP offer";
    expect_through(PASSES, CV_VIA_AUTO, name, 1);
}

static void each_way_can_be_asked_for(void **state)
{
    (void)state;
    expect_through(PASSES, CV_VIA_RTMP, road_is_secure() ? "RTMPS" : "RTMP", 1);
    expect_through(PASSES, CV_VIA_RTMPT, road_is_secure() ? "RTMPTS" : "RTMPT", 1);
    expect_through(PASSES, CV_VIA_SOCKET,
                   road_is_secure() ? "secure WebSocket" : "RTMP over WebSocket", 1);
}

static void filters_for_http_are_passed_at_once(void **state)
{
    (void)state;
    if (road_is_secure())
        return; // nobody reads along
    expect_through(HTTP_ONLY_RESETS, CV_VIA_AUTO, "RTMP behind an HTTP offer", 1);
    expect_through(HTTP_ONLY_IS_MUTE, CV_VIA_AUTO, "RTMP behind an HTTP offer", 1);
    expect_through(ANSWERS_400, CV_VIA_AUTO, "RTMP behind an HTTP offer", 1);
}

static void a_stripped_offer_is_a_tunnel(void **state)
{
    (void)state;
    if (road_is_secure())
        return; // nobody reads along
    expect_through(STRIPS_THE_OFFER, CV_VIA_AUTO, "RTMPT", 1);
}

// What was tried in vain.
static struct caller expect_no_way(enum habit habit, enum cv_ladder_order order)
{
    struct scene scene = {0};
    struct caller caller = {0};
    struct cv_connection_config config = {.mode = CV_RTMP_CLIENT_PLAY, .order = order};
    scene_open(&scene, habit, NULL);
    assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
    scene_until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_NO_WAY);
    assert_false(caller.through);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
    return caller;
}

static void a_portal_is_named(void **state)
{
    (void)state;
    if (road_is_secure())
        return; // nobody reads along
    struct caller caller = expect_no_way(PORTAL, CV_LADDER_OFFER_FIRST);
    assert_int_equal(caller.obstacle, CV_OBSTACLE_PORTAL);
    assert_string_equal(caller.location, "http://login.example/hotel");
    assert_string_equal(caller.why, cv_obstacle_text(CV_OBSTACLE_PORTAL));
    caller = expect_no_way(PORTAL, CV_LADDER_RTMP_FIRST);
    assert_int_equal(caller.obstacle, CV_OBSTACLE_PORTAL);
}

static void a_proxy_in_the_way_is_named(void **state)
{
    (void)state;
    if (road_is_secure())
        return; // nobody reads along
    struct caller caller = expect_no_way(REFUSES_PROXY, CV_LADDER_OFFER_FIRST);
    assert_int_equal(caller.obstacle, CV_OBSTACLE_PROXY_AUTH);
}

static void a_closed_port_is_named(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller caller = {0};
    scene_open(&scene, PASSES, NULL);
    struct cv_addr addr = scene.road.addr;
    cv_socket_close(&scene.road.listener);
    caller_call(&scene, &caller, &addr, "s", CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!caller.ended && cv_clock_now_us() < end_us)
        cv_loop_run_once(scene.loop);
    assert_int_equal(caller.end, CV_END_NO_WAY);
    assert_int_equal(caller.obstacle, CV_OBSTACLE_REFUSED);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

// ---- what the server says ---------------------------------------------------------------------

static void a_refusal_is_told_as_such(void **state)
{
    (void)state;
    static const char keyed[] = "apps:\n  - name: live\n    publish: key\n";
    struct scene scene = {0};
    struct caller caller = {0};
    scene_open(&scene, PASSES, keyed);
    caller_call(&scene, &caller, &scene.road.addr, "s?key=wrong", CV_RTMP_CLIENT_PUBLISH,
                CV_VIA_AUTO);
    scene_until(&scene, NULL, &caller.ended);
    assert_true(caller.through);
    assert_false(caller.started);
    assert_int_equal(caller.end, CV_END_REFUSED);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

static void a_function_can_be_called(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller caller = {0};
    uint32_t number = 0;
    scene_open(&scene, PASSES, NULL);
    caller_call(&scene, &caller, &scene.road.addr, "", CV_RTMP_CLIENT_CALL, CV_VIA_AUTO);
    scene_until(&scene, NULL, &caller.started);
    assert_int_equal(
        cv_connection_call(caller.connection, "noSuchThing", (struct cv_text){0}, &number), CV_OK);
    bool told = false;
    while (!told) {
        scene_turn(&scene, NULL);
        told = caller.results == 1;
    }
    assert_false(caller.ok);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

// ---- cuts -------------------------------------------------------------------------------------

// A publisher whose ways are cut again and again; a player beside the server sees every message
// once.
static void publish_through_cuts(enum habit habit, enum cv_via via, size_t up, size_t down,
                                 unsigned cuts)
{
    struct scene scene = {0};
    struct caller publisher = {.limit = MESSAGES, .pace_us = down ? 10000 : 0};
    struct caller player = {0};
    scene_open(&scene, habit, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, via);
    caller_start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    road_arm(&scene.road, up, down, cuts);
    scene_until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
    caller_expect_whole(&player, MESSAGES);
    assert_int_equal(publisher.lost, 0);
    assert_int_equal(publisher.cuts, publisher.returns);
    assert_int_equal(player.cuts, 0);
    assert_true(scene.road.cuts_left < cuts);
    bool tunnel = habit != PASSES || via == CV_VIA_RTMPT;
    assert_in_range(publisher.cuts, !tunnel, cuts); // a tunnel survives most
    scene_end(&scene, &publisher, &player);
}

static void a_cut_anywhere_loses_nothing(void **state)
{
    (void)state;
    for (size_t up = 5000; up < 32000; up += 2399)
        publish_through_cuts(PASSES, CV_VIA_AUTO, up, 0, 2);
}

static void a_cut_in_what_the_server_says_loses_nothing(void **state)
{
    (void)state;
    for (size_t down = 1; down < 60; down += 19)
        publish_through_cuts(PASSES, CV_VIA_AUTO, 0, down, 1);
}

static void a_tunnel_does_not_mind_cuts(void **state)
{
    (void)state;
    publish_through_cuts(PASSES, CV_VIA_RTMPT, 20011, 0, 3);
    if (!road_is_secure())
        publish_through_cuts(STRIPS_THE_OFFER, CV_VIA_AUTO, 20011, 0, 3);
    publish_through_cuts(PASSES, CV_VIA_SOCKET, 20011, 0, 2);
}

static void a_player_misses_nothing(void **state)
{
    (void)state;
    // What is cut within a record of TLS has not come at all: not even where to go on.
    for (size_t down = road_is_secure() ? 29017 : 9001; down < 60000; down += 10007) {
        struct scene scene = {0};
        struct caller publisher = {.limit = MESSAGES};
        struct caller player = {0};
        scene_open(&scene, PASSES, NULL);
        caller_start(&scene, &publisher, &scene.kit.addrs[0], CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
        road_arm(&scene.road, 0, down, 2);
        caller_start(&scene, &player, &scene.road.addr, CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
        scene_until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
        caller_expect_whole(&player, MESSAGES);
        assert_true(player.cuts > 0);
        scene_end(&scene, &publisher, &player);
    }
}

// What is opened beside a way takes its place, and the server throws the old one out; whoever of
// the two is heard first, the stream goes on. Held: the old way is heard first.
static void renew_while_it_flows(enum cv_via via, bool publisher_renews, bool held)
{
    struct scene scene = {0};
    struct caller publisher = {.limit = 4 * MESSAGES, .pace_us = 1000};
    struct caller player = {0};
    scene_open(&scene, PASSES, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, via);
    caller_start(&scene, &player, &scene.road.addr, CV_RTMP_CLIENT_PLAY, via);
    struct caller *who = publisher_renews ? &publisher : &player;
    scene.road.hold_us = held ? 5000 : 0;
    for (uint64_t wanted = 40; wanted <= 160; wanted += 40) {
        scene_until_count(&scene, &publisher, &player.checker.messages, wanted);
        unsigned before = who->returns;
        cv__connection_renew(who->connection);
        while (who->returns == before)
            scene_turn(&scene, &publisher);
    }
    scene_until_count(&scene, &publisher, &player.checker.messages, publisher.limit);
    caller_expect_whole(&player, publisher.limit);
    assert_int_equal(who->returns, 4);
    assert_int_equal(who->cuts, 0);
    assert_int_equal(who->lost, 0);
    assert_false(who->ended);
    scene_end(&scene, &publisher, &player);
}

static void a_way_is_renewed_without_a_gap(void **state)
{
    (void)state;
    static const enum cv_via ways[] = {CV_VIA_AUTO, CV_VIA_RTMP, CV_VIA_RTMPT, CV_VIA_SOCKET};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        renew_while_it_flows(ways[i], true, true);
        renew_while_it_flows(ways[i], false, true);
        renew_while_it_flows(ways[i], true, false);
    }
}

static void what_was_sent_last_arrives(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller publisher = {.limit = MESSAGES};
    struct caller player = {0};
    scene_open(&scene, PASSES, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    caller_start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    while (publisher.made < MESSAGES)
        scene_turn(&scene, &publisher);
    cv_connection_close(publisher.connection);
    scene_until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    scene_until(&scene, NULL, &player.ended);
    caller_expect_whole(&player, MESSAGES);
    scene_end(&scene, &publisher, &player);
}

// A short stream, sent and closed before there was a way.
static void what_was_sent_before_the_start_arrives(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller publisher = {.limit = 10, .started = true};
    struct caller player = {0};
    scene_open(&scene, PASSES, NULL);
    caller_call(&scene, &player, &scene.kit.addrs[0], "s", CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    scene_until(&scene, NULL, &player.through);
    caller_call(&scene, &publisher, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    while (publisher.made < publisher.limit)
        caller_publish(&publisher);
    cv_connection_close(publisher.connection);
    publisher.started = false; // it is told, all the same
    scene_until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    assert_true(publisher.started);
    scene_until(&scene, NULL, &player.ended);
    caller_expect_whole(&player, 10);
    scene_end(&scene, &publisher, &player);
}

// With nothing to deliver nobody waits for a network that says nothing.
static void leaving_before_the_start_is_quick(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller publisher = {0};
    scene_open(&scene, HTTP_ONLY_IS_MUTE, NULL);
    caller_call(&scene, &publisher, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, CV_VIA_RTMP);
    for (int i = 0; i < 20; i++)
        scene_turn(&scene, NULL);
    uint64_t since_us = cv_clock_now_us();
    cv_connection_close(publisher.connection);
    scene_until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    assert_true(cv_clock_now_us() - since_us < CV_TUNNEL_GOODBYE_MS * UINT64_C(1000));
    cv_connection_free(&publisher.connection);
    scene_close(&scene);
}

static void it_gives_up_after_its_time(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller caller = {0};
    struct cv_connection_config config = {.mode = CV_RTMP_CLIENT_PUBLISH, .return_s = 1};
    scene_open(&scene, PASSES, NULL);
    assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
    scene_until(&scene, NULL, &caller.started);
    scene.road.closed = true;
    road_cut(&scene.road);
    scene_until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_LOST);
    assert_int_equal(caller.cuts, 1);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

// ---- a way that is replaced while it works ----------------------------------------------------

// The way is cut, or the watch gives it up, while another one is looked for, in vain: that is a cut
// like any other.
static void expect_cut(bool given_up)
{
    struct scene scene = {0};
    struct caller publisher = {0};
    scene_open(&scene, PASSES, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    cv__connection_renew(publisher.connection);
    scene.road.closed = true;
    if (given_up)
        cv__connection_lose(publisher.connection);
    else
        road_cut(&scene.road);
    scene_until_told(&scene, &publisher, &publisher.cuts);
    assert_false(publisher.ended);
    scene.road.closed = false;
    scene_until_told(&scene, &publisher, &publisher.returns);
    assert_false(publisher.ended);
    assert_int_equal(publisher.cuts, 1);
    cv_connection_free(&publisher.connection);
    scene_close(&scene);
}

static void a_cut_while_another_way_is_looked_for_is_a_cut(void **state)
{
    (void)state;
    expect_cut(false);
}

static void a_loss_while_another_way_is_looked_for_is_a_cut(void **state)
{
    (void)state;
    expect_cut(true);
}

// ---- leaving ----------------------------------------------------------------------------------

// Everything was sent, not everything has arrived, and the way is cut: it is delivered all the
// same.
static void expect_last_words(bool close_first, size_t up)
{
    struct scene scene = {0};
    struct caller publisher = {.limit = MESSAGES};
    struct caller player = {0};
    scene_open(&scene, PASSES, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_RTMP);
    caller_start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    road_arm(&scene.road, up, 0, 1);
    while (publisher.made < MESSAGES)
        caller_publish(&publisher);
    cv_connection_flush(publisher.connection);
    if (close_first)
        cv_connection_close(publisher.connection);
    scene_until_told(&scene, &publisher, &publisher.cuts);
    if (!close_first)
        cv_connection_close(publisher.connection);
    scene_until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    scene_until(&scene, NULL, &player.ended);
    caller_expect_whole(&player, MESSAGES);
    assert_int_equal(publisher.returns, 1);
    scene_end(&scene, &publisher, &player);
}

static void what_was_sent_last_arrives_behind_a_cut(void **state)
{
    (void)state;
    expect_last_words(false, 20000);
    expect_last_words(true, 20000);
}

// What could never be sent is refused, instead of blocking all that follows.
static void what_no_server_takes_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        size_t len;
        int code;
    } cases[] = {
        {CV_MSG_VIDEO, CV_LIMIT_MEDIA_BYTES + 1, CV_E_TOO_LONG},
        {CV_MSG_DATA_AMF0, CV_LIMIT_COMMAND_BYTES, CV_E_TOO_LONG},
        {CV_MSG_SET_CHUNK_SIZE, 4, CV_E_USAGE},
        {CV_MSG_AUDIO, 4, CV_OK},
    };
    struct scene scene = {0};
    struct caller caller = {0};
    scene_open(&scene, PASSES, NULL);
    caller_call(&scene, &caller, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_msg msg = {.type = cases[i].type, .payload = cv_block_new(cases[i].len)};
        assert_non_null(msg.payload);
        msg.payload->len = (uint32_t)cases[i].len;
        memset(msg.payload->data, 0, cases[i].len);
        assert_int_equal(cv_connection_send(caller.connection, &msg), cases[i].code);
        cv_block_unref(&msg.payload);
    }
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

// Whatever it is told first: it may leave then.
static void it_may_be_freed_when_it_is_told_anything(void **state)
{
    (void)state;
    static const enum cv_via vias[] = {CV_VIA_AUTO, CV_VIA_RTMP, CV_VIA_RTMPT, CV_VIA_SOCKET};
    for (size_t i = 0; i < sizeof vias / sizeof vias[0]; i++) {
        struct scene scene = {0};
        struct caller caller = {.leaves = true};
        scene_open(&scene, PASSES, NULL);
        caller_call(&scene, &caller, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, vias[i]);
        for (int turns = 0; caller.connection; turns++) {
            assert_in_range(turns, 0, 10000);
            scene_turn(&scene, NULL);
        }
        scene_close(&scene);
    }
}

// ---- want of memory ---------------------------------------------------------------------------

struct failing {
    struct scene *scene;
    unsigned runs;
    enum cv_rtmp_client_mode mode;
    enum cv_via via;
};

static bool run_short_of_memory(void *arg)
{
    struct failing *failing = arg;
    struct caller caller = {0};
    struct cv_connection_config config = {.mode = failing->mode, .via = failing->via};
    struct scene *scene = failing->scene;
    char name[16];
    snprintf(name, sizeof name, "s%u", failing->runs++); // the one before may still be held
    if (!caller_call_with(scene, &caller, &scene->road.addr, name, &config))
        return false;
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!caller.started && !caller.ended && cv_clock_now_us() < end_us)
        scene_turn(scene, NULL);
    cv_connection_free(&caller.connection);
    for (int i = 0; i < 20; i++)
        scene_turn(scene, NULL);
    return caller.started;
}

// The server in the same thread suffers, too: whatever fails, nothing leaks and nothing hangs.
static void want_of_memory_ends_in_words(void **state)
{
    (void)state;
    static const struct failing cases[] = {
        {NULL, 0, CV_RTMP_CLIENT_PUBLISH, CV_VIA_RTMP},
        {NULL, 0, CV_RTMP_CLIENT_PUBLISH, CV_VIA_SOCKET},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene = {0};
        struct failing failing = cases[i];
        scene_open(&scene, PASSES, NULL);
        failing.scene = &scene;
        fail_nth(run_short_of_memory, &failing);
        scene_close(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_road_is_rtmp_behind_an_offer),
        cmocka_unit_test(each_way_can_be_asked_for),
        cmocka_unit_test(filters_for_http_are_passed_at_once),
        cmocka_unit_test(a_stripped_offer_is_a_tunnel),
        cmocka_unit_test(a_portal_is_named),
        cmocka_unit_test(a_proxy_in_the_way_is_named),
        cmocka_unit_test(a_closed_port_is_named),
        cmocka_unit_test(a_refusal_is_told_as_such),
        cmocka_unit_test(a_function_can_be_called),
        cmocka_unit_test(a_cut_anywhere_loses_nothing),
        cmocka_unit_test(a_cut_in_what_the_server_says_loses_nothing),
        cmocka_unit_test(a_tunnel_does_not_mind_cuts),
        cmocka_unit_test(a_player_misses_nothing),
        cmocka_unit_test(a_way_is_renewed_without_a_gap),
        cmocka_unit_test(what_was_sent_last_arrives),
        cmocka_unit_test(what_was_sent_before_the_start_arrives),
        cmocka_unit_test(leaving_before_the_start_is_quick),
        cmocka_unit_test(it_gives_up_after_its_time),
        cmocka_unit_test(a_cut_while_another_way_is_looked_for_is_a_cut),
        cmocka_unit_test(a_loss_while_another_way_is_looked_for_is_a_cut),
        cmocka_unit_test(what_was_sent_last_arrives_behind_a_cut),
        cmocka_unit_test(what_no_server_takes_is_refused),
        cmocka_unit_test(it_may_be_freed_when_it_is_told_anything),
        cmocka_unit_test(want_of_memory_ends_in_words),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    secure_kit_done();
    return failures;
}
