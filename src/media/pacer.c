#include "media/pacer.h"

#include "base/check.h"
#include "base/limits.h"
#include "proto/message.h"

struct cv_pacer cv_pacer_new(uint32_t ahead_ms)
{
    return (struct cv_pacer){
        .ahead_us = ahead_ms * UINT64_C(1000),
        .kind_ms = {INT64_MIN, INT64_MIN},
        .step_ms = CV_PACE_STEP_MS,
    };
}

void cv_pacer_start(struct cv_pacer *pacer, uint64_t now_us)
{
    CV_ASSERT(!pacer->running);
    pacer->running = true;
    pacer->zero_us = now_us;
}

void cv_pacer_again(struct cv_pacer *pacer)
{
    pacer->again = pacer->based;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// Differences below 2^31 are believed, in both directions: so a wrap of 32 bits is none.
static int64_t unwrap(const struct cv_pacer *pacer, uint32_t ts_ms)
{
    return pacer->last_ms + (int32_t)(ts_ms - pacer->last_in);
}

static bool has_jumped(const struct cv_pacer *pacer, int64_t kind_ms, int64_t at_ms)
{
    bool back = kind_ms != INT64_MIN && kind_ms - at_ms > CV_PACE_BACK_MS;
    return pacer->again || back || at_ms - pacer->newest_ms > CV_PACE_GAP_MS;
}

static int64_t stamp_media(struct cv_pacer *pacer, int64_t *kind_ms, uint32_t ts_ms)
{
    if (!pacer->based)
        pacer->offset_ms = -unwrap(pacer, ts_ms);
    pacer->based = true;
    pacer->last_ms = unwrap(pacer, ts_ms);
    pacer->last_in = ts_ms;
    int64_t at_ms = pacer->last_ms + pacer->offset_ms;
    if (has_jumped(pacer, *kind_ms, at_ms)) {
        pacer->offset_ms += pacer->newest_ms + pacer->step_ms - at_ms;
        at_ms = pacer->newest_ms + pacer->step_ms;
        // The other kind is behind the seam, too, once it comes there.
        pacer->again = false;
    } else if (*kind_ms != INT64_MIN && at_ms > *kind_ms && at_ms - *kind_ms <= CV_PACE_BACK_MS) {
        pacer->step_ms = at_ms - *kind_ms;
    }
    at_ms = max_i64(at_ms, 0);
    *kind_ms = at_ms;
    pacer->newest_ms = max_i64(pacer->newest_ms, at_ms);
    return at_ms;
}

// Metadata often say 0 wherever they are.
static int64_t stamp_data(const struct cv_pacer *pacer, uint32_t ts_ms)
{
    if (!pacer->based)
        return 0;
    int64_t at_ms = unwrap(pacer, ts_ms) + pacer->offset_ms;
    if (pacer->again)
        return pacer->newest_ms;
    bool near = pacer->newest_ms - at_ms <= CV_PACE_BACK_MS && at_ms <= pacer->newest_ms;
    return near ? max_i64(at_ms, 0) : pacer->newest_ms;
}

uint64_t cv_pacer_stamp(struct cv_pacer *pacer, uint8_t type, uint32_t ts_ms)
{
    if (type != CV_MSG_AUDIO && type != CV_MSG_VIDEO)
        return (uint64_t)stamp_data(pacer, ts_ms);
    return (uint64_t)stamp_media(pacer, &pacer->kind_ms[type == CV_MSG_VIDEO], ts_ms);
}

uint64_t cv_pacer_due_us(const struct cv_pacer *pacer, uint64_t at_ms)
{
    if (!pacer->running)
        return 0;
    uint64_t at_us = pacer->zero_us + at_ms * UINT64_C(1000);
    return at_us > pacer->ahead_us ? at_us - pacer->ahead_us : 0;
}

uint64_t cv_pacer_time_ms(const struct cv_pacer *pacer)
{
    return (uint64_t)pacer->newest_ms;
}
