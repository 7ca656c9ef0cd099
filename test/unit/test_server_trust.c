// The client's connection and TLS: certificates that are not accepted, at first and behind a cut;
// proxies; and where plain text is allowed, too.
#include "road_kit.h"

#include "io/clock.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/tls_server.h"

#include <unistd.h>

enum { MESSAGES = 120 };

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
    for (int i = 0; i < 8; i++) {
        struct scene scene = {0};
        struct caller caller = {0};
        struct cv_connection_config config = {
            .mode = i % 2 ? CV_RTMP_CLIENT_PUBLISH : CV_RTMP_CLIENT_PLAY,
            .via = i / 2 % 2 ? CV_VIA_SOCKET : CV_VIA_AUTO,
            .patient = i / 4,
        };
        scene_open(&scene, PASSES, NULL);
        show(&scene, secure_kit_stranger());
        assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
        scene_until(&scene, NULL, &caller.ended);
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
    scene_open(&scene, PASSES, NULL);
    caller_start(&scene, &publisher, &scene.road.addr, CV_RTMP_CLIENT_PUBLISH, CV_VIA_AUTO);
    caller_start(&scene, &player, &scene.kit.addrs[0], CV_RTMP_CLIENT_PLAY, CV_VIA_AUTO);
    scene_until_count(&scene, &publisher, &player.checker.messages, 20);
    show(&scene, secure_kit_stranger());
    road_cut(&scene.road);
    scene_until_told(&scene, &publisher, &publisher.cuts);
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (publisher.connection->tries < 3 && cv_clock_now_us() < end_us)
        scene_turn(&scene, &publisher);
    assert_false(publisher.ended);
    assert_true(publisher.connection->distrust_us > 0);
    show(&scene, secure_kit_server());
    scene_until_count(&scene, &publisher, &player.checker.messages, MESSAGES);
    caller_expect_whole(&player, MESSAGES);
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
    assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
    scene_until(&scene, NULL, &caller.started);
    show(&scene, secure_kit_stranger());
    road_cut(&scene.road);
    uint64_t end_us = cv_clock_now_us() + KIT_WAIT_S * UINT64_C(1000000);
    while (!caller.ended && caller.connection->distrust_us == 0 && cv_clock_now_us() < end_us)
        scene_turn(&scene, NULL);
    assert_false(caller.ended);
    if (later)
        caller.connection->distrust_us -= CV_CONNECTION_DISTRUST_S * UINT64_C(1000000);
    scene_until(&scene, NULL, &caller.ended);
    expect_distrust(&caller, CV_OBSTACLE_CERT_UNTRUSTED);
    assert_int_equal(caller.cuts, 1);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
}

static void a_certificate_that_has_changed_for_good_ends_it(void **state)
{
    (void)state;
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
    assert_true(caller_call_with(scene, caller, &scene->kit.addrs[0], "s", &config));
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
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene = {0};
        struct caller caller = {0};
        call_by_proxy(&scene, &caller, CONNECTS, rows[i].via);
        scene_until(&scene, NULL, &caller.started);
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
    call_by_proxy(&scene, &caller, REFUSES_PROXY, CV_VIA_AUTO);
    scene_until(&scene, NULL, &caller.ended);
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
        assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
        scene_until(&scene, NULL, &caller.started);
        assert_string_equal(caller.name, "RTMPS behind an HTTPS offer");
        assert_true(i == 0 ? caller.attempts > 1 : caller.attempts == 1);
        assert_true(caller.secure);
        cv_connection_free(&caller.connection);
        scene_close(&scene);
    }
    cv_socket_close(&fd);
    unlink(path);
}

static void nobody_who_is_trusted_means_plain_text_or_nothing(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct caller caller = {0};
    unsetenv("KIT_TLS"); // as a program without certificates of its own
    scene_open(&scene, PASSES, NULL);
    struct cv_target target = either(closed_port(), scene.road.addr.port);
    struct cv_connection_config config = {.mode = CV_RTMP_CLIENT_PLAY, .target = &target};
    assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
    scene_until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_NO_WAY);
    assert_int_equal(scene.road.count, 0); // nobody came to the port for TLS
    cv_connection_free(&caller.connection);
    caller = (struct caller){0};
    target.security = CV_SECURITY_ONLY;
    assert_true(caller_call_with(&scene, &caller, &scene.road.addr, "s", &config));
    scene_until(&scene, NULL, &caller.ended);
    assert_int_equal(caller.end, CV_END_FAILED);
    assert_non_null(strstr(caller.why, "TLS"));
    assert_int_equal(scene.road.count, 0);
    cv_connection_free(&caller.connection);
    scene_close(&scene);
    setenv("KIT_TLS", "1", 1);
}

int main(void)
{
    setenv("KIT_TLS", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_certificate_that_is_not_accepted_ends_it),
        cmocka_unit_test(a_portal_behind_a_cut_passes),
        cmocka_unit_test(a_certificate_that_has_changed_for_good_ends_it),
        cmocka_unit_test(tls_goes_through_a_proxy),
        cmocka_unit_test(a_proxy_that_refuses_tls_is_named),
        cmocka_unit_test(tls_is_the_way_where_plain_text_has_none),
        cmocka_unit_test(nobody_who_is_trusted_means_plain_text_or_nothing),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    secure_kit_done();
    return failures;
}
