// The client's connection against real workers, over a road that the test owns: it passes bytes,
// cuts, swallows, and speaks as filters and proxies do. One thread, all loops by hand. Where
// KIT_TLS is set all of it goes on inside TLS, but for what reads along.
#include "secure_kit.h"
#include "server_kit.h"

#include "base/mem.h"
#include "cli/bench_stream.h"
#include "client/connection_state.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "io/tls_server.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static bool secure; // everything is

// ---- the road ---------------------------------------------------------------------------------

enum { ROADS_MAX = 64, PIECE = 16 * 1024 };

enum habit {
    PASSES,
    HTTP_ONLY_RESETS,  // what is not HTTP is reset
    HTTP_ONLY_IS_MUTE, // what is not HTTP is swallowed
    STRIPS_THE_OFFER,  // no Upgrade gets through
    ANSWERS_400,       // to what is not HTTP
    PORTAL,            // redirects everything
    REFUSES_PROXY,     // 407 to everything
    CONNECTS,          // as a proxy does; nothing else passes
};

struct lane {
    int client;
    int server;
    bool judged; // its first bytes were looked at
    bool mute;
    bool up_over; // what comes from there has ended
    bool down_over;
    size_t up;
    size_t down;
    uint64_t hold_us; // between two pieces that come down
    uint64_t next_us;
};

struct road {
    struct kit *kit;
    int listener;
    struct cv_addr addr;
    enum habit habit;
    struct lane lanes[ROADS_MAX];
    unsigned count;
    size_t cut_up; // each lane is cut behind so many bytes up; 0: never
    size_t cut_down;
    unsigned cuts_left;
    bool closed;      // new lanes are refused
    uint64_t hold_us; // of new lanes
};

static void road_open(struct road *road, struct kit *kit, enum habit habit)
{
    *road = (struct road){.kit = kit, .habit = habit};
    struct cv_addr any = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    assert_int_equal(cv_socket_listen(&any, &road->listener, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(road->listener, &road->addr), CV_OK);
}

static void lane_end(struct lane *lane, bool reset)
{
    if (reset) {
        cv_socket_abort(&lane->client);
        cv_socket_abort(&lane->server);
    } else {
        cv_socket_close(&lane->client);
        cv_socket_close(&lane->server);
    }
}

// From now on lanes are cut; those that are there behind so many bytes more.
static void road_arm(struct road *road, size_t up, size_t down, unsigned cuts)
{
    road->cut_up = up;
    road->cut_down = down;
    road->cuts_left = cuts;
    for (unsigned i = 0; i < road->count; i++)
        road->lanes[i].up = road->lanes[i].down = 0;
}

static void road_cut(struct road *road)
{
    for (unsigned i = 0; i < road->count; i++)
        lane_end(&road->lanes[i], true);
}

static void road_close(struct road *road)
{
    road_cut(road);
    cv_socket_close(&road->listener);
}

static void say(int fd, const char *text)
{
    struct iovec vector = {(void *)(uintptr_t)text, strlen(text)};
    cv_socket_write(fd, &vector, 1);
}

static bool starts(const char *data, size_t len, const char *with)
{
    return len >= strlen(with) && memcmp(data, with, strlen(with)) == 0;
}

// True when the bytes may go on.
static bool judge(struct road *road, struct lane *lane, char *data, size_t len)
{
    bool http = starts(data, len, "POST ") || starts(data, len, "GET ");
    switch (road->habit) {
    case PASSES:
        return true;
    case HTTP_ONLY_RESETS:
        if (!http)
            lane_end(lane, true);
        return http;
    case HTTP_ONLY_IS_MUTE:
        lane->mute = !http;
        return http;
    case STRIPS_THE_OFFER:
        for (char *at = data; http && at + 14 < data + len; at++) {
            if (memcmp(at, "\r\nUpgrade: rtmp", 15) == 0)
                memcpy(at, "\r\nX-Other: rtmp", 15);
        }
        return true;
    case ANSWERS_400:
        if (!http) {
            say(lane->client, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            lane_end(lane, false);
        }
        return http;
    case PORTAL:
        say(lane->client, "HTTP/1.1 302 Found\r\nLocation: http://login.example/hotel\r\n"
                          "Content-Length: 0\r\n\r\n");
        lane_end(lane, false);
        return false;
    case REFUSES_PROXY:
        say(lane->client, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                          "Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
        lane_end(lane, false);
        return false;
    case CONNECTS:
        if (starts(data, len, "CONNECT 127.0.0.1:"))
            say(lane->client, "HTTP/1.1 200 Connection established\r\n\r\n");
        else
            lane_end(lane, true);
        return false;
    }
    return true;
}

static bool is_open(const struct lane *lane)
{
    return lane->client >= 0;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0 && fd >= 0) {
        struct iovec vector = {(void *)(uintptr_t)data, len};
        int sent = cv_socket_write(fd, &vector, 1);
        if (sent < 0 && sent != CV_E_AGAIN)
            return;
        data += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
}

// What may still pass of `len` bytes; behind the last one the lane is cut.
static size_t allowance(const struct road *road, const struct lane *lane, bool up, size_t len)
{
    size_t limit = up ? road->cut_up : road->cut_down;
    size_t passed = up ? lane->up : lane->down;
    if (limit == 0 || road->cuts_left == 0)
        return len;
    return limit - passed < len ? limit - passed : len;
}

static void forward(struct road *road, struct lane *lane, bool up, const char *data, size_t len)
{
    size_t *passed = up ? &lane->up : &lane->down;
    size_t limit = up ? road->cut_up : road->cut_down;
    size_t part = allowance(road, lane, up, len);
    write_all(up ? lane->server : lane->client, data, part);
    *passed += part;
    if (limit && road->cuts_left && *passed >= limit) {
        road->cuts_left--;
        lane_end(lane, true);
    }
}

// One direction has ended; the other one goes on until it does.
static void pass_end(struct lane *lane, bool up)
{
    bool *over = up ? &lane->up_over : &lane->down_over;
    *over = true;
    if (lane->up_over && lane->down_over)
        lane_end(lane, false);
    else
        cv_socket_shutdown(up ? lane->server : lane->client);
}

static void pass(struct road *road, struct lane *lane, bool up)
{
    char data[PIECE];
    if (up ? lane->up_over : lane->down_over)
        return;
    int len = cv_socket_read(up ? lane->client : lane->server, data, sizeof data);
    if (len == CV_E_AGAIN)
        return;
    if (len < 0) {
        pass_end(lane, up);
        return;
    }
    bool first = up && !lane->judged;
    lane->judged |= first;
    if (!lane->mute && (!first || judge(road, lane, data, (size_t)len)))
        forward(road, lane, up, data, (size_t)len);
}

// A lane that is not in use.
static struct lane *free_lane(struct road *road)
{
    for (unsigned i = 0; i < road->count; i++) {
        if (!is_open(&road->lanes[i]))
            return &road->lanes[i];
    }
    assert_true(road->count < ROADS_MAX);
    return &road->lanes[road->count++];
}

static void road_turn(struct road *road)
{
    struct cv_addr peer;
    int fd;
    while ((fd = cv_socket_accept(road->listener, &peer)) >= 0) {
        int server = road->closed ? -1 : cv_socket_connect(&road->kit->addrs[0]);
        if (server < 0) {
            cv_socket_abort(&fd);
            continue;
        }
        *free_lane(road) = (struct lane){.client = fd, .server = server, .hold_us = road->hold_us};
    }
    for (unsigned i = 0; i < road->count; i++) {
        if (is_open(&road->lanes[i]))
            pass(road, &road->lanes[i], true);
        if (is_open(&road->lanes[i]) && cv_clock_now_us() >= road->lanes[i].next_us) {
            road->lanes[i].next_us = cv_clock_now_us() + road->lanes[i].hold_us;
            pass(road, &road->lanes[i], false);
        }
    }
}

// ---- the client -------------------------------------------------------------------------------

struct caller {
    struct cv_connection *connection;
    struct cv_bench_source source;
    struct cv_bench_checker checker;
    bool publishes;
    uint32_t limit;   // messages to be published
    uint64_t pace_us; // between two of them
    uint64_t due_us;
    uint32_t made;
    bool through;
    bool started;
    bool ended;
    unsigned cuts;
    unsigned returns;
    uint64_t lost;
    enum cv_connection_end end;
    enum cv_obstacle obstacle;
    enum cv_way way;
    bool secure;
    uint32_t attempts;
    char name[40]; // of the way, as it was at THROUGH
    char location[80];
    char why[200];
    unsigned results;
    bool ok;
    bool leaves; // is freed as soon as it is told anything
};

struct scene {
    struct kit kit;
    struct road road;
    struct cv_loop *loop;
    struct cv_attempt_room *room;
};

static void on_event(void *arg, const struct cv_connection_event *event)
{
    struct caller *caller = arg;
    uint64_t sent_us;
    if (caller->leaves) {
        cv_connection_free(&caller->connection);
        return;
    }
    switch (event->type) {
    case CV_CONNECTION_THROUGH:
        caller->through = true;
        caller->way = event->way;
        caller->secure = event->secure;
        caller->attempts = event->attempts;
        snprintf(caller->name, sizeof caller->name, "%s", event->stats.name);
        return;
    case CV_CONNECTION_STARTED:
        assert_false(caller->started);
        caller->started = true;
        return;
    case CV_CONNECTION_MESSAGE:
        assert_true(caller->started);
        if (event->msg.type != CV_MSG_DATA_AMF0)
            cv_bench_check(&caller->checker, &event->msg, &sent_us);
        return;
    case CV_CONNECTION_CUT:
        caller->cuts++;
        return;
    case CV_CONNECTION_RESUMED:
        caller->returns++;
        caller->lost += event->lost;
        return;
    case CV_CONNECTION_RESULT:
        caller->results++;
        caller->ok = event->ok;
        return;
    case CV_CONNECTION_ENDED:
        assert_false(caller->ended);
        caller->ended = true;
        caller->end = event->end;
        caller->obstacle = event->obstacle;
        snprintf(caller->why, sizeof caller->why, "%s", event->why->text);
        snprintf(caller->location, sizeof caller->location, "%s",
                 event->location ? event->location : "");
        return;
    case CV_CONNECTION_TRYING:
    case CV_CONNECTION_STATUS:
    case CV_CONNECTION_ROOM:
        return;
    }
}

static void scene_open(struct scene *scene, enum habit habit, const char *yaml)
{
    kit_start(&scene->kit, 1, false, yaml);
    road_open(&scene->road, &scene->kit, habit);
    scene->loop = cv_loop_new();
    assert_non_null(scene->loop);
    scene->room = cv_attempt_room_new(scene->loop);
    assert_non_null(scene->room);
}

static void scene_close(struct scene *scene)
{
    cv_attempt_room_free(scene->room);
    cv_loop_free(scene->loop);
    road_close(&scene->road);
    kit_stop(&scene->kit);
}

static bool call_with(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                      const char *name, struct cv_connection_config *config)
{
    char url[128];
    struct cv_target target;
    const char *scheme = secure ? "rtmps" : "rtmp";
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/live/%s", scheme, to->port, name);
    assert_int_equal(cv_target_parse(&target, cv_text_of(url), NULL), CV_OK);
    if (!config->target)
        config->target = &target;
    if (secure && !config->trust)
        config->trust = secure_kit_trust();
    config->on_event = on_event;
    config->arg = caller;
    caller->publishes = config->mode == CV_RTMP_CLIENT_PUBLISH;
    caller->checker.id = caller->source.id = 7;
    caller->source.shape =
        (struct cv_bench_shape){.bitrate_kbps = 400, .fps = 30, .audio_kbps = 64, .gop_s = 1};
    caller->connection = cv_connection_new(scene->room, config);
    return caller->connection != NULL;
}

static void call(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                 const char *name, enum cv_rtmp_client_mode mode, enum cv_via via)
{
    struct cv_connection_config config = {.mode = mode, .via = via};
    assert_true(call_with(scene, caller, to, name, &config));
}

static void send_one(struct caller *caller, struct cv_msg *msg)
{
    assert_int_equal(cv_connection_send(caller->connection, msg), CV_OK);
    cv_block_unref(&msg->payload);
}

// A few messages of its stream, each turn.
static void publish_some(struct caller *caller)
{
    struct cv_msg msg;
    if (!caller->started || caller->ended || caller->made == caller->limit)
        return;
    if (caller->made == 0) {
        msg = (struct cv_msg){.type = CV_MSG_VIDEO, .payload = cv_bench_video_header()};
        send_one(caller, &msg);
        msg = (struct cv_msg){.type = CV_MSG_AUDIO, .payload = cv_bench_audio_header()};
        send_one(caller, &msg);
    }
    if (cv_clock_now_us() < caller->due_us)
        return;
    caller->due_us = cv_clock_now_us() + caller->pace_us;
    for (int i = 0; i < 2 && caller->made < caller->limit; i++, caller->made++) {
        assert_int_equal(cv_bench_source_next(&caller->source, cv_clock_now_us(), &msg), CV_OK);
        send_one(caller, &msg);
    }
}

static void turn(struct scene *scene, struct caller *publisher)
{
    cv_loop_run_once(scene->loop);
    if (publisher)
        publish_some(publisher);
    road_turn(&scene->road);
    kit_turn(&scene->kit);
}

static void until(struct scene *scene, struct caller *publisher, const bool *done)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!*done) {
        assert_true(cv_clock_now_us() < end_us);
        turn(scene, publisher);
    }
}

// A caller of the stream "s", until it has started.
static void start(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                  enum cv_rtmp_client_mode mode, enum cv_via via)
{
    call(scene, caller, to, "s", mode, via);
    until(scene, NULL, &caller->started);
}

static void scene_end(struct scene *scene, struct caller *publisher, struct caller *player)
{
    cv_connection_free(&publisher->connection);
    cv_connection_free(&player->connection);
    scene_close(scene);
}

static void until_count(struct scene *scene, struct caller *publisher, const uint64_t *count,
                        uint64_t wanted)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (*count < wanted) {
        if (cv_clock_now_us() >= end_us)
            fail_msg("%llu of %llu", (unsigned long long)*count, (unsigned long long)wanted);
        turn(scene, publisher);
    }
}

// Until it was told so, or all is over.
static void until_told(struct scene *scene, struct caller *caller, const unsigned *count)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (*count == 0 && !caller->ended) {
        assert_true(cv_clock_now_us() < end_us);
        turn(scene, caller);
    }
}

static void expect_whole(const struct caller *player, uint64_t messages)
{
    assert_int_equal(player->checker.messages, messages);
    assert_int_equal(player->checker.gaps, 0);
    assert_int_equal(player->checker.doubles, 0);
    assert_int_equal(player->checker.damaged, 0);
}

// ---- ways -------------------------------------------------------------------------------------

enum { MESSAGES = 120 };

// A publisher and a player go through the road; the way is the wanted one; every message comes.
static void expect_through(enum habit habit, enum cv_via via, const char *way, unsigned attempts)
{
    struct scene scene = {0};
    struct caller publisher = {.limit = MESSAGES};
    struct caller player = {0};
    scene_open(&scene, habit, NULL);
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, via);
    start(&scene, &player, &scene.road.addr, CV_RTMP_CLIENT_PLAY, via);
    until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
    expect_whole(&player, MESSAGES);
    assert_string_equal(publisher.name, way);
    assert_string_equal(player.name, way);
    assert_int_equal(publisher.attempts, attempts);
    assert_int_equal(publisher.cuts + player.cuts, 0);
    cv_connection_close(publisher.connection);
    until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    until(&scene, NULL, &player.ended);
    assert_int_equal(player.end, CV_END_FINISHED);
    scene_end(&scene, &publisher, &player);
}

static void an_open_road_is_rtmp_behind_an_offer(void **state)
{
    (void)state;
    const char *name = secure ? "RTMPS behind an HTTPS offer" : "RTMP behind an HTTP offer";
    expect_through(PASSES, CV_VIA_AUTO, name, 1);
}

static void each_way_can_be_asked_for(void **state)
{
    (void)state;
    expect_through(PASSES, CV_VIA_RTMP, secure ? "RTMPS" : "RTMP", 1);
    expect_through(PASSES, CV_VIA_RTMPT, secure ? "RTMPTS" : "RTMPT", 1);
    expect_through(PASSES, CV_VIA_SOCKET, secure ? "secure WebSocket" : "RTMP over WebSocket", 1);
}

static void filters_for_http_are_passed_at_once(void **state)
{
    (void)state;
    if (secure)
        return; // nobody reads along
    expect_through(HTTP_ONLY_RESETS, CV_VIA_AUTO, "RTMP behind an HTTP offer", 1);
    expect_through(HTTP_ONLY_IS_MUTE, CV_VIA_AUTO, "RTMP behind an HTTP offer", 1);
    expect_through(ANSWERS_400, CV_VIA_AUTO, "RTMP behind an HTTP offer", 1);
}

static void a_stripped_offer_is_a_tunnel(void **state)
{
    (void)state;
    if (secure)
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
    assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
    until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_NO_WAY);
    assert_false(caller.through);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
    return caller;
}

static void a_portal_is_named(void **state)
{
    (void)state;
    if (secure)
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
    if (secure)
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
    call(&scene, &caller, &addr, "s", CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
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
    call(&scene, &caller, &scene.road.addr, "s?key=wrong", CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    until(&scene, NULL, &caller.ended);
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
    call(&scene, &caller, &scene.road.addr, "", CV_RTMP_CLIENT_CALL, CV_VIA_AUTO);
    until(&scene, NULL, &caller.started);
    assert_int_equal(
        cv_connection_call(caller.connection, "noSuchThing", (struct cv_text){0}, &number), CV_OK);
    bool told = false;
    while (!told) {
        turn(&scene, NULL);
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
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, via);
    start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    road_arm(&scene.road, up, down, cuts);
    until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
    expect_whole(&player, MESSAGES);
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
    if (!secure)
        publish_through_cuts(STRIPS_THE_OFFER, CV_VIA_AUTO, 20011, 0, 3);
    publish_through_cuts(PASSES, CV_VIA_SOCKET, 20011, 0, 2);
}

static void a_player_misses_nothing(void **state)
{
    (void)state;
    // What is cut within a record of TLS has not come at all: not even where to go on.
    for (size_t down = secure ? 29017 : 9001; down < 60000; down += 10007) {
        struct scene scene = {0};
        struct caller publisher = {.limit = MESSAGES};
        struct caller player = {0};
        scene_open(&scene, PASSES, NULL);
        start(&scene, &publisher, &scene.kit.addrs[0], CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
        road_arm(&scene.road, 0, down, 2);
        start(&scene, &player, &scene.road.addr, CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
        until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
        expect_whole(&player, MESSAGES);
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
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, via);
    start(&scene, &player, &scene.road.addr, CV_RTMP_CLIENT_PLAY, via);
    struct caller *who = publisher_renews ? &publisher : &player;
    scene.road.hold_us = held ? 5000 : 0;
    for (uint64_t wanted = 40; wanted <= 160; wanted += 40) {
        until_count(&scene, &publisher, &player.checker.messages, wanted);
        unsigned before = who->returns;
        cv__connection_renew(who->connection);
        while (who->returns == before)
            turn(&scene, &publisher);
    }
    until_count(&scene, &publisher, &player.checker.messages, publisher.limit);
    expect_whole(&player, publisher.limit);
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
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    while (publisher.made < MESSAGES)
        turn(&scene, &publisher);
    cv_connection_close(publisher.connection);
    until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    until(&scene, NULL, &player.ended);
    expect_whole(&player, MESSAGES);
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
    call(&scene, &player, &scene.kit.addrs[0], "s", CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    until(&scene, NULL, &player.through);
    call(&scene, &publisher, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    while (publisher.made < publisher.limit)
        publish_some(&publisher);
    cv_connection_close(publisher.connection);
    publisher.started = false; // it is told, all the same
    until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    assert_true(publisher.started);
    until(&scene, NULL, &player.ended);
    expect_whole(&player, 10);
    scene_end(&scene, &publisher, &player);
}

// With nothing to deliver nobody waits for a network that says nothing.
static void leaving_before_the_start_is_quick(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller publisher = {0};
    scene_open(&scene, HTTP_ONLY_IS_MUTE, NULL);
    call(&scene, &publisher, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, CV_VIA_RTMP);
    for (int i = 0; i < 20; i++)
        turn(&scene, NULL);
    uint64_t since_us = cv_clock_now_us();
    cv_connection_close(publisher.connection);
    until(&scene, NULL, &publisher.ended);
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
    assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
    until(&scene, NULL, &caller.started);
    scene.road.closed = true;
    road_cut(&scene.road);
    until(&scene, NULL, &caller.ended);
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
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    cv__connection_renew(publisher.connection);
    scene.road.closed = true;
    if (given_up)
        cv__connection_lose(publisher.connection);
    else
        road_cut(&scene.road);
    until_told(&scene, &publisher, &publisher.cuts);
    assert_false(publisher.ended);
    scene.road.closed = false;
    until_told(&scene, &publisher, &publisher.returns);
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
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_RTMP);
    start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    road_arm(&scene.road, up, 0, 1);
    while (publisher.made < MESSAGES)
        publish_some(&publisher);
    cv_connection_flush(publisher.connection);
    if (close_first)
        cv_connection_close(publisher.connection);
    until_told(&scene, &publisher, &publisher.cuts);
    if (!close_first)
        cv_connection_close(publisher.connection);
    until(&scene, NULL, &publisher.ended);
    assert_int_equal(publisher.end, CV_END_CLOSED);
    until(&scene, NULL, &player.ended);
    expect_whole(&player, MESSAGES);
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
    call(&scene, &caller, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
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
        call(&scene, &caller, &scene.road.addr, "s", CV_RTMP_CLIENT_PUBLISH, vias[i]);
        for (int turns = 0; caller.connection; turns++) {
            assert_in_range(turns, 0, 10000);
            turn(&scene, NULL);
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
    if (!call_with(scene, &caller, &scene->road.addr, name, &config))
        return false;
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!caller.started && !caller.ended && cv_clock_now_us() < end_us)
        turn(scene, NULL);
    cv_connection_free(&caller.connection);
    for (int i = 0; i < 20; i++)
        turn(scene, NULL);
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

// ---- certificates -----------------------------------------------------------------------------

// Renewed, or somebody else's.
static void show(struct scene *scene, struct cv_tls_server *server)
{
    cv_tls_server_unref(&scene->kit.policy->tls);
    scene->kit.policy->tls = cv_tls_server_ref(server);
}

static void expect_distrust(const struct caller *caller, enum cv_obstacle obstacle)
{
    assert_int_equal(caller->end, CV_END_CERTIFICATE);
    assert_int_equal(caller->obstacle, obstacle);
    assert_non_null(strstr(caller->why, "127.0.0.1"));
    assert_false(caller->lost);
}

// However much it would like to try on.
static void a_first_certificate_that_is_not_accepted_ends_it(void **state)
{
    (void)state;
    for (int i = 0; secure && i < 8; i++) {
        struct scene scene = {0};
        struct caller caller = {0};
        struct cv_connection_config config = {
            .mode = i % 2 ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY,
            .via = i / 2 % 2 ? CV_VIA_SOCKET : CV_VIA_AUTO,
            .patient = i / 4,
        };
        scene_open(&scene, PASSES, NULL);
        show(&scene, secure_kit_stranger());
        assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
        until(&scene, NULL, &caller.ended);
        expect_distrust(&caller, CV_OBSTACLE_CERT_UNTRUSTED);
        assert_false(caller.through);
        assert_int_equal(caller.cuts, 0);
        assert_in_range(scene.road.count, 1, 1); // one lane, and no other one after it
        cv_connection_free(&caller.connection);
        scene_close(&scene);
    }
}

// Until somebody has logged in to the network.
static void a_portal_behind_a_cut_passes(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller publisher = {.limit = MESSAGES, .pace_us = 1000};
    struct caller player = {0};
    if (!secure)
        return;
    scene_open(&scene, PASSES, NULL);
    start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    until_count(&scene, &publisher, &player.checker.messages, 20);
    show(&scene, secure_kit_stranger());
    road_cut(&scene.road);
    until_told(&scene, &publisher, &publisher.cuts);
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (publisher.connection->tries < 3 && cv_clock_now_us() < end_us)
        turn(&scene, &publisher);
    assert_false(publisher.ended);
    assert_true(publisher.connection->distrust_us > 0);
    show(&scene, secure_kit_server());
    until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
    expect_whole(&player, MESSAGES);
    assert_int_equal(publisher.connection->distrust_us, 0);
    assert_int_equal(publisher.returns, 1);
    scene_end(&scene, &publisher, &player);
}

// The time to come back is over, or that for strange certificates is.
static void expect_change(uint32_t return_s, bool later)
{
    struct scene scene = {0};
    struct caller caller = {0};
    struct cv_connection_config config = {.mode = CV_RTMP_CLIENT_PUBLISH, .return_s = return_s};
    scene_open(&scene, PASSES, NULL);
    assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
    until(&scene, NULL, &caller.started);
    show(&scene, secure_kit_stranger());
    road_cut(&scene.road);
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!caller.ended && caller.connection->distrust_us == 0 && cv_clock_now_us() < end_us)
        turn(&scene, NULL);
    assert_false(caller.ended);
    if (later)
        caller.connection->distrust_us -= CV_CONNECTION_DISTRUST_S * UINT64_C(1000000);
    until(&scene, NULL, &caller.ended);
    expect_distrust(&caller, CV_OBSTACLE_CERT_UNTRUSTED);
    assert_int_equal(caller.cuts, 1);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

static void a_certificate_that_has_changed_for_good_ends_it(void **state)
{
    (void)state;
    if (!secure)
        return;
    expect_change(1, false);
    expect_change(3600, true);
}

// ---- proxies ------------------------------------------------------------------------------------

static void call_by_proxy(struct scene *scene, struct caller *caller, enum habit habit,
                          enum cv_via via)
{
    scene_open(scene, habit, NULL);
    struct cv_proxies proxies = {
        .secure = {.host = "127.0.0.1", .port = scene->road.addr.port, .user = "me"}};
    struct cv_connection_config config = {
        .mode = CV_RTMP_CLIENT_PUBLISH, .via = via, .proxies = &proxies};
    assert_true(call_with(scene, caller, &scene->kit.addrs[0], "s", &config));
}

static void tls_goes_through_a_proxy(void **state)
{
    (void)state;
    static const struct {
        enum cv_via via;
        const char *name;
        unsigned lanes;
    } rows[] = {{CV_VIA_AUTO, "RTMPS behind an HTTPS offer", 1},
                {CV_VIA_RTMPT, "RTMPTS", 1},
                {CV_VIA_SOCKET, "secure WebSocket", 1},
                {CV_VIA_RTMP, "RTMPS", 0}}; // beside it
    for (size_t i = 0; secure && i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = {0};
        struct caller caller = {0};
        call_by_proxy(&scene, &caller, CONNECTS, rows[i].via);
        until(&scene, NULL, &caller.started);
        assert_string_equal(caller.name, rows[i].name);
        assert_int_equal(caller.attempts, 1);
        assert_in_range(scene.road.count, rows[i].lanes, rows[i].lanes ? 2 : 0); // a tunnel has two
        cv_connection_free(&caller.connection);
        scene_close(&scene);
    }
}

static void a_proxy_that_refuses_tls_is_named(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller caller = {0};
    if (!secure)
        return;
    call_by_proxy(&scene, &caller, REFUSES_PROXY, CV_VIA_AUTO);
    until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_NO_WAY);
    assert_int_equal(caller.obstacle, CV_OBSTACLE_PROXY_DENIED);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

// ---- either -------------------------------------------------------------------------------------

// A port where nobody listens.
static uint16_t closed_port(void)
{
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    int fd;
    assert_int_equal(cv_socket_listen(&addr, &fd, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(fd, &addr), CV_OK);
    cv_socket_close(&fd);
    return addr.port;
}

static struct cv_target either(uint16_t port, uint16_t secure_port)
{
    struct cv_target target;
    assert_int_equal(cv_target_parse(&target, cv_text_of("rtmp://127.0.0.1/live/s"), NULL), CV_OK);
    assert_int_equal(target.security, CV_SECURITY_EITHER);
    target.port = port;
    target.secure_port = secure_port;
    return target;
}

// The port for plain text is closed, the other one is not; what got through is remembered.
static void tls_is_the_way_where_plain_text_has_none(void **state)
{
    (void)state;
    char path[] = "/tmp/culvert_test_XXXXXX";
    int fd = mkstemp(path);
    if (!secure)
        goto done;
    for (int i = 0; i < 2; i++) {
        struct scene scene = {0};
        struct caller caller = {0};
        scene_open(&scene, PASSES, NULL);
        static struct cv_target target;
        if (i == 0)
            target = either(closed_port(), scene.road.addr.port);
        target.secure_port = scene.road.addr.port; // the memory knows it by the other one
        struct cv_connection_config config = {
            .mode = CV_RTMP_CLIENT_PUBLISH, .target = &target, .memory_path = path};
        assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
        until(&scene, NULL, &caller.started);
        assert_string_equal(caller.name, "RTMPS behind an HTTPS offer");
        assert_true(i == 0 ? caller.attempts > 1 : caller.attempts == 1);
        assert_true(caller.secure);
        cv_connection_free(&caller.connection);
        scene_close(&scene);
    }
done:
    cv_socket_close(&fd);
    unlink(path);
}

// Whoever owns the other port: the server is not up yet, or is away, and comes back.
static void plain_text_is_waited_for_beside_a_strange_certificate(void **state)
{
    (void)state;
    for (int i = 0; secure && i < 3; i++) {
        struct scene scene = {0};
        struct caller caller = {0};
        bool patient = i == 0, cut = i == 1; // else it is over at once
        scene_open(&scene, PASSES, NULL);
        show(&scene, secure_kit_stranger());
        struct cv_target target = either(scene.road.addr.port, scene.kit.addrs[0].port);
        struct cv_connection_config config = {
            .mode = CV_RTMP_CLIENT_PUBLISH, .target = &target, .patient = patient};
        scene.road.closed = !cut;
        assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
        if (cut) {
            until(&scene, NULL, &caller.started);
            scene.road.closed = true;
            road_cut(&scene.road);
        }
        uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
        while (!caller.ended && caller.connection->tries < 3 && cv_clock_now_us() < end_us)
            turn(&scene, NULL);
        assert_int_equal(caller.ended, i == 2);
        if (caller.ended) {
            expect_distrust(&caller, CV_OBSTACLE_CERT_UNTRUSTED);
        } else {
            scene.road.closed = caller.through = false;
            until(&scene, NULL, &caller.through);
            assert_false(caller.secure);
        }
        cv_connection_free(&caller.connection);
        scene_close(&scene);
    }
}

static void nobody_who_is_trusted_means_plain_text_or_nothing(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller caller = {0};
    if (secure)
        return;
    scene_open(&scene, PASSES, NULL);
    struct cv_target target = either(closed_port(), scene.road.addr.port);
    struct cv_connection_config config = {.mode = CV_RTMP_CLIENT_PLAY, .target = &target};
    assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
    until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_NO_WAY);
    assert_int_equal(scene.road.count, 0); // nobody came to the port for TLS
    cv_connection_free(&caller.connection);
    caller = (struct caller){0};
    target.security = CV_SECURITY_ONLY;
    assert_true(call_with(&scene, &caller, &scene.road.addr, "s", &config));
    until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_FAILED);
    assert_non_null(strstr(caller.why, "TLS"));
    assert_int_equal(scene.road.count, 0);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

int main(void)
{
    secure = getenv("KIT_TLS");
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
        cmocka_unit_test(a_first_certificate_that_is_not_accepted_ends_it),
        cmocka_unit_test(a_portal_behind_a_cut_passes),
        cmocka_unit_test(a_certificate_that_has_changed_for_good_ends_it),
        cmocka_unit_test(tls_goes_through_a_proxy),
        cmocka_unit_test(a_proxy_that_refuses_tls_is_named),
        cmocka_unit_test(tls_is_the_way_where_plain_text_has_none),
        cmocka_unit_test(plain_text_is_waited_for_beside_a_strange_certificate),
        cmocka_unit_test(nobody_who_is_trusted_means_plain_text_or_nothing),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    secure_kit_done();
    return failures;
}
