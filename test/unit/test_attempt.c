// An attempt by itself, against servers that are a listener and a few bytes: what it meets, and
// when it may be freed. What it is good for is tested with the ladder and with real servers.
#include "client_kit.h"
#include "secure_kit.h"

#include "client/attempt.h"
#include "io/channel.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/tls_trust.h"

#include <stdio.h>

enum { HEARD_MAX = 8192, STORY_BYTES = 100 };

struct scene {
    // what the test wants
    bool secure;           // the attempt is
    bool plain_server;     // speaks plain text all the same
    const char *proxy;     // what a proxy says to CONNECT; NULL: there is none
    const char *host;      // the target's; NULL: localhost
    struct cv_text answer; // what the server says; nothing: it closes at once
    enum cv_met freed_at;  // it is freed where this is met

    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_attempt *attempt;
    struct cv_listener *listener;
    struct cv_channel_room far_room;
    struct cv_channel far[2]; // the server's ends
    unsigned far_count;
    uint8_t far_buffer[4096];
    struct cv_addr addr;
    struct cv_target target;
    struct cv_proxy by;
    char heard[HEARD_MAX]; // by the server, or the proxy before it
    size_t heard_len;
    bool granted;
    char story[STORY_BYTES]; // of what was met, numbers
    struct cv_met_report last;
    struct cv_why why;
    bool over;
};

static void on_met(void *arg, const struct cv_met_report *report)
{
    struct scene *scene = arg;
    assert_false(scene->over);
    char text[16];
    snprintf(text, sizeof text, "%d ", report->met);
    append_text(scene->story, sizeof scene->story, text);
    scene->last = *report;
    scene->why = *cv_attempt_why(scene->attempt);
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

// ---- the server -------------------------------------------------------------------------------

static void far_say(struct cv_channel *far, struct cv_text text)
{
    static struct cv_gather gather;
    cv_gather_clear(&gather);
    cv_gather_borrow(&gather, text.at, text.len);
    cv_channel_write(far, &gather);
}

static void on_far_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct scene *scene = arg;
    struct cv_channel *far = &scene->far[scene->far_count - 1];
    bool asked = scene->proxy && !scene->granted;
    if (scene->secure && !scene->plain_server && !asked && !cv_channel_is_secure(far)) {
        assert_int_equal(cv_channel_accept(far, secure_kit_server(), data, len), CV_OK);
        return;
    }
    if (scene->heard_len + len < HEARD_MAX) {
        memcpy(scene->heard + scene->heard_len, data, len);
        scene->heard_len += len;
    }
    far_say(far, asked ? cv_text_of(scene->proxy) : scene->answer);
    scene->granted = true;
    cv_channel_want(far, asked, false);
}

static void on_far_room(void *arg)
{
    (void)arg;
}

static void on_far_ended(void *arg, int code)
{
    (void)arg, (void)code;
}

static const struct cv_channel_user far_user = {
    .bytes = on_far_bytes, .room = on_far_room, .ended = on_far_ended};

static void on_accept(void *arg, int fd, const struct cv_addr *peer)
{
    struct scene *scene = arg;
    (void)peer;
    if (scene->answer.len == 0) {
        cv_socket_close(&fd);
        return;
    }
    assert_true(scene->far_count < 2);
    struct cv_channel *far = &scene->far[scene->far_count++];
    assert_int_equal(cv_channel_open(far, &scene->far_room, fd, &far_user, scene), CV_OK);
}

// ---- the attempt ------------------------------------------------------------------------------

static void open_scene(struct scene *scene, enum cv_way way, bool listening)
{
    int fd;
    const char *host = scene->host ? scene->host : "localhost";
    scene->addr = (struct cv_addr){.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    scene->loop = cv_loop_new();
    scene->room = cv_attempt_room_new(scene->loop);
    assert_int_equal(cv_socket_listen(&scene->addr, &fd, 1, NULL), CV_OK);
    assert_int_equal(cv_socket_local(fd, &scene->addr), CV_OK);
    if (listening)
        scene->listener = cv_listener_new(scene->loop, fd, on_accept, scene);
    else
        cv_socket_close(&fd);
    scene->target = (struct cv_target){.authority = "plain.example",
                                       .secure_authority = "secure.example",
                                       .port = scene->addr.port,
                                       .secure_port = scene->addr.port,
                                       .app = "live"};
    memcpy(scene->target.host, host, strlen(host));
    scene->by = (struct cv_proxy){
        .host = "127.0.0.1", .port = scene->addr.port, .user = "me", .password = "secret"};
    scene->far_room = (struct cv_channel_room){.loop = scene->loop,
                                               .tls = cv_tls_room_new(),
                                               .read_buffer = scene->far_buffer,
                                               .read_bytes = sizeof scene->far_buffer};
    struct cv_attempt_config config = {
        .way = way,
        .secure = scene->secure,
        .trust = secure_kit_trust(),
        .target = &scene->target,
        .proxy = scene->proxy ? &scene->by : NULL,
        .addrs = &scene->addr,
        .addr_count = 1,
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
    for (unsigned i = 0; i < scene->far_count; i++)
        cv_channel_close(&scene->far[i], false, NULL, NULL);
    cv_loop_run_once(scene->loop);
    cv_attempt_room_free(scene->room);
    cv_tls_room_free(scene->far_room.tls);
    cv_loop_free(scene->loop);
}

static const enum cv_way ways[] = {CV_WAY_OFFER, CV_WAY_RTMP, CV_WAY_TUNNEL, CV_WAY_SOCKET};
enum { WAYS = sizeof ways / sizeof ways[0] };

// How each way ends with a server that gives this answer; freed there, and later.
static void expect_end(bool listening, struct cv_text answer, enum cv_met met, enum cv_met or_met,
                       uint32_t status)
{
    for (unsigned i = 0; i < 4 * WAYS; i++) {
        struct scene scene = {
            .answer = answer, .freed_at = i % 2 ? met : CV_MET_ACCEPTED, .secure = i / 2 % 2};
        open_scene(&scene, ways[i / 4], listening);
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
    for (unsigned i = 0; i < 2 * WAYS; i++) {
        struct scene scene = {
            .answer = cv_text_of("x"), .freed_at = CV_MET_ACCEPTED, .secure = i % 2};
        open_scene(&scene, ways[i / 2], true);
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
    static const enum cv_met places[] = {CV_MET_CONNECTED, CV_MET_HANDSHAKE, CV_MET_CONNECTED,
                                         CV_MET_HANDSHAKE, CV_MET_SECURED};
    (void)state;
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct scene scene = {
            .answer = {handshake, sizeof handshake}, .freed_at = places[i], .secure = i >= 2};
        open_scene(&scene, CV_WAY_RTMP, true);
        cv_loop_run(scene.loop);
        assert_int_equal(scene.last.met, places[i]);
        assert_null(scene.attempt);
        close_scene(&scene);
    }
}

// ---- TLS --------------------------------------------------------------------------------------

static void run(struct scene *scene, enum cv_way way)
{
    open_scene(scene, way, true);
    cv_loop_run(scene->loop);
}

static const enum cv_way all_ways[] = {CV_WAY_OFFER, CV_WAY_RTMP, CV_WAY_TUNNEL, CV_WAY_SOCKET,
                                       CV_WAY_CONNECT};
static const char yes[] = "HTTP/1.1 200 OK\r\n\r\n";
static const char no_site[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

static void what_fails_in_tls_is_told_with_its_words(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool plain_server;
        enum cv_met met;
        int code;
        const char *words;
    } rows[] = {
        {"example.org", false, CV_MET_CERTIFICATE, CV_E_CERT_NAME, "not for example.org"},
        {"localhost", true, CV_MET_NOT_TLS, CV_E_NOT_TLS, "HTTP/"},
    };
    for (unsigned i = 0; i < 4 * 2 * WAYS; i++) {
        unsigned row = i % 2;
        bool freed = i / 2 % 2;
        struct scene scene = {.answer = cv_text_of(no_site),
                              .secure = true,
                              .proxy = i / 4 % 2 ? yes : NULL,
                              .plain_server = rows[row].plain_server,
                              .host = rows[row].host,
                              .freed_at = freed ? rows[row].met : CV_MET_ACCEPTED};
        char story[STORY_BYTES];
        snprintf(story, sizeof story, "%d %d ", CV_MET_CONNECTED, rows[row].met);
        bool beside = ways[i / 8] == CV_WAY_RTMP && scene.proxy; // else it goes directly
        run(&scene, beside ? CV_WAY_CONNECT : ways[i / 8]);
        assert_string_equal(scene.story, story);
        assert_int_equal(scene.last.code, rows[row].code);
        assert_int_equal(scene.why.code, rows[row].code);
        assert_non_null(strstr(scene.why.text, rows[row].words));
        close_scene(&scene);
    }
}

// Inside TLS the proxy is behind us: requests are for the server, and hold no password.
static void requests_inside_tls_know_no_proxy(void **state)
{
    (void)state;
    static const struct {
        enum cv_way way;
        const char *begins;
    } rows[] = {{CV_WAY_OFFER, "POST /open/1 HTTP/1.1\r\n"},
                {CV_WAY_TUNNEL, "POST /open/1 HTTP/1.1\r\n"},
                {CV_WAY_SOCKET, "GET /live HTTP/1.1\r\n"}};
    char story[STORY_BYTES];
    snprintf(story, sizeof story, "%d %d %d ", CV_MET_CONNECTED, CV_MET_SECURED, CV_MET_HTTP);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = {.answer = cv_text_of(no_site),
                              .secure = true,
                              .proxy = yes,
                              .freed_at = CV_MET_ACCEPTED};
        run(&scene, rows[i].way);
        assert_string_equal(scene.story, story);
        assert_int_equal(scene.last.status, 404);
        assert_true(strncmp(scene.heard, "CONNECT localhost:", 18) == 0);
        const char *request = strstr(scene.heard, "\r\n\r\n") + 4;
        assert_true(strncmp(request, rows[i].begins, strlen(rows[i].begins)) == 0);
        assert_non_null(strstr(request, "Host: secure.example\r\n"));
        assert_null(strstr(request, "Proxy-Authorization"));
        close_scene(&scene);
    }
}

static void requests_to_a_proxy_name_the_server(void **state)
{
    (void)state;
    static const struct {
        enum cv_way way;
        const char *begins;
    } rows[] = {{CV_WAY_TUNNEL, "POST http://plain.example/open/1 HTTP/1.1\r\n"},
                {CV_WAY_SOCKET, "GET http://plain.example/live HTTP/1.1\r\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = {
            .answer = cv_text_of(no_site), .proxy = no_site, .freed_at = CV_MET_ACCEPTED};
        run(&scene, rows[i].way);
        assert_true(strncmp(scene.heard, rows[i].begins, strlen(rows[i].begins)) == 0);
        assert_non_null(strstr(scene.heard, "Host: plain.example\r\n"));
        assert_non_null(strstr(scene.heard, "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"));
        close_scene(&scene);
    }
}

// Nothing is connected then, and the status is the proxy's.
static void a_connect_that_is_denied_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        uint32_t status;
        bool elsewhere;
    } rows[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", 407, false},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, false},
        {"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", 302, true},
    };
    char story[STORY_BYTES];
    snprintf(story, sizeof story, "%d ", CV_MET_HTTP);
    for (unsigned i = 0; i < 2 * 3 * 5; i++) {
        enum cv_way way = all_ways[i / 6];
        bool direct = way == CV_WAY_RTMP; // beside the proxy
        struct scene scene = {.answer = cv_text_of(no_site),
                              .secure = way != CV_WAY_CONNECT || i % 2,
                              .proxy = rows[i / 2 % 3].answer,
                              .freed_at = i % 2 ? CV_MET_HTTP : CV_MET_ACCEPTED};
        if (direct)
            continue;
        run(&scene, way);
        assert_string_equal(scene.story, story);
        assert_int_equal(scene.last.status, rows[i / 2 % 3].status);
        assert_int_equal(scene.last.elsewhere, rows[i / 2 % 3].elsewhere);
        assert_null(strstr(scene.heard, "POST"));
        close_scene(&scene);
    }
}

// Its own port for TLS is nobody's login page.
#define LEN "Content-Length: 0\r\n\r\n"
static void a_redirection_to_the_server_itself_is_no_portal(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool elsewhere;
    } rows[] = {
        {"HTTP/1.1 301 Moved\r\nLocation: https://Plain.example/live\r\n" LEN, false},
        {"HTTP/1.1 301 Moved\r\nLocation: /live/\r\n" LEN, false},
        {"HTTP/1.1 302 Found\r\nLocation: http://login.example/plain.example\r\n" LEN, true},
        {"HTTP/1.1 302 Found\r\nLocation: //login.example/\r\n" LEN, true},
    };
    static const enum cv_way http[] = {CV_WAY_OFFER, CV_WAY_TUNNEL, CV_WAY_SOCKET};
    for (unsigned i = 0; i < 3 * 4; i++) {
        struct scene scene = {.answer = cv_text_of(rows[i / 3].answer),
                              .freed_at = CV_MET_ACCEPTED};
        run(&scene, http[i % 3]);
        assert_int_equal(scene.last.met, CV_MET_HTTP);
        assert_int_equal(scene.last.elsewhere, rows[i / 3].elsewhere);
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
        cmocka_unit_test(what_fails_in_tls_is_told_with_its_words),
        cmocka_unit_test(requests_inside_tls_know_no_proxy),
        cmocka_unit_test(requests_to_a_proxy_name_the_server),
        cmocka_unit_test(a_connect_that_is_denied_is_told),
        cmocka_unit_test(a_redirection_to_the_server_itself_is_no_portal),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    secure_kit_done();
    return failures;
}
