#include "client/watchdog.h"

#include "base/check.h"

static uint64_t us(uint32_t ms)
{
    return ms * UINT64_C(1000);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// ---- actions --------------------------------------------------------------------------------

static void act(struct cv_watchdog *watchdog, enum cv_watchdog_act what)
{
    CV_ASSERT(watchdog->act_count < sizeof watchdog->acts / sizeof watchdog->acts[0]);
    watchdog->acts[watchdog->act_count++] = what;
}

int cv_watchdog_next(struct cv_watchdog *watchdog, enum cv_watchdog_act *out)
{
    if (watchdog->act_next == watchdog->act_count) {
        watchdog->act_next = watchdog->act_count = 0;
        return 0;
    }
    *out = watchdog->acts[watchdog->act_next++];
    return 1;
}

// ---- silence --------------------------------------------------------------------------------

static uint64_t heard_us(const struct cv_watchdog *watchdog)
{
    return max_u64(max_u64(watchdog->sample.heard_us, watchdog->sign_us), watchdog->begun_us);
}

// Since when it should have been heard and was not; UINT64_MAX: it need not be heard.
static uint64_t unheard_us(const struct cv_watchdog *watchdog)
{
    if (watchdog->due_us == UINT64_MAX)
        return UINT64_MAX;
    return max_u64(heard_us(watchdog), watchdog->due_us);
}

// Since when it is silent, in either sense: what is sent and not acknowledged is silence, too.
// UINT64_MAX: it is not.
static uint64_t silent_us(const struct cv_watchdog *watchdog)
{
    uint64_t unacked = UINT64_MAX;
    if (watchdog->sample.unacked_bytes > 0)
        unacked = max_u64(watchdog->acked_us, watchdog->begun_us);
    uint64_t first = min_u64(unheard_us(watchdog), unacked);
    return watchdog->ping_us ? min_u64(first, watchdog->ping_us) : first;
}

static uint64_t ping_due_us(const struct cv_watchdog *watchdog)
{
    if (watchdog->ping_us)
        return UINT64_MAX;
    uint64_t keepalive_us = heard_us(watchdog) + us(CV_WATCHDOG_KEEPALIVE_MS);
    uint64_t from_us = silent_us(watchdog);
    if (from_us == UINT64_MAX)
        return keepalive_us;
    // Not again at once where pings are answered and something else stays silent.
    return max_u64(from_us, watchdog->pinged_us) + us(CV_CONNECTION_SILENCE_MS);
}

// When silence asks for another way.
static uint64_t silence_ends_us(const struct cv_watchdog *watchdog)
{
    if (!watchdog->ping_us)
        return UINT64_MAX;
    if (watchdog->silent)
        return watchdog->renew_us + us(CV_WATCHDOG_AGAIN_MS);
    uint64_t answer = max_u64(watchdog->sample.rtt_us * UINT64_C(3), us(CV_WATCHDOG_PING_MIN_MS));
    return max_u64(silent_us(watchdog) + us(CV_CONNECTION_PULSE_MS), watchdog->ping_us + answer);
}

static uint64_t lost_us(const struct cv_watchdog *watchdog)
{
    if (!watchdog->ping_us || watchdog->lost)
        return UINT64_MAX;
    return watchdog->ping_us + us(CV_WATCHDOG_LOST_MS);
}

// ---- periods --------------------------------------------------------------------------------

// When a learned period asks for another way: before it strikes.
static uint64_t period_ends_us(const struct cv_watchdog *watchdog)
{
    if (watchdog->cut_ms == 0)
        return UINT64_MAX;
    uint32_t early_ms = watchdog->cut_ms / 10;
    if (early_ms < CV_WATCHDOG_EARLY_MIN_MS)
        early_ms = CV_WATCHDOG_EARLY_MIN_MS;
    uint64_t end_us = watchdog->since_us + us(watchdog->cut_ms - early_ms);
    return watchdog->renew_us ? max_u64(end_us, watchdog->renew_us + us(CV_WATCHDOG_AGAIN_MS))
                              : end_us;
}

// It has lived a quarter longer than it should have.
static void forget_period(struct cv_watchdog *watchdog, uint64_t now_us)
{
    if (watchdog->cut_ms && !watchdog->ping_us &&
        now_us > watchdog->since_us + us(watchdog->cut_ms) * 5 / 4)
        watchdog->cut_ms = watchdog->last_cut_ms = 0;
}

static uint64_t last_sign_us(const struct cv_watchdog *watchdog)
{
    return max_u64(max_u64(watchdog->sample.heard_us, watchdog->gain_us), watchdog->since_us);
}

void cv_watchdog_cut(struct cv_watchdog *watchdog, uint64_t now_us)
{
    if (!watchdog->watching)
        return;
    watchdog->watching = false;
    // In silence it was cut when it was heard last, otherwise right now.
    uint64_t end_us = watchdog->ping_us ? last_sign_us(watchdog) : now_us;
    uint64_t age_ms = (end_us - min_u64(end_us, watchdog->since_us)) / 1000;
    if (age_ms < CV_WATCHDOG_CUT_MIN_MS || age_ms > UINT32_MAX)
        return;
    uint64_t last_ms = watchdog->last_cut_ms;
    uint64_t less = min_u64(age_ms, last_ms);
    uint64_t more = max_u64(age_ms, last_ms);
    if ((more - less) * 10 <= more)
        watchdog->cut_ms = (uint32_t)less;
    watchdog->last_cut_ms = (uint32_t)age_ms;
}

uint32_t cv_watchdog_cut_ms(const struct cv_watchdog *watchdog)
{
    return watchdog->cut_ms;
}

// ---- looking --------------------------------------------------------------------------------

// Takes the sample in. True: there was a sign of life since the ping.
static bool take_sample(struct cv_watchdog *watchdog, const struct cv_watchdog_sample *sample,
                        uint64_t now_us)
{
    bool progress = sample->acked_bytes > watchdog->sample.acked_bytes;
    if (progress)
        watchdog->gain_us = now_us;
    if (progress || sample->unacked_bytes == 0)
        watchdog->acked_us = now_us;
    if (!sample->due)
        watchdog->due_us = UINT64_MAX;
    else if (watchdog->due_us == UINT64_MAX)
        watchdog->due_us = now_us;
    watchdog->sample = *sample;
    watchdog->look_us = now_us;
    // Who answers pings and has media to send is asked for more than TCP's own acknowledgement: a
    // proxy may have given that.
    bool answered = progress && !(sample->answers && sample->due);
    return watchdog->ping_us && (answered || sample->heard_us > watchdog->ping_us);
}

static void be_well(struct cv_watchdog *watchdog, uint64_t now_us)
{
    if (watchdog->silent) {
        act(watchdog, CV_WATCHDOG_WELL);
        watchdog->renew_us = 0;
    }
    watchdog->sign_us = now_us;
    watchdog->ping_us = 0;
    watchdog->silent = watchdog->lost = false;
}

static void check_life(struct cv_watchdog *watchdog, bool sign, uint64_t now_us)
{
    if (sign)
        be_well(watchdog, now_us);
    if (now_us >= ping_due_us(watchdog)) {
        watchdog->ping_us = watchdog->pinged_us = now_us;
        act(watchdog, CV_WATCHDOG_PING);
    }
    bool silence = now_us >= silence_ends_us(watchdog);
    if (silence || now_us >= period_ends_us(watchdog)) {
        watchdog->silent |= silence;
        watchdog->renew_us = now_us;
        act(watchdog, CV_WATCHDOG_RENEW);
    }
    if (now_us >= lost_us(watchdog)) {
        watchdog->lost = true;
        act(watchdog, CV_WATCHDOG_LOST);
    }
}

static void check_hunger(struct cv_watchdog *watchdog, uint64_t now_us)
{
    if (watchdog->sample.behind_ms < CV_WATCHDOG_BEHIND_MS) {
        watchdog->behind_us = 0;
        return;
    }
    if (!watchdog->behind_us)
        watchdog->behind_us = now_us;
    if (watchdog->starved || now_us - watchdog->behind_us < us(CV_WATCHDOG_STARVED_MS))
        return;
    watchdog->starved = true;
    act(watchdog, CV_WATCHDOG_STARVED);
}

void cv_watchdog_look(struct cv_watchdog *watchdog, const struct cv_watchdog_sample *sample,
                      uint64_t now_us)
{
    if (!watchdog->watching)
        return;
    bool sign = take_sample(watchdog, sample, now_us);
    forget_period(watchdog, now_us);
    check_life(watchdog, sign, now_us);
    check_hunger(watchdog, now_us);
}

uint64_t cv_watchdog_deadline_us(const struct cv_watchdog *watchdog)
{
    if (!watchdog->watching)
        return UINT64_MAX;
    bool close = watchdog->sample.unacked_bytes > 0 || watchdog->ping_us;
    uint64_t look = watchdog->look_us + us(close ? CV_WATCHDOG_CLOSE_LOOK_MS : CV_WATCHDOG_LOOK_MS);
    uint64_t life = min_u64(ping_due_us(watchdog), silence_ends_us(watchdog));
    return min_u64(min_u64(look, life), min_u64(period_ends_us(watchdog), lost_us(watchdog)));
}

// ---- beginning ------------------------------------------------------------------------------

void cv_watchdog_init(struct cv_watchdog *watchdog, uint32_t cut_ms)
{
    bool known = cut_ms >= CV_WATCHDOG_CUT_MIN_MS;
    *watchdog = (struct cv_watchdog){.cut_ms = known ? cut_ms : 0};
}

void cv_watchdog_begin(struct cv_watchdog *watchdog, uint64_t since_us, uint64_t now_us)
{
    CV_ASSERT(since_us <= now_us);
    *watchdog = (struct cv_watchdog){.cut_ms = watchdog->cut_ms,
                                     .last_cut_ms = watchdog->last_cut_ms,
                                     .watching = true,
                                     .since_us = since_us,
                                     .begun_us = now_us,
                                     .due_us = UINT64_MAX,
                                     .acked_us = now_us,
                                     .look_us = 0, // the first one is due at once
                                     .starved = watchdog->starved};
}

bool cv_watchdog_is_silent(const struct cv_watchdog *watchdog)
{
    return watchdog->silent;
}
