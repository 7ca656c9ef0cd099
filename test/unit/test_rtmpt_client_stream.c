// A publisher's bodies that stay open, from end to end: where the path passes on their pieces,
// where it keeps them to the end, where it does not take them, and where it is cut.
#include "path_kit.h"

#include "base/limits.h"

enum { MS = 1000, SECOND = 1000000, HANDSHAKE = 1537, MEDIA = 60000 };

static struct path *publishing(const struct habits *habits, uint32_t after)
{
    struct cv_rtmpt_client_config config = path_config;
    config.stream_after = after;
    struct path *p = path_new(habits, &config);
    path_say(p, HANDSHAKE, true);
    p->said_max = 3;
    p->says_per_tick = 1;
    path_settle(p, 3 * SECOND);
    path_say(p, 400, true);
    path_settle(p, 3 * SECOND);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    p->urgent = false;
    p->rate_base = p->to_send;
    p->rate_from_us = p->now_us;
    p->rate_until_us = UINT64_MAX;
    p->rate_bytes_per_s = MEDIA;
    return p;
}

static void end(struct path *p)
{
    p->rate_until_us = p->now_us;
    p->said_max = p->said;
    path_settle(p, 5 * SECOND);
    cv_rtmpt_client_finish(p->client, p->now_us);
    path_run(p, 5 * SECOND);
    assert_true(p->ended);
    assert_int_equal(p->heard, p->to_send);
    path_free(p);
}

static void media_leaves_at_once(void **state)
{
    (void)state;
    struct habits habits = {.tells_early = true, .one_way_us = 60 * MS};
    struct path *p = publishing(&habits, 1);
    path_run(p, 3 * SECOND);
    uint32_t requests = p->requests;
    p->age_us = 0;
    path_run(p, 10 * SECOND);
    assert_in_range(p->requests - requests, 19, 21);
    // The server is heard so often that no other way is opened beside this one.
    assert_true(CV_TUNNEL_STREAM_MS < CV_CONNECTION_SILENCE_MS);
    // One way, and the time between two messages. Without streams up to 50 ms more.
    assert_in_range(p->age_us, 60 * MS, 60 * MS + 2 * 13700);
    end(p);
}

static void what_keeps_bodies_to_the_end_is_found_out(void **state)
{
    (void)state;
    static const struct habits rows[] = {
        {.one_way_us = 60 * MS, .tells_early = true, .buffers_up = true},
        {.one_way_us = 60 * MS}, // an old server of ours
        {.one_way_us = 60 * MS, .tells_early = true, .no_chunks_up = true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct path *p = publishing(&rows[i], 1);
        path_run(p, 3 * SECOND);
        assert_int_equal(p->err, CV_OK);
        assert_int_equal(cv_rtmpt_client_stats(p->client).streams, 1);
        p->age_us = 0;
        uint32_t requests = p->requests;
        path_run(p, 10 * SECOND);
        assert_int_equal(cv_rtmpt_client_stats(p->client).streams, 1);
        assert_true(p->requests - requests > 60);
        end(p);
    }
}

// It was proved, and then the path changes: two bodies that come all at once are enough.
static void a_path_may_change(void **state)
{
    (void)state;
    struct habits habits = {.tells_early = true, .one_way_us = 30 * MS};
    struct path *p = publishing(&habits, 1);
    path_run(p, 4 * SECOND);
    p->habits.buffers_up = true;
    path_run(p, 4 * SECOND);
    uint64_t streams = cv_rtmpt_client_stats(p->client).streams;
    path_run(p, 4 * SECOND);
    assert_int_equal(cv_rtmpt_client_stats(p->client).streams, streams);
    end(p);
}

// A question is answered behind the end of the body: that comes at once.
static void what_is_urgent_ends_a_body(void **state)
{
    (void)state;
    struct habits habits = {.tells_early = true, .one_way_us = 20 * MS};
    struct path *p = publishing(&habits, 1);
    path_run(p, 4300 * MS);
    uint32_t acks = p->acks;
    p->urgent = true;
    path_run(p, 14 * MS);
    p->urgent = false;
    path_run(p, 45 * MS);
    assert_int_equal(p->acks, acks + 1);
    path_run(p, 4 * SECOND);
    assert_true(p->requests < 200);
    end(p);
}

// Another mode, with requests of its own.
static void a_body_ends_with_the_mode(void **state)
{
    (void)state;
    struct habits habits = {.tells_early = true, .one_way_us = 20 * MS};
    struct path *p = publishing(&habits, 1);
    path_run(p, 4300 * MS);
    p->rate_until_us = p->now_us;
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PLAY);
    p->says_per_tick = 1;
    p->said_max = p->said + 5;
    path_settle(p, 300 * MS);
    end(p);
}

// So much at once that bodies are full, and that the server cannot keep up.
static void bodies_are_bounded(void **state)
{
    (void)state;
    struct habits habits = {.tells_early = true, .one_way_us = 50 * MS};
    struct path *p = publishing(&habits, 1);
    path_run(p, 3 * SECOND);
    p->rate_until_us = p->now_us;
    path_settle(p, SECOND);
    uint32_t requests = p->requests;
    p->rate_bytes_per_s = 0;
    path_say(p, 2000000, false);
    path_settle(p, 10 * SECOND);
    assert_true(p->requests - requests >= 2000000 / CV_TUNNEL_SEND_BYTES);
    end(p);
}

static void paths_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        struct habits habits;
        bool streams;
    } rows[] = {
        {{.tells_early = true, .one_way_us = 0}, true},
        {{.tells_early = true, .one_way_us = 20 * MS, .piece = 1}, true},
        {{.tells_early = true, .one_way_us = 20 * MS, .piece = 97, .lag_us = 30 * MS}, true},
        {{.tells_early = true, .one_way_us = 20 * MS, .continues = true, .lower = true}, true},
        {{.tells_early = true, .one_way_us = 20 * MS, .chunked = true}, true},
        {{.tells_early = true, .one_way_us = 300 * MS}, true},
        {{.tells_early = true, .one_way_us = 20 * MS, .serial = true}, true},
        {{.tells_early = true, .one_way_us = 20 * MS, .foreign = true}, false},
        {{.tells_early = true, .one_way_us = 20 * MS, .http10 = true}, false},
        {{.tells_early = true, .one_way_us = 20 * MS, .closing = CLOSES}, false},
        {{.tells_early = true, .one_way_us = 20 * MS, .closing = CLOSES_SILENTLY}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct path *p = publishing(&rows[i].habits, 1);
        path_run(p, 4 * SECOND);
        assert_int_equal(p->err, CV_OK);
        uint64_t streams = cv_rtmpt_client_stats(p->client).streams;
        path_run(p, 4 * SECOND);
        assert_int_equal(cv_rtmpt_client_stats(p->client).streams > streams, rows[i].streams);
        end(p);
    }
}

// Each byte arrives once, in order, wherever the connection is cut.
static void cut_at_every_byte(bool down, size_t from, size_t to)
{
    for (size_t at = from; at < to; at++) {
        struct habits habits = {.tells_early = true,
                                .one_way_us = 10 * MS,
                                .cut_count = 1,
                                .cut_first = 0,
                                .cut_down = down,
                                .cut_at = at,
                                .cut_reset = at & 1};
        struct path *p = publishing(&habits, 1);
        p->rate_bytes_per_s = 3000;
        path_run(p, 1200 * MS);
        assert_int_equal(p->err, CV_OK);
        assert_true(cv_rtmpt_client_stats(p->client).streams > 0);
        assert_true(cv_rtmpt_client_stats(p->client).replays > 0);
        end(p);
    }
}

static void what_goes_up_may_be_cut_at_every_byte(void **state)
{
    (void)state;
    cut_at_every_byte(false, 2600, 4600);
}

static void what_comes_down_may_be_cut_at_every_byte(void **state)
{
    (void)state;
    cut_at_every_byte(true, 193, 350);
}

static void both_may_be_cut_at_any_time(void **state)
{
    (void)state;
    for (uint64_t at_us = 10 * MS; at_us < 3000 * MS; at_us += 7300) {
        struct habits habits = {
            .tells_early = true, .one_way_us = 25 * MS, .cut_reset = at_us / 100 & 1};
        struct path *p = publishing(&habits, 1);
        p->rate_bytes_per_s = 3000;
        path_run(p, at_us);
        path_cut(p);
        path_run(p, 300 * MS);
        assert_int_equal(p->err, CV_OK);
        end(p);
    }
}

// Where bodies are held back, the first media is not.
static void the_first_sends_do_not_stay_open(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 5 * MS, .tells_early = true};
    struct path *p = publishing(&habits, 0);
    struct cv_rtmpt_client_stats stats = cv_rtmpt_client_stats(p->client);
    for (int i = 0; i < 1000 && stats.streams == 0; i++) {
        path_run(p, 1 * MS);
        stats = cv_rtmpt_client_stats(p->client);
    }
    assert_in_range(stats.sends, CV_TUNNEL_STREAM_AFTER, CV_TUNNEL_STREAM_AFTER + 2);
    assert_int_equal(stats.streams, 1);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_sends_do_not_stay_open),
        cmocka_unit_test(media_leaves_at_once),
        cmocka_unit_test(what_keeps_bodies_to_the_end_is_found_out),
        cmocka_unit_test(a_path_may_change),
        cmocka_unit_test(what_is_urgent_ends_a_body),
        cmocka_unit_test(a_body_ends_with_the_mode),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(paths_of_every_kind),
        cmocka_unit_test(what_goes_up_may_be_cut_at_every_byte),
        cmocka_unit_test(what_comes_down_may_be_cut_at_every_byte),
        cmocka_unit_test(both_may_be_cut_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
