// A link against servers that are a listener and a few bytes.
#include "harness.h"

#include "client/link.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "io/watch.h"

struct scene {
    struct cv_loop *loop;
    struct cv_link_room *room;
    struct cv_link *link;
    struct cv_listener *listener;
    struct cv_watch watch; // of the server's end
    struct cv_addr addr;
    const char *answer; // what the server says; NULL: it closes at once
    int server_fd;
    int code; // CV_OK while it goes on
    bool free_at_the_end;
    bool handshake; // the answer: a whole handshake, and nonsense behind it
    unsigned events;
};

static void on_event(void *arg, const struct cv_rtmp_client_event *event)
{
    struct scene *scene = arg;
    assert_true(scene->handshake);
    assert_int_equal(event->type, CV_RTMP_CLIENT_READY);
    scene->events++;
    cv_link_free(&scene->link);
    cv_loop_stop(scene->loop);
}

static void on_end(void *arg, const struct cv_why *why)
{
    struct scene *scene = arg;
    assert_int_equal(scene->code, CV_OK);
    assert_true(why->text[0] != '\0');
    scene->code = why->code;
    if (scene->free_at_the_end)
        cv_link_free(&scene->link);
    cv_loop_stop(scene->loop);
}

static void on_server_ready(void *arg, unsigned events)
{
    struct scene *scene = arg;
    uint8_t bytes[4096];
    (void)events;
    int len = cv_socket_read(scene->server_fd, bytes, sizeof bytes);
    if (len == CV_E_AGAIN)
        return;
    assert_int_equal(bytes[0], 3);                     // C0
    static uint8_t handshake[1 + 2 * 1536 + 64] = {3}; // chunks that nothing can be made of
    struct iovec vector = {.iov_base = (void *)(uintptr_t)scene->answer,
                           .iov_len = strlen(scene->answer)};
    if (scene->handshake)
        vector = (struct iovec){.iov_base = handshake, .iov_len = sizeof handshake};
    cv_socket_write(scene->server_fd, &vector, 1);
    cv_watch_set(&scene->watch, 0);
}

static void on_accept(void *arg, int fd, const struct cv_addr *peer)
{
    struct scene *scene = arg;
    (void)peer;
    scene->server_fd = fd;
    if (!scene->answer)
        cv_socket_close(&scene->server_fd);
    else
        assert_int_equal(
            cv_watch_start(&scene->watch, scene->loop, fd, CV_WATCH_READ, on_server_ready, scene),
            CV_OK);
}

static void open_server(struct scene *scene, bool listening)
{
    int fd;
    scene->server_fd = -1;
    scene->addr = (struct cv_addr){.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    scene->loop = cv_loop_new();
    scene->room = cv_link_room_new(scene->loop);
    assert_int_equal(cv_socket_listen(&scene->addr, &fd, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(fd, &scene->addr), CV_OK);
    if (listening)
        scene->listener = cv_listener_new(scene->loop, fd, on_accept, scene);
    else
        cv_socket_close(&fd);
}

static void open_link(struct scene *scene, uint32_t start_s)
{
    struct cv_link_config config = {
        .server = scene->addr,
        .rtmp = {.mode = CV_RTMP_CLIENT_PLAY,
                 .crypto = &cv_crypto_openssl,
                 .app = cv_text_of("live"),
                 .name = cv_text_of("a"),
                 .tc_url = cv_text_of("rtmp://h/live")},
        .start_s = start_s,
        .on_event = on_event,
        .on_end = on_end,
        .arg = scene,
    };
    scene->link = cv_link_new(scene->room, &config);
    assert_non_null(scene->link);
}

static void close_scene(struct scene *scene)
{
    cv_link_free(&scene->link);
    cv_listener_free(scene->listener);
    if (cv_watch_is_open(&scene->watch))
        cv_watch_close(&scene->watch, NULL, NULL);
    cv_loop_free(scene->loop);
    cv_socket_close(&scene->server_fd);
    cv_link_room_free(scene->room);
}

// How it ends with a server that gives this answer; both ways of freeing the link.
static void expect_end(bool listening, const char *answer, int code)
{
    for (int i = 0; i < 2; i++) {
        struct scene scene = {.answer = answer, .free_at_the_end = i};
        open_server(&scene, listening);
        open_link(&scene, 30);
        cv_loop_run(scene.loop);
        assert_int_equal(scene.code, code);
        assert_int_equal(scene.link == NULL, i);
        close_scene(&scene);
    }
}

static void refused_connection_is_told(void **state)
{
    (void)state;
    expect_end(false, NULL, CV_E_CONN_REFUSED);
}

static void wrong_service_is_told(void **state)
{
    (void)state;
    expect_end(true, "HTTP/1.1 400 Bad Request\r\n\r\n", CV_E_HANDSHAKE_VERSION);
}

static void silent_server_is_told(void **state)
{
    (void)state;
    struct scene scene = {.answer = ""};
    open_server(&scene, true);
    open_link(&scene, 1);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.code, CV_E_TIMEOUT);
    close_scene(&scene);
}

static void closed_connection_is_told(void **state)
{
    (void)state;
    struct scene scene = {.answer = NULL};
    open_server(&scene, true);
    open_link(&scene, 30);
    cv_loop_run(scene.loop);
    assert_true(scene.code == CV_E_CLOSED || scene.code == CV_E_RESET);
    close_scene(&scene);
}

static void link_may_be_freed_before_anything_happens(void **state)
{
    (void)state;
    struct scene scene = {.answer = ""};
    open_server(&scene, true);
    open_link(&scene, 30);
    cv_link_free(&scene.link);
    assert_null(scene.link);
    cv_loop_run_once(scene.loop);
    assert_int_equal(scene.code, CV_OK);
    close_scene(&scene);
}

static void link_may_be_freed_by_an_event(void **state)
{
    (void)state;
    struct scene scene = {.answer = "", .handshake = true};
    open_server(&scene, true);
    open_link(&scene, 30);
    cv_loop_run(scene.loop);
    assert_int_equal(scene.events, 1);
    assert_int_equal(scene.code, CV_OK);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_connection_is_told),
        cmocka_unit_test(wrong_service_is_told),
        cmocka_unit_test(silent_server_is_told),
        cmocka_unit_test(closed_connection_is_told),
        cmocka_unit_test(link_may_be_freed_by_an_event),
        cmocka_unit_test(link_may_be_freed_before_anything_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
