// Policy: which app a path belongs to, who may publish and play, and how many at once.
#include "harness.h"

#include "base/err.h"
#include "base/mem.h"
#include "server/policy.h"

#include <stdio.h>

static const char settings[] = "apps:\n"
                               "  - name: live\n"
                               "    streams_max: 2\n"
                               "    viewers_max: 5\n"
                               "    stream_viewers_max: 3\n"
                               "  - name: live/event\n"
                               "  - name: live/event/private\n"
                               "    publish: \"off\"\n"
                               "    play: \"off\"\n"
                               "  - name: open\n"
                               "    publish: open\n"
                               "    takeover: true\n"
                               "    gop_cache: false\n"
                               "    grace_s: 3\n"
                               "    log_s_max: 7\n"
                               "    log_bytes_max: 2000000\n";

struct world {
    struct cv_config *config;
    struct cv_keys *keys;
    struct cv_tallies tallies;
    struct cv_policy *policy;
};

static struct cv_key_row row_of(const char *app, const char *stream, const char *key)
{
    struct cv_key_row row = {.id = 1};
    snprintf(row.app, sizeof row.app, "%s", app);
    snprintf(row.stream, sizeof row.stream, "%s", stream);
    assert_int_equal(cv_key_hash(key, strlen(key), row.hash), CV_OK);
    return row;
}

static struct cv_config *config_of(const char *text)
{
    struct cv_config *config = NULL;
    struct cv_config_why why;
    if (cv_config_parse("c", text, strlen(text), NULL, &config, &why) != CV_OK)
        fail_msg("%s", why.text);
    return config;
}

// In place: the policy borrows the tallies.
static void world_init(struct world *world, const char *text)
{
    const struct cv_key_row rows[] = {
        row_of("live", "", "app-key"),     row_of("live", "cam", "cam-key"),
        row_of("live/event", "", "event"), row_of("open", "", "open-key"),
        row_of("live", "a b/c", "deep"),
    };
    world->config = config_of(text);
    world->keys = cv_keys_new(rows, sizeof rows / sizeof rows[0]);
    world->tallies =
        (struct cv_tallies){cv_tally_new(1), cv_tally_new(2), cv_tally_new(3), cv_tally_new(4)};
    world->policy = cv_policy_new(world->config, world->keys, &world->tallies);
    assert_non_null(world->policy);
}

static void world_end(struct world *world)
{
    cv_policy_unref(&world->policy);
    cv_keys_unref(&world->keys);
    cv_config_unref(&world->config);
    cv_tally_free(world->tallies.addresses);
    cv_tally_free(world->tallies.app_streams);
    cv_tally_free(world->tallies.app_viewers);
    cv_tally_free(world->tallies.stream_viewers);
}

static struct cv_path path_of(const char *text)
{
    struct cv_path path;
    if (cv_path_join(&path, cv_text_of(text), cv_text_of("")) != CV_OK)
        fail_msg("%s", text);
    return path;
}

static const struct cv_config_app *app_of(const struct world *world, const char *name)
{
    const struct cv_config_app *app = cv_config_app(world->config, name, strlen(name));
    assert_non_null(app);
    return app;
}

// ---- routing ----------------------------------------------------------------------------------

static void the_longest_app_in_whole_elements_wins(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *app; // NULL: nowhere
        const char *stream;
    } rows[] = {
        {"live/a", "live", "a"},
        {"live/a/b/c", "live", "a/b/c"},
        {"live/event/a", "live/event", "a"},
        {"live/event/a/b", "live/event", "a/b"},
        {"live/event", "live", "event"}, // no name is left for the nested app
        {"live/eventful", "live", "eventful"},
        {"live/eventful/a", "live", "eventful/a"},
        {"live/event/private", "live/event", "private"},
        {"live/event/private/x", "live/event/private", "x"},
        {"live", NULL, NULL}, // no stream name
        {"lively/a", NULL, NULL},
        {"liv/e/a", NULL, NULL},
        {"LIVE/a", NULL, NULL},
        {"event/a", NULL, NULL},
        {"a", NULL, NULL},
        {"open/live/a", "open", "live/a"},
    };
    struct world world;
    world_init(&world, settings);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_path path = path_of(rows[i].path);
        struct cv_text stream = {"untouched", 9};
        const struct cv_config_app *app = cv_policy_route(world.policy, &path, &stream);
        if (!rows[i].app) {
            assert_null(app);
            assert_true(cv_text_is(stream, "untouched"));
            continue;
        }
        if (!app || strcmp(app->name, rows[i].app) != 0 || !cv_text_is(stream, rows[i].stream))
            fail_msg("%s: %s", rows[i].path, app ? app->name : "nowhere");
    }
    world_end(&world);
}

static void however_a_client_cuts_its_url_the_stream_is_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *app;
        const char *name;
    } cuts[] = {
        {"live/event", "a/b"},  {"live", "event/a/b"},  {"live/event/a", "b"},
        {"", "live/event/a/b"}, {"live/event/a/b", ""}, {"/live//event/?x=1", "a/b?key=2"},
    };
    struct world world;
    world_init(&world, settings);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct cv_path path;
        struct cv_text stream;
        assert_int_equal(cv_path_join(&path, cv_text_of(cuts[i].app), cv_text_of(cuts[i].name)),
                         CV_OK);
        const struct cv_config_app *app = cv_policy_route(world.policy, &path, &stream);
        assert_non_null(app);
        assert_string_equal(app->name, "live/event");
        assert_true(cv_text_is(stream, "a/b"));
    }
    world_end(&world);
}

static void a_file_of_the_web_side_is_a_stream(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *app; // NULL: nowhere
        const char *stream;
    } rows[] = {
        {"/live/a.flv", "live", "a"},
        {"/live//a.flv", "live", "a"},
        {"/live/a%20b/c.flv", "live", "a b/c"},
        {"/live/event/x.flv", "live/event", "x"},
        {"/live/a.flv.flv", "live", "a.flv"},
        {"/live/mp4:a.flv", "live", "a"},
        {"/live/a.FLV", NULL, NULL},
        {"/live/a%2eflv", NULL, NULL},
        {"/live/a", NULL, NULL},
        {"/live/.flv", NULL, NULL},
        {"/live.flv", NULL, NULL},
        {"/live/../a.flv", NULL, NULL},
        {"/live/%00.flv", NULL, NULL},
        {"/nosuch/a.flv", NULL, NULL},
        {".flv", NULL, NULL},
        {"", NULL, NULL},
    };
    struct world world;
    world_init(&world, settings);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_path path;
        struct cv_text stream;
        const struct cv_config_app *app =
            cv_policy_route_file(world.policy, cv_text_of(rows[i].path), ".flv", &path, &stream);
        if (!app != !rows[i].app)
            fail_msg("%s: %s", rows[i].path, app ? app->name : "nowhere");
        if (!app)
            continue;
        assert_string_equal(app->name, rows[i].app);
        assert_true(cv_text_is(stream, rows[i].stream));
    }
    char longest[CV_LIMIT_NAME_BYTES * 2] = "/live/";
    memset(longest + 6, 'n', sizeof longest - 11);
    memcpy(longest + sizeof longest - 5, ".flv", 5);
    struct cv_path path;
    struct cv_text stream;
    assert_null(cv_policy_route_file(world.policy, cv_text_of(longest), ".flv", &path, &stream));
    world_end(&world);
}

// ---- the gate ---------------------------------------------------------------------------------

static int may_publish(const struct world *world, const char *tc_url, const char *app,
                       const char *name)
{
    struct cv_path path;
    struct cv_text stream;
    assert_int_equal(cv_path_join(&path, cv_text_of(app), cv_text_of(name)), CV_OK);
    const struct cv_config_app *found = cv_policy_route(world->policy, &path, &stream);
    assert_non_null(found);
    struct cv_query_places places = {cv_text_of(tc_url), cv_text_of(app), cv_text_of(name)};
    return cv_policy_may_publish(world->policy, found, stream, &places);
}

// One gate for every way in: transports differ in where the key stands, and in nothing else.
static void bug_33_one_gate_for_all_ways_in(void **state)
{
    (void)state;
    static const struct {
        const char *tc_url;
        const char *app;
        const char *name;
        int code;
    } rows[] = {
        // where it stands
        {"rtmp://h/live", "live", "cam?key=app-key", CV_OK},
        {"rtmp://h/live?key=app-key", "live?key=app-key", "cam", CV_OK},
        {"rtmp://h/live?key=app-key", "live", "cam", CV_OK},
        {"", "live?a=b&key=app-key&c=d", "cam", CV_OK},
        {"", "live", "cam?key=%61pp-key", CV_OK},
        {"rtmp://h/live?key=wrong", "live?key=wrong", "cam?key=app-key", CV_OK}, // the last says
        {"rtmp://h/live?key=app-key", "live?key=app-key", "cam?key=wrong", CV_E_BAD_KEY},
        {"rtmp://h/live?key=app-key", "live", "cam?key=", CV_E_BAD_KEY},
        {"", "live", "cam?key=wrong&key=app-key", CV_OK},
        {"", "live", "cam?key=app-key&key=wrong", CV_E_BAD_KEY},
        // none, or not one
        {"rtmp://h/live", "live", "cam", CV_E_BAD_KEY},
        {"", "live", "cam?", CV_E_BAD_KEY},
        {"", "live", "cam?key", CV_E_BAD_KEY},
        {"", "live", "cam?key=", CV_E_BAD_KEY},
        {"", "live", "cam?KEY=app-key", CV_E_BAD_KEY},
        {"", "live", "cam?xkey=app-key", CV_E_BAD_KEY},
        {"", "live", "cam?token=app-key", CV_E_BAD_KEY},
        {"", "live", "key=app-key", CV_E_BAD_KEY},
        {"", "live", "cam?key=app-key%00", CV_E_BAD_KEY},
        {"", "live", "cam?key=app-ke", CV_E_BAD_KEY},
        {"", "live", "cam?key=app-keyy", CV_E_BAD_KEY},
        {"", "live", "cam?key=APP-KEY", CV_E_BAD_KEY},
        // of another stream or app
        {"", "live", "cam?key=cam-key", CV_OK},
        {"", "live", "cam2?key=cam-key", CV_E_BAD_KEY},
        {"", "live", "ca?key=cam-key", CV_E_BAD_KEY},
        {"", "live", "cam/2?key=cam-key", CV_E_BAD_KEY},
        {"", "live", "cam?key=event", CV_E_BAD_KEY},
        {"", "live", "event/x?key=app-key", CV_E_BAD_KEY},
        {"", "live", "event/x?key=event", CV_OK},
        {"", "live/event", "x?key=event", CV_OK},
        {"", "live", "event?key=event", CV_E_BAD_KEY},
        {"", "live", "a%20b/c?key=deep", CV_OK},
        {"", "live/a b", "c?key=deep", CV_OK},
        // without a gate, and without a door
        {"", "open", "x", CV_OK},
        {"", "open", "x?key=wrong", CV_OK},
        {"", "live/event/private", "x?key=event", CV_E_REFUSED},
        {"", "live", "event/private/x?key=app-key", CV_E_REFUSED},
        {"", "live", "event/private/x", CV_E_REFUSED},
    };
    struct world world;
    world_init(&world, settings);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = may_publish(&world, rows[i].tc_url, rows[i].app, rows[i].name);
        if (code != rows[i].code)
            fail_msg("%s %s %s: %d", rows[i].tc_url, rows[i].app, rows[i].name, code);
    }
    world_end(&world);
}

static void bug_33_a_key_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    for (size_t len = CV_LIMIT_KEY_BYTES - 1; len <= CV_LIMIT_KEY_BYTES + 2; len++) {
        char url[600] = "rtmp://h/live?key=";
        size_t at = strlen(url);
        memset(url + at, 'k', len);
        assert_int_equal(may_publish(&world, url, "live", "cam"), CV_E_BAD_KEY);
    }
    world_end(&world);
}

static void bug_33_open_publish_opens_but_not_what_is_off(void **state)
{
    (void)state;
    char text[sizeof settings + 32];
    snprintf(text, sizeof text, "open_publish: true\n%s", settings);
    struct world world;
    world_init(&world, text);
    assert_int_equal(may_publish(&world, "", "live", "cam"), CV_OK);
    assert_int_equal(may_publish(&world, "", "live", "cam?key=wrong"), CV_OK);
    assert_int_equal(may_publish(&world, "", "live/event/private", "x"), CV_E_REFUSED);
    world_end(&world);
}

// ---- who it is --------------------------------------------------------------------------------

static struct cv_identity identity_of(const struct world *world, const char *app, const char *name,
                                      const char *peer, uint8_t secret_byte)
{
    struct cv_query_places places = {{0}, {0}, cv_text_of(name)};
    struct cv_identity identity;
    struct cv_addr addr;
    uint8_t secret[CV_IDENTITY_KEY_BYTES];
    memset(secret, secret_byte, sizeof secret);
    assert_int_equal(cv_addr_parse(peer, 0, &addr, NULL), CV_OK);
    assert_int_equal(
        cv_policy_identify(world->policy, app_of(world, app), &places, &addr, secret, &identity),
        CV_OK);
    return identity;
}

static void a_publisher_is_known_again_by_its_key_or_address(void **state)
{
    (void)state;
    static const struct {
        const char *app;
        const char *name[2];
        const char *peer[2];
        uint8_t secret[2];
        bool same;
    } rows[] = {
        {"live",
         {"cam?key=app-key", "cam?a=b&key=app-key"},
         {"1.2.3.4:5", "6.7.8.9:1"},
         {1, 1},
         true},
        {"live", {"cam?key=app-key", "cam?key=cam-key"}, {"1.2.3.4:5", "1.2.3.4:5"}, {1, 1}, false},
        {"live", {"cam?key=app-key", "cam?key=app-key"}, {"1.2.3.4:5", "1.2.3.4:5"}, {1, 2}, false},
        {"open", {"x", "x?key=app-key"}, {"1.2.3.4:5", "1.2.3.4:6"}, {1, 1}, true},
        {"open", {"x", "x"}, {"1.2.3.4:5", "1.2.3.5:5"}, {1, 1}, false},
        {"open", {"x?key=a", "x?key=a"}, {"[::1]:5", "[::2]:5"}, {1, 1}, false},
        {"open", {"x", "x"}, {"[fe80::1]:5", "[fe80::1]:7"}, {1, 1}, true},
    };
    struct world world;
    world_init(&world, settings);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_identity id[2];
        for (int n = 0; n < 2; n++)
            id[n] = identity_of(&world, rows[i].app, rows[i].name[n], rows[i].peer[n],
                                rows[i].secret[n]);
        if (cv_identity_equal(&id[0], &id[1]) != rows[i].same)
            fail_msg("row %zu", i);
    }
    struct cv_query_places none = {0};
    struct cv_addr addr = {0};
    struct cv_identity identity;
    uint8_t secret[CV_IDENTITY_KEY_BYTES] = {0};
    assert_int_equal(
        cv_policy_identify(world.policy, app_of(&world, "live"), &none, &addr, secret, &identity),
        CV_E_BAD_KEY);
    world_end(&world);
}

static void bug_33_without_keys_nobody_publishes(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, "");
    struct cv_keys *none = cv_keys_new(NULL, 0);
    struct cv_policy *policy = cv_policy_new(world.config, none, &world.tallies);
    struct cv_query_places places = {cv_text_of("rtmp://h/live?key=app-key"), {0}, {0}};
    const struct cv_config_app *app = app_of(&world, "live");
    assert_int_equal(cv_policy_may_publish(policy, app, cv_text_of("a"), &places), CV_E_BAD_KEY);
    cv_policy_unref(&policy);
    cv_keys_unref(&none);
    world_end(&world);
}

static void the_longest_stream_name_is_looked_at_whole(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    char name[CV_LIMIT_PATH_BYTES + 1];
    memset(name, 'n', sizeof name);
    name[CV_LIMIT_PATH_BYTES - strlen("live/")] = '\0';
    struct cv_path path;
    struct cv_text stream;
    assert_int_equal(cv_path_join(&path, cv_text_of("live"), cv_text_of(name)), CV_OK);
    const struct cv_config_app *app = cv_policy_route(world.policy, &path, &stream);
    struct cv_query_places places = {cv_text_of("rtmp://h/live?key=app-key"), {0}, {0}};
    assert_int_equal(cv_policy_may_publish(world.policy, app, stream, &places), CV_OK);
    places.tc_url = cv_text_of("rtmp://h/live?key=cam-key");
    assert_int_equal(cv_policy_may_publish(world.policy, app, stream, &places), CV_E_BAD_KEY);
    world_end(&world);
}

static void playing_is_open_or_off(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    assert_int_equal(cv_policy_may_play(world.policy, app_of(&world, "live")), CV_OK);
    assert_int_equal(cv_policy_may_play(world.policy, app_of(&world, "live/event/private")),
                     CV_E_REFUSED);
    world_end(&world);
}

// ---- caps -------------------------------------------------------------------------------------

static void publishers_are_capped_per_app(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    const struct cv_config_app *live = app_of(&world, "live");
    const struct cv_config_app *event = app_of(&world, "live/event");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(cv_policy_enter_publisher(world.policy, live, false), CV_OK);
        assert_int_equal(cv_policy_enter_publisher(world.policy, live, false), CV_OK);
        assert_int_equal(cv_policy_enter_publisher(world.policy, live, false), CV_E_TOO_MANY);
        assert_int_equal(cv_policy_enter_publisher(world.policy, live, true), CV_OK);
        cv_policy_leave_publisher(world.policy, live);
        assert_int_equal(cv_policy_enter_publisher(world.policy, event, false), CV_OK);
        cv_policy_leave_publisher(world.policy, event);
        cv_policy_leave_publisher(world.policy, live);
        assert_int_equal(cv_policy_enter_publisher(world.policy, live, false), CV_OK);
        assert_int_equal(cv_policy_enter_publisher(world.policy, live, false), CV_E_TOO_MANY);
        cv_policy_leave_publisher(world.policy, live);
        cv_policy_leave_publisher(world.policy, live);
    }
    world_end(&world);
}

static void bug_10_viewers_are_capped_per_stream_and_app(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    const struct cv_config_app *live = app_of(&world, "live");
    struct cv_path a = path_of("live/a");
    struct cv_path b = path_of("live/b");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            assert_int_equal(cv_policy_enter_viewer(world.policy, live, &a), CV_OK);
        // The stream is full. A refusal must not use up the app's room.
        for (int i = 0; i < 10; i++)
            assert_int_equal(cv_policy_enter_viewer(world.policy, live, &a), CV_E_TOO_MANY);
        for (int i = 0; i < 2; i++)
            assert_int_equal(cv_policy_enter_viewer(world.policy, live, &b), CV_OK);
        // The app is full. A refusal must not use up the stream's room.
        for (int i = 0; i < 10; i++)
            assert_int_equal(cv_policy_enter_viewer(world.policy, live, &b), CV_E_TOO_MANY);
        cv_policy_leave_viewer(world.policy, live, &a);
        assert_int_equal(cv_policy_enter_viewer(world.policy, live, &b), CV_OK);
        assert_int_equal(cv_policy_enter_viewer(world.policy, live, &a), CV_E_TOO_MANY);
        for (int i = 0; i < 2; i++)
            cv_policy_leave_viewer(world.policy, live, &a);
        for (int i = 0; i < 3; i++)
            cv_policy_leave_viewer(world.policy, live, &b);
    }
    world_end(&world);
}

static void caps_outlive_a_reload(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    struct cv_config *tighter = config_of("apps:\n  - name: live\n    streams_max: 1\n");
    struct cv_policy *next = cv_policy_new(tighter, world.keys, &world.tallies);
    const struct cv_config_app *before = app_of(&world, "live");
    const struct cv_config_app *after = cv_config_app(tighter, "live", 4);
    assert_int_equal(cv_policy_enter_publisher(world.policy, before, false), CV_OK);
    assert_int_equal(cv_policy_enter_publisher(next, after, false), CV_E_TOO_MANY);
    cv_policy_leave_publisher(world.policy, before);
    assert_int_equal(cv_policy_enter_publisher(next, after, false), CV_OK);
    cv_policy_leave_publisher(next, after);
    cv_policy_unref(&next);
    cv_config_unref(&tighter);
    world_end(&world);
}

// ---- the rest ---------------------------------------------------------------------------------

static void a_stream_takes_over_its_apps_settings(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    struct cv_stream_settings open = cv_policy_stream_settings(app_of(&world, "open"));
    assert_int_equal(open.log.bytes_max, 2000000);
    assert_int_equal(open.log.ms_max, 7000);
    assert_int_equal(open.log.gop_ms_max, CV_LOG_GOP_MS_MAX);
    assert_false(open.log.gop_cache);
    assert_int_equal(open.grace_s, 3);
    assert_true(open.takeover);
    struct cv_stream_settings live = cv_policy_stream_settings(app_of(&world, "live"));
    assert_int_equal(live.log.bytes_max, CV_LOG_BYTES_MAX);
    assert_int_equal(live.log.ms_max, CV_LOG_MS_MAX);
    assert_true(live.log.gop_cache);
    assert_false(live.takeover);
    world_end(&world);
}

static void a_policy_holds_what_it_needs(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    struct cv_policy *second = cv_policy_ref(world.policy);
    cv_policy_unref(&world.policy);
    assert_null(world.policy);
    cv_config_unref(&world.config);
    cv_keys_unref(&world.keys);
    struct cv_path path = path_of("open/a");
    struct cv_text stream;
    assert_non_null(cv_policy_route(second, &path, &stream));
    cv_policy_unref(&second);
    cv_policy_unref(&second);
    world_end(&world);
}

static bool new_and_free(void *arg)
{
    struct world *world = arg;
    struct cv_policy *policy = cv_policy_new(world->config, world->keys, &world->tallies);
    bool made = policy;
    cv_policy_unref(&policy);
    assert_int_equal(world->config->refs, 2); // ours, and that of the world's own policy
    return made;
}

static void survives_failing_allocation(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, settings);
    fail_nth(new_and_free, &world);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_app_in_whole_elements_wins),
        cmocka_unit_test(a_file_of_the_web_side_is_a_stream),
        cmocka_unit_test(however_a_client_cuts_its_url_the_stream_is_the_same),
        cmocka_unit_test(bug_33_one_gate_for_all_ways_in),
        cmocka_unit_test(bug_33_a_key_that_is_too_long_is_refused),
        cmocka_unit_test(bug_33_open_publish_opens_but_not_what_is_off),
        cmocka_unit_test(a_publisher_is_known_again_by_its_key_or_address),
        cmocka_unit_test(bug_33_without_keys_nobody_publishes),
        cmocka_unit_test(the_longest_stream_name_is_looked_at_whole),
        cmocka_unit_test(playing_is_open_or_off),
        cmocka_unit_test(publishers_are_capped_per_app),
        cmocka_unit_test(bug_10_viewers_are_capped_per_stream_and_app),
        cmocka_unit_test(caps_outlive_a_reload),
        cmocka_unit_test(a_stream_takes_over_its_apps_settings),
        cmocka_unit_test(a_policy_holds_what_it_needs),
        cmocka_unit_test(survives_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
