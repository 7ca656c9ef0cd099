#include "road_kit.h"

#include "io/clock.h"
#include "io/loop.h"
#include "io/socket.h"

#include <stdio.h>

bool road_is_secure(void)
{
    return getenv("KIT_TLS");
}

// ---- the road ---------------------------------------------------------------------------------

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

void road_arm(struct road *road, size_t up, size_t down, unsigned cuts)
{
    road->cut_up = up;
    road->cut_down = down;
    road->cuts_left = cuts;
    for (unsigned i = 0; i < road->count; i++)
        road->lanes[i].up = road->lanes[i].down = 0;
}

void road_cut(struct road *road)
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

static void grant(struct lane *lane, const char *data, size_t len)
{
    if (starts(data, len, "CONNECT 127.0.0.1:"))
        say(lane->client, "HTTP/1.1 200 Connection established\r\n\r\n");
    else
        lane_end(lane, true);
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
        grant(lane, data, len);
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

void scene_open(struct scene *scene, enum habit habit, const char *yaml)
{
    kit_start(&scene->kit, 1, false, yaml);
    road_open(&scene->road, &scene->kit, habit);
    scene->loop = cv_loop_new();
    assert_non_null(scene->loop);
    scene->room = cv_attempt_room_new(scene->loop);
    assert_non_null(scene->room);
}

void scene_close(struct scene *scene)
{
    cv_attempt_room_free(scene->room);
    cv_loop_free(scene->loop);
    road_close(&scene->road);
    kit_stop(&scene->kit);
}

bool caller_call_with(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                      const char *name, struct cv_connection_config *config)
{
    char url[128];
    struct cv_target target;
    const char *scheme = road_is_secure() ? "rtmps" : "rtmp";
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/live/%s", scheme, to->port, name);
    assert_int_equal(cv_target_parse(&target, cv_text_of(url), NULL), CV_OK);
    if (!config->target)
        config->target = &target;
    if (road_is_secure() && !config->trust)
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

void caller_call(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                 const char *name, enum cv_rtmp_client_mode mode, enum cv_via via)
{
    struct cv_connection_config config = {.mode = mode, .via = via};
    assert_true(caller_call_with(scene, caller, to, name, &config));
}

static void send_one(struct caller *caller, struct cv_msg *msg)
{
    assert_int_equal(cv_connection_send(caller->connection, msg), CV_OK);
    cv_block_unref(&msg->payload);
}

void caller_publish(struct caller *caller)
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

void scene_turn(struct scene *scene, struct caller *publisher)
{
    cv_loop_run_once(scene->loop);
    if (publisher)
        caller_publish(publisher);
    road_turn(&scene->road);
    kit_turn(&scene->kit);
}

void scene_until(struct scene *scene, struct caller *publisher, const bool *done)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!*done) {
        assert_true(cv_clock_now_us() < end_us);
        scene_turn(scene, publisher);
    }
}

void caller_start(struct scene *scene, struct caller *caller, const struct cv_addr *to,
                  enum cv_rtmp_client_mode mode, enum cv_via via)
{
    caller_call(scene, caller, to, "s", mode, via);
    scene_until(scene, NULL, &caller->started);
}

void scene_end(struct scene *scene, struct caller *publisher, struct caller *player)
{
    cv_connection_free(&publisher->connection);
    cv_connection_free(&player->connection);
    scene_close(scene);
}

void scene_until_count(struct scene *scene, struct caller *publisher, const uint64_t *count,
                       uint64_t wanted)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (*count < wanted) {
        if (cv_clock_now_us() >= end_us)
            fail_msg("%llu of %llu", (unsigned long long)*count, (unsigned long long)wanted);
        scene_turn(scene, publisher);
    }
}

void scene_until_told(struct scene *scene, struct caller *caller, const unsigned *count)
{
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (*count == 0 && !caller->ended) {
        assert_true(cv_clock_now_us() < end_us);
        scene_turn(scene, caller);
    }
}

void caller_expect_whole(const struct caller *player, uint64_t messages)
{
    assert_int_equal(player->checker.messages, messages);
    assert_int_equal(player->checker.gaps, 0);
    assert_int_equal(player->checker.doubles, 0);
    assert_int_equal(player->checker.damaged, 0);
}
