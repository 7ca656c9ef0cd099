#include "network_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct step *step_of(const struct world *world, const struct walker *walker)
{
    static const struct step nothing;
    if (walker->next >= STEPS_MAX)
        return &nothing;
    return &world->network->roads[walker->road].steps[walker->next];
}

// No step is all zeroes but the end of the road.
bool is_end(const struct step *step)
{
    return step->after_ms == 0 && step->report.met == CV_MET_CONNECTED;
}

static bool waits_for_connect(const struct walker *walker, const struct step *step)
{
    return !walker->asked &&
           (step->report.met == CV_MET_ACCEPTED || step->report.met == CV_MET_LOST);
}

// The answer to an eager offer that was taken.
static bool is_taken(const struct walker *walker, const struct step *step)
{
    return walker->eager && (step->report.met == CV_MET_UPGRADED || step->report.taken);
}

static void schedule(struct world *world, struct walker *walker)
{
    const struct step *step = step_of(world, walker);
    bool at_once = walker->asked && walker->eager && step->report.met != CV_MET_LOST &&
                   is_taken(walker, step - 1);
    at_once |= walker->asked && step->report.met == CV_MET_ACCEPTED && walker->next >= 2 &&
               is_taken(walker, step - 2);
    walker->begun_us = world->now_us;
    if (is_end(step) || waits_for_connect(walker, step))
        walker->due_us = UINT64_MAX;
    else
        walker->due_us = world->now_us + (at_once ? 0 : step->after_ms * UINT64_C(1000));
}

// Has what this one said in its first flight arrived, although no answer has?
static bool is_under_way(const struct world *world, const struct walker *walker)
{
    const struct step *step = step_of(world, walker);
    return is_taken(walker, step) &&
           world->now_us >= walker->begun_us + RTT_MS * UINT64_C(1000) / 2;
}

// Connect was in its first flight, and no answer has come.
static bool carries(const struct world *world, const struct walker *walker)
{
    uint32_t answer = walker->road >= SECURE ? 3 : 2;
    return walker->walking && walker->eager && walker->next < answer &&
           step_of(world, walker)->report.met != CV_MET_HANDSHAKE;
}

static void on_connect(struct world *world, struct walker *walker)
{
    assert_true(walker->walking && !walker->asked);
    for (uint32_t i = 0; i < world->attempts; i++) { // never two at once
        const struct walker *other = &world->walkers[i];
        assert_false(other != walker &&
                     ((other->walking && other->asked) || carries(world, other)));
    }
    walker->asked = true;
    world->reached++;
    schedule(world, walker);
}

static void on_start(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    assert_int_equal(action->attempt, world->attempts);
    assert_true(action->secure || world->config.security != CV_SECURITY_ONLY);
    assert_true(!action->secure || world->config.security != CV_SECURITY_PLAIN);
    assert_true(world->config.eager || !action->eager);
    for (uint32_t i = 0; action->eager && i < world->attempts; i++) {
        const struct walker *other = &world->walkers[i];
        assert_false((other->walking && other->asked) || carries(world, other));
    }
    world->attempts++;
    world->ipv4 = action->ipv4_first;
    *walker = (struct walker){.road = action->way + (action->secure ? SECURE : 0),
                              .eager = action->eager,
                              .walking = true};
    schedule(world, walker);
}

static void carry_out(struct world *world, const struct cv_ladder_action *action)
{
    struct walker *walker = &world->walkers[action->attempt];
    switch (action->act) {
    case CV_LADDER_START:
        on_start(world, action);
        return;
    case CV_LADDER_STOP:
        assert_true(walker->walking);
        world->reached += is_under_way(world, walker);
        walker->walking = false;
        return;
    case CV_LADDER_CONNECT:
        on_connect(world, walker);
        return;
    case CV_LADDER_THROUGH:
        for (uint32_t i = 0; i < world->attempts; i++)
            assert_int_equal(world->walkers[i].walking, i == action->attempt);
        world->winner = walker->road;
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
    if (is_taken(walker, step)) {
        walker->asked = true;
        world->reached++;
    }
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
    cv_ladder_init(&world->ladder, &world->config, 0);
    pull(world);
    for (int turn = 0; !world->over; turn++) {
        assert_true(turn < TURNS_MAX);
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

const struct expected *expected_of(const struct network *network, bool eager)
{
    return eager && network->eager.attempts > 0 ? &network->eager : &network->own;
}

void print_world(const struct world *world)
{
    enum cv_way way = (enum cv_way)(world->winner % CV_WAYS);
    print_error("%s%s: %s after %u ms, %u attempts, %u connects, %s\n", world->network->name,
                world->config.eager ? " (eager)" : "", cv_way_name(way, world->winner >= SECURE),
                (uint32_t)(world->now_us / 1000), world->attempts, world->reached,
                cv_obstacle_id(cv_ladder_obstacle(&world->ladder)));
}

void live_in(struct world *world, const struct network *network, enum cv_security security,
             bool eager)
{
    *world = (struct world){.network = network, .config = network->config};
    world->config.security = security;
    world->config.eager = eager;
    live(world);
}

bool is_as_expected(const struct network *network, enum cv_security security, bool eager)
{
    static struct world world;
    live_in(&world, network, security, eager);
    const struct expected *e = expected_of(network, eager);
    uint32_t ms = (uint32_t)(world.now_us / 1000);
    enum cv_obstacle obstacle = cv_ladder_obstacle(&world.ladder);
    if (world.winner == e->winner && ms == e->ms && world.attempts == e->attempts &&
        world.reached == e->reached && obstacle == e->obstacle && world.ipv4 == network->ipv4)
        return true;
    print_world(&world);
    return false;
}
