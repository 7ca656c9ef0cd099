// RTMP as it is on one connection: from its first byte, or behind an offer that was taken.
#include "client/attempt_state.h"

// ---- writing --------------------------------------------------------------------------------

static bool is_blocked(const struct cv_attempt *attempt)
{
    const struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    return !leg || !cv_leg_is_up(leg) || cv_leg_is_blocked(leg);
}

static void flush(struct cv_attempt *attempt)
{
    struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    struct cv_gather *gather;
    while (!is_blocked(attempt) && cv__attempt_pull(attempt, &gather)) {
        int sent = cv_leg_write(leg, gather);
        if (sent <= 0)
            return; // down tells what it was
        cv_rtmp_client_sent(attempt->rtmp, (size_t)sent);
    }
}

// Our side is closed behind the last byte; the server closes its own when it has read it.
static void finish(struct cv_attempt *attempt)
{
    struct cv_leg *leg = attempt->legs[CV_RTMPT_UP];
    cv__attempt_lose_patience(attempt);
    if (leg && cv_rtmp_client_out_empty(attempt->rtmp))
        cv_leg_shutdown(leg);
}

// ---- the leg ----------------------------------------------------------------------------------

static int up(struct cv_attempt *attempt)
{
    flush(attempt);
    return CV_OK;
}

static int begin(struct cv_attempt *attempt)
{
    return cv__attempt_dial(attempt);
}

void cv__attempt_go_plain(struct cv_attempt *attempt)
{
    cv_timer_stop(&attempt->timer);
    attempt->carrier = &cv__attempt_plain;
    cv__attempt_adopt_leg(attempt);
    cv_leg_close(&attempt->legs[CV_RTMPT_DOWN]);
}

const struct cv_carrier cv__attempt_plain = {
    .names = {"RTMP", "RTMPS"},
    .begin = begin,
    .flush = flush,
    .is_blocked = is_blocked,
    .finish = finish,
    .up = up,
    .bytes = cv__attempt_take,
};
