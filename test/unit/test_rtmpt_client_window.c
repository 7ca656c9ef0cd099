// Chunked replies that last, from end to end: where pieces come as they were sent, where something
// on the way keeps them to the end, and where they are cut off.
#include "path_kit.h"

#include "base/limits.h"

enum { MS = 1000, SECOND = 1000000, HANDSHAKE = 1537, TICKS = 100 };

static struct path *playing(const struct habits *habits)
{
    struct cv_rtmpt_client_config config = path_config;
    struct path *p = path_new(habits, &config);
    path_say(p, HANDSHAKE, true);
    p->says_per_tick = 1;
    p->said_max = 3;
    path_settle(p, 3 * SECOND);
    path_say(p, 400, true);
    path_settle(p, 3 * SECOND);
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_FLOW);
    p->said_max = UINT32_MAX;
    return p;
}

// How many messages are on their way, on the average over a second: 100 are said.
static double mean_age_ms(struct path *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < TICKS; i++) {
        path_run(p, 10 * MS);
        sum += p->said - p->got;
    }
    assert_int_equal(p->err, CV_OK);
    return 10.0 * (double)sum / TICKS;
}

static void end(struct path *p)
{
    p->said_max = p->said;
    path_settle(p, 5 * SECOND);
    path_free(p);
}

static void pieces_come_as_they_are_said(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 60 * MS};
    struct path *p = playing(&habits);
    mean_age_ms(p);
    mean_age_ms(p);
    uint64_t idles = cv_rtmpt_client_stats(p->client).idles;
    double age_ms = 0;
    for (int i = 0; i < 5; i++)
        age_ms += mean_age_ms(p) / 5;
    // One way is 60 ms; a message is 5 ms old on the average when it is counted. Without windows
    // each waits for the next idle as well: half a round trip.
    assert_true(age_ms < 60 + 5 + 20);
    assert_in_range(cv_rtmpt_client_stats(p->client).idles - idles, 3, 6);
    assert_true(p->streams > 0);
    end(p);
}

static void what_keeps_them_to_the_end_is_found_out(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 60 * MS, .buffers = true};
    struct path *p = playing(&habits);
    for (int i = 0; i < 3; i++)
        mean_age_ms(p);
    assert_int_equal(p->streams, 2);
    assert_in_range((uint64_t)mean_age_ms(p), 60, 60 + 60 + 20);
    assert_int_equal(p->streams, 2);
    end(p);
}

// What the client says ends a reply early: that proves nothing.
static void own_words_do_not_disturb(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 20 * MS};
    struct path *p = playing(&habits);
    for (int i = 0; i < 60; i++) {
        path_say(p, 20, true);
        uint64_t heard = p->heard;
        path_run(p, 90 * MS);
        assert_int_equal(p->heard, heard + 20);
    }
    uint32_t streams = p->streams;
    assert_true(streams > 30);
    mean_age_ms(p);
    assert_true(p->streams > streams);
    end(p);
}

// A reply that comes late and ends at once, because the client has said something.
static void what_own_words_have_ended_says_nothing(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 20 * MS};
    struct path *p = playing(&habits);
    path_run(p, 300 * MS);
    for (int i = 0; i < 6; i++) {
        p->said_max = p->said;
        path_run(p, 700 * MS);
        p->said_max = p->said + 1;
        path_run(p, 10 * MS);
        path_say(p, 20, true);
        path_run(p, 100 * MS);
    }
    uint32_t streams = p->streams;
    p->said_max = UINT32_MAX;
    path_run(p, 5 * SECOND);
    assert_true(p->streams > streams + 2);
    end(p);
}

static void until_streams(struct path *p, uint32_t count)
{
    for (int i = 0; p->streams < count; i++) {
        assert_in_range(i, 0, 1000);
        path_run(p, 10 * MS);
    }
}

// Only clumps in a row count.
static void a_clump_now_and_then_is_no_habit(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 20 * MS, .buffers = true};
    struct path *p = playing(&habits);
    until_streams(p, 2);
    for (int i = 0; i < 4; i++) {
        p->habits.buffers = false;
        path_run(p, 3 * SECOND);
        p->habits.buffers = true;
        until_streams(p, p->streams + 2); // one of them comes in one clump
    }
    end(p);
}

static void one_connection_has_none(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 20 * MS, .no_second = true};
    struct path *p = playing(&habits);
    mean_age_ms(p);
    assert_int_equal(p->streams, 0);
    end(p);
}

static void paths_of_every_kind(void **state)
{
    (void)state;
    static const struct habits rows[] = {
        {.one_way_us = 0},
        {.one_way_us = 20 * MS, .piece = 1},
        {.one_way_us = 20 * MS, .piece = 97, .lag_us = 30 * MS},
        {.one_way_us = 20 * MS, .continues = true, .lower = true},
        {.one_way_us = 20 * MS, .late_us = 300 * MS},
        {.one_way_us = 20 * MS, .closing = CLOSES_SILENTLY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct path *p = playing(&rows[i]);
        for (int k = 0; k < 8; k++) {
            path_run(p, 150 * MS);
            path_say(p, 30, k & 1);
        }
        end(p);
    }
}

// Each message arrives once, in order, wherever the connection of the replies is cut.
static void a_reply_may_be_cut_at_every_byte(void **state)
{
    (void)state;
    uint32_t streams = 0;
    for (size_t at = 100; at < 3000; at += at < 1000 ? 23 : 5) {
        struct habits habits = {.one_way_us = 10 * MS,
                                .cut_count = 1,
                                .cut_first = 1,
                                .cut_down = true,
                                .cut_at = at,
                                .cut_reset = at & 1};
        struct path *p = playing(&habits);
        path_run(p, 1600 * MS);
        assert_int_equal(p->err, CV_OK);
        streams += p->streams > 0;
        assert_true(cv_rtmpt_client_stats(p->client).connections > 2);
        end(p);
    }
    assert_true(streams > 300);
}

static void both_may_be_cut_at_any_time(void **state)
{
    (void)state;
    for (uint64_t at_us = 200 * MS; at_us < 900 * MS; at_us += 1700) {
        struct habits habits = {.one_way_us = 25 * MS, .cut_reset = at_us / 100 & 1};
        struct path *p = playing(&habits);
        path_run(p, at_us);
        path_cut(p);
        path_say(p, 50, true);
        path_run(p, 300 * MS);
        assert_int_equal(p->err, CV_OK);
        end(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_as_they_are_said),
        cmocka_unit_test(what_keeps_them_to_the_end_is_found_out),
        cmocka_unit_test(own_words_do_not_disturb),
        cmocka_unit_test(what_own_words_have_ended_says_nothing),
        cmocka_unit_test(a_clump_now_and_then_is_no_habit),
        cmocka_unit_test(one_connection_has_none),
        cmocka_unit_test(paths_of_every_kind),
        cmocka_unit_test(a_reply_may_be_cut_at_every_byte),
        cmocka_unit_test(both_may_be_cut_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
