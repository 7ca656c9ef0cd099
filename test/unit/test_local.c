// A relay's end of a connection on this machine, against our own client on a real socket.
#include "client_kit.h"

#include "client/attempt.h"
#include "client/local.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"

#include <stdio.h>

struct scene {
    struct cv_loop *loop;
    struct cv_listener *listener;
    struct cv_addr addr;
    struct cv_attempt_room *attempts;
    struct cv_local_room *room;
    struct cv_attempt *attempt;
    struct cv_target target;
    struct cv_local *local;
    struct cv_timer guard;
    struct cv_local_user user;
    enum cv_status refusal; // CV_STATUS_COUNT: accept
    bool free_at_once;      // the local end is freed where it is asked
    unsigned wanted;        // player: so many messages are sent, and then it is over
    unsigned given;
    unsigned got; // messages, at either end
    size_t bytes; // of their payloads
    bool blocked; // it was, at some time
    char story[256];
    char reason[sizeof((struct cv_why *)0)->text]; // why it is gone
    bool gone;
    bool ended;
};

static void note(struct scene *scene, const char *text)
{
    append_text(scene->story, sizeof scene->story, text);
}

static void on_guard(void *arg)
{
    struct scene *scene = arg;
    fail_msg("it hangs: %s", scene->story);
}

// ---- the local end --------------------------------------------------------------------------

static void give(struct scene *scene)
{
    struct cv_rtmp_host *host = cv_local_host(scene->local);
    while (scene->given < scene->wanted && !cv_local_is_blocked(scene->local)) {
        struct cv_block *block = cv_block_new(50000);
        memset(block->data, 0x27, 50000);
        block->len = 50000;
        struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = scene->given++, .payload = block};
        assert_int_equal(cv_rtmp_host_send(host, &msg), CV_OK);
        cv_block_unref(&block);
        cv_local_flush(scene->local);
    }
    scene->blocked |= cv_local_is_blocked(scene->local);
    if (scene->given < scene->wanted)
        return;
    cv_rtmp_host_over(host);
    cv_local_finish(scene->local);
}

static void on_asked(struct scene *scene, const struct cv_rtmp_host_event *event)
{
    struct cv_rtmp_host *host = cv_local_host(scene->local);
    note(scene, event->type == CV_RTMP_HOST_PUBLISH ? "publish " : "play ");
    if (scene->free_at_once) {
        cv_local_free(&scene->local);
        return;
    }
    if (scene->refusal != CV_STATUS_COUNT) {
        assert_int_equal(cv_rtmp_host_refuse(host, scene->refusal, "no"), CV_OK);
        cv_local_finish(scene->local);
        return;
    }
    assert_int_equal(cv_rtmp_host_accept(host), CV_OK);
    if (event->type == CV_RTMP_HOST_PLAY)
        give(scene);
}

static void on_local_event(void *arg, const struct cv_rtmp_host_event *event)
{
    struct scene *scene = arg;
    if (event->type == CV_RTMP_HOST_MESSAGE) {
        scene->got++;
        scene->bytes += event->msg.payload->len;
    } else if (event->type == CV_RTMP_HOST_STOP) {
        note(scene, "stop ");
    } else {
        on_asked(scene, event);
    }
}

static void on_gone(void *arg, const struct cv_why *why)
{
    struct scene *scene = arg;
    assert_false(scene->gone);
    scene->gone = true;
    note(scene, why->code == CV_OK ? "done " : "gone ");
    snprintf(scene->reason, sizeof scene->reason, "%s", why->text);
    cv_local_free(&scene->local);
    if (scene->ended)
        cv_loop_stop(scene->loop);
}

static void on_room(void *arg)
{
    give(arg);
}

static const struct cv_local_user local_user = {
    .event = on_local_event, .gone = on_gone, .room = on_room};

static void on_accept(void *arg, int fd, const struct cv_addr *peer)
{
    struct scene *scene = arg;
    (void)peer;
    scene->local = cv_local_new(scene->room, fd, &scene->user, scene);
    assert_non_null(scene->local);
}

// ---- the client -----------------------------------------------------------------------------

static void publish_some(struct scene *scene)
{
    struct cv_rtmp_client *client = cv_attempt_client(scene->attempt);
    for (unsigned i = 0; i < 20; i++) {
        struct cv_block *block = cv_block_copy("\x17\x01\0\0\0x", 6);
        struct cv_msg msg = {.type = CV_MSG_VIDEO, .ts_ms = i, .payload = block};
        assert_int_equal(cv_rtmp_client_send(client, &msg), CV_OK);
        cv_block_unref(&block);
    }
    assert_int_equal(cv_rtmp_client_stop(client), CV_OK);
    cv_attempt_flush(scene->attempt);
}

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    struct scene *scene = arg;
    if (event->type == CV_RTMP_CLIENT_MEDIA) {
        scene->got++;
        scene->bytes += event->msg.payload->len;
    }
    if (event->type != CV_RTMP_CLIENT_STARTED)
        return;
    note(scene, "started ");
    if (!scene->wanted)
        publish_some(scene);
}

static void on_end(void *arg, const struct cv_why *why)
{
    struct scene *scene = arg;
    note(scene, cv_err_name(why->code));
    note(scene, " ");
    scene->ended = true;
    cv_attempt_free(&scene->attempt);
    if (scene->gone || !scene->local)
        cv_loop_stop(scene->loop);
}

static void open_scene(struct scene *scene)
{
    int fd;
    memset(scene, 0, sizeof *scene);
    scene->refusal = CV_STATUS_COUNT;
    scene->user = local_user;
    scene->addr = (struct cv_addr){.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    scene->loop = cv_loop_new();
    scene->attempts = cv_attempt_room_new(scene->loop);
    scene->room = cv_local_room_new(scene->loop);
    assert_int_equal(cv_socket_listen(&scene->addr, &fd, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(fd, &scene->addr), CV_OK);
    scene->target = (struct cv_target){.host = "127.0.0.1", .port = scene->addr.port};
    scene->listener = cv_listener_new(scene->loop, fd, on_accept, scene);
    cv_timer_init(&scene->guard, scene->loop, on_guard, scene);
    cv_timer_start(&scene->guard, 30 * 1000000);
}

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct scene *scene = arg;
    assert_true(report->met <= CV_MET_ACCEPTED);
    if (report->met == CV_MET_HANDSHAKE)
        cv_attempt_connect(scene->attempt);
}

static void open_client(struct scene *scene, enum cv_rtmp_client_mode mode)
{
    struct cv_attempt_config config = {
        .way = CV_WAY_RTMP,
        .target = &scene->target,
        .rtmp = client_config(mode),
        .on_met = on_met,
        .on_event = on_event,
        .on_end = on_end,
        .arg = scene,
    };
    scene->attempt = cv_attempt_new(scene->attempts, &config);
    assert_non_null(scene->attempt);
}

static void close_scene(struct scene *scene)
{
    cv_timer_stop(&scene->guard);
    cv_attempt_free(&scene->attempt);
    cv_local_free(&scene->local);
    cv_listener_free(scene->listener);
    cv_attempt_room_free(scene->attempts);
    cv_loop_free(scene->loop);
    cv_local_room_free(scene->room);
}

// ---- tests ----------------------------------------------------------------------------------

static bool all_came(void *arg)
{
    const struct scene *scene = arg;
    return scene->got == 20 && strstr(scene->story, "stop");
}

static void an_encoder_publishes_and_leaves(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    open_client(&scene, CV_RTMP_CLIENT_PUBLISH);
    while (!all_came(&scene))
        cv_loop_run_once(scene.loop);
    cv_attempt_free(&scene.attempt);
    while (!scene.gone)
        cv_loop_run_once(scene.loop);
    assert_string_equal(scene.story, "publish started stop gone ");
    assert_int_equal(scene.bytes, 20 * 6);
    close_scene(&scene);
}

// More than the sockets hold: what is not taken waits, and comes whole.
static void a_player_gets_it_all(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.wanted = 400;
    open_client(&scene, CV_RTMP_CLIENT_PLAY);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.got, 400);
    assert_int_equal(scene.bytes, 400 * 50000);
    assert_true(scene.blocked);
    assert_non_null(strstr(scene.story, "play started CLOSED "));
    close_scene(&scene);
}

static void a_refusal_is_read_before_the_end(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.refusal = CV_STATUS_PUBLISH_BAD_NAME;
    open_client(&scene, CV_RTMP_CLIENT_PUBLISH);
    cv_loop_run(scene.loop);
    assert_string_equal(scene.story, "publish REFUSED done ");
    close_scene(&scene);
}

static void it_may_be_freed_where_it_is_asked(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.free_at_once = true;
    open_client(&scene, CV_RTMP_CLIENT_PLAY);
    cv_loop_run(scene.loop);
    assert_null(scene.local);
    assert_non_null(strstr(scene.story, "play "));
    close_scene(&scene);
}

static void nonsense_ends_it(void **state)
{
    (void)state;
    struct scene scene;
    struct iovec vector = {.iov_base = (void *)(uintptr_t) "GET / HTTP/1.1\r\n\r\n", .iov_len = 18};
    open_scene(&scene);
    int fd = cv_socket_connect(&scene.addr);
    assert_true(fd >= 0);
    while (cv_socket_connect_result(fd) == CV_E_AGAIN)
        ;
    assert_int_equal(cv_socket_write(fd, &vector, 1), 18);
    scene.ended = true;
    cv_loop_run(scene.loop);
    assert_string_equal(scene.story, "gone ");
    cv_socket_close(&fd);
    close_scene(&scene);
}

// ---- by hand ----------------------------------------------------------------------------------

static int dial(struct scene *scene)
{
    int fd = cv_socket_connect(&scene->addr);
    assert_true(fd >= 0);
    while (cv_socket_connect_result(fd) == CV_E_AGAIN)
        ;
    while (!scene->local)
        cv_loop_run_once(scene->loop);
    return fd;
}

static void wait_for_end(struct scene *scene)
{
    while (!scene->gone)
        cv_loop_run_once(scene->loop);
}

static void who_asks_for_nothing_is_gone(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.user.ask_us = 50 * 1000;
    int fd = dial(&scene);
    wait_for_end(&scene);
    assert_string_equal(scene.story, "gone ");
    assert_string_equal(scene.reason, "it asked for nothing");
    cv_socket_close(&fd);
    close_scene(&scene);
}

// A publisher that has stopped, and stays without asking for anything else.
static void who_asks_for_nothing_more_is_gone(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.user.ask_us = 1000 * 1000;
    open_client(&scene, CV_RTMP_CLIENT_PUBLISH);
    while (!all_came(&scene))
        cv_loop_run_once(scene.loop);
    wait_for_end(&scene);
    assert_string_equal(scene.reason, "it asked for nothing");
    close_scene(&scene);
}

// As many bytes as there are now.
static size_t read_all(int fd)
{
    static uint8_t bytes[65536];
    size_t sum = 0;
    int len;
    while ((len = cv_socket_read(fd, bytes, sizeof bytes)) > 0)
        sum += (size_t)len;
    return sum;
}

// While it is blocked nothing is written, until the loop says that there is room.
static void who_is_blocked_is_left_alone(void **state)
{
    static const char asks[] = "\x03\0\0\0\0\0\x23\x14\0\0\0\0\x02\0\x07"
                               "connect\0\x3f\xf0\0\0\0\0\0\0"
                               "\x03\0\x03"
                               "app\x02\0\x04"
                               "live\0\0\x09"
                               "\x03\0\0\0\0\0\x19\x14\0\0\0\0\x02\0\x0c"
                               "createStream\0\x40\0\0\0\0\0\0\0\x05"
                               "\x08\0\0\0\0\0\x15\x14\x01\0\0\0\x02\0\x04"
                               "play\0\0\0\0\0\0\0\0\0\x05"
                               "\x02\0\x01"
                               "a";
    static uint8_t hello[3073] = {3};
    struct iovec vectors[] = {{.iov_base = hello, .iov_len = sizeof hello},
                              {.iov_base = (void *)(uintptr_t)asks, .iov_len = sizeof asks - 1}};
    struct scene scene;
    (void)state;
    open_scene(&scene);
    scene.wanted = 400;
    int fd = dial(&scene);
    assert_int_equal(cv_socket_write(fd, vectors, 2), sizeof hello + sizeof asks - 1);
    while (!scene.blocked)
        cv_loop_run_once(scene.loop);
    size_t waiting = cv_rtmp_host_out_bytes(cv_local_host(scene.local));
    unsigned given = scene.given;
    assert_true(read_all(fd) > 0); // there would be room now
    cv_local_flush(scene.local);
    assert_int_equal(cv_rtmp_host_out_bytes(cv_local_host(scene.local)), waiting);
    assert_true(cv_local_is_blocked(scene.local));
    while (scene.given == given) {
        cv_loop_run_once(scene.loop);
        read_all(fd);
    }
    cv_socket_close(&fd);
    close_scene(&scene);
}

// A client that has read the last words sees the end at once, and need not close first.
static void the_last_words_are_followed_by_the_end(void **state)
{
    (void)state;
    struct scene scene;
    uint8_t byte;
    open_scene(&scene);
    int fd = dial(&scene);
    cv_local_finish(scene.local);
    int len;
    while ((len = cv_socket_read(fd, &byte, 1)) == CV_E_AGAIN)
        cv_loop_run_once(scene.loop);
    assert_int_equal(len, CV_E_CLOSED);
    assert_false(scene.gone); // it still listens
    cv_socket_close(&fd);
    wait_for_end(&scene);
    assert_string_equal(scene.story, "done ");
    close_scene(&scene);
}

// Who never closes is not waited for.
static void last_words_have_their_time(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.user.ask_us = 3600 * UINT64_C(1000000); // that one must not end it
    int fd = dial(&scene);
    cv_local_finish(scene.local);
    wait_for_end(&scene);
    assert_string_equal(scene.story, "done ");
    cv_socket_close(&fd);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_encoder_publishes_and_leaves),
        cmocka_unit_test(a_player_gets_it_all),
        cmocka_unit_test(a_refusal_is_read_before_the_end),
        cmocka_unit_test(it_may_be_freed_where_it_is_asked),
        cmocka_unit_test(nonsense_ends_it),
        cmocka_unit_test(who_asks_for_nothing_is_gone),
        cmocka_unit_test(who_asks_for_nothing_more_is_gone),
        cmocka_unit_test(who_is_blocked_is_left_alone),
        cmocka_unit_test(the_last_words_are_followed_by_the_end),
        cmocka_unit_test(last_words_have_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
