// The watchdog on ways that are cut, fall silent, or starve, in virtual time: how often another way
// was opened, how long nothing arrived, and that a healthy way is never switched.
#include "client/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { STEP_MS = 10, PONG_BYTES = 18, FRAME_BYTES = 1000, QUEUE = 4096 };

struct line {
    const char *name;
    bool publisher;    // else a player
    uint32_t every_ms; // a frame; 0: the stream is silent
    uint32_t rtt_ms;
    uint32_t cut_ms;    // of a connection's age; 0: never
    bool cuts_silently; // else by RST for whoever sends next
    bool foreign;       // the server does not answer pings
    bool hung;          // from half of the time on: TCP acknowledges and nothing else comes
    bool starves;       // half of what is sent arrives in time
    uint32_t out_at_ms; // an outage of the whole network,
    uint32_t out_ms;    // so long
    uint32_t known_ms;  // the memory knows this period
    uint32_t seconds;
    // expected
    uint32_t cuts;       // that struck
    uint32_t renewals;   // ways that were replaced while they lived, before their period
    uint32_t rescues;    // ways that were replaced because they were silent
    uint32_t gap_max_ms; // nothing arrived at the far end for so long; 0: does not matter
    uint32_t starved;
    uint32_t learned_ms; // within a tenth; 0: nothing
};

// clang-format off
static const struct line lines[] = {
    {.name = "a healthy player", .every_ms = 33, .rtt_ms = 40, .seconds = 120, .gap_max_ms = 50},
    {.name = "a healthy publisher", .publisher = true, .every_ms = 33, .rtt_ms = 40, .seconds = 120,
     .gap_max_ms = 50},
    {.name = "a healthy publisher, far", .publisher = true, .every_ms = 33, .rtt_ms = 600,
     .seconds = 120, .gap_max_ms = 650}, // until the first one arrives
    {.name = "cut at 30 s, publisher", .publisher = true, .every_ms = 33, .rtt_ms = 40,
     .cut_ms = 30000, .seconds = 200, .cuts = 2, .renewals = 5, .gap_max_ms = 200,
     .learned_ms = 30000},
    {.name = "cut at 30 s in silence, player", .every_ms = 33, .rtt_ms = 40, .cut_ms = 30000,
     .cuts_silently = true, .seconds = 200, .cuts = 2, .rescues = 2, .renewals = 5,
     .gap_max_ms = 1200, .learned_ms = 30000},
    {.name = "cut at 27 s in silence, publisher", .publisher = true, .every_ms = 33, .rtt_ms = 40,
     .cut_ms = 27000, .cuts_silently = true, .seconds = 200, .cuts = 2, .rescues = 2, .renewals = 5,
     .gap_max_ms = 1400, .learned_ms = 27000},
    {.name = "the memory knows of the cuts", .every_ms = 33, .rtt_ms = 40, .cut_ms = 30000,
     .known_ms = 30000, .seconds = 100, .renewals = 3, .gap_max_ms = 50, .learned_ms = 30000},
    {.name = "the memory knows of cuts that do not come", .every_ms = 33, .rtt_ms = 40, .known_ms = 20000,
     .seconds = 100, .renewals = 5, .gap_max_ms = 50, .learned_ms = 20000},
    {.name = "cut at 30 s in silence, a player of a silent stream", .rtt_ms = 40, .cut_ms = 30000,
     .cuts_silently = true, .seconds = 200, .cuts = 2, .rescues = 2, .renewals = 5,
     .learned_ms = 30000},
    // At 60 s, seen at the next keepalive.
    {.name = "a publisher without frames is cut in silence", .publisher = true, .rtt_ms = 40,
     .cut_ms = 60000, .cuts_silently = true, .seconds = 100, .cuts = 1, .rescues = 1},
    {.name = "a publisher without frames", .publisher = true, .rtt_ms = 40, .seconds = 200},
    {.name = "a player of a silent stream", .rtt_ms = 40, .seconds = 200},
    {.name = "a player of a silent stream, far", .rtt_ms = 600, .seconds = 200},
    {.name = "a player of a silent stream, foreign server", .rtt_ms = 40, .foreign = true,
     .seconds = 200},
    {.name = "a server that hangs", .every_ms = 33, .rtt_ms = 40, .hung = true, .seconds = 20,
     .rescues = 1},
    {.name = "a starving player", .every_ms = 33, .rtt_ms = 40, .starves = true, .seconds = 60,
     .gap_max_ms = 100, .starved = 1},
    {.name = "a starving publisher", .publisher = true, .every_ms = 33, .rtt_ms = 40,
     .starves = true, .seconds = 60, .gap_max_ms = 100, .starved = 1},
    {.name = "an outage of 0.9 s", .every_ms = 33, .rtt_ms = 40, .out_at_ms = 10000, .out_ms = 900,
     .seconds = 30, .gap_max_ms = 1000},
    // Another way is opened beside, cannot be, and is dropped: the old one lives.
    {.name = "an outage of 3 s", .every_ms = 33, .rtt_ms = 40, .out_at_ms = 10000, .out_ms = 3000,
     .seconds = 30, .gap_max_ms = 3100},
    {.name = "an outage of 3 s, publisher", .publisher = true, .every_ms = 33, .rtt_ms = 40,
     .out_at_ms = 10000, .out_ms = 3000, .seconds = 30, .gap_max_ms = 3100},
};
// clang-format on

struct arrival {
    uint32_t at_ms;
    uint32_t acked; // bytes that it acknowledges
    bool heard;     // it carries something
    bool media;
};

struct world {
    const struct line *line;
    struct cv_watchdog watchdog;
    uint32_t now_ms;
    uint32_t since_ms; // the way in use has been connected
    struct arrival queue[QUEUE];
    size_t first, last; // of the queue
    uint64_t heard_us;
    uint64_t written, acked;
    uint32_t sent_ms;    // the last frame
    uint32_t arrived_ms; // the last frame at the far end
    uint32_t opened_ms;  // when the way that is being opened stands; 0: none
    bool opened_for_silence;
    bool was_cut; // the way in use
    uint32_t behind_ms;
    uint32_t pings, asks, cuts, renewals, rescues, gap_ms, starved;
};

static bool is_out(const struct world *world)
{
    const struct line *line = world->line;
    return line->out_ms && world->now_ms >= line->out_at_ms &&
           world->now_ms < line->out_at_ms + line->out_ms;
}

static bool is_cut(const struct world *world)
{
    return world->line->cut_ms && world->now_ms - world->since_ms >= world->line->cut_ms;
}

static void arrive_later(struct world *world, struct arrival arrival)
{
    assert_true(world->last - world->first < QUEUE);
    world->queue[world->last++ % QUEUE] = arrival;
}

static void media_arrives(struct world *world)
{
    uint32_t gap = world->now_ms - world->arrived_ms;
    world->gap_ms = gap > world->gap_ms ? gap : world->gap_ms;
    world->arrived_ms = world->now_ms;
}

static void take_arrivals(struct world *world)
{
    while (world->first < world->last &&
           world->queue[world->first % QUEUE].at_ms <= world->now_ms) {
        const struct arrival *arrival = &world->queue[world->first++ % QUEUE];
        world->acked += arrival->acked;
        if (arrival->heard)
            world->heard_us = world->now_ms * UINT64_C(1000);
        if (arrival->media)
            media_arrives(world);
    }
}

// A new way in use. What was under way on the old one is gone; what was not acknowledged is sent
// again at once.
static void begin_way(struct world *world)
{
    world->since_ms = world->now_ms - world->line->rtt_ms;
    world->first = world->last = 0;
    world->written = world->acked = 0;
    world->was_cut = false;
    world->opened_ms = 0;
    if (world->line->every_ms)
        media_arrives(world);
    uint64_t now_us = world->now_ms * UINT64_C(1000);
    cv_watchdog_begin(&world->watchdog, world->since_ms * UINT64_C(1000), now_us);
}

static void open_way(struct world *world, bool silence)
{
    if (world->opened_ms)
        return;
    world->opened_ms = world->now_ms + 3 * world->line->rtt_ms;
    world->opened_for_silence = silence;
}

// The rest of what was sent is never acknowledged; it may be told, or not.
static void strike(struct world *world)
{
    world->was_cut = true;
    world->first = world->last = 0;
    world->cuts++;
    if (world->line->cuts_silently)
        return;
    cv_watchdog_cut(&world->watchdog, world->now_ms * UINT64_C(1000));
    open_way(world, true);
}

// ---- what is said ---------------------------------------------------------------------------

static void ping(struct world *world)
{
    const struct line *line = world->line;
    bool hangs = line->hung && world->now_ms > line->seconds * 500;
    world->pings++;
    world->written += PONG_BYTES;
    if (world->was_cut || is_out(world))
        return;
    struct arrival pong = {.at_ms = world->now_ms + line->rtt_ms,
                           .acked = PONG_BYTES,
                           .heard = !line->foreign && !hangs};
    arrive_later(world, pong);
}

// TCP repeats what an outage has swallowed.
static void repeat(struct world *world)
{
    uint64_t missing = world->written - world->acked;
    if (missing == 0)
        return;
    struct arrival late = {.at_ms = world->now_ms + world->line->rtt_ms,
                           .acked = (uint32_t)missing,
                           .heard = true,
                           .media = world->line->every_ms > 0};
    arrive_later(world, late);
}

static void send_frame(struct world *world)
{
    const struct line *line = world->line;
    bool hangs = line->hung && world->now_ms > line->seconds * 500;
    if (!line->every_ms || world->now_ms - world->sent_ms < line->every_ms || hangs)
        return;
    world->sent_ms = world->now_ms;
    world->behind_ms += line->starves ? line->every_ms / 2 : 0;
    world->written += line->publisher ? FRAME_BYTES : 0;
    if (world->was_cut || is_out(world))
        return;
    struct arrival frame = {.at_ms = world->now_ms + (line->publisher ? line->rtt_ms : 0),
                            .acked = line->publisher ? FRAME_BYTES : 0,
                            .heard = !line->publisher,
                            .media = true};
    arrive_later(world, frame);
}

// ---- the owner ------------------------------------------------------------------------------

static struct cv_watchdog_sample sample(const struct world *world)
{
    return (struct cv_watchdog_sample){
        .heard_us = world->heard_us,
        .acked_bytes = world->acked,
        .unacked_bytes = (uint32_t)(world->written - world->acked),
        .rtt_us = world->line->rtt_ms * 1000,
        .behind_ms = world->behind_ms,
        .due = !world->line->publisher,
        .answers = !world->line->foreign,
    };
}

static void obey(struct world *world, enum cv_watchdog_act act)
{
    switch (act) {
    case CV_WATCHDOG_PING:
        ping(world);
        return;
    case CV_WATCHDOG_RENEW:
        world->asks++;
        open_way(world, world->watchdog.silent);
        return;
    case CV_WATCHDOG_WELL:
        if (world->opened_for_silence)
            world->opened_ms = 0;
        return;
    case CV_WATCHDOG_LOST:
        fail(); // another way has come long before
        return;
    case CV_WATCHDOG_STARVED:
        world->starved++;
        return;
    }
}

static void look(struct world *world)
{
    uint64_t now_us = world->now_ms * UINT64_C(1000);
    if (cv_watchdog_deadline_us(&world->watchdog) > now_us)
        return;
    struct cv_watchdog_sample now = sample(world);
    enum cv_watchdog_act act;
    cv_watchdog_look(&world->watchdog, &now, now_us);
    while (cv_watchdog_next(&world->watchdog, &act) == 1)
        obey(world, act);
    assert_true(cv_watchdog_deadline_us(&world->watchdog) > now_us);
}

static void replace(struct world *world)
{
    if (!world->opened_ms || world->now_ms < world->opened_ms)
        return;
    if (is_out(world)) { // SYN is repeated
        world->opened_ms = world->line->out_at_ms + world->line->out_ms + 500;
        return;
    }
    uint64_t now_us = world->now_ms * UINT64_C(1000);
    bool hangs = world->line->hung && world->now_ms > world->line->seconds * 500;
    if (world->opened_for_silence && (!world->was_cut || world->line->cuts_silently))
        world->rescues++;
    if (world->opened_for_silence && (world->was_cut || hangs))
        cv_watchdog_cut(&world->watchdog, now_us);
    if (!world->opened_for_silence)
        world->renewals++;
    begin_way(world);
}

static void step(struct world *world)
{
    bool was_out = is_out(world);
    world->now_ms += STEP_MS;
    if (!world->was_cut && is_cut(world))
        strike(world);
    if (was_out && !is_out(world))
        repeat(world);
    take_arrivals(world);
    send_frame(world);
    take_arrivals(world);
    replace(world);
    look(world);
}

static void live(struct world *world)
{
    const struct line *line = world->line;
    cv_watchdog_init(&world->watchdog, line->known_ms);
    world->arrived_ms = world->now_ms;
    begin_way(world);
    while (world->now_ms < 1000 + line->seconds * 1000 && !(line->hung && world->rescues))
        step(world);
}

// Nobody who is well is asked for another way.
static bool may_be_asked(const struct line *line)
{
    return line->cut_ms || line->known_ms || line->hung || line->out_ms > 1000;
}

static bool is_within_a_tenth(uint32_t value, uint32_t expected)
{
    uint32_t off = value > expected ? value - expected : expected - value;
    return off * 10 <= expected;
}

static bool is_as_expected(const struct line *line)
{
    static struct world world;
    world = (struct world){.line = line, .now_ms = 1000};
    live(&world);
    uint32_t learned = cv_watchdog_cut_ms(&world.watchdog);
    bool right = world.cuts == line->cuts && world.renewals == line->renewals &&
                 world.rescues == line->rescues && world.starved == line->starved &&
                 (world.asks > 0) == may_be_asked(line) &&
                 (!line->gap_max_ms || world.gap_ms <= line->gap_max_ms) &&
                 is_within_a_tenth(learned, line->learned_ms);
    if (!right)
        print_error("%s: %u cuts, %u renewals, %u rescues, gap %u ms, %u starved, learned %u ms, "
                    "%u pings, %u times asked\n",
                    line->name, world.cuts, world.renewals, world.rescues, world.gap_ms,
                    world.starved, learned, world.pings, world.asks);
    return right;
}

static void every_line(void **state)
{
    (void)state;
    bool right = true;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        right &= is_as_expected(&lines[i]);
    assert_true(right);
}

// ---- single rules ---------------------------------------------------------------------------

static const uint64_t SECOND = 1000000;

static unsigned acts_of(struct cv_watchdog *watchdog)
{
    enum cv_watchdog_act act;
    unsigned acts = 0;
    while (cv_watchdog_next(watchdog, &act) == 1)
        acts |= 1u << act;
    return acts;
}

// A machine that slept: silence of an hour, of our own making.
static void after_sleep_it_asks_first(void **state)
{
    (void)state;
    struct cv_watchdog watchdog;
    struct cv_watchdog_sample sample = {
        .heard_us = 10 * SECOND, .due = true, .answers = true, .rtt_us = 40000};
    cv_watchdog_init(&watchdog, 0);
    cv_watchdog_begin(&watchdog, 0, 0);
    cv_watchdog_look(&watchdog, &sample, 10 * SECOND);
    assert_int_equal(acts_of(&watchdog), 0);
    uint64_t now_us = 3600 * SECOND;
    cv_watchdog_look(&watchdog, &sample, now_us);
    assert_int_equal(acts_of(&watchdog), 1u << CV_WATCHDOG_PING);
    sample.heard_us = now_us + 40000;
    cv_watchdog_look(&watchdog, &sample, now_us + 50000);
    assert_int_equal(acts_of(&watchdog), 0);
}

// A server that does not answer pings, on a network that is slow at times: its acknowledgement is a
// sign, and silence is counted from there.
static void an_acknowledgement_is_a_sign(void **state)
{
    (void)state;
    struct cv_watchdog watchdog;
    struct cv_watchdog_sample sample = {.due = true, .rtt_us = 40000};
    uint64_t now_us = 100 * SECOND;
    uint64_t ping_us = 0;
    unsigned pings = 0;
    cv_watchdog_init(&watchdog, 0);
    cv_watchdog_begin(&watchdog, now_us, now_us);
    for (; now_us < 130 * SECOND; now_us += 10000) {
        if (ping_us && now_us >= ping_us + 240000) {
            sample.acked_bytes += sample.unacked_bytes;
            sample.unacked_bytes = 0;
            ping_us = 0;
        }
        cv_watchdog_look(&watchdog, &sample, now_us);
        unsigned acts = acts_of(&watchdog);
        assert_int_equal(acts & ~(1u << CV_WATCHDOG_PING), 0);
        if (acts) {
            ping_us = now_us;
            sample.unacked_bytes = 18;
            pings++;
        }
    }
    assert_in_range(pings, 28, 32);
}

// It answers and reads nothing: it is asked from time to time, not all the time.
static void a_server_that_does_not_read_is_not_flooded(void **state)
{
    (void)state;
    struct cv_watchdog watchdog;
    struct cv_watchdog_sample sample = {.answers = true, .rtt_us = 40000, .unacked_bytes = 1000};
    uint64_t now_us = 100 * SECOND;
    unsigned pings = 0;
    cv_watchdog_init(&watchdog, 0);
    cv_watchdog_begin(&watchdog, now_us, now_us);
    for (; now_us < 110 * SECOND; now_us += 10000) {
        sample.heard_us = now_us;
        cv_watchdog_look(&watchdog, &sample, now_us);
        pings += acts_of(&watchdog) >> CV_WATCHDOG_PING & 1;
    }
    assert_in_range(pings, 10, 14);
}

static void a_dead_way_is_lost_at_last(void **state)
{
    (void)state;
    struct cv_watchdog watchdog;
    struct cv_watchdog_sample sample = {.due = true, .answers = true, .rtt_us = 40000};
    cv_watchdog_init(&watchdog, 0);
    uint64_t now_us = 100 * SECOND;
    cv_watchdog_begin(&watchdog, now_us, now_us);
    assert_true(cv_watchdog_deadline_us(&watchdog) <= now_us);
    unsigned pings = 0, renewals = 0, lost = 0;
    for (; now_us < 130 * SECOND; now_us = cv_watchdog_deadline_us(&watchdog)) {
        cv_watchdog_look(&watchdog, &sample, now_us);
        unsigned acts = acts_of(&watchdog);
        pings += acts >> CV_WATCHDOG_PING & 1;
        renewals += acts >> CV_WATCHDOG_RENEW & 1;
        lost += acts >> CV_WATCHDOG_LOST & 1;
        if (lost == 0) {
            assert_true(now_us <= 111 * SECOND);
        }
    }
    assert_int_equal(pings, 1);
    assert_int_equal(renewals, 6); // after 1 s, then every 5 s, for who did not come through
    assert_int_equal(lost, 1);
    cv_watchdog_cut(&watchdog, 130 * SECOND);
    assert_int_equal(cv_watchdog_deadline_us(&watchdog), UINT64_MAX);
    assert_int_equal(cv_watchdog_cut_ms(&watchdog), 0);
}

static void only_like_ages_make_a_period(void **state)
{
    (void)state;
    static const struct {
        uint32_t first_s, second_s, learned_s;
    } rows[] = {{30, 30, 30}, {30, 32, 30}, {32, 30, 30}, {30, 40, 0}, {2, 2, 0}, {6, 6, 6}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_watchdog watchdog;
        cv_watchdog_init(&watchdog, 0);
        cv_watchdog_begin(&watchdog, SECOND, 2 * SECOND);
        cv_watchdog_cut(&watchdog, (1 + rows[i].first_s) * SECOND);
        assert_int_equal(cv_watchdog_cut_ms(&watchdog), 0);
        cv_watchdog_begin(&watchdog, 100 * SECOND, 100 * SECOND);
        cv_watchdog_cut(&watchdog, (100 + rows[i].second_s) * SECOND);
        assert_int_equal(cv_watchdog_cut_ms(&watchdog), rows[i].learned_s * 1000);
    }
}

// Nobody renews in time: it asks again, and forgets what proves wrong.
static void a_period_that_does_not_strike_is_forgotten(void **state)
{
    (void)state;
    struct cv_watchdog watchdog;
    cv_watchdog_init(&watchdog, 20000);
    cv_watchdog_begin(&watchdog, 0, 0);
    unsigned renewals = 0;
    for (uint64_t now_us = 0; now_us < 60 * SECOND; now_us += 100000) {
        struct cv_watchdog_sample sample = {.heard_us = now_us, .due = true};
        cv_watchdog_look(&watchdog, &sample, now_us);
        unsigned acts = acts_of(&watchdog);
        renewals += acts >> CV_WATCHDOG_RENEW & 1;
        if (renewals == 0)
            assert_true(now_us <= 18 * SECOND);
    }
    assert_int_equal(renewals, 2);
    assert_int_equal(cv_watchdog_cut_ms(&watchdog), 0);
}

// Whatever samples come: no assertion, and the deadline lies ahead.
static void any_samples_are_survived(void **state)
{
    (void)state;
    uint32_t random = 1;
    struct cv_watchdog watchdog;
    uint64_t now_us = 0;
    uint64_t heard_us = 0;
    cv_watchdog_init(&watchdog, 7000);
    for (int i = 0; i < 200000; i++) {
        random = random * 1664525 + 1013904223;
        now_us += (random >> 12) % 400000;
        if (random >> 30 == 0)
            heard_us = now_us - random % 1000 % (now_us + 1);
        if ((random >> 8 & 0xff) == 0)
            cv_watchdog_cut(&watchdog, now_us);
        if ((random >> 16 & 0x7f) == 0)
            cv_watchdog_begin(&watchdog, now_us - now_us / 2, now_us);
        struct cv_watchdog_sample sample = {.heard_us = heard_us,
                                            .acked_bytes = random >> 20,
                                            .unacked_bytes = random >> 4 & 1,
                                            .rtt_us = random >> 6,
                                            .behind_ms = random >> 18,
                                            .due = random & 16,
                                            .answers = random & 64};
        cv_watchdog_look(&watchdog, &sample, now_us);
        acts_of(&watchdog);
        assert_true(cv_watchdog_deadline_us(&watchdog) > now_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line),
        cmocka_unit_test(after_sleep_it_asks_first),
        cmocka_unit_test(an_acknowledgement_is_a_sign),
        cmocka_unit_test(a_server_that_does_not_read_is_not_flooded),
        cmocka_unit_test(a_dead_way_is_lost_at_last),
        cmocka_unit_test(only_like_ages_make_a_period),
        cmocka_unit_test(a_period_that_does_not_strike_is_forgotten),
        cmocka_unit_test(any_samples_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
