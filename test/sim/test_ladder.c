// The ladder against networks, in virtual time: for each symptom who wins, when, after how many
// attempts, how often `connect` was sent, and what the user reads.
#include "client/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RTT_MS = 40, STEPS_MAX = 6, END_MS = 60000 };

// What one way meets: each step so long after the one before it.
struct step {
    uint32_t after_ms;
    struct cv_met_report report;
};

// ACCEPTED waits for connect, and is counted from there.
struct road {
    struct step steps[STEPS_MAX];
};

struct network {
    const char *name;
    struct cv_ladder_config config;
    struct road roads[CV_WAYS];
    // expected
    enum cv_way winner; // NONE: it fails
    uint32_t through_ms;
    uint32_t attempts;
    uint32_t connects;
    enum cv_obstacle obstacle;
};

#define UP                                                                                         \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_CONNECTED, .rtt_us = RTT_MS * 1000                                       \
        }                                                                                          \
    }
#define UPGRADED                                                                                   \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_UPGRADED                                                                 \
        }                                                                                          \
    }
#define SHAKEN                                                                                     \
    {                                                                                              \
        0,                                                                                         \
        {                                                                                          \
            .met = CV_MET_HANDSHAKE                                                                \
        }                                                                                          \
    }
#define SHAKEN_LATER                                                                               \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_HANDSHAKE                                                                \
        }                                                                                          \
    }
#define ACCEPTED                                                                                   \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_ACCEPTED                                                                 \
        }                                                                                          \
    }
#define OURS                                                                                       \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_OPENED, .ours = true                                                     \
        }                                                                                          \
    }
#define OPENED                                                                                     \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_OPENED                                                                   \
        }                                                                                          \
    }
#define RESET                                                                                      \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_RESET                                                                    \
        }                                                                                          \
    }
#define CLOSED                                                                                     \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_CLOSED                                                                   \
        }                                                                                          \
    }
#define HTTP(code)                                                                                 \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_HTTP, .status = (code)                                                   \
        }                                                                                          \
    }
#define PORTAL                                                                                     \
    {                                                                                              \
        RTT_MS,                                                                                    \
        {                                                                                          \
            .met = CV_MET_HTTP, .status = 302, .elsewhere = true                                   \
        }                                                                                          \
    }
#define LOST(ms)                                                                                   \
    {                                                                                              \
        (ms),                                                                                      \
        {                                                                                          \
            .met = CV_MET_LOST                                                                     \
        }                                                                                          \
    }
#define SILENCE                                                                                    \
    {                                                                                              \
        0,                                                                                         \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#define OFFER  [CV_WAY_OFFER]
#define RTMP   [CV_WAY_RTMP]
#define TUNNEL [CV_WAY_TUNNEL]
#define SOCKET [CV_WAY_SOCKET]

// Times: the connection, the answer to the offer with S0S1S2, the answer to connect: 3 round trips.
// (That connect may leave in the same flight as C2 is the owner's to use.)
static const struct network networks[] = {
    {"open",
     {0},
     {OFFER = {{UP, UPGRADED, SHAKEN, ACCEPTED}}},
     CV_WAY_OFFER,
     120,
     1,
     1,
     CV_OBSTACLE_NONE},
    {"port 80 resets what is not HTTP",
     {0},
     {OFFER = {{UP, UPGRADED, SHAKEN, ACCEPTED}}, RTMP = {{UP, RESET}}},
     CV_WAY_OFFER,
     120,
     1,
     1,
     CV_OBSTACLE_NONE},
    {"a proxy strips the offer",
     {0},
     {OFFER = {{UP, OURS, SHAKEN_LATER, ACCEPTED}}, RTMP = {{UP, HTTP(400)}}},
     CV_WAY_OFFER,
     160,
     1,
     1,
     CV_OBSTACLE_NONE},
    {"a foreign server of RTMPT",
     {0},
     {OFFER = {{UP, OPENED, SHAKEN_LATER, ACCEPTED}}, RTMP = {{UP}}},
     // RTMP gets its chance and its grace
     CV_WAY_OFFER,
     80 + 40 + CV_LADDER_GRACE_MS + 40,
     2,
     1,
     CV_OBSTACLE_NONE},
    {"a foreign server of both",
     {0},
     {OFFER = {{UP, OPENED, SHAKEN_LATER, ACCEPTED}}, RTMP = {{UP, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_RTMP,
     80 + 80 + 40,
     2,
     1,
     CV_OBSTACLE_NONE},
    {"a foreign server of RTMP that swallows HTTP",
     {0},
     {OFFER = {{UP, SILENCE}}, RTMP = {{UP, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_RTMP,
     40 + 100 + 120,
     2,
     1,
     CV_OBSTACLE_NONE},
    {"a foreign server of RTMP that closes on HTTP",
     {0},
     {OFFER = {{UP, CLOSED}}, TUNNEL = {{UP, CLOSED}}, RTMP = {{UP, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_RTMP,
     80 + 120,
     4,
     1,
     CV_OBSTACLE_CUT},
    {"a proxy that passes 101 and swallows what follows",
     {0},
     {OFFER = {{UP, UPGRADED}}, TUNNEL = {{UP, OURS, SHAKEN_LATER, ACCEPTED}}, RTMP = {{UP}}},
     CV_WAY_TUNNEL,
     80 + CV_LADDER_AFTER_101_MS + 120 + CV_LADDER_GRACE_MS + 40,
     3,
     1,
     CV_OBSTACLE_CUT},
    {"an intercepting proxy that closes on the offer",
     {0},
     {OFFER = {{UP, CLOSED}}, TUNNEL = {{UP, OURS, SHAKEN_LATER, ACCEPTED}},
      RTMP = {{UP, HTTP(400)}}},
     CV_WAY_TUNNEL,
     80 + 160,
     3,
     1,
     CV_OBSTACLE_NOT_OURS},
    {"cut right after the handshake",
     {0},
     {OFFER = {{UP, UPGRADED, SHAKEN, LOST(10)}}, TUNNEL = {{UP, OURS, SHAKEN_LATER, ACCEPTED}},
      RTMP = {{UP, SHAKEN_LATER, LOST(10)}}},
     CV_WAY_TUNNEL,
     0,
     3,
     3,
     CV_OBSTACLE_CUT},
    {"SYN lost",
     {0},
     {OFFER = {{SILENCE}}},
     CV_WAY_NONE,
     CV_LADDER_TRY_MS,
     1,
     0,
     CV_OBSTACLE_SILENT},
    {"refused",
     {0},
     {OFFER = {{{RTT_MS, {.met = CV_MET_REFUSED}}}}},
     CV_WAY_NONE,
     RTT_MS,
     1,
     0,
     CV_OBSTACLE_REFUSED},
    {"unreachable",
     {0},
     {OFFER = {{{0, {.met = CV_MET_UNREACHABLE}}}}},
     CV_WAY_NONE,
     0,
     1,
     0,
     CV_OBSTACLE_UNREACHABLE},
    {"captive portal", {0}, {OFFER = {{UP, PORTAL}}}, CV_WAY_NONE, 80, 1, 0, CV_OBSTACLE_PORTAL},
    {"status 511", {0}, {OFFER = {{UP, HTTP(511)}}}, CV_WAY_NONE, 80, 1, 0, CV_OBSTACLE_PORTAL},
    {"a proxy without its password",
     {.proxy = true},
     {OFFER = {{UP, HTTP(407)}}},
     CV_WAY_NONE,
     80,
     1,
     0,
     CV_OBSTACLE_PROXY_AUTH},
    {"a proxy that is down, the server is not",
     {.proxy = true},
     {OFFER = {{{RTT_MS, {.met = CV_MET_REFUSED}}}}, RTMP = {{UP, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_RTMP,
     40 + 120,
     2,
     1,
     CV_OBSTACLE_REFUSED},
    {"a web server alone",
     {0},
     {OFFER = {{UP, HTTP(404)}}, RTMP = {{UP, HTTP(400)}}},
     CV_WAY_NONE,
     160,
     2,
     0,
     CV_OBSTACLE_NOT_OURS},
    {"TLS, SSH or mail on the port",
     {0},
     {OFFER = {{UP, {RTT_MS, {.met = CV_MET_NOT_RTMP}}}},
      RTMP = {{UP, {RTT_MS, {.met = CV_MET_NOT_RTMP}}}}},
     CV_WAY_NONE,
     160,
     2,
     0,
     CV_OBSTACLE_FOREIGN},
    {"everything is reset",
     {0},
     {OFFER = {{UP, RESET}}, RTMP = {{UP, RESET}}, TUNNEL = {{UP, RESET}}, SOCKET = {{UP, RESET}}},
     CV_WAY_NONE,
     240,
     4,
     0,
     CV_OBSTACLE_CUT},
    {"everything is swallowed",
     {0},
     {OFFER = {{UP, SILENCE}}, RTMP = {{UP, SILENCE}}, TUNNEL = {{UP, SILENCE}}},
     CV_WAY_NONE,
     40 + 4000 + 40 + 4000,
     3,
     0,
     CV_OBSTACLE_MUTE},
    {"only a WebSocket passes",
     {0},
     {OFFER = {{UP, RESET}}, RTMP = {{UP, RESET}}, TUNNEL = {{UP, RESET}},
      SOCKET = {{UP, UPGRADED, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_SOCKET,
     160 + 160,
     4,
     1,
     CV_OBSTACLE_CUT},
    {"RTMP first, open",
     {.order = CV_LADDER_RTMP_FIRST},
     {RTMP = {{UP, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_RTMP,
     120,
     1,
     1,
     CV_OBSTACLE_NONE},
    {"RTMP first, swallowed",
     {.order = CV_LADDER_RTMP_FIRST},
     {RTMP = {{UP, SILENCE}}, OFFER = {{UP, UPGRADED, SHAKEN, ACCEPTED}}},
     CV_WAY_OFFER,
     40 + 100 + 120,
     2,
     1,
     CV_OBSTACLE_NONE},
    {"RTMP first, 400",
     {.order = CV_LADDER_RTMP_FIRST},
     {RTMP = {{UP, HTTP(400)}}, OFFER = {{UP, OURS, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_OFFER,
     80 + 160,
     2,
     1,
     CV_OBSTACLE_NOT_OURS},
    {"only RTMP is wanted",
     {.order = CV_LADDER_ONLY, .only = CV_WAY_RTMP},
     {RTMP = {{UP, RESET}}, OFFER = {{UP, UPGRADED, SHAKEN, ACCEPTED}}},
     CV_WAY_NONE,
     80,
     1,
     0,
     CV_OBSTACLE_CUT},
    {"a remembered tunnel",
     {.remembered = CV_WAY_TUNNEL},
     {TUNNEL = {{UP, OURS, SHAKEN_LATER, ACCEPTED}}},
     CV_WAY_TUNNEL,
     160,
     1,
     1,
     CV_OBSTACLE_NONE},
    {"a remembered tunnel in another network",
     {.remembered = CV_WAY_TUNNEL},
     {TUNNEL = {{UP, SILENCE}}, OFFER = {{UP, UPGRADED, SHAKEN, ACCEPTED}}, RTMP = {{UP}}},
     CV_WAY_OFFER,
     CV_LADDER_REMEMBERED_MS + 120,
     3,
     1,
     CV_OBSTACLE_NONE},
    {"connect is never answered",
     {0},
     {OFFER = {{UP, UPGRADED, SHAKEN}}, TUNNEL = {{UP, OURS, SHAKEN_LATER, ACCEPTED}},
      RTMP = {{UP, RESET}}},
     CV_WAY_TUNNEL,
     80 + CV_LADDER_CONNECT_MS + 160,
     3,
     2,
     CV_OBSTACLE_CUT},
};

struct walker {
    uint32_t next; // step
    uint64_t due_us;
    enum cv_way way;
    bool walking;
    bool asked;
};

struct world {
    const struct network *network;
    struct cv_ladder ladder;
    struct walker walkers[CV_LADDER_ATTEMPTS_MAX];
    uint32_t attempts;
    uint32_t connects;
    uint32_t connecting; // attempts that have sent connect and are alive
    enum cv_way winner;
    bool over;
    uint64_t now_us;
};

static const struct step *step_of(const struct world *world, const struct walker *walker)
{
    static const struct step nothing;
    if (walker->next >= STEPS_MAX)
        return &nothing;
    return &world->network->roads[walker->way].steps[walker->next];
}

// No step is all zeroes but the end of the road.
static bool is_end(const struct step *step)
{
    return step->after_ms == 0 && step->report.met == CV_MET_CONNECTED;
}

static bool waits_for_connect(const struct walker *walker, const struct step *step)
{
    return !walker->asked &&
           (step->report.met == CV_MET_ACCEPTED || step->report.met == CV_MET_LOST);
}

static void schedule(struct world *world, struct walker *walker)
{
    const struct step *step = step_of(world, walker);
    if (is_end(step) || waits_for_connect(walker, step))
        walker->due_us = UINT64_MAX;
    else
        walker->due_us = world->now_us + step->after_ms * UINT64_C(1000);
}

static void carry_out(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    switch (action->act) {
    case CV_LADDER_START:
        assert_int_equal(action->attempt, world->attempts);
        world->attempts++;
        *walker = (struct walker){.way = action->way, .walking = true};
        schedule(world, walker);
        return;
    case CV_LADDER_STOP:
        assert_true(walker->walking);
        walker->walking = false;
        return;
    case CV_LADDER_CONNECT:
        assert_true(walker->walking && !walker->asked);
        for (uint32_t i = 0; i < world->attempts; i++) // never two at once
            assert_false(world->walkers[i].walking && world->walkers[i].asked);
        walker->asked = true;
        world->connects++;
        schedule(world, walker);
        return;
    case CV_LADDER_THROUGH:
        for (uint32_t i = 0; i < world->attempts; i++)
            assert_int_equal(world->walkers[i].walking, i == action->attempt);
        world->winner = action->way;
        world->over = true;
        return;
    case CV_LADDER_FAILED:
        for (uint32_t i = 0; i < world->attempts; i++)
            assert_false(world->walkers[i].walking);
        world->over = true;
        return;
    }
}

static void pull(struct world *world)
{
    struct cv_ladder_action action;
    while (cv_ladder_next(&world->ladder, &action) == 1)
        carry_out(world, &action);
}

static void walk(struct world *world, uint32_t i)
{
    struct walker *walker = &world->walkers[i];
    const struct step *step = step_of(world, walker);
    walker->next++;
    if (step->report.met >= CV_MET_REFUSED)
        walker->walking = false;
    cv_ladder_report(&world->ladder, i, &step->report, world->now_us);
    schedule(world, walker);
    pull(world);
}

static uint64_t next_us(const struct world *world)
{
    uint64_t first = cv_ladder_deadline_us(&world->ladder);
    for (uint32_t i = 0; i < world->attempts; i++) {
        const struct walker *walker = &world->walkers[i];
        if (walker->walking && walker->due_us < first)
            first = walker->due_us;
    }
    return first;
}

static void live(struct world *world)
{
    cv_ladder_init(&world->ladder, &world->network->config, 0);
    pull(world);
    while (!world->over) {
        uint64_t next = next_us(world);
        assert_true(next >= world->now_us && next < END_MS * UINT64_C(1000));
        world->now_us = next;
        for (uint32_t i = 0; i < world->attempts && !world->over; i++) {
            if (world->walkers[i].walking && world->walkers[i].due_us <= next)
                walk(world, i);
        }
        if (!world->over) {
            cv_ladder_tick(&world->ladder, next);
            pull(world);
        }
    }
    assert_int_equal(cv_ladder_deadline_us(&world->ladder), UINT64_MAX);
}

static void every_network(void **state)
{
    (void)state;
    bool wrong = false;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        const struct network *network = &networks[i];
        static struct world world;
        world = (struct world){.network = network};
        live(&world);
        uint64_t ms = world.now_us / 1000;
        bool as_expected = world.winner == network->winner &&
                           (!network->through_ms || ms == network->through_ms) &&
                           world.attempts == network->attempts &&
                           world.connects == network->connects &&
                           cv_ladder_obstacle(&world.ladder) == network->obstacle;
        if (as_expected)
            continue;
        wrong = true;
        print_error("%s: %s after %u ms, %u attempts, %u connects, \"%s\"\n", network->name,
                    cv_way_name(world.winner), (unsigned)ms, world.attempts, world.connects,
                    cv_obstacle_text(cv_ladder_obstacle(&world.ladder)));
    }
    assert_false(wrong);
}

static void every_obstacle_has_words(void **state)
{
    (void)state;
    for (int i = 0; i < CV_OBSTACLES; i++) {
        assert_non_null(cv_obstacle_text((enum cv_obstacle)i));
        assert_int_equal(i == CV_OBSTACLE_NONE, !cv_obstacle_advice((enum cv_obstacle)i));
    }
}

// Whatever attempts report, in whatever order and time: it ends, and never two are asked at once.
static void any_reports_end(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        struct cv_ladder ladder;
        struct cv_ladder_config config = {.order = (enum cv_ladder_order)(round % 2),
                                          .proxy = round & 4,
                                          .remembered = (enum cv_way)(round / 8 % CV_WAYS)};
        struct cv_ladder_action action;
        uint64_t now_us = 0;
        uint32_t attempts = 0;
        bool over = false;
        cv_ladder_init(&ladder, &config, 0);
        for (int i = 0; i < 200 && !over; i++) {
            while (cv_ladder_next(&ladder, &action) == 1) {
                attempts += action.act == CV_LADDER_START;
                over |= action.act == CV_LADDER_THROUGH || action.act == CV_LADDER_FAILED;
            }
            random = random * 1664525 + 1013904223;
            struct cv_met_report report = {.met = (enum cv_met)(random >> 8) % (CV_MET_LOST + 1),
                                           .rtt_us = random >> 12,
                                           .ours = random & 1,
                                           .status = 300 + (random >> 20) % 300,
                                           .elsewhere = (random & 0xf0) == 0};
            now_us += (random >> 16) % 2000000;
            if (!over && random & 2)
                cv_ladder_tick(&ladder, now_us);
            else if (!over)
                cv_ladder_report(&ladder, (random >> 4) % attempts, &report, now_us);
        }
        assert_true(over);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network),
        cmocka_unit_test(every_obstacle_has_words),
        cmocka_unit_test(any_reports_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
