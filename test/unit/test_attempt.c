// An attempt by itself, against servers that are a listener and a few bytes: what it meets, and
// when it may be freed. What it is good for is tested with the ladder and with real servers.
#include "client_kit.h"

#include "client/attempt.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/watch.h"

struct scene {
    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_attempt *attempt;
    struct cv_listener *listener;
    struct cv_watch watch; // of the server's end
    struct cv_addr addr;
    struct cv_target target;
    struct cv_text answer; // what the server says; nothing: it closes at once
    int server_fd;
    enum cv_met freed_at; // it is freed where this is met
    struct cv_met_report last;
    bool over;
};

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct scene *scene = arg;
    assert_false(scene->over);
    scene->last = *report;
    scene->over = report->met >= CV_MET_REFUSED || report->met == scene->freed_at;
    if (report->met == scene->freed_at)
        cv_attempt_free(&scene->attempt);
    if (scene->over)
        cv_loop_stop(scene->loop);
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    (void)arg;
    (void)event;
    fail_msg("none of these servers answers connect");
}

static void on_end(void *arg, const struct cv_why *why)
{
    (void)arg;
    fail_msg("it was not accepted: %s", why->text);
}

static void on_server_ready(void *arg, unsigned events)
{
    struct scene *scene = arg;
    uint8_t bytes[4096];
    (void)events;
    if (cv_socket_read(scene->server_fd, bytes, sizeof bytes) == CV_E_AGAIN)
        return;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)scene->answer.at,
                           .iov_len = scene->answer.len};
    cv_socket_write(scene->server_fd, &vector, 1);
    cv_watch_set(&scene->watch, 0);
}

static void on_accept(void *arg, int fd, const struct cv_addr *peer)
{
    struct scene *scene = arg;
    (void)peer;
    scene->server_fd = fd;
    if (scene->answer.len == 0)
        cv_socket_close(&scene->server_fd);
    else
        assert_int_equal(
            cv_watch_start(&scene->watch, scene->loop, fd, CV_WATCH_READ, on_server_ready, scene),
            CV_OK);
}

static void open_scene(struct scene *scene, enum cv_way way, bool listening)
{
    int fd;
    scene->server_fd = -1;
    scene->addr = (struct cv_addr){.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    scene->loop = cv_loop_new();
    scene->room = cv_attempt_room_new(scene->loop);
    assert_int_equal(cv_socket_listen(&scene->addr, &fd, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(fd, &scene->addr), CV_OK);
    if (listening)
        scene->listener = cv_listener_new(scene->loop, fd, on_accept, scene);
    else
        cv_socket_close(&fd);
    scene->target = (struct cv_target){
        .host = "127.0.0.1", .authority = "127.0.0.1", .port = scene->addr.port, .app = "live"};
    struct cv_attempt_config config = {
        .way = way,
        .target = &scene->target,
        .rtmp = client_config(CV_RTMP_CLIENT_PLAY),
        .on_met = on_met,
        .on_event = on_event,
        .on_end = on_end,
        .arg = scene,
    };
    scene->attempt = cv_attempt_new(scene->room, &config);
    assert_non_null(scene->attempt);
}

static void close_scene(struct scene *scene)
{
    cv_attempt_free(&scene->attempt);
    cv_listener_free(scene->listener);
    if (cv_watch_is_open(&scene->watch))
        cv_watch_close(&scene->watch, NULL, NULL);
    cv_attempt_room_free(scene->room);
    cv_loop_free(scene->loop);
    cv_socket_close(&scene->server_fd);
}

static const enum cv_way ways[] = {CV_WAY_OFFER, CV_WAY_RTMP, CV_WAY_TUNNEL, CV_WAY_SOCKET};
enum { WAYS = sizeof ways / sizeof ways[0] };

// How each way ends with a server that gives this answer; freed there, and later.
static void expect_end(bool listening, struct cv_text answer, enum cv_met met, enum cv_met or_met,
                       uint32_t status)
{
    for (unsigned i = 0; i < 2 * WAYS; i++) {
        struct scene scene = {.answer = answer, .freed_at = i % 2 ? met : CV_MET_ACCEPTED};
        open_scene(&scene, ways[i / 2], listening);
        cv_loop_run(scene.loop);
        assert_true(scene.last.met == met || scene.last.met == or_met);
        assert_int_equal(scene.last.status, status);
        close_scene(&scene);
    }
}

static void refused_connection_is_told(void **state)
{
    (void)state;
    expect_end(false, cv_text_of(""), CV_MET_REFUSED, CV_MET_REFUSED, 0);
}

static void closed_connection_is_told(void **state)
{
    (void)state;
    expect_end(true, cv_text_of(""), CV_MET_CLOSED, CV_MET_RESET, 0);
}

static void wrong_service_is_told(void **state)
{
    (void)state;
    expect_end(true, cv_text_of("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
               CV_MET_HTTP, CV_MET_HTTP, 400);
    expect_end(true, cv_text_of("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), CV_MET_NOT_RTMP,
               CV_MET_NOT_RTMP, 0);
}

static void it_may_be_freed_before_anything_happens(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAYS; i++) {
        struct scene scene = {.answer = cv_text_of("x"), .freed_at = CV_MET_ACCEPTED};
        open_scene(&scene, ways[i], true);
        cv_attempt_free(&scene.attempt);
        assert_null(scene.attempt);
        cv_loop_run_once(scene.loop);
        assert_int_equal(scene.last.met, CV_MET_CONNECTED); // as it was at first: nothing was met
        assert_int_equal(scene.last.rtt_us, 0);
        close_scene(&scene);
    }
}

// Bytes that nothing can be made of are behind the handshake, and are not looked at.
static void it_may_be_freed_where_it_meets_something(void **state)
{
    static const char handshake[1 + 2 * 1536 + 64] = {3};
    static const enum cv_met places[] = {CV_MET_CONNECTED, CV_MET_HANDSHAKE};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct scene scene = {.answer = {handshake, sizeof handshake}, .freed_at = places[i]};
        open_scene(&scene, CV_WAY_RTMP, true);
        cv_loop_run(scene.loop);
        assert_int_equal(scene.last.met, places[i]);
        assert_null(scene.attempt);
        close_scene(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_connection_is_told),
        cmocka_unit_test(closed_connection_is_told),
        cmocka_unit_test(wrong_service_is_told),
        cmocka_unit_test(it_may_be_freed_before_anything_happens),
        cmocka_unit_test(it_may_be_freed_where_it_meets_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
