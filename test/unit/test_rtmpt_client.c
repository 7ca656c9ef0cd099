#include "path_kit.h"

#include "base/limits.h"

#include <stdio.h>

enum { MS = 1000, SECOND = 1000000, HANDSHAKE = 1537, MEDIA_BYTES_PER_S = 312500 };

static const struct habits near = {.one_way_us = 10 * MS};

// ---- whole sessions over every path -----------------------------------------------------------

struct row {
    const char *name;
    struct habits habits;
    uint32_t depth;
    bool alone;
};

static const struct row rows[] = {
    {"no distance", {.one_way_us = 0}, 0, false},
    {"near", {.one_way_us = 10 * MS}, 0, false},
    {"far", {.one_way_us = 100 * MS}, 0, false},
    {"one by one", {.one_way_us = 60 * MS}, 1, false},
    {"alone", {.one_way_us = 20 * MS}, 0, true},
    {"another server", {.one_way_us = 20 * MS, .foreign = true}, 0, false},
    {"another server, far", {.one_way_us = 100 * MS, .foreign = true}, 0, false},
    {"closes", {.one_way_us = 20 * MS, .closing = CLOSES}, 0, false},
    {"another one closes", {.one_way_us = 20 * MS, .foreign = true, .closing = CLOSES}, 0, false},
    {"closes silently", {.one_way_us = 20 * MS, .closing = CLOSES_SILENTLY}, 0, false},
    {"closes silently, one by one", {.one_way_us = 20 * MS, .closing = CLOSES_SILENTLY}, 1, false},
    {"HTTP/1.0", {.one_way_us = 20 * MS, .http10 = true}, 0, false},
    {"HTTP/1.0 without lengths", {.one_way_us = 20 * MS, .until_close = true}, 0, false},
    {"chunked", {.one_way_us = 20 * MS, .chunked = true}, 0, false},
    {"continues", {.one_way_us = 20 * MS, .continues = true, .lower = true}, 0, false},
    {"second is dropped", {.one_way_us = 20 * MS, .second = SECOND_IS_DROPPED}, 0, false},
    {"second is dropped, another",
     {.one_way_us = 20 * MS, .foreign = true, .second = SECOND_IS_DROPPED},
     0,
     false},
    {"one after the other", {.one_way_us = 20 * MS, .serial = true, .late_us = 50 * MS}, 0, false},
    {"no second connection", {.one_way_us = 20 * MS, .no_second = true}, 0, false},
    {"idles come late", {.one_way_us = 20 * MS, .lag_us = 70 * MS}, 0, false},
    {"replies come late", {.one_way_us = 20 * MS, .late_us = 300 * MS}, 0, false},
    {"byte by byte", {.one_way_us = 20 * MS, .piece = 1, .chunked = true}, 0, false},
    {"in small pieces", {.one_way_us = 20 * MS, .piece = 97, .lag_us = 30 * MS}, 0, false},
    {"handshake in /open", {.one_way_us = 20 * MS, .shakes_hands = true}, 0, false},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct path *begin(const struct row *row)
{
    struct cv_rtmpt_client_config config = path_config;
    config.depth = row->depth;
    config.alone = row->alone;
    config.offer = row->habits.shakes_hands;
    struct path *p = path_new(&row->habits, &config);
    path_say(p, HANDSHAKE, true);
    p->says_per_tick = 1;
    p->said_max = 3;
    path_settle(p, 3 * SECOND);
    assert_true(p->opened && p->ours == !row->habits.foreign);
    path_say(p, 400, true);
    path_settle(p, 3 * SECOND);
    return p;
}

static void finish(struct path *p)
{
    cv_rtmpt_client_finish(p->client, p->now_us);
    path_run(p, 2 * SECOND);
    assert_true(p->ended);
    assert_int_equal(p->status, 200);
    assert_true(p->tunnel.ended);
    assert_int_equal(p->heard, p->sent);
    assert_int_equal(cv_rtmpt_client_want(p->client, CV_RTMPT_UP), CV_RTMPT_WANT_NOTHING);
}

static void stream(struct path *p, uint64_t us)
{
    p->urgent = false;
    p->rate_from_us = p->now_us;
    p->rate_base = p->to_send;
    p->rate_bytes_per_s = MEDIA_BYTES_PER_S;
    p->rate_until_us = p->now_us + us;
    p->age_us = 0;
    path_run(p, us);
}

static void publishes_over_every_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct path *p = begin(&rows[i]);
        path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
        stream(p, rows[i].habits.piece == 1 ? SECOND / 10 : SECOND);
        p->said_max += 5;
        path_run(p, 100 * MS);
        path_settle(p, 4 * SECOND);
        finish(p);
        path_free(p);
    }
}

static void plays_over_every_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct path *p = begin(&rows[i]);
        path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PLAY);
        p->says_per_tick = 5;
        p->said_max = p->said + 400;
        for (int k = 0; k < 8; k++) {
            path_run(p, 100 * MS);
            path_say(p, 30, k & 1);
        }
        path_settle(p, 6 * SECOND);
        finish(p);
        path_free(p);
    }
}

static void the_offer_is_taken(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 20 * MS, .upgrades = true, .piece = 3};
    struct cv_rtmpt_client_config config = path_config;
    config.offer = true;
    struct path *p = path_new(&habits, &config);
    path_say(p, HANDSHAKE, true);
    path_run(p, SECOND);
    assert_true(p->upgraded && !p->opened);
    assert_int_equal(p->direct.len, HANDSHAKE);
    assert_in_range(p->raw.len, 0, 3); // what came with the end of the head
    assert_int_equal(p->connection_count, 1);
    // Two round trips: one for TCP.
    assert_in_range(p->now_us - 1000000, 80 * MS, 81 * MS);
    path_free(p);
}

// All was said in /open, and taken; what the answer does not bring yet is asked for at once.
static void answers_to_the_first_flight_do_not_wait(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 20 * MS, .shakes_hands = true};
    struct cv_rtmpt_client_config config = path_config;
    config.offer = true;
    struct path *p = path_new(&habits, &config);
    path_say(p, 2 * HANDSHAKE + 400, true);
    p->says_per_tick = 1;
    p->said_max = 2;
    path_settle(p, 130 * MS); // TCP, /open, and the way of an idle
    assert_in_range(cv_rtmpt_client_stats(p->client).idles, 1,
                    2); // the next one is asked with the answer
    assert_int_equal(cv_rtmpt_client_stats(p->client).sends, 0);
    // The next word does not wait for an idle that the server holds.
    path_run(p, 10 * MS);
    uint64_t heard = p->heard;
    path_say(p, 20, true);
    path_run(p, 21 * MS);
    assert_int_equal(p->heard, heard + 20);
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PLAY);
    p->said_max = 40;
    path_settle(p, SECOND);
    path_free(p);
}

// ---- how quick it is --------------------------------------------------------------------------

static void expect_publish(const struct habits *habits, uint32_t depth, uint64_t age_max_us,
                           uint64_t sends_min, uint64_t sends_max)
{
    struct row row = {.habits = *habits, .depth = depth};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    stream(p, SECOND);
    struct cv_rtmpt_client_stats before = cv_rtmpt_client_stats(p->client);
    stream(p, 8 * SECOND);
    struct cv_rtmpt_client_stats after = cv_rtmpt_client_stats(p->client);
    assert_int_equal(p->err, CV_OK);
    assert_in_range(p->age_us, habits->one_way_us, age_max_us);
    assert_in_range(after.sends - before.sends, sends_min, sends_max);
    assert_int_equal(after.idles, before.idles);
    assert_int_equal(after.replays, 0);
    path_settle(p, SECOND);
    path_free(p);
}

// 2.5 Mb/s for 8 s, 73 pieces a second: each is there a coalescing time after it could be at all.
// Real-time factor 1: what was said 150 ms (round trip included) before the end has arrived.
static void publishing_does_not_slow_down_with_the_round_trip(void **state)
{
    (void)state;
    struct habits habits = {.one_way_us = 10 * MS};
    expect_publish(&habits, 0, 10 * MS + 40 * MS, 180, 300);
    habits.one_way_us = 60 * MS;
    expect_publish(&habits, 0, 60 * MS + 50 * MS, 180, 300);
    habits.one_way_us = 100 * MS;
    expect_publish(&habits, 0, 100 * MS + 55 * MS, 180, 300);
    // A request each time the one before it was answered: larger ones, and later by a round trip.
    expect_publish(&habits, 1, 100 * MS + 260 * MS, 35, 45);
}

// Two small requests prove it for servers that do not show themselves.
static void pipelining_is_tried_first(void **state)
{
    (void)state;
    struct row row = {.habits = {.one_way_us = 100 * MS, .foreign = true}};
    struct path *p = begin(&row);
    assert_int_equal(cv_rtmpt_client_stats(p->client).depth, 1);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    stream(p, SECOND);
    assert_int_equal(cv_rtmpt_client_stats(p->client).depth, CV_TUNNEL_DEPTH);
    stream(p, 4 * SECOND);
    assert_in_range(p->age_us, 100 * MS, 155 * MS);
    assert_int_equal(cv_rtmpt_client_stats(p->client).connections, 1);
    path_free(p);
}

static void pipelining_that_fails_is_not_tried_again(void **state)
{
    (void)state;
    const enum second kinds[] = {SECOND_IS_DROPPED, SECOND_CUTS, SECOND_IS_SWALLOWED};
    for (size_t i = 0; i < 3; i++) {
        struct row row = {.habits = {.one_way_us = 50 * MS, .foreign = true, .second = kinds[i]}};
        struct path *p = begin(&row);
        path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
        stream(p, 5 * SECOND);
        path_settle(p, SECOND);
        struct cv_rtmpt_client_stats stats = cv_rtmpt_client_stats(p->client);
        assert_int_equal(stats.depth, 1);
        assert_in_range(stats.replays, 1, 2);
        assert_int_equal(stats.connections, 2);
        assert_in_range(stats.sends, i == 2 ? 20 : 40, 55); // swallowed: it waits for 2 s
        path_free(p);
    }
}

// Where requests are passed on one by one, more of them would only be late.
static void depth_follows_the_path(void **state)
{
    (void)state;
    struct row row = {.habits = {.one_way_us = 10 * MS, .serial = true, .late_us = 100 * MS}};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    stream(p, 2 * SECOND);
    stream(p, 5 * SECOND);
    assert_in_range(cv_rtmpt_client_stats(p->client).depth, 1, 3);
    assert_in_range(p->age_us, 10 * MS, 500 * MS);
    path_free(p);
}

// ---- idles ------------------------------------------------------------------------------------

static void an_idle_is_parked_while_playing(void **state)
{
    (void)state;
    struct row row = {.habits = near};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PLAY);
    path_run(p, SECOND);
    uint64_t before = cv_rtmpt_client_stats(p->client).idles;
    path_run(p, 20 * SECOND);
    assert_in_range(cv_rtmpt_client_stats(p->client).idles - before, 8, 11);
    // What the server says, every 10 ms, needs one way.
    p->said_max = p->said + 1;
    path_run(p, 21 * MS);
    assert_int_equal(p->got, p->said);
    // What the client says does not wait for the idle.
    uint64_t heard = p->heard;
    path_say(p, 20, true);
    path_run(p, 11 * MS);
    assert_int_equal(p->heard, heard + 20);
    assert_true(p->slot_conn[CV_RTMPT_DOWN] >= 0);
    path_free(p);
}

// While commands come and go, each of them makes the server answer the idle before it, with
// nothing. What the server says next must not wait for the next idle to become due.
static void an_idle_that_was_overtaken_is_parked_again_at_once(void **state)
{
    (void)state;
    struct row row = {.habits = {.one_way_us = 1 * MS}};
    struct path *p = begin(&row);
    path_run(p, 150 * MS); // the connection for idles is there, and in use
    for (int i = 0; i < 8; i++) {
        uint64_t before = cv_rtmpt_client_stats(p->client).idles;
        path_say(p, 20, true);
        path_run(p, 3 * MS);
        assert_int_equal(cv_rtmpt_client_stats(p->client).idles, before + 1);
    }
    path_free(p);
}

// Such servers take one request after the other: an idle would hold up what comes next.
static void nothing_is_asked_while_nothing_is_awaited(void **state)
{
    (void)state;
    struct row row = {.habits = {.one_way_us = 1 * MS, .foreign = true}};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_QUIET, CV_RTMPT_SETUP);
    path_run(p, 200 * MS); // what was under way comes back
    uint64_t before = cv_rtmpt_client_stats(p->client).idles;
    path_run(p, SECOND);
    assert_int_equal(cv_rtmpt_client_stats(p->client).idles, before);
    uint64_t heard = p->heard;
    path_say(p, 20, true);
    path_run(p, 2 * MS);
    assert_int_equal(p->heard, heard + 20);
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PLAY);
    path_run(p, SECOND);
    assert_true(cv_rtmpt_client_stats(p->client).idles > before);
    path_free(p);
}

static void servers_that_hold_nothing_are_asked_ten_times_a_second(void **state)
{
    (void)state;
    struct row row = {.habits = {.one_way_us = 1 * MS, .foreign = true}};
    struct path *p = begin(&row);
    // A publishing session of ours answers idles at once, too.
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PUBLISH);
    uint64_t before = cv_rtmpt_client_stats(p->client).idles;
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_SETUP);
    path_run(p, 10 * SECOND);
    assert_in_range(cv_rtmpt_client_stats(p->client).idles - before, 50, 105);
    assert_int_equal(p->connection_count, 1);
    path_free(p);
}

static void a_silent_publisher_is_heard(void **state)
{
    (void)state;
    struct row row = {.habits = near};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    uint64_t before = cv_rtmpt_client_stats(p->client).idles;
    path_run(p, 60 * SECOND);
    assert_int_equal(p->err, CV_OK);
    assert_in_range(cv_rtmpt_client_stats(p->client).idles - before, 55, 62);
    p->said_max = p->said + 1;
    path_settle(p, 1100 * MS);
    path_free(p);
}

// What a server of ours has taken, it tells a while behind the last send: it is asked in time for
// those who take silence for a cut, and once.
static void a_publisher_asks_soon_what_was_taken(void **state)
{
    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        struct row row = {.habits = near};
        row.habits.foreign = !ours;
        struct path *p = begin(&row);
        path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
        stream(p, SECOND);
        uint64_t before = cv_rtmpt_client_stats(p->client).idles;
        path_run(p, (uint64_t)MS * (CV_TUNNEL_STREAM_MS + CV_TUNNEL_TAKEN_MS + 50));
        assert_int_equal(cv_rtmpt_client_stats(p->client).idles - before, ours);
        path_run(p, 2 * SECOND);
        assert_in_range(cv_rtmpt_client_stats(p->client).idles - before, 2, 3);
        path_free(p);
    }
}

// ---- connections that are lost ----------------------------------------------------------------

struct tally {
    uint32_t runs;
    uint32_t unopened;
    uint32_t lost;
};

static void run_cut(const struct habits *habits, uint32_t depth, bool alone,
                    enum cv_rtmpt_client_mode mode, struct tally *tally)
{
    bool publishes = mode == CV_RTMPT_CLIENT_PUBLISH;
    struct cv_rtmpt_client_config config = path_config;
    config.depth = depth;
    config.alone = alone;
    struct path *p = path_new(habits, &config);
    p->says_per_tick = 1;
    p->said_max = 2;
    path_say(p, 37, true);
    path_mode(p, mode, publishes ? CV_RTMPT_PUBLISH : CV_RTMPT_PLAY);
    for (int i = 0; i < 6; i++) {
        path_run(p, 30 * MS);
        path_say(p, 20 + 7 * (size_t)i, true);
        p->said_max++;
    }
    path_run(p, publishes ? 1500 * MS : 500 * MS);
    tally->runs++;
    if (!p->opened) {
        assert_true(p->err == CV_E_CLOSED || p->err == CV_E_RESET);
        tally->unopened++;
    } else if (p->err != CV_OK || p->ended) {
        tally->lost++;
    } else {
        path_settle(p, 2 * SECOND);
    }
    // Whatever happened: nothing twice, nothing out of order. The kit has looked at each byte.
    assert_true(p->heard <= p->to_send && p->got <= p->said);
    path_free(p);
}

static struct tally cut_everywhere(struct habits habits, uint32_t depth, bool alone,
                                   enum cv_rtmpt_client_mode mode)
{
    struct tally tally = {0};
    habits.one_way_us = 10 * MS;
    habits.cut_count = 1;
    for (uint32_t down = 0; down < 2; down++) {
        for (size_t at = 0; at<1500; at += at> 400 ? 4 : 1) {
            habits.cut_down = down;
            habits.cut_reset = at & 1;
            habits.cut_at = at;
            run_cut(&habits, depth, alone, mode, &tally);
        }
    }
    assert_true(tally.runs > 1000);
    return tally;
}

// One by one, a session outlives any one loss: each byte arrives once, both ways.
static void a_connection_may_be_lost_at_every_byte(void **state)
{
    (void)state;
    const enum cv_rtmpt_client_mode modes[] = {CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_CLIENT_PLAY};
    for (size_t i = 0; i < 2; i++) {
        struct tally tally = cut_everywhere((struct habits){0}, 1, true, modes[i]);
        assert_int_equal(tally.lost, 0);
        assert_in_range(tally.unopened, 1, 600);
    }
}

static void a_connection_may_be_lost_in_chunks_and_pieces(void **state)
{
    (void)state;
    struct habits habits = {.chunked = true, .piece = 5};
    assert_int_equal(cut_everywhere(habits, 1, true, CV_RTMPT_CLIENT_PLAY).lost, 0);
    habits = (struct habits){.closing = CLOSES, .cut_first = 3};
    assert_int_equal(cut_everywhere(habits, 1, true, CV_RTMPT_CLIENT_PUBLISH).lost, 0);
}

// Several under way, on two connections: our server keeps their replies.
static void requests_under_way_may_be_lost_at_every_byte(void **state)
{
    (void)state;
    const enum cv_rtmpt_client_mode modes[] = {CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_CLIENT_PLAY};
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t which = 0; which < 2; which++) {
            struct habits habits = {.cut_first = which};
            assert_int_equal(cut_everywhere(habits, 0, false, modes[i]).lost, 0);
        }
    }
}

// The way itself is cut: what is under way on both is lost at once.
static void both_connections_may_be_lost_at_any_time(void **state)
{
    (void)state;
    const enum cv_rtmpt_client_mode modes[] = {CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_CLIENT_PLAY};
    for (uint64_t at_us = 0; at_us < 300 * MS; at_us += 1300) {
        for (size_t i = 0; i < 4; i++) {
            struct row row = {.habits = {.one_way_us = 25 * MS, .cut_reset = i & 1}};
            struct path *p = begin(&row);
            if (i > 1)
                path_mode(p, modes[i & 1], i & 1 ? CV_RTMPT_PLAY : CV_RTMPT_PUBLISH);
            p->says_per_tick = 1;
            p->said_max = p->said + 60;
            for (uint64_t us = 0; us < at_us; us += 9 * MS) {
                path_run(p, at_us - us < 9 * MS ? at_us - us : 9 * MS);
                path_say(p, 50, true);
            }
            path_cut(p);
            path_say(p, 50, true);
            path_run(p, 60 * MS);
            path_say(p, 50, true);
            path_settle(p, 3 * SECOND);
            assert_int_equal(p->err, CV_OK);
            path_free(p);
        }
    }
}

static void a_second_loss_ends_the_session(void **state)
{
    (void)state;
    struct row row = {.habits = near};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    path_run(p, 500 * MS);
    p->habits.cut_count = 100;
    p->habits.cut_first = (uint32_t)p->slot_conn[CV_RTMPT_UP];
    path_say(p, 100, true);
    path_run(p, SECOND);
    assert_int_equal(p->err, CV_E_CLOSED);
    assert_true(cv_rtmpt_client_over(p->client));
    assert_int_equal(cv_rtmpt_client_stats(p->client).replays, 1);
    path_free(p);
}

static void a_server_that_is_silent_is_left(void **state)
{
    (void)state;
    struct row row = {.habits = near};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    path_run(p, 500 * MS);
    p->habits.late_us = 100 * SECOND;
    path_say(p, 100, true);
    path_run(p, CV_TUNNEL_REPLY_S * SECOND - MS);
    assert_int_equal(cv_rtmpt_client_stats(p->client).replays, 0);
    path_run(p, 500 * MS);
    assert_int_equal(cv_rtmpt_client_stats(p->client).replays, 1);
    path_run(p, CV_TUNNEL_REPLY_S * SECOND);
    assert_true(p->err == CV_E_CLOSED || p->ended);
    path_free(p);
}

// ---- limits -----------------------------------------------------------------------------------

// A server that takes nothing: what is kept has an end.
static void what_waits_has_a_cap(void **state)
{
    (void)state;
    struct row row = {.habits = near};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PUBLISH, CV_RTMPT_PUBLISH);
    path_run(p, 500 * MS);
    p->habits.late_us = 5 * SECOND;
    path_say(p, 8 * 1024 * 1024, false);
    uint64_t before = p->sent;
    path_run(p, SECOND);
    assert_int_equal(cv_rtmpt_client_room(p->client), 0);
    assert_in_range(p->sent - before, CV_TUNNEL_SEND_BYTES, CV_TUNNEL_FLIGHT_BYTES);
    p->habits.late_us = 0;
    path_settle(p, 120 * SECOND);
    path_free(p);
}

// Answers overtake those on the other connection: they wait for their turn.
static void what_comes_early_waits(void **state)
{
    (void)state;
    struct row row = {.habits = near};
    struct path *p = begin(&row);
    path_mode(p, CV_RTMPT_CLIENT_PLAY, CV_RTMPT_PLAY);
    path_run(p, 500 * MS);
    p->habits.lag_us = 700 * MS;
    p->says_per_tick = 2;
    p->said_max = p->said + 300;
    for (int i = 0; i < 60; i++) {
        path_run(p, 20 * MS);
        path_say(p, 10, true);
    }
    path_settle(p, 20 * SECOND);
    path_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_over_every_path),
        cmocka_unit_test(plays_over_every_path),
        cmocka_unit_test(the_offer_is_taken),
        cmocka_unit_test(answers_to_the_first_flight_do_not_wait),
        cmocka_unit_test(publishing_does_not_slow_down_with_the_round_trip),
        cmocka_unit_test(pipelining_is_tried_first),
        cmocka_unit_test(pipelining_that_fails_is_not_tried_again),
        cmocka_unit_test(depth_follows_the_path),
        cmocka_unit_test(an_idle_is_parked_while_playing),
        cmocka_unit_test(an_idle_that_was_overtaken_is_parked_again_at_once),
        cmocka_unit_test(nothing_is_asked_while_nothing_is_awaited),
        cmocka_unit_test(servers_that_hold_nothing_are_asked_ten_times_a_second),
        cmocka_unit_test(a_silent_publisher_is_heard),
        cmocka_unit_test(a_publisher_asks_soon_what_was_taken),
        cmocka_unit_test(a_connection_may_be_lost_at_every_byte),
        cmocka_unit_test(a_connection_may_be_lost_in_chunks_and_pieces),
        cmocka_unit_test(requests_under_way_may_be_lost_at_every_byte),
        cmocka_unit_test(both_connections_may_be_lost_at_any_time),
        cmocka_unit_test(a_second_loss_ends_the_session),
        cmocka_unit_test(a_server_that_is_silent_is_left),
        cmocka_unit_test(what_waits_has_a_cap),
        cmocka_unit_test(what_comes_early_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
