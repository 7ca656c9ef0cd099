// Tallies: exact caps, alone and from many threads; also run under the thread sanitizer.
#include "harness.h"

#include "base/mem.h"
#include "io/thread.h"
#include "server/tally.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

static void the_cap_is_exact_and_room_is_given_back(void **state)
{
    (void)state;
    struct cv_tally *tally = cv_tally_new(7);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            assert_true(cv_tally_enter(tally, "a", 1, 5));
        assert_false(cv_tally_enter(tally, "a", 1, 5));
        assert_true(cv_tally_enter(tally, "b", 1, 5)); // another name
        cv_tally_leave(tally, "b", 1);
        cv_tally_leave(tally, "a", 1);
        assert_true(cv_tally_enter(tally, "a", 1, 5));
        assert_false(cv_tally_enter(tally, "a", 1, 5));
        for (int i = 0; i < 5; i++)
            cv_tally_leave(tally, "a", 1);
    }
    cv_tally_free(tally);
}

static void without_a_cap_all_enter_and_all_count(void **state)
{
    (void)state;
    struct cv_tally *tally = cv_tally_new(7);
    for (int i = 0; i < 1000; i++)
        assert_true(cv_tally_enter(tally, "a", 1, 0));
    // A cap that comes later (a reload) refuses until enough have left.
    assert_false(cv_tally_enter(tally, "a", 1, 10));
    for (int i = 0; i < 990; i++)
        cv_tally_leave(tally, "a", 1);
    assert_false(cv_tally_enter(tally, "a", 1, 10));
    cv_tally_leave(tally, "a", 1);
    assert_true(cv_tally_enter(tally, "a", 1, 10));
    for (int i = 0; i < 10; i++)
        cv_tally_leave(tally, "a", 1);
    cv_tally_free(tally);
}

// How many of a name's neighbours share its slot.
static unsigned shared_slots(uint64_t seed)
{
    struct cv_tally *tally = cv_tally_new(seed);
    unsigned refused = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "10.0.%u.%u", i / 250, i % 250);
        refused += !cv_tally_enter(tally, name, strlen(name), 1);
    }
    cv_tally_free(tally);
    return refused;
}

static void names_spread_and_the_seed_decides_where(void **state)
{
    (void)state;
    unsigned counts[8];
    bool differ = false;
    for (unsigned i = 0; i < 8; i++) {
        counts[i] = shared_slots(i * UINT64_C(0x123456789abcdef));
        assert_in_range(counts[i], 0, 30); // 7.6 expected of 1000 in 65536
        differ |= counts[i] != counts[0];
    }
    assert_true(differ);
}

static void the_empty_name_and_bytes_that_are_no_text(void **state)
{
    (void)state;
    static const uint8_t address[16] = {0x20, 1, 0, 0, 0xff};
    struct cv_tally *tally = cv_tally_new(7);
    struct guard guard = guard_copy(address, sizeof address);
    assert_true(cv_tally_enter(tally, NULL, 0, 1));
    assert_false(cv_tally_enter(tally, NULL, 0, 1));
    assert_true(cv_tally_enter(tally, guard.data, guard.len, 1));
    assert_false(cv_tally_enter(tally, address, sizeof address, 1));
    assert_true(cv_tally_enter(tally, address, sizeof address - 1, 1));
    guard_free(&guard);
    cv_tally_free(tally);
}

static bool new_and_free(void *arg)
{
    (void)arg;
    struct cv_tally *tally = cv_tally_new(1);
    cv_tally_free(tally);
    return tally;
}

static void survives_failing_allocation(void **state)
{
    (void)state;
    fail_nth(new_and_free, NULL);
}

// ---- threads ----------------------------------------------------------------------------------

enum { THREADS = 4, ROUNDS = 20000, ROOM = 3 };

struct crowd {
    struct cv_tally *tally;
    atomic_uint inside;
    atomic_uint most;
    atomic_uint entered;
    atomic_uint refused;
    uint32_t room;
};

static void note_most(struct crowd *crowd, unsigned inside)
{
    unsigned most = atomic_load(&crowd->most);
    while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
        continue;
}

static void come_and_go(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!cv_tally_enter(crowd->tally, "gate", 4, crowd->room)) {
            atomic_fetch_add(&crowd->refused, 1);
            continue;
        }
        note_most(crowd, atomic_fetch_add(&crowd->inside, 1) + 1);
        atomic_fetch_add(&crowd->entered, 1);
        if (i % 64 == 0)
            sched_yield();
        atomic_fetch_sub(&crowd->inside, 1);
        cv_tally_leave(crowd->tally, "gate", 4);
    }
}

static void crowd_runs(struct crowd *crowd)
{
    struct cv_thread *threads[THREADS];
    crowd->tally = cv_tally_new(3);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(cv_thread_start(&threads[i], "crowd", come_and_go, crowd), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cv_thread_join(&threads[i]);
    assert_true(crowd->most <= crowd->room);
    assert_true(crowd->entered > 0);
    for (unsigned i = 0; i < crowd->room; i++) // nothing was lost
        assert_true(cv_tally_enter(crowd->tally, "gate", 4, crowd->room));
    assert_false(cv_tally_enter(crowd->tally, "gate", 4, crowd->room));
    cv_tally_free(crowd->tally);
}

static void threads_never_go_above_the_cap(void **state)
{
    (void)state;
    struct crowd crowd = {.room = ROOM};
    crowd_runs(&crowd);
}

// Nobody is refused because somebody else is just being refused.
static void threads_find_room_where_there_is_room(void **state)
{
    (void)state;
    struct crowd crowd = {.room = THREADS};
    crowd_runs(&crowd);
    assert_int_equal(crowd.refused, 0);
}

static atomic_bool churn_ends;

static void knock(void *arg)
{
    struct crowd *crowd = arg;
    // The room is for one, who is inside: always refused, or inside for a moment when he is out.
    while (!atomic_load(&churn_ends)) {
        if (cv_tally_enter(crowd->tally, "gate", 4, 1))
            cv_tally_leave(crowd->tally, "gate", 4);
    }
}

// One who may have one place more than those who knock must always get it, also in the moment in
// which they are refused.
static void a_refusal_takes_no_room_from_others(void **state)
{
    (void)state;
    struct crowd crowd = {.tally = cv_tally_new(3)};
    struct cv_thread *threads[2];
    atomic_store(&churn_ends, false);
    assert_true(cv_tally_enter(crowd.tally, "gate", 4, 1));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(cv_thread_start(&threads[i], "knock", knock, &crowd), 0);
    unsigned refused = 0;
    for (unsigned i = 0; i < ROUNDS * 10; i++) {
        if (cv_tally_enter(crowd.tally, "gate", 4, 2))
            cv_tally_leave(crowd.tally, "gate", 4);
        else
            refused++;
    }
    atomic_store(&churn_ends, true);
    for (unsigned i = 0; i < 2; i++)
        cv_thread_join(&threads[i]);
    assert_int_equal(refused, 0);
    cv_tally_leave(crowd.tally, "gate", 4);
    cv_tally_free(crowd.tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cap_is_exact_and_room_is_given_back),
        cmocka_unit_test(without_a_cap_all_enter_and_all_count),
        cmocka_unit_test(names_spread_and_the_seed_decides_where),
        cmocka_unit_test(the_empty_name_and_bytes_that_are_no_text),
        cmocka_unit_test(survives_failing_allocation),
        cmocka_unit_test(threads_never_go_above_the_cap),
        cmocka_unit_test(threads_find_room_where_there_is_room),
        cmocka_unit_test(a_refusal_takes_no_room_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
