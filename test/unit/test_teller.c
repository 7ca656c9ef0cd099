// What publish, play and relay say, how they end, and the options that they have in common.
#include "harness.h"

#include "cli/cli.h"
#include "cli/stream_options.h"
#include "cli/teller.h"
#include "io/clock.h"

#include <stdio.h>

struct scene {
    FILE *file;
    struct cv_stream_options options;
    struct cv_teller teller;
    char text[4096];
};

static void open_scene(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    scene->file = tmpfile();
    assert_non_null(scene->file);
    cv_teller_init(&scene->teller, scene->file, &scene->options, "example.org",
                   cv_clock_now_us() - 2000000);
    assert_false(scene->teller.terminal);
}

// All that was said, with numbers of four digits (2000 ms and some) written as "#".
static const char *said(struct scene *scene)
{
    size_t used = 0;
    int c;
    rewind(scene->file);
    while ((c = fgetc(scene->file)) != EOF && used < sizeof scene->text - 1) {
        scene->text[used++] = (char)c;
        if (used >= 4 && scene->text[used - 4] == '2' && scene->text[used - 3] == '0') {
            used -= 3;
            scene->text[used - 1] = '#';
        }
    }
    scene->text[used] = '\0';
    fclose(scene->file);
    return scene->text;
}

static void expect_said(struct scene *scene, const char *wanted)
{
    assert_string_equal(said(scene), wanted);
}

static struct cv_connection_event through_event(void)
{
    return (struct cv_connection_event){
        .type = CV_CONNECTION_THROUGH,
        .way = CV_WAY_OFFER,
        .attempts = 2,
        .stats = {.name = "RTMP behind an HTTP offer", .rtt_us = 40400},
    };
}

// One of each, as a connection tells them.
static void tell_all(struct scene *scene)
{
    struct cv_why why = {.code = CV_E_RESET, .place = "x", .text = "connection reset"};
    struct cv_connection_event through = through_event();
    const struct cv_connection_event events[] = {
        {.type = CV_CONNECTION_TRYING, .way = CV_WAY_RTMP},
        through,
        {.type = CV_CONNECTION_STATUS,
         .code = cv_text_of("A.B"),
         .description = cv_text_of("say \"\x1b[31m\"")},
        {.type = CV_CONNECTION_STARTED},
        {.type = CV_CONNECTION_CUT, .why = &why},
        {.type = CV_CONNECTION_RESUMED, .since_us = 340000},
        {.type = CV_CONNECTION_CUT, .why = &why},
        {.type = CV_CONNECTION_RESUMED,
         .since_us = 2110000,
         .lost = 15,
         .stats = {.name = "RTMPT"}},
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        cv_teller_event(&scene->teller, &events[i]);
    cv_teller_first_media(&scene->teller);
    cv_teller_first_media(&scene->teller);
}

static void events_are_told(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    tell_all(&scene);
    expect_said(&scene,
                "culvert: through: RTMP behind an HTTP offer, # ms after the start, 2 attempts, "
                "RTT 40 ms\n"
                "culvert: the way was cut: connection reset; coming back\n"
                "culvert: back after 0.3 s, nothing lost\n"
                "culvert: the way was cut: connection reset; coming back\n"
                "culvert: back after 2.1 s by RTMPT, 15 messages lost\n");
}

static void verbose_tells_more(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    scene.options.verbose = true;
    scene.teller.label = "publish a";
    tell_all(&scene);
    const char *text = said(&scene);
    assert_non_null(strstr(text, "culvert: publish a: trying RTMP\n"));
    assert_non_null(strstr(text, "culvert: publish a: started after # ms\n"));
    assert_non_null(strstr(text, "culvert: publish a: first media after # ms\n"));
    assert_non_null(strstr(text, "the server says A.B: say \\\"\\x1b[31m\\\"\n"));
    assert_null(strstr(strstr(text, "first media") + 1, "first media"));
}

static void quiet_tells_nothing(void **state)
{
    (void)state;
    struct scene scene;
    struct cv_connection_stats stats = {0};
    open_scene(&scene);
    scene.options.quiet = true;
    tell_all(&scene);
    cv_teller_progress(&scene.teller, 5000, &stats);
    cv_teller_finish(&scene.teller, 0, &stats);
    expect_said(&scene, "");
}

static void progress_is_for_terminals(void **state)
{
    (void)state;
    struct cv_connection_stats stats = {
        .bytes = 625000, .waiting_bytes = 3 << 20, .now = {.name = "RTMPT", .rtt_us = 3400}};
    struct scene scene;
    open_scene(&scene);
    cv_teller_progress(&scene.teller, 5000, &stats);
    scene.teller.terminal = true;
    stats.bytes += 1000;
    cv_teller_progress(&scene.teller, 3725000, &stats);
    cv_teller_say(&scene.teller, "hello");
    const char *text = said(&scene);
    assert_true(strncmp(text, "\r01:02:05  ", 11) == 0);
    assert_non_null(
        strstr(text, "Mb/s  RTMPT  RTT 3.4 ms  waiting 3072 KB\r\033[Kculvert: hello\n"));
}

static void each_end_has_a_sentence_and_a_code(void **state)
{
    (void)state;
    static const struct {
        enum cv_connection_end end;
        int exit_code;
        const char *text;
    } rows[] = {
        {CV_END_CLOSED, CV_EXIT_OK, ""},
        {CV_END_FINISHED, CV_EXIT_OK, ""},
        {CV_END_REFUSED, CV_EXIT_REFUSED, "culvert: the server refuses: because\n"},
        {CV_END_NOT_FOUND, CV_EXIT_NO_STREAM, "culvert: the server has no such stream: because\n"},
        {CV_END_UNKNOWN_HOST, CV_EXIT_HOST, "culvert: there is no host \"example.org\"\n"},
        {CV_END_LOST, CV_EXIT_LOST,
         "culvert: the connection was lost and did not come back: because\n"},
        {CV_END_FAILED, CV_EXIT_FAILURE, "culvert: it failed: because\n"},
    };
    struct cv_why why = {.code = CV_E_REFUSED, .place = "x", .text = "because"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        struct cv_connection_event event = {
            .type = CV_CONNECTION_ENDED, .end = rows[i].end, .why = &why, .location = ""};
        open_scene(&scene);
        scene.options.quiet = true; // failures are told all the same
        assert_int_equal(cv_teller_end(&scene.teller, &event), rows[i].exit_code);
        expect_said(&scene, rows[i].text);
    }
}

static void each_obstacle_is_told_with_its_advice(void **state)
{
    (void)state;
    struct cv_why why = {.code = CV_E_UNREACHABLE};
    for (enum cv_obstacle obstacle = CV_OBSTACLE_UNREACHABLE; obstacle < CV_OBSTACLES; obstacle++) {
        struct scene scene;
        struct cv_connection_event event = {.type = CV_CONNECTION_ENDED,
                                            .end = CV_END_NO_WAY,
                                            .obstacle = obstacle,
                                            .why = &why,
                                            .location = ""};
        open_scene(&scene);
        assert_int_equal(cv_teller_end(&scene.teller, &event), CV_EXIT_NO_WAY);
        const char *text = said(&scene);
        assert_true(strncmp(text, "culvert: no way to example.org: ", 32) == 0);
        assert_non_null(strstr(text, cv_obstacle_text(obstacle) + 1)); // but for its capital
        if (cv_obstacle_advice(obstacle))
            assert_non_null(strstr(text, cv_obstacle_advice(obstacle)));
    }
}

static void a_certificate_is_told_in_its_own_words(void **state)
{
    (void)state;
    struct scene scene;
    struct cv_why why = {.code = CV_E_CERT_UNTRUSTED, .text = "the certificate is nobody's"};
    struct cv_connection_event event = {.type = CV_CONNECTION_ENDED,
                                        .end = CV_END_CERTIFICATE,
                                        .obstacle = CV_OBSTACLE_CERT_UNTRUSTED,
                                        .why = &why,
                                        .location = ""};
    open_scene(&scene);
    scene.options.quiet = true;
    assert_int_equal(cv_teller_end(&scene.teller, &event), CV_EXIT_CERTIFICATE);
    const char *text = said(&scene);
    assert_non_null(strstr(text, "no way to example.org: the certificate is nobody's\n"));
    assert_non_null(strstr(text, "--ca FILE"));
}

static void a_portal_is_named(void **state)
{
    (void)state;
    struct scene scene;
    struct cv_why why = {.code = CV_E_UNREACHABLE};
    struct cv_connection_event event = {.type = CV_CONNECTION_ENDED,
                                        .end = CV_END_NO_WAY,
                                        .obstacle = CV_OBSTACLE_PORTAL,
                                        .why = &why,
                                        .location = "http://login.hotel/\x1b[0m"};
    open_scene(&scene);
    cv_teller_end(&scene.teller, &event);
    assert_non_null(strstr(said(&scene), " http://login.hotel/\\x1b[0m\n"));
}

static void the_last_line_is_json(void **state)
{
    (void)state;
    struct scene scene;
    struct cv_connection_event through = through_event();
    struct cv_connection_stats stats = {.messages = 7, .bytes = 900, .cuts = 1, .lost = 2};
    open_scene(&scene);
    scene.options.quiet = scene.options.json = true;
    cv_teller_event(&scene.teller, &through);
    scene.teller.through_us = 43210;
    assert_int_equal(cv_teller_fail(&scene.teller, 10, "%s", "a \"b\"\\\n"), 10);
    cv_teller_finish(&scene.teller, 10, &stats);
    assert_non_null(strstr(
        said(&scene), "{\"exit\": 10, \"failure\": \"a \\\"b\\\"\\\\?\", "
                      "\"way\": \"RTMP behind an HTTP offer\", \"attempts\": 2, "
                      "\"through_ms\": 43.210, \"started_ms\": null, \"first_media_ms\": null, "
                      "\"rtt_ms\": 40.400, \"messages\": 7, \"bytes\": 900, \"cuts\": 1, "
                      "\"lost\": 2}\n"));
}

// ---- options --------------------------------------------------------------------------------

static void plans_are_made(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum cv_via asked;
        int code;
        enum cv_via via;
    } rows[] = {
        {"rtmp://localhost/live/a", CV_VIA_AUTO, CV_OK, CV_VIA_AUTO},
        {"rtmp://localhost/live/a", CV_VIA_RTMPT, CV_OK, CV_VIA_RTMPT},
        {"rtmpt://localhost/live/a", CV_VIA_AUTO, CV_OK, CV_VIA_RTMPT},
        {"rtmpt://localhost/live/a", CV_VIA_RTMPT, CV_OK, CV_VIA_RTMPT},
        {"ws://localhost/live/a", CV_VIA_AUTO, CV_OK, CV_VIA_SOCKET},
        {"ws://localhost/live/a", CV_VIA_RTMP, CV_E_USAGE, CV_VIA_AUTO},
        {"nothing", CV_VIA_AUTO, CV_E_URL, CV_VIA_AUTO},
        {"rtmp://", CV_VIA_AUTO, CV_E_URL, CV_VIA_AUTO},
        {"rtmps://localhost/live/a", CV_VIA_AUTO, CV_OK, CV_VIA_AUTO},
        {"rtmps://localhost/live/a", CV_VIA_SOCKET, CV_OK, CV_VIA_SOCKET},
        {"wss://localhost/live/a", CV_VIA_RTMPT, CV_E_USAGE, CV_VIA_AUTO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_stream_options options = {.via = rows[i].asked, .no_memory = true};
        struct cv_stream_plan plan;
        struct cv_why why = {.code = CV_OK};
        assert_int_equal(cv_stream_plan_make(&plan, &options, rows[i].url, NULL, &why),
                         rows[i].code);
        if (rows[i].code != CV_OK) {
            assert_true(why.text[0]);
            continue;
        }
        assert_int_equal(plan.via, rows[i].via);
        assert_string_equal(plan.memory_path, "");
        struct cv_connection_config config = {0};
        cv_stream_plan_apply(&plan, &config);
        assert_int_equal(config.via, rows[i].via);
        assert_string_equal(config.proxies->plain.host, "");
        assert_ptr_equal(config.trust, plan.trust);
        cv_stream_plan_done(&plan);
    }
}

static void trust_is_loaded_where_tls_may_be_spoken(void **state)
{
    (void)state;
    static const struct {
        const char *url, *ca_file;
        bool insecure;
        int code;
        bool trust;
    } rows[] = {
        {"rtmps://localhost/live/a", NULL, false, CV_OK, true},
        {"rtmp://localhost/live/a", NULL, false, CV_OK, true},
        {"rtmp://localhost:80/live/a", NULL, false, CV_OK, false},
        {"rtmps://localhost/live/a", NULL, true, CV_OK, true},
        {"rtmps://localhost/live/a", "/nowhere/ca.pem", false, CV_E_USAGE, false},
        {"rtmp://localhost/live/a", "/nowhere/ca.pem", false, CV_E_USAGE, false},
        {"rtmp://localhost:80/live/a", "/nowhere/ca.pem", false, CV_OK, false},
        {"rtmps://localhost/live/a", "/nowhere/ca.pem", true, CV_E_USAGE, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_stream_options options = {
            .no_memory = true, .ca_file = rows[i].ca_file, .insecure = rows[i].insecure};
        struct cv_stream_plan plan, other;
        struct cv_why why = {.code = CV_OK};
        assert_int_equal(cv_stream_plan_make(&plan, &options, rows[i].url, NULL, &why),
                         rows[i].code);
        assert_true(rows[i].code == CV_OK || why.text[0]);
        assert_int_equal(plan.trust != NULL, rows[i].trust);
        if (plan.trust) { // one serves all
            assert_int_equal(cv_stream_plan_make(&other, &options, rows[i].url, plan.trust, &why),
                             CV_OK);
            assert_ptr_equal(other.trust, plan.trust);
            cv_stream_plan_done(&other);
        }
        cv_stream_plan_done(&plan);
    }
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    struct cv_stream_options options = {0};
    struct cv_why why = {.code = CV_OK};
    assert_int_equal(cv_stream_set_via(&options, "udp", &why), CV_E_USAGE);
    assert_string_equal(why.text, "--via udp: rtmp, rtmpt, ws or auto");
    why.code = CV_OK;
    assert_int_equal(cv_stream_set_order(&options, "last", &why), CV_E_USAGE);
    assert_non_null(strstr(why.text, "--order last"));
    why.code = CV_OK;
    assert_int_equal(cv_stream_set_proxy(&options, "", &why), CV_E_USAGE);
    assert_int_equal(cv_stream_set_ca(&options, "", &why), CV_E_USAGE);
    assert_int_equal(cv_stream_set_via(&options, "ws", &why), CV_OK);
    assert_int_equal(options.via, CV_VIA_SOCKET);
    assert_int_equal(cv_stream_set_order(&options, "rtmp-first", &why), CV_OK);
    assert_int_equal(options.order, CV_LADDER_RTMP_FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_told),
        cmocka_unit_test(verbose_tells_more),
        cmocka_unit_test(quiet_tells_nothing),
        cmocka_unit_test(progress_is_for_terminals),
        cmocka_unit_test(each_end_has_a_sentence_and_a_code),
        cmocka_unit_test(each_obstacle_is_told_with_its_advice),
        cmocka_unit_test(a_certificate_is_told_in_its_own_words),
        cmocka_unit_test(a_portal_is_named),
        cmocka_unit_test(the_last_line_is_json),
        cmocka_unit_test(plans_are_made),
        cmocka_unit_test(trust_is_loaded_where_tls_may_be_spoken),
        cmocka_unit_test(wrong_values_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
