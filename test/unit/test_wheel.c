// The timer wheel in virtual time, against the plain truth: a list of deadlines.
#include "harness.h"

#include "io/wheel.h"

enum { TIMERS = 50000 };

struct alarm {
    struct cv_wheel_node node; // first: a node is its alarm
    uint64_t deadline;
    unsigned order; // of starting
};

static uint64_t seed = 88172645463325252u;

static uint64_t random_below(uint64_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % bound;
}

// Mostly seconds, some at once, some days, a few years away: every level is used.
static uint64_t random_delay(void)
{
    static const uint64_t spans[] = {1, 64, 1000, 20000, 20000, 86400000, UINT64_C(1) << 40};
    return 1 + random_below(spans[random_below(sizeof spans / sizeof spans[0])]);
}

static void start(struct cv_wheel *wheel, struct alarm *alarm, uint64_t deadline, unsigned order)
{
    alarm->deadline = deadline;
    alarm->order = order;
    cv_wheel_start(wheel, &alarm->node, deadline);
}

static void fires_each_at_its_tick(void **state)
{
    (void)state;
    static struct cv_wheel wheel;
    struct alarm *alarms = calloc(TIMERS, sizeof *alarms);
    assert_non_null(alarms);
    cv_wheel_init(&wheel, 123456789);
    for (unsigned i = 0; i < TIMERS; i++)
        start(&wheel, &alarms[i], wheel.tick + random_delay(), i);
    assert_true(cv_wheel_validate(&wheel));
    size_t stopped = 0, fired = 0, steps = 0;
    struct alarm *last = NULL;
    for (uint64_t next; (next = cv_wheel_next(&wheel)) != CV_WHEEL_NEVER; steps++) {
        assert_true(next > wheel.tick);
        cv_wheel_advance(&wheel, next);
        for (struct cv_wheel_node *node; (node = cv_wheel_pop(&wheel)); fired++) {
            struct alarm *alarm = (struct alarm *)node;
            assert_int_equal(alarm->deadline, wheel.tick);
            assert_true(!last || last->deadline < alarm->deadline || last->order < alarm->order);
            last = alarm;
        }
        struct alarm *victim = &alarms[random_below(TIMERS)];
        stopped += cv_wheel_is_set(&victim->node) && victim != last;
        cv_wheel_stop(&wheel, &victim->node);
        if (steps % 1024 == 0)
            assert_true(cv_wheel_validate(&wheel));
    }
    assert_int_equal(fired + stopped, TIMERS);
    assert_true(stopped > 1000);
    assert_int_equal(wheel.count, 0);
    free(alarms);
}

// Time moves in jumps of any length; timers restart themselves and are moved by others.
static void random_life_keeps_its_promises(void **state)
{
    (void)state;
    static struct cv_wheel wheel;
    struct alarm *alarms = calloc(TIMERS, sizeof *alarms);
    assert_non_null(alarms);
    cv_wheel_init(&wheel, (UINT64_C(1) << 24) - 1000); // soon four digits carry at once
    for (unsigned i = 0; i < TIMERS; i++)
        start(&wheel, &alarms[i], wheel.tick + random_delay(), i);
    uint64_t before = wheel.tick;
    for (unsigned step = 0; step < 3000; step++) {
        uint64_t jump = random_below(step % 100 == 0 ? 100000 : 50);
        uint64_t now = before + jump;
        cv_wheel_advance(&wheel, now);
        uint64_t last_deadline = 0;
        for (struct cv_wheel_node *node; (node = cv_wheel_pop(&wheel));) {
            struct alarm *alarm = (struct alarm *)node;
            assert_true(alarm->deadline <= now && alarm->deadline > before);
            assert_true(alarm->deadline >= last_deadline);
            last_deadline = alarm->deadline;
            start(&wheel, alarm, now + random_delay(), 0);
        }
        for (unsigned i = 0; i < 20; i++) {
            struct alarm *alarm = &alarms[random_below(TIMERS)];
            cv_wheel_stop(&wheel, &alarm->node);
            start(&wheel, alarm, now + random_delay(), 0);
        }
        before = now;
        if (step % 300 == 0)
            assert_true(cv_wheel_validate(&wheel));
    }
    assert_int_equal(wheel.count, TIMERS);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_true(alarms[i].deadline > before);
    free(alarms);
}

static void past_means_the_next_tick(void **state)
{
    (void)state;
    static struct cv_wheel wheel;
    struct cv_wheel_node node = {0};
    cv_wheel_init(&wheel, 1000);
    cv_wheel_start(&wheel, &node, 3);
    cv_wheel_advance(&wheel, 1000);
    assert_null(cv_wheel_pop(&wheel));
    assert_int_equal(cv_wheel_next(&wheel), 1001);
    cv_wheel_advance(&wheel, 1001);
    assert_ptr_equal(cv_wheel_pop(&wheel), &node);
    assert_false(cv_wheel_is_set(&node));
}

static void due_node_can_be_stopped(void **state)
{
    (void)state;
    static struct cv_wheel wheel;
    struct cv_wheel_node nodes[3] = {0};
    cv_wheel_init(&wheel, 0);
    for (int i = 0; i < 3; i++)
        cv_wheel_start(&wheel, &nodes[i], 5);
    cv_wheel_advance(&wheel, 9);
    assert_int_equal(cv_wheel_next(&wheel), 9);
    assert_ptr_equal(cv_wheel_pop(&wheel), &nodes[0]);
    cv_wheel_stop(&wheel, &nodes[1]);
    assert_true(cv_wheel_validate(&wheel));
    assert_ptr_equal(cv_wheel_pop(&wheel), &nodes[2]);
    assert_null(cv_wheel_pop(&wheel));
    assert_int_equal(cv_wheel_next(&wheel), CV_WHEEL_NEVER);
}

static void far_deadline_is_cut(void **state)
{
    (void)state;
    static struct cv_wheel wheel;
    struct cv_wheel_node node = {0};
    cv_wheel_init(&wheel, 77);
    cv_wheel_start(&wheel, &node, UINT64_MAX);
    assert_true(cv_wheel_validate(&wheel));
    cv_wheel_advance(&wheel, CV_WHEEL_TICK_MAX - 1);
    assert_null(cv_wheel_pop(&wheel));
    cv_wheel_advance(&wheel, CV_WHEEL_TICK_MAX);
    assert_ptr_equal(cv_wheel_pop(&wheel), &node);
}

static void time_does_not_go_back(void **state)
{
    (void)state;
    static struct cv_wheel wheel;
    struct cv_wheel_node node = {0};
    cv_wheel_init(&wheel, 500);
    cv_wheel_start(&wheel, &node, 510);
    cv_wheel_advance(&wheel, 100);
    assert_int_equal(wheel.tick, 500);
    assert_true(cv_wheel_validate(&wheel));
    cv_wheel_stop(&wheel, &node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_each_at_its_tick),
        cmocka_unit_test(random_life_keeps_its_promises),
        cmocka_unit_test(past_means_the_next_tick),
        cmocka_unit_test(due_node_can_be_stopped),
        cmocka_unit_test(far_deadline_is_cut),
        cmocka_unit_test(time_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
