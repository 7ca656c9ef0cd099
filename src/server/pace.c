#include "server/pace.h"

#include "base/check.h"
#include "server/publisher.h"
#include "server/worker.h"

enum {
    WINDOW_US_MIN = 4000, // shares of a shorter one are less than the timers' grain
    WINDOW_US_MAX =
        25000,   // behind a longer one media waited up to a window more (bench/RESULTS.md)
    SAMPLE = 64, // messages, or windows, between two decisions
};

static uint64_t window_us(const struct cv_worker *worker)
{
    return worker->policy->config->latency_ms * UINT64_C(1000);
}

static bool fits(uint64_t window_us)
{
    return window_us >= WINDOW_US_MIN && window_us <= WINDOW_US_MAX;
}

uint64_t cv_pace_floor_us(uint64_t now_us, uint64_t window_us)
{
    uint64_t share_us = window_us / CV_PACE_PHASES;
    return share_us ? now_us - now_us % share_us : now_us;
}

// ---- beginning and ending -------------------------------------------------------------------

// To the next share in which somebody is to be read.
static void arm(struct cv_worker *worker)
{
    struct cv_pacer *pacer = &worker->pacer;
    uint64_t share_us = window_us(worker) / CV_PACE_PHASES;
    for (uint64_t tick = pacer->tick + 1; tick <= pacer->tick + CV_PACE_PHASES; tick++) {
        if (pacer->counts[tick % CV_PACE_PHASES]) {
            cv_timer_start_at(&pacer->timer, tick * share_us);
            return;
        }
    }
}

static void start(struct cv_publisher *publisher)
{
    struct cv_worker *worker = publisher->worker;
    struct cv_pacer *pacer = &worker->pacer;
    struct cv_pace *pace = &publisher->pace;
    if (!publisher->owner->pace || !publisher->owner->pace(publisher->owner_arg, true))
        return;
    *pace = (struct cv_pace){.on = true, .phase = publisher->id.serial % CV_PACE_PHASES};
    DL_APPEND2(pacer->phases[pace->phase], publisher, pace.prev, pace.next);
    pacer->counts[pace->phase]++;
    if (cv_timer_is_set(&pacer->timer))
        return;
    pacer->tick = cv_loop_now_us(worker->loop) / (window_us(worker) / CV_PACE_PHASES);
    arm(worker);
}

void cv_pace_stop(struct cv_publisher *publisher)
{
    struct cv_pacer *pacer = &publisher->worker->pacer;
    struct cv_pace *pace = &publisher->pace;
    if (!pace->on)
        return;
    publisher->owner->pace(publisher->owner_arg, false);
    DL_DELETE2(pacer->phases[pace->phase], publisher, pace.prev, pace.next);
    pacer->counts[pace->phase]--;
    *pace = (struct cv_pace){0};
}

// Whether reading once in a window is less often than whenever a message comes.
void cv_pace_count(struct cv_publisher *publisher)
{
    struct cv_pace *pace = &publisher->pace;
    uint64_t now_us = cv_loop_now_us(publisher->worker->loop);
    uint64_t window = window_us(publisher->worker);
    pace->count++;
    if (pace->on)
        return;
    if (pace->count == 1)
        pace->since_us = now_us;
    if (pace->count < SAMPLE)
        return;
    pace->count = 0;
    bool many = HASH_COUNT(publisher->worker->publishers) >= CV_PACE_PUBLISHERS;
    if (many && fits(window) && now_us - pace->since_us < SAMPLE * window)
        start(publisher);
}

// ---- reading --------------------------------------------------------------------------------

// May free the publisher.
static void serve(struct cv_publisher *publisher)
{
    struct cv_pace *pace = &publisher->pace;
    if (++pace->rounds == SAMPLE) {
        bool seldom = pace->count < SAMPLE / 2;
        pace->rounds = pace->count = 0;
        if (seldom)
            cv_pace_stop(publisher);
    }
    publisher->owner->read(publisher->owner_arg);
}

// What is read may end its own publishers: each is moved behind the others before.
static void serve_phase(struct cv_pacer *pacer, unsigned phase)
{
    for (uint32_t n = pacer->counts[phase]; n && pacer->phases[phase]; n--) {
        struct cv_publisher *publisher = pacer->phases[phase];
        DL_DELETE2(pacer->phases[phase], publisher, pace.prev, pace.next);
        DL_APPEND2(pacer->phases[phase], publisher, pace.prev, pace.next);
        serve(publisher);
    }
}

static void stop_all(struct cv_pacer *pacer)
{
    for (unsigned phase = 0; phase < CV_PACE_PHASES; phase++) {
        while (pacer->phases[phase])
            cv_pace_stop(pacer->phases[phase]);
    }
}

// A thread that was late makes up for the shares it has missed.
static void on_tick(void *arg)
{
    struct cv_worker *worker = arg;
    struct cv_pacer *pacer = &worker->pacer;
    uint64_t window = window_us(worker);
    if (!fits(window)) { // by a new configuration
        stop_all(pacer);
        return;
    }
    uint64_t now = cv_loop_now_us(worker->loop) / (window / CV_PACE_PHASES);
    uint64_t first = pacer->tick < now && now - pacer->tick <= CV_PACE_PHASES
                         ? pacer->tick + 1
                         : now + 1 - CV_PACE_PHASES;
    pacer->tick = now;
    for (uint64_t tick = first; tick <= now; tick++)
        serve_phase(pacer, tick % CV_PACE_PHASES);
    arm(worker);
}

void cv_pacer_init(struct cv_worker *worker)
{
    cv_timer_init(&worker->pacer.timer, worker->loop, on_tick, worker);
}
